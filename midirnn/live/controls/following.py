"""Following: which style of the performer's is asked of the model, and how closely."""

from __future__ import annotations

import math
from collections.abc import Sequence

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.style import Style
from midirnn.live.base.messages import HeardStep
from midirnn.live.base.playing import Following
from midirnn.live.input.performer_style import PerformerStyle

MEASURED_SECONDS = 1.0
"""How often the style is measured again while the performer plays."""

BESIDE_SECONDS = 4.0
"""Who plays beside the performer is no denser than the performer of so many last seconds."""

LETTING_GO = 10
"""In so many steps the model lets go of a style."""


class StyleFollower:
    """Says which style to ask for. Owns what the performer played, and what was measured of it.

    What is asked depends on what was heard and when, and on nothing else.
    """

    def __init__(self, codec: PerformanceCodec, seconds: float) -> None:
        self._performer = PerformerStyle(codec)
        self._seconds = seconds
        self._how: Following | None = None
        self._style: Style | None = None
        self._heard_at = -math.inf
        self._measured_at = -math.inf
        self._recalled: Style | None = None

    def hear(self, steps: Sequence[HeardStep], now: float) -> None:
        """Take what the performer did in some steps."""
        if self._performer.hear(steps):
            self._heard_at, self._recalled = now, None

    def begin(self, how: Following, now: float) -> None:
        """Measure anew, since the model begins to play; with :meth:`end` it stops."""
        self._how = how
        self._style = self._recalled or self._followed()
        self._measured_at = now

    def end(self) -> None:
        """Take note that the model has stopped: what is played now is another phrase."""
        if self._how is not None:
            self._performer.end_phrase()
        self._how = None

    def forget(self) -> None:
        """Forget what was played."""
        self._performer.forget()
        self._style, self._heard_at, self._recalled = None, -math.inf, None

    @property
    def latest(self) -> Style | None:
        """The style that is followed, or would be; None before the first note."""
        return self._recalled or self._style or self._performer.last_seconds()

    def recall(self, style: Style, now: float) -> None:
        """Follow this style from now on, until the performer plays."""
        self._style = self._recalled = style
        self._heard_at = self._measured_at = now

    @property
    def beside(self) -> bool:
        """True while the model plays at the same time as the performer."""
        return self._how is Following.LATEST

    def style(self, now: float) -> tuple[Style | None, float]:
        """Return the style to keep to, and how closely (0 to 1); None while the model is silent."""
        if self._how is None:
            return None, 0.0
        heard_since = self._heard_at > self._measured_at
        is_due = heard_since and now >= self._measured_at + MEASURED_SECONDS
        if self._how is not Following.PHRASE and is_due:
            self._style, self._measured_at = self._followed(), now
        share = self._share_left(now)
        return (self._style, share) if self._style and share else (None, 0.0)

    def _followed(self) -> Style | None:
        """Return the style of what the performer has played, as the model follows it now."""
        if self._how is Following.PHRASE:
            return self._performer.phrase()
        style = self._performer.last_seconds()
        if style is None or not self.beside:
            return style
        lately = self._performer.last_seconds(BESIDE_SECONDS)
        return style if lately is None else _no_denser(style, lately)

    def _share_left(self, now: float) -> float:
        """Return how much of the style is left, in tenths."""
        if self._how is not Following.LOOSELY:
            return 1.0
        left = max(1.0 - (now - self._heard_at) / self._seconds, 0.0)
        return math.ceil(left * LETTING_GO) / LETTING_GO


def _no_denser(style: Style, than: Style) -> Style:
    """Return a style with the density of another one, where that is less."""
    density = min(style.number("density"), than.number("density"))
    return Style({**style.values, "density": density})
