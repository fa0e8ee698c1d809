"""Where a session reports what goes on."""

from __future__ import annotations

from typing import Protocol

from midirnn.live.base.playing import Stance


class Report(Protocol):
    """Where a rig reports what goes on. Called from several threads."""

    def tell(self, line: str) -> None:
        """Show a line of information."""
        ...

    def warn(self, text: str) -> None:
        """Show what went wrong and is being repaired."""
        ...

    def change(self, stance: Stance) -> None:
        """Show what the model does from now on."""
        ...


class NoReport:
    """A report that ignores everything."""

    def tell(self, line: str) -> None:
        """Ignore the line."""

    def warn(self, text: str) -> None:
        """Ignore the text."""

    def change(self, stance: Stance) -> None:
        """Ignore the change."""
