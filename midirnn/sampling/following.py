"""Following the style of what was heard, and letting it go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from midirnn.codecs import Steerable
from midirnn.codecs.controls import TRAIT, Controls
from midirnn.codecs.style import Style
from midirnn.errors import OptionError
from midirnn.sampling.sampler import Sampler

DEFAULT_FOLLOW = 1.0
"""How closely a continuation keeps to the style of its primer."""

HEARD_SECONDS = 20.0
"""The style of so much of a primer is followed, up to its end."""

OPENING_DENSITY = (2.85, 3.9)
OPENING_POLYPHONY = (2.1, 2.95)
"""Without a primer a number of notes per second and one of notes at once are asked for, drawn from
these ranges, which are as the traits count: 6.2 to 13.9 and 3.3 to 6.7 notes. They are about the
quartiles of passages of 15 s of the train split, moved so that the music of `piano` is about as
full as the test split's in the mean. Left to itself `piano` plays more notes a second than the
performances that it was trained on, and shorter ones."""


def usual_articulation(density: float, polyphony: float) -> float:
    """Return how connected notes mostly are where so many begin, and sound at once.

    All three as the traits count. Fitted to 582 passages of 15 s of the train split.
    """
    return 2.12 - 0.48 * (density - 3.41) + 1.36 * (polyphony - 2.40)


SHARES = 10
"""The style is let go in so many steps."""


def following(
    sampler: Sampler[Any], heard: Sequence[int], controls: Controls | None, follow: float
) -> Controls | None:
    """Return the controls with the style of the last tokens heard, to be followed.

    Where nothing was heard, a model with style inputs is asked for usual numbers of notes per
    second and at once, which are drawn at random, and for as connected ones as go with them. They
    stay as they are with ``follow`` at 0, and for a model that cannot be conditioned.
    """
    if not 0.0 <= follow <= 1.0:
        raise OptionError(f"follow is {follow:g}; allowed are 0 to 1")
    codec = sampler.codec
    if not (follow and sampler.engine.config.control_inputs):
        return controls
    if not heard:
        return _opening(sampler, controls, follow)
    if not isinstance(codec, Steerable):
        return controls
    style = codec.recent_style(np.asarray(heard, np.uint16), HEARD_SECONDS)
    return replace(controls or Controls(), style=style, follow=follow)


def _opening(sampler: Sampler[Any], controls: Controls | None, follow: float) -> Controls | None:
    """Return the controls of a piece without a primer."""
    if not sampler.engine.config.style_inputs or (controls and controls.style):
        return controls
    density, polyphony = sampler.rng.uniform(*np.transpose((OPENING_DENSITY, OPENING_POLYPHONY)))
    if controls and controls.notes_per_second is not None:
        density = min(math.log2(1.0 + controls.notes_per_second), TRAIT["density"].high)
    style = Style(
        {
            "density": float(density),
            "polyphony": float(polyphony),
            "articulation": usual_articulation(density, polyphony),
        }
    )
    return replace(controls or Controls(), style=style, follow=follow)


class LettingGo:
    """Follows a style less and less, down to not at all after ``seconds``; None keeps to it.

    Owns what share of it is left.
    """

    def __init__(self, controls: Controls | None, seconds: float | None) -> None:
        if seconds is not None and not 0.0 < seconds < math.inf:
            raise OptionError(f"follow_seconds is {seconds:g}; it must be above 0")
        self.controls = controls
        self._style = controls.style if controls else None
        self._follow = controls.follow if controls else 0.0
        self._seconds = seconds
        self._left = SHARES

    def at(self, seconds: float) -> Controls | None:
        """Return the controls with what is left of the style ``seconds`` after it was heard."""
        if self._seconds is None or self._style is None or self.controls is None:
            return self.controls
        left = math.ceil(max(1.0 - seconds / self._seconds, 0.0) * SHARES)
        if left != self._left:
            self._left = left
            share = self._follow * left / SHARES
            style = self._style if left else None
            self.controls = replace(self.controls, style=style, follow=share)
        return self.controls
