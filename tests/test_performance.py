from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.performance import (
    KeySignature,
    Part,
    Performance,
    Tempo,
    TimeSignature,
    cut_overlaps,
)
from tests.strategies import NoteRow, performance_of, performances

ARRAYS = (
    "start",
    "end",
    "pitch",
    "velocity",
    "part",
    "unreleased",
    "pedal_time",
    "pedal_value",
    "pedal_part",
    "pedal_shared",
)
DOWN, UP = 127, 0


def rows(performance: Performance) -> list[tuple[float, float, int, int, int, bool]]:
    """(start, end, pitch, velocity, part, unreleased) of every note."""
    return list(zip(*(getattr(performance, name).tolist() for name in ARRAYS[:6]), strict=True))


def ends(performance: Performance) -> list[float]:
    return [float(end) for end in performance.end]


@dataclasses.dataclass(eq=False)
class SlowNote:
    start: float
    end: float
    pitch: int
    velocity: int
    part: int
    unreleased: bool
    released_at: float


def sustained_event_by_event(
    performance: Performance, *, as_note_seq: bool = False
) -> list[tuple[float, ...]]:
    """What ``apply_sustain`` must give, told one event after the other: slow and plain."""
    is_drum = [part.is_drum for part in performance.parts]
    notes = [SlowNote(*row, released_at=row[1]) for row in rows(performance)]
    melodic = [note for note in notes if not is_drum[note.part]]
    pedals = list(
        zip(
            performance.pedal_time.tolist(),
            performance.pedal_value.tolist(),
            performance.pedal_part.tolist(),
            strict=True,
        )
    )
    events = [
        *(
            (time, int(as_note_seq and value < 64), (part, value >= 64))
            for time, value, part in pedals
        ),
        *((note.start, 2, note) for note in melodic),
        *((note.end, 3, note) for note in melodic),
    ]
    active: dict[int, list[SlowNote]] = {part: [] for part in range(len(performance.parts))}
    is_down = dict.fromkeys(active, False)
    moment = 0.0
    for moment, kind, what in sorted(events, key=lambda event: event[:2]):
        if isinstance(what, tuple):
            part, is_down[part] = what
            if not is_down[part]:
                for note in list(active[part]):
                    if note.released_at < moment:
                        note.end = moment
                        active[part].remove(note)
        elif kind == 2:
            for note in list(active[what.part]):
                if is_down[what.part] and note.pitch == what.pitch:
                    note.end = moment
                    active[what.part].remove(note)
            active[what.part].append(what)
        elif not is_down[what.part] and what in active[what.part]:
            active[what.part].remove(what)
    for still_held in active.values():
        for note in still_held:
            note.end, note.unreleased = moment, True
    return [
        (n.start, n.end, n.pitch, n.velocity, n.part, n.unreleased and n.end >= n.released_at)
        for n in notes
        if n.end > n.start
    ]


class TestAPerformance:
    def test_notes_are_ordered_by_start_and_then_pitch(self) -> None:
        performance = Performance.from_notes(
            [(1.0, 2.0, 60, 1), (0.0, 1.0, 64, 2), (0.0, 1.0, 60, 3)]
        )
        assert performance.pitch.tolist() == [60, 64, 60]
        assert performance.velocity.tolist() == [3, 2, 1]

    def test_notes_equal_in_start_and_pitch_keep_the_order_given(self) -> None:
        performance = Performance.from_notes([(0.0, 1.0, 60, v) for v in (5, 3, 9, 1)])
        assert performance.velocity.tolist() == [5, 3, 9, 1]

    def test_pedals_are_ordered_by_time(self) -> None:
        performance = Performance.from_notes([], [(2.0, 10), (1.0, 20), (2.0, 30)])
        assert performance.pedal_value.tolist() == [20, 10, 30]

    @given(performances(drums=True, unreleased=True))
    def test_no_array_can_be_written_to(self, performance: Performance) -> None:
        for changed in (
            performance,
            performance.transpose(1),
            performance.stretch(1.5),
            performance.shift(-1.0),
            performance.slice(0.5, 2.0),
            performance.apply_sustain(),
            performance.without_drums(),
        ):
            for name in ARRAYS:
                array = getattr(changed, name)
                assert not array.flags.writeable
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0

    def test_the_arrays_it_was_made_from_can_change_without_changing_it(self) -> None:
        start = np.array([0.0, 1.0])
        performance = Performance(
            start=start,
            end=start + 1,
            pitch=np.full(2, 60, np.uint8),
            velocity=np.full(2, 64, np.uint8),
            part=np.zeros(2, np.int32),
        )
        start[:] = 9.0
        assert performance.start.tolist() == [0.0, 1.0]

    def test_fields_cannot_be_set(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            Performance().parts = ()  # type: ignore[misc]

    def test_two_with_the_same_notes_are_equal_and_have_no_hash(self) -> None:
        notes = [(0.0, 1.0, 60, 64)]
        assert Performance.from_notes(notes) == Performance.from_notes(notes)
        assert Performance.from_notes(notes) != Performance.from_notes(notes, [(0.0, 64)])
        assert Performance.from_notes(notes) != notes
        with pytest.raises(TypeError, match="unhashable"):
            hash(Performance())

    def test_one_without_notes_lasts_no_time(self) -> None:
        assert (len(Performance()), Performance().duration) == (0, 0.0)
        assert Performance() == Performance.from_notes([])

    def test_it_lasts_to_the_end_of_the_note_that_ends_last(self) -> None:
        assert Performance.from_notes([(0.0, 9.0, 60, 64), (1.0, 2.0, 60, 64)]).duration == 9.0

    def test_its_repr_counts_what_it_holds(self) -> None:
        performance = Performance.from_notes([(0.0, 1.5, 60, 64)], [(0.0, 64)])
        assert repr(performance) == "Performance(1 notes, 1 pedal events, 1 parts, 1.500 s)"

    def test_drums_are_the_notes_of_channel_ten(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 36, 64, 0, False), (0.0, 1.0, 60, 64, 1, False)],
            of_parts=[Part(channel=9), Part(channel=8)],
        )
        assert performance.without_drums().pitch.tolist() == [60]


class TestValuesThatCannotBe:
    @pytest.mark.parametrize(
        ("note", "told"),
        [
            ((0.0, 1.0, 200, 64), "pitch is 200; allowed are whole numbers from 0 to 127"),
            ((0.0, 1.0, 300, 64), "pitch is 300; allowed"),
            ((0.0, 1.0, -1, 64), "pitch is -1; allowed"),
            ((0.0, 1.0, 60.5, 64), "pitch is 60.5; allowed"),
            ((0.0, 1.0, "C4", 64), "pitch is 'C4'; allowed"),
            ((0.0, 1.0, 60, 0), "velocity is 0; allowed are whole numbers from 1 to 127"),
            ((0.0, 1.0, 60, 128), "velocity is 128; allowed"),
            ((-2.0, 1.0, 60, 64), "start is -2.0; allowed are finite seconds from 0 on"),
            ((math.nan, 1.0, 60, 64), "start is nan; allowed"),
            ((0.0, math.inf, 60, 64), "end is inf; allowed"),
            ((0.0, math.nan, 60, 64), "end is nan; allowed"),
        ],
    )
    def test_of_a_note_are_named(self, note: tuple[float, ...], told: str) -> None:
        with pytest.raises(OptionError) as caught:
            Performance.from_notes([(0.0, 1.0, 60, 64), note])  # type: ignore[list-item]
        assert str(caught.value).startswith(told)

    @pytest.mark.parametrize(
        ("pedal", "told"),
        [
            ((0.0, 128), "pedal_value is 128; allowed are whole numbers from 0 to 127"),
            ((0.0, 256), "pedal_value is 256; allowed"),
            ((-0.1, 64), "pedal_time is -0.1; allowed"),
            ((math.inf, 64), "pedal_time is inf; allowed"),
        ],
    )
    def test_of_a_pedal_are_named(self, pedal: tuple[float, int], told: str) -> None:
        with pytest.raises(OptionError) as caught:
            Performance.from_notes([], [pedal])
        assert str(caught.value).startswith(told)

    def test_a_part_that_is_not_there_is_named(self) -> None:
        for part in (1, -1):
            with pytest.raises(OptionError, match=f"part is {part}; allowed are the indices"):
                performance_of([(0.0, 1.0, 60, 64, part, False)])

    def test_fields_of_other_lengths_are_named(self) -> None:
        with pytest.raises(OptionError, match=r"pitch has shape \(1,\); .* each of the 2 of start"):
            Performance.from_notes([(0.0, 1.0, 60, 64)] * 2).replace(pitch=[60])

    def test_of_parts_tempos_and_a_stretch_are_named(self) -> None:
        with pytest.raises(OptionError, match="program 128; allowed are 0 to 127"):
            Part(128)
        with pytest.raises(OptionError, match="channel 16; allowed are 0 to 15"):
            Part(channel=16)
        for seconds, bpm in ((0.0, 0.0), (0.0, math.nan), (-1.0, 90.0), (math.inf, 90.0)):
            with pytest.raises(OptionError, match=f"{bpm} bpm at {seconds} s; allowed"):
                Tempo(seconds, bpm)
        with pytest.raises(OptionError, match=r"factor is 0\.0; allowed"):
            Performance().stretch(0.0)

    @given(
        st.floats() | st.integers(-5, 10),
        st.floats() | st.integers(-5, 10),
        st.integers(-300, 600),
        st.integers(-300, 600),
    )
    def test_any_numbers_are_a_note_or_an_error(
        self, start: float, end: float, pitch: int, velocity: int
    ) -> None:
        right = 0 <= start < math.inf and 0 <= end < math.inf
        right &= 0 <= pitch <= 127 and 1 <= velocity <= 127
        try:
            performance = Performance.from_notes([(start, end, pitch, velocity)])
        except OptionError:
            assert not right
            return
        assert right
        assert rows(performance) == [(start, end, pitch, velocity, 0, False)]


class TestTranspose:
    def test_every_pitch_moves_and_nothing_else_does(self) -> None:
        performance = Performance.from_notes([(0.0, 1.0, 60, 64), (1.0, 2.0, 64, 65)], [(0.5, 64)])
        moved = performance.transpose(-3)
        assert moved.pitch.tolist() == [57, 61]
        assert moved.replace(pitch=performance.pitch) == performance

    def test_notes_that_leave_the_keyboard_are_left_out(self) -> None:
        performance = Performance.from_notes([(0.0, 1.0, p, 64) for p in (0, 1, 126, 127)])
        assert performance.transpose(2).pitch.tolist() == [2, 3]
        assert performance.transpose(-1).pitch.tolist() == [0, 125, 126]
        assert len(performance.transpose(128)) == 0

    def test_drums_keep_their_pitches(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 36, 64, 0, False), (0.0, 1.0, 35, 64, 1, False)],
            of_parts=[Part(channel=9), Part()],
        )
        assert performance.transpose(2).pitch.tolist() == [36, 37]
        assert performance.transpose(2).part.tolist() == [0, 1]

    @given(performances(drums=True, pitches=st.integers(20, 100)), st.integers(-20, 20))
    def test_there_and_back_is_the_performance_itself(
        self, performance: Performance, semitones: int
    ) -> None:
        back = performance.transpose(semitones).transpose(-semitones)
        assert sorted(rows(back)) == sorted(rows(performance))


class TestStretch:
    def test_all_times_are_multiplied_and_tempos_divided(self) -> None:
        performance = Performance.from_notes([(1.0, 2.0, 60, 64)], [(1.5, 64)]).replace(
            tempos=(Tempo(0.0, 120.0), Tempo(1.0, 60.0))
        )
        slower = performance.stretch(2.0)
        assert (slower.start.tolist(), slower.end.tolist()) == ([2.0], [4.0])
        assert slower.pedal_time.tolist() == [3.0]
        assert slower.tempos == (Tempo(0.0, 60.0), Tempo(2.0, 30.0))

    @given(performances(drums=True))
    def test_by_a_power_of_two_it_can_be_undone(self, performance: Performance) -> None:
        assert performance.stretch(2.0).stretch(0.5) == performance

    @given(performances())
    def test_pedals_hold_the_same_notes(self, performance: Performance) -> None:
        assert performance.stretch(2.0).apply_sustain() == performance.apply_sustain().stretch(2.0)


class TestShift:
    def test_everything_moves(self) -> None:
        performance = Performance.from_notes([(0.0, 1.0, 60, 64)], [(0.5, 64)])
        later = performance.shift(2.0)
        assert (later.start.tolist(), later.end.tolist()) == ([2.0], [3.0])
        assert later.pedal_time.tolist() == [2.5]
        assert later.shift(-2.0) == performance

    def test_what_would_fall_before_zero_is_moved_to_zero(self) -> None:
        performance = Performance.from_notes([(0.0, 3.0, 60, 64), (1.0, 1.5, 62, 64)])
        earlier = performance.shift(-2.0)
        assert (earlier.start.tolist(), earlier.end.tolist()) == ([0.0, 0.0], [1.0, 0.0])

    def test_of_tempos_before_zero_the_last_is_kept(self) -> None:
        performance = Performance(
            tempos=(Tempo(0.0, 100.0), Tempo(1.0, 110.0), Tempo(2.0, 120.0), Tempo(5.0, 130.0))
        )
        assert performance.shift(-3.0).tempos == (Tempo(0.0, 120.0), Tempo(2.0, 130.0))
        assert performance.shift(-2.0).tempos == (Tempo(0.0, 120.0), Tempo(3.0, 130.0))

    @pytest.mark.parametrize(
        ("pedals", "kept"),
        [
            ([(1.0, DOWN), (2.0, UP), (3.0, DOWN)], [DOWN]),
            ([(1.0, DOWN), (3.0, UP)], [UP]),
            ([(1.0, UP), (3.0, DOWN), (3.0, UP)], [DOWN, UP]),
            ([(1.0, UP), (4.0, DOWN)], [DOWN]),
            ([(3.0, UP), (4.0, UP), (4.0, DOWN)], [UP, DOWN]),
        ],
    )
    def test_of_pedals_before_zero_only_the_last_moment_is_kept(
        self, pedals: list[tuple[float, int]], kept: list[int]
    ) -> None:
        performance = Performance.from_notes([], [*pedals, (9.0, 50)])
        earlier = performance.shift(-4.0)
        assert earlier.pedal_value.tolist() == [*kept, 50]
        assert earlier.pedal_time.tolist() == [0.0] * len(kept) + [5.0]

    def test_each_part_keeps_its_own_pedal(self) -> None:
        performance = performance_of(
            [], [(1.0, DOWN, 0), (2.0, UP, 1), (3.0, DOWN, 1)], [Part(), Part(channel=1)]
        )
        earlier = performance.shift(-4.0)
        assert earlier.pedal_value.tolist() == [DOWN, DOWN]
        assert earlier.pedal_part.tolist() == [0, 1]


class TestSignatures:
    signatures = (TimeSignature(0.0, 4, 4), KeySignature(0.0, 0), TimeSignature(2.0, 3, 4))
    performance = Performance.from_notes([(0.0, 9.0, 60, 64)]).replace(signatures=signatures)

    def test_they_move_and_stretch_with_the_music(self) -> None:
        assert self.performance.shift(1.0).signatures[2] == TimeSignature(3.0, 3, 4)
        assert self.performance.stretch(2.0).signatures[2] == TimeSignature(4.0, 3, 4)

    def test_what_is_in_force_where_a_slice_begins_is_kept(self) -> None:
        kept = self.performance.slice(3.0, 9.0).signatures
        assert kept == (TimeSignature(0.0, 3, 4), KeySignature(0.0, 0))
        assert len(self.performance.slice(0.0, 1.0).signatures) == 2

    @pytest.mark.parametrize(("semitones", "sharps"), [(0, 0), (2, 2), (5, -1), (7, 1), (-3, 3)])
    def test_a_key_is_transposed(self, semitones: int, sharps: int) -> None:
        assert self.performance.transpose(semitones).signatures[1] == KeySignature(0.0, sharps)

    @pytest.mark.parametrize(
        ("kind", "values", "message"),
        [
            (TimeSignature, (0.0, 3, 5), "a time signature is 3/5; allowed are numerators of 1"),
            (TimeSignature, (0.0, 0, 4), "a time signature is 0/4"),
            (TimeSignature, (-1.0, 3, 4), "a time signature is at -1.0 s; allowed"),
            (KeySignature, (0.0, 8), "a key signature has 8 sharps; allowed are -7"),
            (KeySignature, (np.inf, 0), "a key signature is at inf s"),
        ],
    )
    def test_one_that_no_file_can_hold_is_refused(
        self, kind: type[Any], values: tuple[float, ...], message: str
    ) -> None:
        with pytest.raises(OptionError, match=message):
            kind(*values)


class TestSlice:
    performance = Performance.from_notes(
        [(0.0, 9.0, 60, 64), (1.0, 1.5, 62, 64), (2.0, 4.0, 64, 64), (3.0, 3.5, 65, 64)]
    )

    def test_notes_that_begin_inside_are_kept_and_moved_to_begin_at_zero(self) -> None:
        assert rows(self.performance.slice(1.0, 3.0)) == [
            (0.0, 0.5, 62, 64, 0, False),
            (1.0, 2.0, 64, 64, 0, True),
        ]

    def test_a_note_that_ends_with_the_slice_was_released(self) -> None:
        assert self.performance.slice(1.0, 4.0).unreleased.tolist() == [False, False, False]

    def test_a_whole_slice_is_the_performance(self) -> None:
        assert self.performance.slice(0.0, 9.0) == self.performance

    def test_an_empty_slice_holds_nothing(self) -> None:
        assert len(self.performance.slice(5.0, 6.0)) == 0
        assert len(self.performance.slice(3.0, 1.0)) == 0

    def test_the_tempo_where_it_begins_is_kept(self) -> None:
        performance = self.performance.replace(
            tempos=(Tempo(0.0, 100.0), Tempo(1.0, 110.0), Tempo(2.5, 120.0), Tempo(3.0, 130.0))
        )
        assert performance.slice(2.0, 3.0).tempos == (Tempo(0.0, 110.0), Tempo(0.5, 120.0))

    @pytest.mark.parametrize(("pressed_again", "end"), [(True, 2.0), (False, 0.5)])
    def test_the_pedal_is_where_it_was(self, pressed_again: bool, end: float) -> None:
        pedals = [(0.5, DOWN), (1.0, UP)] + [(1.5, DOWN)] * pressed_again + [(4.0, UP)]
        performance = Performance.from_notes([(2.0, 2.5, 60, 64)], pedals)
        assert ends(performance.slice(2.0, 9.0).apply_sustain()) == [end]

    @given(performances(), st.integers(0, 16).map(lambda n: n / 4))
    def test_the_pedal_holds_what_it_held_in_the_whole(
        self, performance: Performance, begin: float
    ) -> None:
        # Dyadic times are moved without rounding, so that the two can be compared exactly.
        performance = performance.replace(
            start=np.floor(performance.start * 8) / 8,
            end=np.floor(performance.end * 8) / 8,
            pedal_time=np.floor(performance.pedal_time * 8) / 8,
        )
        performance = performance.select(performance.start >= begin)
        sliced = performance.slice(begin, 99.0).apply_sustain()
        assert sliced == performance.apply_sustain().shift(-begin)


class TestApplySustain:
    @staticmethod
    def held(notes: list[tuple[float, float]], pedals: list[tuple[float, int]]) -> list[float]:
        """The ends of notes of one pitch after the pedal."""
        rows = [(start, end, 60, 64) for start, end in notes]
        return ends(Performance.from_notes(rows, pedals).apply_sustain())

    def test_a_note_released_with_the_pedal_down_lasts_until_it_goes_up(self) -> None:
        assert self.held([(0.0, 1.0)], [(0.5, DOWN), (3.0, UP)]) == [3.0]

    @pytest.mark.parametrize(("value", "end"), [(63, 1.0), (64, 3.0)])
    def test_the_pedal_is_down_from_64_on(self, value: int, end: float) -> None:
        assert self.held([(0.0, 1.0)], [(0.5, value), (3.0, UP)]) == [end]

    def test_a_note_released_as_the_pedal_goes_down_is_held(self) -> None:
        assert self.held([(0.0, 1.0)], [(1.0, DOWN), (3.0, UP)]) == [3.0]

    def test_a_note_released_as_the_pedal_goes_up_is_not(self) -> None:
        assert self.held([(0.0, 1.0)], [(0.5, DOWN), (1.0, UP), (2.0, DOWN), (3.0, UP)]) == [1.0]

    def test_a_note_struck_again_with_the_pedal_down_ends_there(self) -> None:
        assert self.held([(0.0, 1.0), (2.0, 2.5)], [(0.5, DOWN), (3.0, UP)]) == [2.0, 3.0]

    def test_a_note_still_pressed_ends_where_it_is_struck_again_with_the_pedal_down(self) -> None:
        assert self.held([(0.0, 2.5), (2.0, 2.7)], [(0.5, DOWN), (2.2, UP)]) == [2.0, 2.7]

    def test_a_strike_as_the_pedal_goes_up_finds_the_note_ended(self) -> None:
        assert self.held([(0.0, 1.0), (2.0, 2.5)], [(0.5, DOWN), (2.0, UP)]) == [2.0, 2.5]

    def test_a_strike_without_the_pedal_ends_no_other_note(self) -> None:
        assert self.held([(0.0, 2.0), (1.0, 1.5)], [(1.75, DOWN), (3.0, UP)]) == [3.0, 1.5]

    def test_of_two_notes_struck_at_once_with_the_pedal_down_the_second_stays(self) -> None:
        performance = Performance.from_notes(
            [(1.0, 2.0, 60, 10), (1.0, 1.5, 60, 20)], [(0.0, DOWN), (3.0, UP)]
        ).apply_sustain()
        assert rows(performance) == [(1.0, 3.0, 60, 20, 0, False)]

    def test_a_note_without_length_is_dropped_unless_the_pedal_holds_it(self) -> None:
        assert self.held([(1.0, 1.0)], []) == []
        assert self.held([(1.0, 1.0)], [(0.0, DOWN), (2.0, UP)]) == [2.0]

    def test_a_pedal_that_stays_down_holds_to_the_last_event_and_leaves_unreleased(self) -> None:
        performance = Performance.from_notes(
            [(0.0, 1.0, 60, 64), (2.0, 5.0, 62, 64)], [(0.5, DOWN), (6.0, DOWN)]
        ).apply_sustain()
        assert ends(performance) == [6.0, 6.0]
        assert performance.unreleased.tolist() == [True, True]

    def test_a_pedal_acts_on_its_own_part_only(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 60, 64, 0, False), (0.0, 1.0, 60, 64, 1, False)],
            [(0.5, DOWN, 1), (3.0, UP, 1)],
            [Part(), Part(channel=1)],
        )
        assert ends(performance.apply_sustain()) == [1.0, 3.0]

    def test_drums_are_not_held(self) -> None:
        note: NoteRow = (0.0, 1.0, 36, 64, 0, False)
        performance = performance_of([note], [(0.5, DOWN, 0), (3.0, UP, 0)], [Part(channel=9)])
        assert ends(performance.apply_sustain()) == [1.0]

    def test_a_pedal_without_notes_does_nothing(self) -> None:
        assert self.held([], [(0.5, DOWN)]) == []
        performance = performance_of(
            [(0.0, 1.0, 60, 64, 0, False)], [(0.5, DOWN, 1)], [Part(), Part(channel=1)]
        )
        assert ends(performance.apply_sustain()) == [1.0]

    def test_a_pedal_that_goes_up_and_down_at_once_ends_what_it_held_and_is_down(self) -> None:
        notes = [(0.0, 1.0), (2.0, 2.5)]
        assert self.held(notes, [(0.5, DOWN), (2.0, UP), (2.0, DOWN), (3.0, UP)]) == [2.0, 3.0]
        assert self.held(notes, [(0.5, DOWN), (2.0, DOWN), (2.0, UP), (3.0, UP)]) == [2.0, 2.5]

    def test_for_note_seq_a_pedal_of_another_track_holds_nothing(self) -> None:
        performance = Performance.from_notes([(0.0, 1.0, 60, 64)], [(0.5, DOWN), (2.0, UP)])
        performance = performance.replace(pedal_shared=np.array([True, True]))
        assert ends(performance.apply_sustain()) == [2.0]
        assert ends(performance.apply_sustain(as_note_seq=True)) == [1.0]

    def test_with_note_seqs_ties_it_is_up(self) -> None:
        pedals = [(0.5, DOWN), (2.0, UP), (2.0, DOWN), (3.0, UP)]
        performance = Performance.from_notes([(0.0, 1.0, 60, 64), (2.0, 2.5, 60, 64)], pedals)
        assert ends(performance.apply_sustain(as_note_seq=True)) == [2.0, 2.5]

    @given(performances(max_notes=24, max_pedals=12, drums=True, unreleased=True), st.booleans())
    def test_it_agrees_with_the_pedal_told_event_by_event(
        self, performance: Performance, as_note_seq: bool
    ) -> None:
        applied = performance.apply_sustain(as_note_seq=as_note_seq)
        expected = sustained_event_by_event(performance, as_note_seq=as_note_seq)
        assert sorted(rows(applied)) == sorted(expected)
        assert (len(applied.pedal_time), applied.parts) == (0, performance.parts)

    @given(performances(pitches=st.integers(60, 61), max_parts=2, max_notes=24, max_pedals=12))
    def test_it_agrees_where_the_same_keys_are_struck_again_and_again(
        self, performance: Performance
    ) -> None:
        assert sorted(rows(performance.apply_sustain())) == sorted(
            sustained_event_by_event(performance)
        )

    @given(performances(unreleased=True))
    def test_a_second_time_it_changes_nothing(self, performance: Performance) -> None:
        applied = performance.apply_sustain()
        assert applied.apply_sustain() == applied


class TestCutOverlaps:
    def test_an_end_goes_no_further_than_the_next_start_of_its_voice(self) -> None:
        start, end = np.array([0, 1, 2, 3]), np.array([9, 2, 9, 4])
        assert cut_overlaps(start, end, np.array([1, 2, 1, 2])).tolist() == [2, 2, 9, 4]
        assert end.tolist() == [9, 2, 9, 4]

    def test_a_note_struck_again_at_its_own_start_gets_no_length(self) -> None:
        start = np.array([5, 5])
        assert cut_overlaps(start, start + 3, np.array([60, 60])).tolist() == [5, 8]
