"""Ensemble: several players, each on a channel of its own, play along with the performer."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.playing import Source
from midirnn.live.modes.duet import Duet


class Ensemble(Duet):
    """A duet with several players: each second a network decides what each of them does next."""

    summary: ClassVar[str] = (
        "You play with up to three others, each in its own register and on its own channel: every "
        "second a network trained on string quartets decides what each of them does next."
    )
    source: ClassVar[Source] = Source.ENSEMBLE
