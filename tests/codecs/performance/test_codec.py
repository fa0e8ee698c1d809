from __future__ import annotations

import pickle
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec, codec_from_settings
from midirnn.codecs.performance import TokenType
from midirnn.errors import CodecError
from midirnn.performance import Part, Performance
from tests.strategies import performance_codecs, performance_of, performances, token_lists

CODEC = PerformanceCodec()
KEEP = PerformanceCodec(overlaps="keep")
ON, OFF, SHIFT, VELOCITY, _ = TokenType

QuantizedNote = tuple[int, int, int, int]
"""(start step, end step, pitch, velocity bin)"""


def say(tokens: Any, codec: PerformanceCodec = CODEC) -> list[str]:
    """Tokens in words: ``note_on 60``, ``time_shift 100``."""
    return [" ".join(map(str, codec.vocabulary.describe(int(token)))) for token in tokens]


def encoded(
    *notes: tuple[float, float, int, int], codec: PerformanceCodec = CODEC, **options: bool
) -> list[str]:
    """The tokens of notes, in words."""
    return say(codec.encode(Performance.from_notes(notes), **options), codec)


def quantize_slowly(performance: Performance, codec: PerformanceCodec) -> list[QuantizedNote]:
    """The notes that ``encode`` must write, in its order, one by one."""
    keeps = codec.overlaps == "keep"
    applied = performance.without_drums().apply_sustain(as_note_seq=keeps)
    channels = [part.channel for part in applied.parts]
    notes = list(
        zip(
            *(
                getattr(applied, name).tolist()
                for name in ("start", "end", "pitch", "velocity", "part")
            ),
            strict=True,
        )
    )
    if codec.overlaps == "cut":
        notes = [
            max(reversed(list(same)), key=lambda note: (note[3], -channels[note[4]]))
            for _, same in groupby(notes, key=lambda note: (note[0], note[2]))
        ]
    size = -(-127 // codec.velocity_bins) if codec.velocity_bins else 127
    quantized: list[QuantizedNote] = []
    for start, end, pitch, velocity, _ in notes:
        begin = int(start * codec.steps_per_second + 0.5)
        stop = max(int(end * codec.steps_per_second + 0.5), begin + 1)
        quantized.append((begin, stop, pitch, (velocity - 1) // size + 1))
    return cut_slowly(quantized) if codec.overlaps == "cut" else quantized


def encode_slowly(performance: Performance, codec: PerformanceCodec) -> list[int]:
    """What ``encode`` must give, event by event."""
    notes = quantize_slowly(performance, codec)
    events = [
        event
        for index, (begin, stop, pitch, velocity_bin) in enumerate(notes)
        for event in ((begin, index, 0, pitch, velocity_bin), (stop, index, 1, pitch, 0))
    ]
    token, most = codec.vocabulary.token, codec.max_shift_steps
    tokens: list[int] = []
    now = bin_in_force = 0
    for step, _, is_off, pitch, velocity_bin in sorted(events):
        while now < step:
            shift = min(step - now, most)
            tokens.append(token(SHIFT, shift))
            now += shift
        if not is_off and codec.velocity_bins and velocity_bin != bin_in_force:
            tokens.append(token(VELOCITY, velocity_bin))
            bin_in_force = velocity_bin
        tokens.append(token(OFF if is_off else ON, pitch))
    return tokens


def cut_slowly(notes: list[QuantizedNote]) -> list[QuantizedNote]:
    """Notes that end where their pitch is struck again; those struck again at once are gone."""
    result: list[QuantizedNote] = []
    for index, (begin, stop, pitch, velocity_bin) in enumerate(notes):
        again = [later[0] for later in notes[index + 1 :] if later[2] == pitch]
        stop = min([stop, *again])
        if stop > begin:
            result.append((begin, stop, pitch, velocity_bin))
    return result


def on_the_grid(performance: Performance, codec: PerformanceCodec) -> list[QuantizedNote]:
    """(start step, end step, pitch, velocity) of notes that lie on the grid."""
    seconds = np.array([performance.start, performance.end])
    steps = np.rint(seconds * codec.steps_per_second).astype(int).tolist()
    columns = (*steps, performance.pitch.tolist(), performance.velocity.tolist())
    return list(zip(*columns, strict=True))


def decode_slowly(tokens: list[int], codec: PerformanceCodec) -> list[QuantizedNote]:
    """(start step, end step, pitch, velocity) of the notes that ``decode`` must give."""
    notes: list[QuantizedNote] = []
    sounding: dict[int, tuple[int, int]] = {}
    step, velocity_bin = 0, codec.default_bin

    def end(pitch: int) -> None:
        begun, velocity = sounding.pop(pitch)
        notes.append((begun, max(step, begun + 1), pitch, velocity))

    for token in tokens:
        kind, value = codec.vocabulary.describe(token)
        if kind is SHIFT:
            step += value
        elif kind is VELOCITY:
            velocity_bin = value
        else:
            if value in sounding:
                end(value)
            if kind is ON:
                sounding[value] = (step, int(codec.bin_velocity(velocity_bin)))
    for pitch in list(sounding):
        end(pitch)
    in_order = sorted(notes, key=lambda note: note[0])
    return sorted(cut_slowly(in_order), key=lambda note: (note[0], note[2]))


class TestVocabulary:
    def test_there_are_388_tokens(self) -> None:
        assert CODEC.vocab_size == CODEC.vocabulary.size == 388

    @pytest.mark.parametrize(
        ("kind", "value", "token"),
        [
            (ON, 0, 0),
            (ON, 127, 127),
            (OFF, 0, 128),
            (OFF, 127, 255),
            (SHIFT, 1, 256),
            (SHIFT, 100, 355),
            (VELOCITY, 1, 356),
            (VELOCITY, 32, 387),
        ],
    )
    def test_ids_are_those_of_performance_rnn(
        self, kind: TokenType, value: int, token: int
    ) -> None:
        assert CODEC.vocabulary.token(kind, value) == token
        assert CODEC.vocabulary.describe(token) == (kind, value)

    @given(performance_codecs())
    def test_every_id_has_one_meaning(self, codec: PerformanceCodec) -> None:
        vocabulary = codec.vocabulary
        meanings = [vocabulary.describe(token) for token in range(vocabulary.size)]
        assert [vocabulary.token(*meaning) for meaning in meanings] == list(range(vocabulary.size))
        assert vocabulary.values.tolist() == [value for _, value in meanings]
        kinds = [vocabulary.ranges[index].type for index in vocabulary.type_index]
        assert kinds == [kind for kind, _ in meanings]
        for kind in vocabulary.slices:
            ids = range(vocabulary.size)[vocabulary.slice_of(kind)]
            assert [meanings[token][0] for token in ids] == [kind] * len(ids)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [(ON, -1), (ON, 128), (OFF, 128), (SHIFT, 0), (SHIFT, 101), (VELOCITY, 0)],
    )
    def test_a_value_out_of_range_has_no_token(self, kind: TokenType, value: int) -> None:
        with pytest.raises(CodecError, match=f"no token for {kind} {value}"):
            CODEC.vocabulary.token(kind, value)

    @pytest.mark.parametrize(
        ("tokens", "reason"),
        [
            ([388], r"token 388 is not in the vocabulary \(0 to 387\)"),
            ([3, -1, 400], "token -1 is not in the vocabulary"),
            ([0, 10**30], "whole numbers"),
            ([1.5], "whole numbers, not float64"),
            ([True], "whole numbers, not bool"),
            (["60"], "whole numbers"),
            ([[60, 61]], r"of shape \(1, 2\)"),
            (60, r"of shape \(\)"),
        ],
    )
    def test_what_is_no_token_is_refused(self, tokens: Any, reason: str) -> None:
        for refuse in (CODEC.decode, CODEC.vocabulary.check):
            with pytest.raises(CodecError, match=reason):
                refuse(tokens)

    def test_tokens_may_be_lists_and_arrays_of_any_whole_numbers(self) -> None:
        for tokens in ([60, 355], (60, 355), np.array([60, 355], np.int64), np.array([60, 355])):
            checked = CODEC.vocabulary.check(tokens)
            assert checked.dtype == np.uint16
            assert checked.tolist() == [60, 355]


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "size"),
        [
            ({"max_shift_steps": 10}, 298),
            ({"velocity_bins": 0}, 356),
            ({"velocity_bins": 127}, 483),
            ({"steps_per_second": 31}, 388),
            ({"overlaps": "keep"}, 388),
            ({"steps_per_second": 125, "max_shift_steps": 125, "velocity_bins": 8}, 389),
        ],
    )
    def test_they_make_the_vocabulary(self, settings: dict[str, Any], size: int) -> None:
        assert PerformanceCodec(**settings).vocab_size == size

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("steps_per_second", 0),
            ("steps_per_second", -100),
            ("steps_per_second", 100.0),
            ("steps_per_second", "100"),
            ("steps_per_second", 10_001),
            ("max_shift_steps", 0),
            ("max_shift_steps", None),
            ("max_shift_steps", 10_001),
            ("velocity_bins", -1),
            ("velocity_bins", 128),
            ("overlaps", "mix"),
            ("overlaps", None),
        ],
    )
    def test_a_wrong_one_is_refused_by_its_name_and_value(self, name: str, value: Any) -> None:
        with pytest.raises(CodecError, match="allowed are") as caught:
            PerformanceCodec(**{name: value})
        assert str(caught.value).startswith(f"{name} is {value!r}; ")

    @given(performance_codecs())
    def test_they_make_an_equal_codec(self, codec: PerformanceCodec) -> None:
        assert codec_from_settings(codec.settings()) == codec
        assert pickle.loads(pickle.dumps(codec)) == codec

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({}, "there is no codec None; known are ensemble, pedal, performance"),
            ({"name": "telepathy"}, "there is no codec 'telepathy'"),
            ({"name": "performance", "tempo": 3}, "'performance' hold one it does not have: tempo"),
        ],
    )
    def test_unknown_ones_are_refused(self, settings: dict[str, Any], reason: str) -> None:
        with pytest.raises(CodecError, match=reason):
            codec_from_settings(settings)


class TestVelocity:
    def test_a_bin_stands_for_its_lowest_velocity(self) -> None:
        assert CODEC.velocity_bin([1, 4, 5, 64, 127]).tolist() == [1, 1, 2, 16, 32]
        assert CODEC.bin_velocity([1, 2, 16, 32]).tolist() == [1, 5, 61, 125]

    @given(st.integers(1, 127), st.integers(1, 127))
    def test_a_velocity_and_the_one_that_stands_for_it_share_a_bin(
        self, bins: int, velocity: int
    ) -> None:
        codec = PerformanceCodec(velocity_bins=bins)
        velocity_bin = codec.velocity_bin(velocity)
        assert 1 <= velocity_bin <= bins
        assert codec.velocity_bin(codec.bin_velocity(velocity_bin)) == velocity_bin

    @given(performance_codecs())
    def test_of_one_velocity_it_is_the_same(self, codec: PerformanceCodec) -> None:
        velocities = range(1, 128)
        assert [codec.bin_of(v) for v in velocities] == codec.velocity_bin(velocities).tolist()

    def test_every_bin_decodes_to_a_velocity_of_midi(self) -> None:
        for bins in range(1, 128):
            velocities = PerformanceCodec(velocity_bins=bins).bin_velocity(np.arange(bins) + 1)
            assert velocities.min() >= 1
            assert velocities.max() <= 127

    def test_without_bins_no_velocity_is_written_and_all_are_read_as_100(self) -> None:
        codec = PerformanceCodec(velocity_bins=0)
        notes = Performance.from_notes([(0.0, 1.0, 60, 5), (1.0, 2.0, 62, 120)])
        assert VELOCITY not in {codec.vocabulary.describe(token)[0] for token in range(356)}
        assert codec.decode(codec.encode(notes)).velocity.tolist() == [100, 100]

    def test_before_the_first_velocity_notes_are_read_as_the_bin_of_100(self) -> None:
        assert CODEC.decode([60, 355, 188]).velocity.tolist() == [97]


class TestEncode:
    def test_a_performance_without_notes_has_no_tokens(self) -> None:
        for empty in (Performance(), Performance.from_notes([], [(1.0, 127)])):
            tokens = CODEC.encode(empty)
            assert tokens.dtype == np.uint16
            assert tokens.shape == (0,)

    @pytest.mark.parametrize(
        ("start", "shifts"),
        [
            (0.0, []),
            (0.004, []),
            (0.005, [1]),
            (0.125, [13]),
            (0.99, [99]),
            (1.0, [100]),
            (1.01, [100, 1]),
            (2.0, [100, 100]),
            (3.5, [100, 100, 100, 50]),
        ],
    )
    def test_a_gap_is_full_shifts_and_the_rest(self, start: float, shifts: list[int]) -> None:
        words = [f"time_shift {shift}" for shift in shifts]
        assert encoded((start, 99.0, 60, 64))[: len(words) + 2] == [
            *words,
            "velocity 16",
            "note_on 60",
        ]

    def test_a_note_lasts_at_least_a_step(self) -> None:
        assert encoded((0.0, 0.001, 60, 64))[1:] == ["note_on 60", "time_shift 1", "note_off 60"]

    def test_a_velocity_is_written_where_its_bin_changes(self) -> None:
        words = encoded((0.0, 3.0, 60, 61), (1.0, 3.0, 61, 64), (2.0, 3.0, 62, 65))
        assert [word for word in words if "shift" not in word][:5] == [
            "velocity 16",
            "note_on 60",
            "note_on 61",
            "velocity 17",
            "note_on 62",
        ]

    def test_the_pedal_is_applied(self) -> None:
        performance = Performance.from_notes([(0.0, 0.1, 60, 64)], [(0.0, 127), (0.5, 0)])
        assert say(CODEC.encode(performance))[2:] == ["time_shift 50", "note_off 60"]

    def test_drums_are_left_out(self) -> None:
        performance = performance_of([(0.0, 1.0, 36, 64, 0, False)], of_parts=[Part(channel=9)])
        assert CODEC.encode(performance).tolist() == []

    def test_a_note_struck_again_is_cut_or_kept(self) -> None:
        notes = ((0.0, 1.0, 60, 64), (0.5, 1.5, 60, 64))
        assert encoded(*notes)[1:] == [
            "note_on 60",
            "time_shift 50",
            "note_off 60",
            "note_on 60",
            "time_shift 100",
            "note_off 60",
        ]
        assert encoded(*notes, codec=KEEP)[1:] == [
            "note_on 60",
            "time_shift 50",
            "note_on 60",
            "time_shift 50",
            "note_off 60",
            "time_shift 50",
            "note_off 60",
        ]

    def test_of_notes_struck_at_once_the_loudest_is_cut_last(self) -> None:
        words = encoded((0.0, 1.0, 60, 20), (0.0, 0.5, 60, 90), (0.0, 2.0, 60, 50))
        assert words == ["velocity 23", "note_on 60", "time_shift 50", "note_off 60"]

    def test_of_equally_loud_notes_struck_at_once_the_lowest_channel_stays(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 60, 64, 0, False), (0.0, 0.5, 60, 64, 1, False)],
            of_parts=[Part(channel=5), Part(channel=2)],
        )
        assert say(CODEC.encode(performance))[2:] == ["time_shift 50", "note_off 60"]

    def test_of_notes_equal_in_all_but_length_the_last_stays(self) -> None:
        words = encoded((0.0, 1.0, 60, 64), (0.0, 0.5, 60, 64))
        assert words == ["velocity 16", "note_on 60", "time_shift 50", "note_off 60"]

    def test_of_notes_struck_in_one_step_the_last_stays(self) -> None:
        words = encoded((0.001, 1.0, 60, 90), (0.003, 0.5, 60, 20))
        assert words == ["velocity 5", "note_on 60", "time_shift 50", "note_off 60"]

    @given(performances(drums=True, max_notes=24), performance_codecs(overlaps="keep"))
    def test_keeping_overlaps_it_agrees_with_a_plain_slow_encoder(
        self, performance: Performance, codec: PerformanceCodec
    ) -> None:
        assert codec.encode(performance).tolist() == encode_slowly(performance, codec)

    @given(performances(drums=True, max_notes=24), performance_codecs(overlaps="cut"))
    def test_cutting_overlaps_it_agrees_with_a_plain_slow_encoder(
        self, performance: Performance, codec: PerformanceCodec
    ) -> None:
        assert codec.encode(performance).tolist() == encode_slowly(performance, codec)

    @given(performances(max_parts=1, max_pedals=0, pitches=st.integers(0, 127)))
    def test_where_nothing_overlaps_both_settings_write_the_same(
        self, performance: Performance
    ) -> None:
        _, first = np.unique(performance.pitch, return_index=True)
        performance = performance.select(np.isin(np.arange(len(performance)), first))
        assert CODEC.encode(performance).tolist() == KEEP.encode(performance).tolist()


class TestOpenEnd:
    def test_unreleased_notes_get_no_note_off(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 60, 64, 0, True), (0.0, 0.5, 62, 64, 0, False), (0.5, 1.0, 64, 64, 0, True)]
        )
        assert say(CODEC.encode(performance, open_end=True)) == [
            "velocity 16",
            "note_on 60",
            "note_on 62",
            "time_shift 50",
            "note_off 62",
            "note_on 64",
        ]

    def test_notes_that_a_pedal_holds_to_the_end_get_no_note_off(self) -> None:
        performance = Performance.from_notes([(0.0, 0.1, 60, 64)], [(0.0, 127)])
        assert say(CODEC.encode(performance, open_end=True)) == ["velocity 16", "note_on 60"]

    def test_an_unreleased_note_ends_where_it_is_struck_again(self) -> None:
        performance = performance_of([(0.0, 2.0, 60, 64, 0, True), (1.0, 2.0, 60, 64, 0, False)])
        assert say(CODEC.encode(performance, open_end=True))[1:4] == [
            "note_on 60",
            "time_shift 100",
            "note_off 60",
        ]

    def test_an_unreleased_note_of_a_short_track_ends_if_it_is_struck_later(self) -> None:
        performance = performance_of(
            [(0.0, 1.0, 60, 64, 0, True), (2.0, 1.0, 60, 64, 1, False)],
            of_parts=[Part(), Part(channel=1)],
        )
        assert (
            CODEC.encode(performance, open_end=True).tolist() == CODEC.encode(performance).tolist()
        )

    @given(performances(unreleased=True))
    def test_it_leaves_out_the_last_note_off_of_some_pitches(
        self, performance: Performance
    ) -> None:
        def notes(tokens: Any) -> list[str]:
            return [word for word in say(tokens) if "shift" not in word]

        whole = notes(CODEC.encode(performance))
        expected = list(reversed(whole))
        opened = notes(CODEC.encode(performance, open_end=True))
        for word in {w for w in whole if whole.count(w) > opened.count(w)}:
            assert word.startswith("note_off")
            expected.remove(word)
        assert opened == expected[::-1]


class TestDecode:
    def test_no_tokens_are_a_performance_without_notes(self) -> None:
        assert CODEC.decode([]) == Performance()
        assert CODEC.decode([355, 370]) == Performance()

    def test_a_note_off_of_a_silent_pitch_says_nothing(self) -> None:
        assert CODEC.decode([188, 60, 256, 189, 188]) == CODEC.decode([60, 256, 188])

    def test_a_note_on_of_a_sounding_pitch_ends_the_note_before(self) -> None:
        performance = CODEC.decode([60, 265, 60, 275, 188])
        assert performance.start.tolist() == [0.0, 0.1]
        assert performance.end.tolist() == [0.1, 0.3]

    def test_a_note_on_in_the_step_of_another_takes_its_place(self) -> None:
        performance = CODEC.decode([356, 60, 387, 60, 265, 188])
        assert (performance.velocity.tolist(), performance.end.tolist()) == ([125], [0.1])

    def test_a_note_without_length_lasts_a_step(self) -> None:
        assert CODEC.decode([60, 188]).end.tolist() == [0.01]

    def test_what_still_sounds_ends_at_the_end(self) -> None:
        assert CODEC.decode([60, 265, 62, 275]).end.tolist() == [0.3, 0.3]

    @given(st.data(), performance_codecs())
    def test_it_agrees_with_a_plain_slow_decoder(
        self, data: st.DataObject, codec: PerformanceCodec
    ) -> None:
        tokens = data.draw(token_lists(codec))
        assert on_the_grid(codec.decode(tokens), codec) == decode_slowly(tokens, codec)

    @given(
        st.data(),
        st.sampled_from(["cut", "keep"]).flatmap(lambda o: performance_codecs(overlaps=o)),
    )
    def test_what_tokens_say_can_be_encoded_and_decoded_without_change(
        self, data: st.DataObject, codec: PerformanceCodec
    ) -> None:
        said = codec.decode(data.draw(token_lists(codec)))
        assert codec.decode(codec.encode(said)) == said

    @given(performances(drums=True), performance_codecs())
    def test_the_tokens_of_a_performance_say_its_notes_on_the_grid(
        self, performance: Performance, codec: PerformanceCodec
    ) -> None:
        expected = [
            (begin, stop, pitch, int(codec.bin_velocity(velocity_bin)))
            for begin, stop, pitch, velocity_bin in quantize_slowly(performance, codec)
        ]
        said = on_the_grid(codec.decode(codec.encode(performance)), codec)
        assert sorted(said) == sorted(expected)


def test_the_old_name_of_the_constraint_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="use PerformanceCodec.constraint"):
        grammar = PerformanceCodec().grammar(1.0, 3)
    assert (grammar.max_note_steps, grammar.max_sounding) == (100, 3)
