"""What is recalled is what an exhaustive search through the past finds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.recall import LONGEST, NO_MATCHES, check_recallable, recall, remember
from midirnn.errors import CodecError
from midirnn.models.config import ModelConfig
from tests.codecs.characters import CharacterCodec

# Few pitches, so that contexts come back.
MELODIES = st.lists(st.sampled_from([59, 60, 62, 64]), max_size=40) | st.lists(
    st.integers(0, 127), max_size=30
)


def contexts(values: Sequence[int], length: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Places of ``values`` with as many values before them, and those values, the latest first."""
    for place in range(len(values) - 1, length - 1, -1):
        yield place, tuple(values[place - length : place])


def longest_by_search(values: Sequence[int], shortest: int) -> tuple[int, int]:
    """The value that followed the latest, longest earlier occurrence of the end; its length."""
    for length in range(min(LONGEST, len(values) - 1), shortest - 1, -1):
        for place, context in contexts(values, length):
            if context == tuple(values[len(values) - length :]):
                return values[place], length
    return 0, 0


def unordered_by_search(pitches: Sequence[int]) -> tuple[int, int]:
    for length in range(8, 2, -1):
        for place, context in contexts(pitches, length):
            beside = place <= len(pitches) - length
            if beside and sorted(context) == sorted(pitches[len(pitches) - length :]):
                return pitches[place], length
    return 0, 0


@given(MELODIES)
def test_it_is_what_a_search_through_the_past_finds(melody: list[int]) -> None:
    found = recall(bytes(melody)).tolist()
    assert tuple(found[0]) == longest_by_search(melody, 1)
    intervals = [b - a for a, b in itertools.pairwise(melody)]
    interval, length = longest_by_search(intervals, 2)
    pitch = melody[-1] + interval if length else 0
    assert tuple(found[1]) == ((pitch, length) if length and 0 <= pitch < 128 else (0, 0))
    assert tuple(found[2]) == unordered_by_search(melody)


def test_a_phrase_that_comes_back_is_recalled_note_by_note() -> None:
    phrase = [60, 64, 67, 72, 71, 67]
    exact = recall(bytes([*phrase, 50, *phrase[:4]]))[0]
    assert exact.tolist() == [71, 4]


def test_a_phrase_in_another_key_is_recalled_in_that_key() -> None:
    phrase = [60, 64, 67, 72, 71, 67]
    moved = [pitch + 5 for pitch in phrase]
    exact, transposed, _ = recall(bytes([*phrase, 50, *moved[:4]])).tolist()
    assert transposed == [76, 3]
    assert exact[1] < 3


def test_a_chord_in_another_order_is_recalled() -> None:
    _, _, unordered = recall(bytes([60, 64, 67, 72, 40, 67, 60, 64])).tolist()
    assert unordered == [72, 3]


def test_nothing_is_recalled_of_nothing() -> None:
    assert np.array_equal(recall(b""), NO_MATCHES)
    assert np.array_equal(recall(b"\x3c"), NO_MATCHES)


@given(st.lists(st.integers(0, 127), max_size=30), st.integers(1, 9))
def test_the_last_notes_are_remembered(melody: list[int], size: int) -> None:
    history = b""
    for pitch in melody:
        history = remember(history, pitch, size)
    assert list(history) == melody[-size:]


class ShiftedCodec(PerformanceCodec):
    """A codec whose note-ons are not the first tokens."""

    @property
    def note_ons(self) -> slice:
        return slice(5, 133)


def test_a_codec_of_which_a_model_cannot_recall_the_pitches_is_refused() -> None:
    check_recallable(PerformanceCodec())
    with pytest.raises(CodecError, match="those of the codec 'performance' are 5 to 132"):
        check_recallable(ShiftedCodec())
    with pytest.raises(CodecError, match="the codec 'characters' has no note-ons to recall"):
        check_recallable(CharacterCodec())


@pytest.mark.parametrize("codec", [ShiftedCodec(), CharacterCodec()])
def test_a_model_that_recalls_does_not_fit_such_a_codec(codec: PerformanceCodec) -> None:
    config = ModelConfig(codec.vocab_size, recall_notes=8, held_input=False)
    with pytest.raises(CodecError):
        config.check_codec(codec)


def test_it_costs_little_of_a_step() -> None:
    rng = np.random.default_rng(0)
    history = rng.integers(40, 80, 2048, np.uint8).tobytes()

    def seconds() -> float:
        begin = time.perf_counter()
        for _ in range(20):
            recall(history)
        return (time.perf_counter() - begin) / 20

    # Some 50 microseconds. What else the machine does may slow a try down, but hardly all.
    assert min(seconds() for _ in range(10)) < 1e-3
