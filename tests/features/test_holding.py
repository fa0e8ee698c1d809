"""What training shows of the style of the next seconds does not tell the very next notes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.codecs.controls import CONTROLS
from midirnn.codecs.performance import TokenType
from midirnn.codecs.style import ENDING, RHYTHM_EDGES, SLICES, TRAITS
from midirnn.features import ControlInputs, StyleInputs
from midirnn.features.base import Feature
from midirnn.features.measured import HELD_SECONDS, held_places
from tests.datasets.songs import song

CODEC = PerformanceCodec()
PIECE = CODEC.encode(song(3, 400))
ALL = {
    ControlInputs.name: [True] * len(CONTROLS),
    StyleInputs.name: [True] * (len(TRAITS) - len(CONTROLS)),
}
FIRST = SLICES["loudness_spread"].start
"""Where the inputs of the feature style begin among those of all traits."""


def shown(
    feature: Feature, begin: int = 0, stop: int = len(PIECE), tokens: Tokens = PIECE
) -> npt.NDArray[np.float32]:
    """What a reader shows at the tokens from ``begin`` to ``stop - 1``, all traits chosen."""
    reader = feature.reader(CODEC)
    reader.open(tokens, begin, stop, ALL[feature.name])
    rows = np.zeros((stop - begin, *feature.window_shape), np.float32)
    reader.read(rows, tokens[begin:stop], begin)
    return rows


def times() -> npt.NDArray[np.float64]:
    """When each token begins, in seconds."""
    steps = np.cumsum(CODEC.token_steps[PIECE])
    return np.concatenate([[0], steps[:-1]]) / CODEC.steps_per_second


def test_the_next_interval_stands_in_the_change_of_a_rhythm_that_is_measured_at_each_token() -> (
    None
):
    rhythm = CODEC.measure_style(PIECE, 0, len(PIECE))[:, SLICES["rhythm"]]
    assert share_read_from(rhythm) > 0.9
    held = shown(StyleInputs())[:, SLICES["rhythm"].start - FIRST : SLICES["rhythm"].stop - FIRST]
    assert share_read_from(held) < 0.1


def share_read_from(rhythm: npt.NDArray[np.float32]) -> float:
    """The share of intervals between onsets whose bin is what a note-on takes from the rhythm."""
    ons = np.flatnonzero(CODEC.vocabulary.is_type(PIECE, TokenType.NOTE_ON))
    gaps = np.diff(times()[ons])
    read = []
    for on, gap in zip(ons[:-10], gaps[:-9], strict=False):
        if gap > 0.0:
            taken = rhythm[on] - rhythm[on + 1]
            wanted = np.searchsorted(RHYTHM_EDGES[1:-1], np.log2(gap), side="right")
            read.append(bool(taken.max() > 1e-6 and taken.argmax() == wanted))
    assert len(read) > 100
    return float(np.mean(read))


@pytest.mark.parametrize("feature", [ControlInputs(), StyleInputs()], ids=lambda f: f.name)
def test_what_is_shown_changes_only_where_the_next_seconds_begin(feature: Feature) -> None:
    rows, span = shown(feature), times() // HELD_SECONDS
    if feature.name == StyleInputs.name:
        rows = rows[:, : SLICES[ENDING].start - FIRST]
    changes = np.flatnonzero((np.diff(rows, axis=0) != 0.0).any(axis=1)) + 1
    assert len(changes) > 10
    assert (span[changes] > span[changes - 1]).all()


@pytest.mark.parametrize("feature", [ControlInputs(), StyleInputs()], ids=lambda f: f.name)
@pytest.mark.parametrize("begin", [1, 17, 500])
def test_it_does_not_depend_on_where_reading_begins(feature: Feature, begin: int) -> None:
    np.testing.assert_array_equal(shown(feature, begin), shown(feature)[begin:])


def test_places_are_the_first_tokens_of_their_seconds() -> None:
    places = held_places(CODEC, PIECE, 0, len(PIECE))
    begun = times()
    assert (places <= np.arange(len(PIECE))).all()
    assert (begun[places] // HELD_SECONDS == begun // HELD_SECONDS).all()
    before = places[places > 0] - 1
    assert (begun[before] // HELD_SECONDS < begun[places[places > 0]] // HELD_SECONDS).all()


def test_the_time_to_the_end_is_that_of_each_token() -> None:
    ending = slice(SLICES[ENDING].start - FIRST, SLICES[ENDING].stop - FIRST)
    measured = CODEC.measure_style(PIECE, 0, len(PIECE))[:, SLICES[ENDING]]
    np.testing.assert_array_equal(shown(StyleInputs())[:, ending], measured)
