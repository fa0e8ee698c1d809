"""Constraints: every note of every generated piece keeps to them, whatever the model wants."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.errors import OptionError
from midirnn.midifile import midi_bytes, read_midi
from midirnn.performance import Performance
from midirnn.sampling.constraints import (
    ChordChart,
    Constraints,
    Curve,
    parse_chart,
    parse_chord,
    parse_scale,
    read_curves,
)
from midirnn.sampling.constraints.masks import LEAST_BURST, Masks
from midirnn.sampling.constraints.rules import LOUDNESS_TOLERANCE, PASSING_SECONDS
from midirnn.sampling.generate import Generated
from midirnn.sampling.sampler import Sampler
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine
from tests.strategies import performances

CODEC = PerformanceCodec()
SECONDS = 6.0
STEP = 0.01
CLOSE = STEP / 2

KEYS = st.none() | st.sampled_from(["D minor", "F# dorian", "C", "Bb Eb"]).map(parse_scale)
CHARTS = st.none() | st.sampled_from(
    ["Dm | Gm | A7 | Dm", "C", "N.C. | F#m7b5 B7", "C5 % Db5"]
).map(lambda text: parse_chart(text.replace(" % ", " | % | "), 200.0, 3))
CURVES = st.lists(st.floats(0, 40), min_size=1, max_size=3).map(
    lambda values: Curve(tuple((2.0 * index, value) for index, value in enumerate(values)))
)
SILENCES = st.lists(
    st.tuples(st.floats(0, 5), st.floats(0.05, 3)).map(lambda s: (s[0], s[0] + s[1])), max_size=2
).map(tuple)
LIKES = st.sampled_from(
    [
        {},
        {TokenType.NOTE_ON: 4.0},
        {TokenType.NOTE_OFF: 6.0},
        {TokenType.TIME_SHIFT: 6.0, TokenType.NOTE_OFF: -9.0},
    ]
)
CONSTRAINTS = st.builds(
    Constraints,
    key=KEYS,
    lowest=st.sampled_from([0, 40, 60]),
    highest=st.sampled_from([71, 90, 127]),
    polyphony=st.none() | st.sampled_from([1, 3]),
    chords=CHARTS,
    notes_per_second=st.none() | CURVES,
    loudness=st.none() | CURVES.map(lambda c: Curve(tuple((s, 3 * v) for s, v in c.points))),
    silences=SILENCES,
    exact_seconds=st.none() | st.just(SECONDS),
)


def make(
    constraints: Constraints,
    likes: dict[TokenType, float] | None = None,
    seed: int = 0,
    primer: Performance | None = None,
    *,
    end: bool = False,
) -> Generated:
    sampler = Sampler(MockEngine(CODEC, seed % 5, likes=likes), CODEC, seed=seed)
    return continue_primer(sampler, SECONDS, primer, end=end, constraints=constraints)


def sounding(piece: Performance, seconds: float) -> Performance:
    return piece.select((piece.start <= seconds + CLOSE) & (piece.end > seconds + CLOSE))


def check(constraints: Constraints, new: Performance, start: float = 0.0) -> None:
    """Check notes, whose times count from the beginning of the new music on."""
    assert new.pitch.min(initial=127) >= constraints.lowest
    assert new.pitch.max(initial=0) <= constraints.highest
    if constraints.chords is None and constraints.key is not None:
        assert set((new.pitch % 12).tolist()) <= constraints.key
    if constraints.polyphony is not None:
        at_once = [len(sounding(new, at)) for at in new.start]
        assert max(at_once, default=0) <= constraints.polyphony
    for begin, end in constraints.rests():
        assert not ((new.start < end - CLOSE) & (new.end > begin + CLOSE)).any()
    if constraints.loudness is not None:
        bins = CODEC.bin_velocity(np.arange(CODEC.velocity_bins) + 1)
        wanted = constraints.loudness.at(new.start)
        nearest = np.abs(bins - wanted[:, None]).min(axis=1)
        apart = np.abs(new.velocity - wanted)
        assert (apart <= np.maximum(LOUDNESS_TOLERANCE, nearest) + 1.0).all()
    check_chords(constraints, new)
    check_density(constraints, new)


def check_chords(constraints: Constraints, new: Performance) -> None:
    if constraints.chords is None:
        return
    chords = constraints.chords.until(SECONDS + 1)
    ends = [start for start, _ in chords[1:]] + [math.inf]
    for (start, name), end in zip(chords, ends, strict=True):
        if name == "N.C.":
            continue
        there = new.select((new.start < end - CLOSE) & (new.end > start + STEP + CLOSE))
        tones = parse_chord(name)
        for note in there:
            if note.pitch % 12 in tones:
                continue
            assert constraints.key is not None and note.pitch % 12 in constraints.key
            assert min(note.end, end) - max(note.start, start) <= PASSING_SECONDS + STEP + CLOSE


def check_density(constraints: Constraints, new: Performance) -> None:
    curve = constraints.notes_per_second
    if curve is None:
        return
    grown = np.cumsum(curve.at(np.arange(0, SECONDS + 10, STEP))) * STEP
    burst = max(LEAST_BURST, *(value for _, value in curve.points))
    at = grown[np.round(new.start / STEP).astype(int)]
    for index in range(len(new)):
        within = np.arange(index, len(new)) - index + 1
        assert (within <= at[index:] - at[index] + burst + 1.0).all()


SPARSE = st.lists(st.floats(0, 8), min_size=1, max_size=3).map(
    lambda values: Curve(tuple((2.0 * index, value) for index, value in enumerate(values)))
)


@settings(max_examples=25)
@given(SPARSE, SILENCES, KEYS, CHARTS, st.sampled_from([None, 2]), LIKES, st.integers(0, 1000))
def test_no_fewer_notes_begin_than_the_curve_says(
    least: Curve,
    silences: tuple[tuple[float, float], ...],
    key: frozenset[int] | None,
    chords: ChordChart | None,
    polyphony: int | None,
    likes: dict[TokenType, float],
    seed: int,
) -> None:
    rules = Constraints(
        key, chords=chords, polyphony=polyphony, silences=silences, least_notes_per_second=least
    )
    new = make(rules, likes, seed).continuation
    times = np.arange(0, SECONDS, STEP)
    wanted = least.at(times)
    for begin, end in silences:
        wanted[(times >= begin - STEP) & (times < end + STEP)] = 0.0
    required = np.cumsum(wanted) * STEP
    begun = np.searchsorted(np.sort(new.start), times + CLOSE)
    assert (begun >= np.floor(required) - 1.0).all()
    check(rules, new)


def test_more_notes_begin_where_more_must() -> None:
    counts = [
        len(
            make(
                Constraints(least_notes_per_second=Curve(((0.0, least),))),
                {TokenType.TIME_SHIFT: 6.0},
            ).continuation
        )
        for least in (0.1, 10.0)
    ]
    assert counts[0] < 55
    assert counts[1] >= 59


def test_a_least_density_above_the_greatest_is_told() -> None:
    line = "at 4 s at least 5 notes per second are asked for, and at most 3"
    with pytest.raises(OptionError, match=line):
        Constraints(
            notes_per_second=Curve(((0.0, 9.0), (4.0, 3.0))),
            least_notes_per_second=Curve(((0.0, 5.0),)),
        )


@settings(max_examples=15)
@given(CONSTRAINTS, LIKES, st.integers(0, 1000), st.booleans())
def test_every_note_keeps_to_all_constraints_at_once(
    constraints: Constraints, likes: dict[TokenType, float], seed: int, end: bool
) -> None:
    try:
        made = make(constraints, likes, seed, end=end)
    except OptionError as error:
        assert re.search("leave no pitch|nothing to play", str(error))
        return
    check(constraints, made.performance)


@settings(max_examples=15)
@given(CONSTRAINTS, st.integers(0, 1000), performances(max_notes=6))
def test_so_does_every_new_note_after_a_primer(
    constraints: Constraints, seed: int, primer: Performance
) -> None:
    try:
        made = make(constraints, {}, seed, primer.without_drums())
    except OptionError as error:
        assert re.search("leave no pitch|nothing to play", str(error))
        return
    if constraints.polyphony is None and constraints.chords is None:  # held notes count there
        check(constraints, made.continuation)


def test_a_piece_of_exact_length_is_a_file_of_that_length_with_a_rest_at_its_end() -> None:
    made = make(Constraints(exact_seconds=SECONDS)).performance
    read = read_midi(midi_bytes(made))
    assert read.pedal_time.max() == pytest.approx(SECONDS, abs=0.002)
    assert read.duration <= SECONDS - 1.0 + 0.002


def test_the_file_has_the_tempo_of_the_chart() -> None:
    made = make(Constraints(chords=parse_chart("C | F", 93.0)))
    assert [tempo.bpm for tempo in made.performance.tempos] == [93.0]


def test_the_music_without_constraints_is_what_it_was() -> None:
    assert midi_bytes(make(Constraints()).performance) == midi_bytes(make(None).performance)  # type: ignore[arg-type]


def test_going_back_to_a_snapshot_goes_back_in_the_budget_too() -> None:
    sampler = Sampler(MockEngine(CODEC), CODEC, seed=1)
    rules = Constraints(notes_per_second=Curve(((0.0, 3.0),)))
    sampler.constrain(Masks(rules, CODEC, 0, 20.0))
    for _ in range(20):
        sampler.next()
    before = sampler.snapshot()
    first = [sampler.next() for _ in range(30)]
    sampler.restore(before)
    assert [sampler.next() for _ in range(30)] == first


@pytest.mark.parametrize(
    ("constraints", "line"),
    [
        (
            {"key": parse_scale("C"), "lowest": 61, "highest": 71},
            "the key and the range 61 to 71 leave no pitch at 0.00 s",
        ),
        (
            {"chords": parse_chart("C | F#5", 120), "lowest": 62, "highest": 65},
            "the chord F#5 and the range 62 to 65 leave no pitch at 2.00 s",
        ),
    ],
)
def test_constraints_that_leave_nothing_are_named_with_the_time(
    constraints: dict[str, object], line: str
) -> None:
    with pytest.raises(OptionError, match=line):
        make(Constraints(**constraints))  # type: ignore[arg-type]


def test_keys_and_chords_are_read_by_their_names() -> None:
    assert parse_scale("D minor") == {2, 4, 5, 7, 9, 10, 0}
    assert parse_scale("d harmonic minor") == {2, 4, 5, 7, 9, 10, 1}
    assert parse_scale("C Eb F#") == {0, 3, 6}
    assert parse_chord("Bbmaj7") == {10, 2, 5, 9}
    assert parse_chord("C/E") == {0, 4, 7}
    assert parse_chord("A7/G") == {9, 1, 4, 7}


@pytest.mark.parametrize(
    ("read", "text", "line"),
    [
        (parse_scale, "H major", "'H major' is no key, scale"),
        (parse_scale, "D mynor", "'D mynor' is no key"),
        (parse_scale, "", "is no key"),
        (parse_chord, "Xm7", "'Xm7' is no chord"),
        (parse_chord, "C/X", "'C/X' is no chord"),
        (lambda text: parse_chart(text, 120.0), "C | Q7", "'Q7' is no chord"),
        (lambda text: parse_chart(text, 120.0), " | ", "holds no chord"),
        (lambda text: parse_chart(text, 120.0), "% | C", "begins with %"),
        (lambda text: parse_chart(text, 5.0), "C", "tempo is 5"),
        (lambda text: parse_chart(text, 120.0), "nowhere.txt", "nowhere.txt cannot be read"),
    ],
)
def test_what_is_no_key_or_chord_is_named(read: object, text: str, line: str) -> None:
    with pytest.raises(OptionError, match=line):
        read(text)  # type: ignore[operator]


def test_a_chart_has_bars_of_equal_length_and_begins_again() -> None:
    chart = parse_chart("C | Am7 | F G7 | %", 120.0)
    assert chart.seconds == 8.0
    assert chart.until(9.0) == [
        (0.0, "C"),
        (2.0, "Am7"),
        (4.0, "F"),
        (5.0, "G7"),
        (6.0, "F"),
        (7.0, "G7"),
        (8.0, "C"),
    ]


def test_curves_are_read_from_csv_and_toml(tmp_path: Path) -> None:
    table, text = tmp_path / "a.csv", tmp_path / "a.toml"
    table.write_text("seconds, notes_per_second, loudness\n0, 4, 40\n10, , 90\n20, 12,\n")
    text.write_text("notes_per_second = [[0, 4], [20, 12]]\nloudness = [[0, 40], [10, 90]]\n")
    assert read_curves(table) == read_curves(text)
    assert read_curves(text)["notes_per_second"].at([5.0, 30.0]).tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", "time,loudness\n0,4\n", "no column 'seconds'"),
        ("a.csv", "seconds,speed\n0,4\n", "it holds 'speed'; the curves are"),
        ("a.csv", "seconds,loudness\n3,4\n3,5\n", "must increase"),
        ("a.csv", "seconds,loudness\n3,loud\n", "could not convert"),
        ("a.toml", "loudness = 3", "holds no curves"),
        ("a.toml", "loudness = [[0, 300]]", "loudness is 300; allowed are 0 to 127"),
        ("a.txt", "", "read from .csv and .toml"),
    ],
)
def test_a_file_that_holds_no_curves_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str, line: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(OptionError, match=line) as caught:
        read_curves(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
