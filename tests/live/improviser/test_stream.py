"""One stream for two: what the performer plays is heard as it is, and the grammar is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midirnn.codecs import PedalCodec, PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.live import LiveConfig
from midirnn.live.base.channel_messages import ModeMessages
from midirnn.live.base.messages import Begin, Pace
from midirnn.live.improviser import stream
from midirnn.live.improviser.stream import SharedStream
from midirnn.ports import Message
from midirnn.sampling import SamplingConfig
from tests.live.performers import schedules
from tests.live.stage import CheckingSampler, Stage, note, tiny_model
from tests.strategies import performance_codecs

CODEC = PerformanceCodec()
ALONE = LiveConfig(silence_seconds=60.0)


def shared_stream(
    codec: PerformanceCodec = CODEC, max_note_seconds: float = 20.0, max_sounding: int = 32
) -> tuple[SharedStream, CheckingSampler]:
    model = tiny_model(codec)
    sampling = SamplingConfig(max_note_seconds=max_note_seconds, max_sounding=max_sounding)
    sampler = CheckingSampler(NumpyEngine(model.config, model.weights), codec, sampling, seed=0)
    return SharedStream(sampler), sampler


def said(sampler: CheckingSampler) -> list[str]:
    """The tokens in words, such as 'on 60'."""
    short = {"note_on": "on", "note_off": "off", "time_shift": "shift", "velocity": "velocity"}
    described = (sampler.codec.vocabulary.describe(token) for token in sampler.tokens)
    return [f"{short[kind]} {value}" for kind, value in described]


def encoded(
    schedule: list[tuple[float, Message]], until: float, codec: PerformanceCodec = CODEC
) -> list[int]:
    """The tokens of what was played, without the rests before its first note.

    Of a rest between two movements of the pedal one step is left: they cannot share one.
    """
    encoder = codec.stream_encoder()
    modes = ModeMessages()
    tokens: list[int] = []
    for seconds, message in schedule:
        for plain in modes.plain(message):
            tokens += encoder.feed(seconds, plain)
    tokens += encoder.advance(until)
    shifts, note_ons = map(codec.vocabulary.slice_of, (TokenType.TIME_SHIFT, TokenType.NOTE_ON))
    slices = codec.vocabulary.slices
    pedals = range(codec.vocab_size)[slices.get(TokenType.PEDAL, slice(0))]
    ons = (at for at, token in enumerate(tokens) if note_ons.start <= token < note_ons.stop)
    first = next(ons, len(tokens))
    before: list[int] = []
    for token in tokens[:first]:
        if not shifts.start <= token < shifts.stop:
            moves_again = token in pedals and before and before[-1] in pedals
            before += [shifts.start, token] if moves_again else [token]
    return before + tokens[first:]


def moves_the_pedal_twice_first(tokens: Sequence[int], codec: PerformanceCodec) -> bool:
    """True if the pedal moves twice before the first note.

    If the note begins in the step of the second movement, it is a step shorter than played: the
    step that is left between the movements comes on top. Recordings replay so.
    """
    kinds = [codec.vocabulary.describe(token)[0] for token in tokens]
    before = kinds[: kinds.index(TokenType.NOTE_ON)] if TokenType.NOTE_ON in kinds else kinds
    return TokenType.TIME_SHIFT in before


@given(schedules(), st.one_of(performance_codecs(), st.just(PedalCodec())))
def test_a_performer_is_heard_with_the_tokens_of_the_recording(
    schedule: list[tuple[float, Message]], codec: PerformanceCodec
) -> None:
    stage = Stage(
        "call_and_response",
        ALONE,
        codec=codec,
        sampling=SamplingConfig(max_note_seconds=3600.0),
        start_seconds=0.0,
    )
    stage.perform(schedule)
    until = schedule[-1][0] + 3.0 if schedule else 1.0
    expected = encoded(schedule, until, codec)
    assume(not moves_the_pedal_twice_first(expected, codec))
    with patch.object(stream, "LONGEST_REST_SECONDS", 1e6), stage.session:
        stage.run(until)
        stage.session.step()
        stage.planner.rest(int(codec.steps(until)))  # which the session says from time to time
    assert stage.sampler.tokens == expected
    assert stage.output.messages == []


def test_a_pedal_that_moves_twice_before_the_first_note_is_heard_with_one_step_between() -> None:
    schedule = [(1.0, (0xB0, 64, 127)), (2.0, (0xB0, 64, 0)), *note(3.0, 3.5, 60, velocity=64)]
    codec = PedalCodec()
    stage = Stage("call_and_response", ALONE, codec=codec, start_seconds=0.0)
    stage.perform(schedule)
    stage.run(4.0)
    described = [codec.vocabulary.describe(token) for token in stage.sampler.tokens[:3]]
    pedal, shift = TokenType.PEDAL, TokenType.TIME_SHIFT
    assert described == [(pedal, 1), (shift, 1), (pedal, 0)]
    assert encoded(schedule, 4.0, codec)[:3] == stage.sampler.tokens[:3]


def test_a_pedal_before_the_first_note_is_heard_without_the_rest_between() -> None:
    schedule = [(1.0, (0xB0, 64, 127)), *note(3.0, 3.5, 60, velocity=64)]
    codec = PedalCodec()
    down = codec.vocabulary.token(TokenType.PEDAL, 1)
    assert encoded(schedule, 4.0, codec)[0] == down
    stage = Stage("call_and_response", ALONE, codec=codec, start_seconds=0.0)
    stage.perform(schedule)
    stage.run(4.0)
    kinds = [codec.vocabulary.describe(token)[0] for token in stage.sampler.tokens]
    assert kinds[:3] == [TokenType.PEDAL, TokenType.VELOCITY, TokenType.NOTE_ON]


def test_velocity_rests_and_pedal_are_heard() -> None:
    stage = Stage("call_and_response", ALONE)
    stage.perform(
        [
            (3.0, (0xB0, 64, 127)),
            *note(3.1, 3.2, 60, velocity=64),
            *note(4.6, 5.0, 64, velocity=9),
            (5.5, (0xB0, 64, 0)),
        ]
    )
    stage.run(8.0)
    # Pitch 60 lasts until the pedal goes up. Of the rest that lasts on a full shift is heard.
    assert said(stage.sampler) == [
        "velocity 16",
        "on 60",
        "shift 100",
        "shift 50",
        "velocity 3",
        "on 64",
        "shift 90",
        "off 60",
        "off 64",
        "shift 100",
        "shift 100",
    ]


def test_a_very_long_rest_is_heard_as_a_shorter_one() -> None:
    stage = Stage("call_and_response", ALONE)
    stage.perform(note(1.0, 1.5, 60) + note(41.5, 42.0, 62))
    stage.run(43.0)
    assert said(stage.sampler)[2:] == [
        "shift 50",
        "off 60",
        *["shift 100"] * 10,
        "on 62",
        "shift 50",
        "off 62",
    ]


def test_a_note_of_the_model_ends_where_the_performer_strikes_its_pitch() -> None:
    shared, sampler = shared_stream()
    pitch = begin_a_note(shared)
    ended = shared.write(shared.step + 30, [], [(pitch, 5)])
    assert [(n.pitch, n.velocity) for n in ended] == [(pitch, 0)]
    assert said(sampler)[-4:] == ["shift 30", f"off {pitch}", "velocity 5", f"on {pitch}"]
    assert pitch not in shared.model_pitches


def begin_a_note(shared: SharedStream) -> int:
    """The pitch of a note that the model has begun."""
    shared.begin(Begin(0))
    while not shared.model_pitches:
        shared.draw(shared.step)
    return shared.model_pitches[-1]


def test_the_end_of_a_note_waits_a_step_where_note_offs_are_over() -> None:
    shared, sampler = shared_stream()
    shared.write(0, [], [(60, 5)])
    shared.write(0, [], [(60, 7)])
    assert said(sampler) == ["velocity 5", "on 60", "shift 1", "off 60", "velocity 7", "on 60"]
    assert shared.step == 1


def test_notes_end_in_the_order_in_which_they_began() -> None:
    shared, sampler = shared_stream()
    shared.write(0, [], [(60, 5), (64, 5)])
    shared.write(10, [], [(40, 5)])
    shared.write(20, [40, 64, 60], [])
    assert said(sampler)[-3:] == ["off 60", "off 64", "off 40"]


def test_a_note_off_of_what_does_not_sound_says_nothing() -> None:
    shared, sampler = shared_stream()
    shared.write(0, [], [(60, 5)])
    shared.write(50, [61], [])
    assert said(sampler) == ["velocity 5", "on 60"]


def test_a_note_that_is_held_too_long_ends_in_the_stream_and_its_note_off_says_nothing() -> None:
    shared, sampler = shared_stream(max_note_seconds=2.5)
    shared.write(0, [], [(60, 5)])
    assert shared.rest(400) == []
    assert said(sampler)[2:6] == ["shift 100", "shift 100", "shift 50", "off 60"]
    assert shared.write(450, [60], []) == []
    assert said(sampler).count("off 60") == 1


def test_the_model_does_not_end_what_the_performer_holds() -> None:
    shared, sampler = shared_stream()
    shared.write(0, [], [(pitch, 5) for pitch in range(20)])
    shared.begin(Begin(0))
    for _ in range(400):
        shared.draw(0)
    assert set(range(20)) <= set(sampler.sounding)
    assert not set(shared.model_pitches) & set(range(20))


def test_nothing_is_drawn_for_a_time_that_has_passed() -> None:
    shared, _ = shared_stream()
    shared.write(0, [], [(60, 5)])
    shared.begin(Begin(250))
    notes = shared.draw(250)
    while not notes:
        notes = shared.draw(250)
    assert notes[0].step >= 250


def test_the_first_note_comes_soon() -> None:
    for seed in range(20):
        shared, sampler = shared_stream()
        sampler.rng = np.random.default_rng(seed)
        shared.write(0, [], [(60, 5)])
        shared.write(30, [60], [])
        shared.begin(Begin(130))
        notes = shared.draw(130)
        while not notes:
            notes = shared.draw(130)
        assert 130 <= notes[0].step <= 180
        assert notes[0].velocity


def test_the_performer_is_heard_however_many_notes_may_sound() -> None:
    shared, sampler = shared_stream(max_sounding=8)
    shared.begin(Begin(0))
    while len(shared.model_pitches) < 3:
        shared.draw(0)
    shared.restore(shared.snapshot())
    cluster = list(range(30, 42))
    step = shared.step + 10
    shared.write(step, [], [(pitch, 20) for pitch in cluster])
    assert sorted(sampler.sounding) == cluster
    shared.write(step + 5, [], [(99, 20)])
    assert sorted(sampler.sounding) == [*cluster, 99]
    shared.begin(Begin(step + 6))
    for later in range(step + 6, step + 400, 10):
        shared.draw(later)
    assert sorted(sampler.sounding) == [*cluster, 99]
    shared.restore(shared.snapshot())
    shared.write(step + 400, cluster, [])
    for _ in range(200):
        shared.draw(step + 400)
    assert shared.model_pitches
    assert len(sampler.sounding) <= 8


@pytest.mark.parametrize("likes", [TokenType.TIME_SHIFT, TokenType.NOTE_OFF])
def test_a_model_that_does_not_want_to_play_plays_all_the_same(likes: TokenType) -> None:
    stage = Stage("autopilot")
    logits = np.zeros(CODEC.vocab_size, np.float32)
    logits[CODEC.vocabulary.slice_of(likes)] = 30.0
    stage.sampler.engine.logits = lambda: logits  # type: ignore[method-assign]
    sent = stage.play(30.0)
    onsets = [seconds for seconds, message in sent if message[0] == 0x90]
    assert onsets[0] <= stream.FIRST_NOTE_SECONDS
    pauses = np.diff([*onsets, 30.0])
    assert pauses.max() <= stream.LONGEST_PAUSE_SECONDS + 0.02


def test_pauses_are_short_at_a_low_temperature_unless_few_notes_are_wanted() -> None:
    def longest_pause(pace: Pace) -> float:
        stage = Stage("autopilot")
        sampler = stage.sampler
        sampler.configure(replace(sampler.config, temperature=0.5))
        logits = np.zeros(CODEC.vocab_size, np.float32)
        logits[CODEC.vocabulary.slice_of(TokenType.TIME_SHIFT)] = 30.0
        sampler.engine.logits = lambda: logits  # type: ignore[method-assign]
        shared = SharedStream(sampler)
        shared.set_pace(pace)
        shared.begin(Begin(0))
        onsets = [0]
        while shared.step < 3000:
            onsets += [note.step for note in shared.draw(0) if note.velocity]
        return float(np.diff(onsets).max()) / CODEC.steps_per_second

    assert longest_pause(Pace()) <= stream.COLD_PAUSE_SECONDS + 0.02
    assert longest_pause(Pace(least=2.0)) > stream.COLD_PAUSE_SECONDS + 0.2


pitches = st.integers(58, 66)
writing = st.tuples(
    st.just("write"),
    st.integers(0, 400),
    st.lists(pitches, max_size=4),
    st.lists(st.tuples(pitches, st.integers(1, 3)), max_size=3),
)
Action = tuple[str, int, list[int], list[tuple[int, int]]]

other_actions: st.SearchStrategy[Action] = st.tuples(
    st.sampled_from(["draw", "draw", "rest", "release", "begin"]),
    st.integers(0, 300),
    st.just([]),
    st.just([]),
)


@given(
    st.lists(st.one_of(writing, other_actions), max_size=60),
    performance_codecs(),
    st.sampled_from([0.05, 0.5, 20.0]),
    st.sampled_from([2, 5, 32]),
)
def test_whatever_the_two_do_the_grammar_is_kept_and_every_note_has_an_owner(
    done: list[Action],
    codec: PerformanceCodec,
    max_note_seconds: float,
    max_sounding: int,
) -> None:
    shared, sampler = shared_stream(codec, max_note_seconds, max_sounding)
    last = shared.snapshot()
    now = 0
    for action, steps, offs, ons in done:
        if action == "draw":
            for _ in range(8):
                for drawn in shared.draw(now):
                    last = drawn.state
                    assert not drawn.velocity or len(sampler.sounding) <= max_sounding
            continue
        shared.restore(last)
        if action == "write":
            now += steps
            pitches = {pitch: min(b, max(codec.velocity_bins, 1)) for pitch, b in ons}
            shared.write(now, offs, list(pitches.items()))
            assert set(pitches) <= set(sampler.sounding) - set(shared.model_pitches)
        elif action == "rest":
            now += steps
            shared.rest(now)
        elif action == "release":
            shared.release(now)
            assert shared.model_pitches == []
        elif action == "begin":
            shared.begin(Begin(now))
        last = shared.snapshot()
