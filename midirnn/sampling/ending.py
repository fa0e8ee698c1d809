"""The ending of a piece: fewer and fewer notes, the tonic triad, and then no more note-ons.

How fast music thins out was measured in 250 performances of the train split of the weights that
come with midirnn: the notes that begin within 4 s, compared with those of the 20 s that end 10 s
before the end. The key is found by correlation with the profiles of C. Krumhansl, "Cognitive
Foundations of Musical Pitch" (1990), chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, Steerable
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.sampling.sampler import Sampler

ENDING_SECONDS = 10.0
"""How long before the end the approach to it begins."""

LAST_SOUND_SECONDS = 2.0
"""While notes sound, none begins later than this before the end; in half of all performances the
last notes begin even earlier."""

LONGEST_RELEASE_SECONDS = 4.0
"""The last notes may sound on for this long after the end; then they are ended."""

TONIC_SECONDS = 4.0
"""How long before the end the controls ask for the tonic triad."""

_SECONDS_LEFT = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_SHARE_OF_DENSITY = (0.0, 0.12, 0.23, 0.42, 0.55, 0.83, 0.92)
"""The median density over the next 4 s, as a share of what it was before."""

_KEPT_TRAITS = ("loudness", "register", "pitch_classes")
_MEASURED_SECONDS = 20.0
_TOLD_EVERY_SECONDS = 0.25

MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


class Ending:
    """Leads a sampler to the end of a piece. Owns the style before it, and the time last told.

    It sets the controls of the model; without controls the last notes are still released.
    """

    def __init__(self, sampler: Sampler[Any], controls: Controls | None) -> None:
        self._sampler = sampler
        self._controls = controls or Controls()
        self._before: Style | None = None
        self._asked = math.inf
        begins = np.zeros(sampler.codec.vocab_size, dtype=bool)
        for name, tokens in sampler.codec.groups().items():
            begins[tokens] = name in ("note_on", "velocity")
        self._begins_none = ~begins

    def moved_to(self, sampler: Sampler[Any]) -> Self:
        """Return a copy for a sampler in the same state."""
        moved = copy(self)
        moved._sampler = sampler
        return moved

    def approach(self, seconds_left: float, tokens: Sequence[int]) -> None:
        """Set the controls for music this near its end. ``tokens`` are all of the piece so far."""
        steps = math.ceil(max(seconds_left, 0.0) / _TOLD_EVERY_SECONDS)
        left = steps * _TOLD_EVERY_SECONDS
        if left > ENDING_SECONDS or left == self._asked or not can_end(self._sampler):
            return
        codec = self._sampler.codec
        if self._before is None:
            assert isinstance(codec, Steerable)
            self._before = codec.recent_style(np.asarray(tokens, np.uint16), _MEASURED_SECONDS)
        self._asked = left
        self._sampler.steer(ending_controls(self._controls, self._before, left))

    def allowed(self, seconds_left: float) -> BoolArray:
        """Return which tokens may come next: near the end, if possible, none that begins a note."""
        mask = self._sampler.mask()
        if seconds_left > (LAST_SOUND_SECONDS if self._sampler.sounding else 0.0):
            return mask
        kept = mask & self._begins_none
        return kept if kept.any() else mask


def can_end(sampler: Sampler[Any]) -> bool:
    """Return whether controls can lead the model to an ending."""
    return bool(sampler.engine.config.control_inputs) and isinstance(sampler.codec, Steerable)


def ending_controls(controls: Controls, before: Style, seconds_left: float) -> Controls:
    """Return the controls for ``seconds_left`` before the end of music in the style ``before``.

    Answers in live sessions are ended with it, too. Controls that were set are kept, except for
    the density and, in the last seconds, the pitch classes.
    """
    share = float(np.interp(seconds_left, _SECONDS_LEFT, _SHARE_OF_DENSITY))
    density = _density(controls, before)
    style = controls.style or before
    kept = Style({name: v for name, v in style.values.items() if name in _KEPT_TRAITS})
    asked = replace(
        controls,
        ending_seconds=seconds_left,
        notes_per_second=density * share,
        style=kept if controls.style else None,
    )
    classes = before.values.get("pitch_classes") or controls.pitch_classes
    if seconds_left > TONIC_SECONDS or not isinstance(classes, Sequence):
        return asked
    return replace(asked, pitch_classes=tonic_triad(np.asarray(classes)))


def _density(controls: Controls, before: Style) -> float:
    """Return the notes per second that were set, or else those played before."""
    if controls.notes_per_second is not None:
        return controls.notes_per_second
    density = before.values.get("density", 0.0)
    assert isinstance(density, float)
    return float(2.0**density - 1.0)


def key_fits(pitch_classes: npt.NDArray[np.floating | np.integer]) -> dict[tuple[int, int], float]:
    """Return how well each key, its root and the size of its third, fits pitch classes (12,).

    The fit is 12 times their standard deviation times their correlation with the key's profile.
    """
    centred = pitch_classes - pitch_classes.mean()
    fits = {}
    for profile, third in ((MAJOR_PROFILE, 4), (MINOR_PROFILE, 3)):
        standard = (np.array(profile) - np.mean(profile)) / np.std(profile)
        for root in range(12):
            fits[root, third] = float(np.roll(standard, root) @ centred)
    return fits


def tonic_triad(pitch_classes: npt.NDArray[np.floating]) -> tuple[float, ...]:
    """Return twelve weights: the tonic triad of the key that fits pitch classes (12,) best."""
    fits = key_fits(pitch_classes)
    root, third = max(fits, key=lambda key: fits[key])
    weights = np.zeros(12)
    weights[[root, (root + third) % 12, (root + 7) % 12]] = 2.0, 1.0, 1.0
    return tuple(weights.tolist())
