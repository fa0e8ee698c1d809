"""Following the style of a primer, and letting go of it."""

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
"""The style is measured over these last seconds of a primer. Of 10, 15 and 20 seconds, 20 were
nearest to the whole of 30-second primers, and to what the pianists played after them."""

OPENING_DENSITY = (2.85, 3.9)
OPENING_POLYPHONY = (2.1, 2.95)
"""Without a primer, density and polyphony are drawn from these ranges, in the units of the traits:
6.2 to 13.9 notes per second, and 3.3 to 6.7 at once. They are about the quartiles of passages of
15 s of the train split, moved so that the music of `piano` is as full as the test split's in the
mean. Left to itself, `piano` plays more and shorter notes than the performances that it was trained
on."""


def usual_articulation(density: float, polyphony: float) -> float:
    """Return the usual articulation at a density and polyphony, all in the units of the traits.

    Fitted to 582 passages of 15 s of the train split.
    """
    return 2.12 - 0.48 * (density - 3.41) + 1.36 * (polyphony - 2.40)


SHARES = 10
"""The number of steps in which the style is let go."""


def following(
    sampler: Sampler[Any], heard: Sequence[int], controls: Controls | None, follow: float
) -> Controls | None:
    """Return the controls together with the style of the last tokens of ``heard``.

    If nothing was heard, a model with style inputs gets a random but usual density and polyphony,
    and the articulation that goes with them. The controls stay as they are if ``follow`` is 0, and
    for models without control inputs.
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
    """Return the controls for a piece without a primer."""
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


def shares_left(elapsed_seconds: float, seconds: float) -> int:
    """Return how many of :data:`SHARES` of a style are left, if all are gone after ``seconds``."""
    return math.ceil(max(1.0 - elapsed_seconds / seconds, 0.0) * SHARES)


class LettingGo:
    """Follows a style less and less, until ``seconds`` have passed; with None it keeps to it.

    Owns the share that is left.
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
        """Return the controls ``seconds`` after the style was heard, with what is left of it."""
        if self._seconds is None or self._style is None or self.controls is None:
            return self.controls
        left = shares_left(seconds, self._seconds)
        if left != self._left:
            self._left = left
            share = self._follow * left / SHARES
            style = self._style if left else None
            self.controls = replace(self.controls, style=style, follow=share)
        return self.controls
