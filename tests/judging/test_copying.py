"""The longest run of a piece that stands in others, as a slow search finds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.judging import copying
from midirnn.judging.copying import Corpus, Run, pitch_steps, pitches
from midirnn.performance import Performance
from tests.strategies import performance_codecs, performances

Symbols = npt.NDArray[np.uint8]

PIECES = st.lists(
    st.one_of(
        st.lists(st.integers(60, 61), max_size=40),
        st.lists(st.sampled_from([0, 60, 64, 127, 254]), max_size=25),
        st.lists(st.integers(1, 30), min_size=1, max_size=3).map(lambda pattern: pattern * 9),
    ).map(lambda values: np.array(values, np.uint8)),
    max_size=4,
)


def longest_by_trying(piece: Symbols, corpus: Sequence[Symbols]) -> int:
    """The length of the longest common run, every start tried against every other."""
    longest = 0
    for other in corpus:
        for begin in range(len(piece)):
            for there in range(len(other)):
                length = 0
                while (
                    begin + length < len(piece)
                    and there + length < len(other)
                    and piece[begin + length] == other[there + length]
                ):
                    length += 1
                longest = max(longest, length)
    return longest


def is_where_it_says(run: Run, piece: Symbols, corpus: Sequence[Symbols]) -> bool:
    if not run.length:
        return run == Run()
    found = corpus[run.source][run.source_start : run.source_start + run.length]
    return (
        len(found) == run.length
        and found.tolist() == piece[run.start : run.start + run.length].tolist()
    )


def at_random(notes: int, seed: int) -> Symbols:
    return np.random.default_rng(seed).integers(21, 109, notes).astype(np.uint8)


@given(PIECES, PIECES)
def test_it_is_what_trying_every_start_finds(pieces: list[Symbols], corpus: list[Symbols]) -> None:
    runs = Corpus(corpus).longest_runs(pieces)
    assert [run.length for run in runs] == [longest_by_trying(p, corpus) for p in pieces]
    assert all(is_where_it_says(*pair, corpus) for pair in zip(runs, pieces, strict=True))


@pytest.mark.parametrize("chunk", [1, 7, 8, 9, 20, 33])
def test_how_many_windows_are_looked_up_at_a_time_changes_nothing(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = [at_random(200, 1), at_random(90, 2)]
    pieces = [corpus[0][30:130], corpus[1][5:25], at_random(50, 3)]
    at_once = Corpus(corpus).longest_runs(pieces)
    assert [run.length for run in at_once[:2]] == [100, 20]
    monkeypatch.setattr(copying, "_CHUNK", chunk)
    assert Corpus(corpus).longest_runs(pieces) == at_once


@pytest.mark.parametrize("length", [7, 8, 9, 100, 3000])
def test_a_copy_is_found_among_many_notes(length: int) -> None:
    corpus = [at_random(5000, seed) for seed in range(40)]
    piece = at_random(4000, 99)
    piece[500 : 500 + length] = corpus[17][1234 : 1234 + length]
    # One note more on either side is another one.
    piece[499], piece[500 + length] = corpus[17][1233] + 1, corpus[17][1234 + length] + 1
    (run,) = Corpus(corpus).longest_runs([piece])
    assert run == Run(length, 500, 17, 1234)


def test_no_run_goes_over_the_border_of_two_pieces() -> None:
    piece = at_random(60, 1)
    (whole,) = Corpus([piece]).longest_runs([piece])
    (in_halves,) = Corpus([piece[:25], piece[25:]]).longest_runs([piece])
    assert (whole.length, in_halves.length) == (60, 35)
    halves = Corpus([piece]).longest_runs([piece[:25], piece[25:]])
    assert [run.length for run in halves] == [25, 35]


def test_without_pieces_or_without_notes_nothing_is_found() -> None:
    piece, empty = at_random(20, 1), np.empty(0, np.uint8)
    assert Corpus([]).longest_runs([piece]) == [Run()]
    assert Corpus([empty, piece]).longest_runs([empty]) == [Run()]
    assert Corpus([piece]).longest_runs([]) == []


def test_in_another_key_the_steps_are_the_same() -> None:
    piece = at_random(50, 3)
    assert np.array_equal(pitch_steps(piece), pitch_steps(piece + 7))
    extremes = np.array([0, 127, 0], np.uint8)
    assert pitch_steps(extremes).tolist() == [254, 0]
    assert len(pitch_steps(piece[:0])) == len(pitch_steps(piece[:1])) == 0
    (run,) = Corpus([pitch_steps(piece + 7)]).longest_runs([pitch_steps(piece)])
    assert run.length == 49


@given(performances(), performance_codecs())
def test_the_pitches_of_tokens_are_those_of_the_performance(
    performance: Performance, codec: PerformanceCodec
) -> None:
    tokens = codec.encode(performance)
    assert np.array_equal(pitches(codec, tokens), codec.decode(tokens).pitch)


def test_notes_of_one_step_go_up_whichever_was_first() -> None:
    codec = PerformanceCodec()
    tokens = codec.encode(Performance.from_notes([(1.0, 2.0, 64, 80), (1.002, 2.0, 60, 80)]))
    assert tokens[tokens < 128].tolist() == [64, 60]
    assert pitches(codec, tokens).tolist() == [60, 64]
