"""Echo: the performer's phrase comes back, changed."""

from __future__ import annotations

from typing import ClassVar

from midirnn.live.base.playing import Source
from midirnn.live.modes.call_and_response import CallAndResponse


class Echo(CallAndResponse):
    """Call and response that answers with the phrase, keeping what the model finds probable."""

    summary: ClassVar[str] = (
        "You play a phrase; when you pause, it comes back in your own rhythm, with the notes that "
        "the model did not expect replaced by ones that it did."
    )
    source: ClassVar[Source] = Source.PHRASE
