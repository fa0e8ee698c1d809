"""The modes of a live session, by name. A new one needs a file, and a line here."""

from __future__ import annotations

from midirnn.errors import OptionError
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import NEVER, Gesture, Performed, Source, Stance
from midirnn.live.modes.autopilot import Autopilot
from midirnn.live.modes.base import Mode
from midirnn.live.modes.call_and_response import CallAndResponse
from midirnn.live.modes.duet import Duet
from midirnn.live.modes.echo import Echo
from midirnn.live.modes.ensemble import Ensemble
from midirnn.live.modes.shadow import Shadow

MODES: dict[str, type[Mode]] = {
    "call_and_response": CallAndResponse,
    "duet": Duet,
    "autopilot": Autopilot,
    "echo": Echo,
    "shadow": Shadow,
    "ensemble": Ensemble,
}
"""Every mode by its name."""


def make_mode(name: str | Mode, config: LiveConfig) -> Mode:
    """Return a new mode by name, or the mode given. Raises :class:`OptionError` for other names."""
    if not isinstance(name, str):
        return name
    if name not in MODES:
        raise OptionError(f"there is no mode {name!r}; known are {', '.join(MODES)}")
    return MODES[name](config)


def mode_name(mode: Mode) -> str:
    """Return the name of a mode, or of its class if it is not in the table."""
    names = (name for name, known in MODES.items() if type(mode) is known)
    return next(names, type(mode).__name__)


__all__ = [
    "MODES",
    "NEVER",
    "Gesture",
    "Mode",
    "Performed",
    "Source",
    "Stance",
    "make_mode",
    "mode_name",
]
