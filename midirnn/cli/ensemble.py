"""The flags of ``midirnn generate`` for an ensemble of several players, and the generation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.drawing import DrawingFlags
from midirnn.cli.progress import progress_bar
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.engines.load import Model
    from midirnn.performance import Performance
    from midirnn.sampling.generated import Generated
    from midirnn.sampling.requests import Request

GROUP = "Ensemble"
ALONE, ENSEMBLE = "alone", "ensemble"


@dataclass(frozen=True)
class EnsembleFlags:
    """Whether there are several players, and which network decides what they do."""

    mode: Annotated[
        str,
        Parameter(
            group=GROUP,
            help="alone: one player. ensemble: several, each in its own register and on a track "
            "and a channel of its own.",
        ),
    ] = ALONE
    players: Annotated[
        int | None, Parameter(group=GROUP, help="Number of players with --mode ensemble. [4]")
    ] = None
    network: Annotated[
        str | None,
        Parameter(
            group=GROUP,
            help="With --mode ensemble: name or folder of the model that decides what the players "
            "do. [ensemble]",
        ),
    ] = None

    def check(self, drawing: DrawingFlags) -> None:
        """Raise :class:`OptionError` for an unknown mode, and for flags that it does not take."""
        if self.mode not in (ALONE, ENSEMBLE):
            raise OptionError(f"there is no mode {self.mode!r}; known are {ALONE} and {ENSEMBLE}")
        for flag, value in (("players", self.players), ("network", self.network)):
            if value is not None and not self.wanted:
                raise OptionError(f"--{flag} is for --mode {ENSEMBLE}")
        if self.wanted and (ways := drawing.ways()):
            raise OptionError(f"{ways[0]} is for one player, not --mode {ENSEMBLE}")

    @property
    def wanted(self) -> bool:
        """Whether there are several players."""
        return self.mode == ENSEMBLE

    def draw(
        self,
        model: Model,
        request: Request,
        primer: Performance | None,
        seeds: Sequence[int],
        engine: str,
    ) -> Iterator[Generated]:
        """Yield a piece for each seed. Raise :class:`OptionError` for what has no effect here."""
        from midirnn.ensemble import generate_ensemble, load_network
        from midirnn.sampling.constraints import Constraints
        from midirnn.sampling.following import DEFAULT_FOLLOW

        follows = (request.follow, request.follow_seconds) != (DEFAULT_FOLLOW, None)
        constrained = request.constraints not in (None, Constraints())
        for flags, given in (
            ("--end and constraints", request.end or constrained),
            ("--follow and --follow-seconds", follows),
        ):
            if given:
                raise OptionError(f"{flags} are for one player, not --mode {ENSEMBLE}")
        network = load_network(self.network or "ensemble")
        players = 4 if self.players is None else self.players
        parts = sum(not part.is_drum for part in primer.parts) if primer is not None else 0
        if parts > players:
            print(
                f"the primer has {parts} parts: its first {players} are the players",
                file=sys.stderr,
            )
        for seed in seeds:
            with progress_bar("generating") as progress:
                made = generate_ensemble(
                    model,
                    network=network,
                    players=players,
                    seconds=request.seconds,
                    primer=primer,
                    sampling=request.sampling,
                    controls=request.controls,
                    seed=seed,
                    engine=engine,
                    progress=progress,
                )
            yield made
