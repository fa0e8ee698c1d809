"""Signals: what a piece does at each token, known without looking ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.text import TextCodec
from midirnn.performance import Performance
from midirnn.probing.signals import (
    MUSIC,
    TEXT,
    measure_signals,
    onsets_of,
    pedal_down,
    phrase_starts,
)
from tests.strategies import performances

CODEC = PerformanceCodec()


@given(performances(), st.data())
def test_a_signal_of_music_does_not_change_when_the_piece_goes_on(
    piece: Performance, data: st.DataObject
) -> None:
    tokens = CODEC.encode(piece)
    stop = data.draw(st.integers(0, len(tokens)))
    whole, begun = onsets_of(CODEC, tokens), onsets_of(CODEC, tokens[:stop])
    if len(begun.seconds):
        for measure in MUSIC.values():
            np.testing.assert_array_equal(measure(whole)[:stop], measure(begun))


@given(st.text('ab"([)]|3\n', max_size=40), st.data())
def test_a_signal_of_text_does_not_change_when_the_text_goes_on(
    text: str, data: st.DataObject
) -> None:
    stop = data.draw(st.integers(0, len(text)))
    for name, measure in TEXT.items():
        if name != "bar position" or "|" in text[:stop]:
            np.testing.assert_array_equal(measure(text)[:stop], measure(text[:stop]))


def test_a_crescendo_that_rises_and_quickens_is_heard_as_one() -> None:
    rows, seconds = [], 0.0
    for number in range(60):
        rows.append((seconds, seconds + 0.1, 30 + number, 20 + number))
        seconds += 0.4 - number * 0.005
    signals = measure_signals(CODEC, CODEC.encode(Performance.from_notes(rows)))
    for name in ("loudness", "register"):
        known = signals[name][np.isfinite(signals[name])]
        assert (np.diff(known) >= 0).all()
    assert np.nanmax(signals["density"]) == signals["density"][-5:].max()


def test_the_time_since_the_last_onset_grows_until_the_next() -> None:
    piece = Performance.from_notes([(0.0, 0.5, 60, 64), (1.0, 1.5, 62, 64)])
    signals = measure_signals(CODEC, CODEC.encode(piece))
    seconds = 2.0 ** signals["since onset"] - 0.01
    known = seconds[np.isfinite(seconds)]
    np.testing.assert_allclose(known, [0, 0.5, 0.5, 1.0, 0, 0.5, 0.5], atol=1e-9)


def test_a_phrase_begins_after_a_gap_that_is_long_beside_those_before_it() -> None:
    eighths = [0.25 * n for n in range(8)]
    after_a_rest = [3.0 + 0.25 * n for n in range(4)]
    starts = phrase_starts(np.array([*eighths, *after_a_rest]))
    assert starts.tolist() == [0.0] * 8 + [3.0] * 4


def test_slow_notes_are_not_a_phrase_each() -> None:
    assert set(phrase_starts(np.arange(20) * 0.8).tolist()) == {0.0, 0.8}


def test_the_pedal_is_down_between_its_messages_whichever_part_has_it() -> None:
    piece = Performance.from_notes([(0.0, 3.0, 60, 64)], pedals=[(0.5, 127), (1.5, 0)])
    assert pedal_down(piece, np.array([0.0, 0.5, 1.0, 1.5, 2.0])).tolist() == [0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("quotes", 'a"b"c\n', [0, 1, 1, 0, 0, 0]),
        ("nesting", "a(b[c])(3d", [0, 1, 1, 2, 2, 1, 0, 1, 0, 0]),
        ("nesting", "|[1a(b\n\nc", [0, 1, 0, 0, 1, 1, 1, 0, 0]),
        ("line length", "ab\nc", [1, 2, 0, 1]),
        ("bar position", "ab|c", [1, 2, 0, 1]),
    ],
)
def test_a_signal_of_text_says_what_its_name_says(
    name: str, text: str, values: list[float]
) -> None:
    assert TEXT[name](text).tolist() == values


def test_what_never_changes_is_no_signal() -> None:
    codec = TextCodec()
    assert set(measure_signals(codec, codec.encode("no marks\nat all"))) == {"line length"}
    even = Performance.from_notes([(0.25 * n, 0.25 * n + 0.2, 60, 64) for n in range(40)])
    signals = measure_signals(CODEC, CODEC.encode(even), even)
    assert not {"loudness", "register", "pedal", "phrase position"} & signals.keys()


def test_tokens_without_notes_have_no_signals() -> None:
    assert measure_signals(CODEC, CODEC.encode(Performance())) == {}
