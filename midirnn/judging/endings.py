"""How pieces end: features of the last ten seconds, to compare endings with real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.judging.features import Feature, notes_per_second, velocity
from midirnn.judging.report import compare_sets
from midirnn.performance import Performance

ENDING_SECONDS = 10.0
"""The last seconds of a piece, which count as its ending."""

LAST_NOTES = 8
"""The number of last notes whose pitch classes, relative to the lowest, a piece ends on."""

LAST_ONSETS = 4
"""The number of last inter-onset times that are compared with those before."""

_SAME_ONSET_SECONDS = 0.03


def ending_of(piece: Performance) -> Performance:
    """Return the notes that begin in the ten seconds before the last note ends, moved to 0."""
    end = float(piece.end.max(initial=0.0))
    begin = max(0.0, end - ENDING_SECONDS)
    return piece.slice(begin, end)


def last_sound_seconds(ending: Performance, seconds: float) -> float:
    """Return how long the last notes sound after the last onset."""
    return float(ending.end.max() - ending.start.max()) if len(ending) else 0.0


def slowing(ending: Performance, seconds: float) -> float:
    """Return by how many powers of two the last inter-onset times exceed those before."""
    gaps = np.diff(ending.start)
    gaps = gaps[gaps > _SAME_ONSET_SECONDS]
    if len(gaps) <= LAST_ONSETS:
        return 0.0
    return float(np.log2(gaps[-LAST_ONSETS:].mean() / gaps[:-LAST_ONSETS].mean()))


def softening(ending: Performance, seconds: float) -> float:
    """Return by how much the last notes are softer than those before, in velocities."""
    velocities = ending.velocity.astype(np.float64)
    if len(velocities) <= LAST_NOTES:
        return 0.0
    return float(velocities[:-LAST_NOTES].mean() - velocities[-LAST_NOTES:].mean())


def final_pitch_classes(ending: Performance, seconds: float) -> Float64Array:
    """Return the shares of pitch classes of the last notes, counted from the lowest of them."""
    pitches = ending.pitch[-LAST_NOTES:].astype(np.int64)
    counts = np.bincount((pitches - pitches.min(initial=127)) % 12, minlength=12)
    shares: Float64Array = counts / max(len(pitches), 1)
    return shares


ENDING_FEATURES = (
    Feature("notes_per_second", notes_per_second),
    Feature("velocity", velocity),
    Feature("slowing", slowing),
    Feature("softening", softening),
    Feature("last_sound_seconds", last_sound_seconds),
    Feature("final_pitch_classes", final_pitch_classes, is_histogram=True),
)


def compare_endings(
    sets: Mapping[str, Sequence[Performance]], reference: str
) -> dict[str, dict[str, Any]]:
    """Compare each set's endings with those of the reference set; return figures for JSON.

    For histograms there is also ``from_reference``, the total variation between the sets' means.
    """
    endings = {name: [ending_of(piece) for piece in pieces] for name, pieces in sets.items()}
    compared = compare_sets(endings, reference, ENDING_SECONDS, ENDING_FEATURES)
    for feature in ENDING_FEATURES:
        if feature.is_histogram:
            of_feature = compared[feature.name]
            expected = np.array(of_feature[reference]["mean"])
            for described in of_feature.values():
                apart = np.abs(np.array(described["mean"]) - expected).sum() / 2
                described["from_reference"] = float(apart)
    return compared
