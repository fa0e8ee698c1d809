"""Following: which of the performer's styles the model keeps to, and how closely."""

from __future__ import annotations

import math
from collections.abc import Sequence

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.style import Style
from midirnn.live.base.messages import HeardStep
from midirnn.live.base.playing import Following
from midirnn.live.input.performer_style import LATEST_SECONDS, PerformerStyle
from midirnn.sampling.following import SHARES, shares_left

MEASURED_SECONDS = 1.0
"""The time between two measurements while the performer plays."""

BESIDE_SECONDS = 3.0
"""A model that plays along is no denser than the performer was in these last seconds."""

REACTION_SECONDS = 2.0
"""The model follows a change of density about this much later."""

THINNING_OUT = (BESIDE_SECONDS + 2 * REACTION_SECONDS) / (LATEST_SECONDS - BESIDE_SECONDS)
"""A performer who thins out is expected to continue. Each measurement holds for the middle of its
seconds; until the model reacts, a line through both falls by this share of their difference."""

MOST_THINNING = 0.25
"""The most that the density falls in this way, in octaves: the performer may stop thinning out."""


class StyleFollower:
    """Decides which style the model follows. Owns what the performer played, and its measurements.

    The result depends only on what was heard and when.
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
        """Measure the style, because the model begins to play, until :meth:`end`."""
        self._how = how
        self._style = self._recalled or self._followed()
        self._measured_at = now

    def end(self) -> None:
        """Take note that the model has stopped: what follows is another phrase."""
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

    @property
    def heard_at(self) -> float:
        """When the performer last played, or a style was recalled."""
        return self._heard_at

    def recall(self, style: Style | None, now: float, heard_at: float | None = None) -> None:
        """Follow this style from now on, or none, until the performer plays.

        It is let go of as if it had been heard at ``heard_at``, by default now.
        """
        self._style = self._recalled = style
        self._heard_at = now if heard_at is None else heard_at
        self._measured_at = now

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
        """Return the performer's style, as the model follows it now."""
        if self._how is Following.PHRASE:
            return self._performer.phrase()
        style = self._performer.last_seconds()
        if style is None or not self.beside:
            return style
        lately = self._performer.last_seconds(BESIDE_SECONDS)
        return style if lately is None else _thinned_out(style, lately)

    def _share_left(self, now: float) -> float:
        """Return the share of the style that is left, in tenths."""
        if self._how is not Following.LOOSELY:
            return 1.0
        return shares_left(now - self._heard_at, self._seconds) / SHARES


def _thinned_out(style: Style, lately: Style) -> Style:
    """Return a style with the density that the performer has come down to, if that is lower."""
    less = style.number("density") - lately.number("density")
    if less <= 0.0:
        return style
    density = lately.number("density") - min(THINNING_OUT * less, MOST_THINNING)
    return Style({**style.values, "density": max(density, 0.0)})
