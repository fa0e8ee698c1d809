"""Whatever a performer plays: every note ends, the grammar is kept, what sounded was heard."""

from __future__ import annotations

import itertools
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PedalCodec, PerformanceCodec
from midirnn.live import MODES, LiveConfig
from midirnn.live.improviser import stream
from midirnn.ports import Message
from midirnn.sampling import SamplingConfig
from tests.live.performers import schedules
from tests.live.stage import Stage, is_note_on, pedals_down, sounding

ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]
"""What each channel is sent at the end, here channel 1."""


def is_ending(message: Message) -> bool:
    return (message[0] & 0xF0, *message[1:]) in ENDINGS


configs = st.builds(
    LiveConfig,
    silence_seconds=st.sampled_from([0.05, 0.3, 1.0]),
    answer_seconds=st.sampled_from([None, 0.1, 2.0]),
    lookahead_seconds=st.sampled_from([0.05, 1.0]),
)
modes = st.sampled_from(list(MODES))
codecs = st.sampled_from([PerformanceCodec(), PedalCodec()])
samplings = st.builds(SamplingConfig, max_note_seconds=st.sampled_from([2.0, 20.0]))


@given(codecs, modes, configs, samplings, schedules(), st.floats(0.0, 3.0), st.integers(0, 9))
def test_every_note_on_is_answered_by_its_note_off(
    codec: PerformanceCodec,
    mode: str,
    config: LiveConfig,
    sampling: SamplingConfig,
    schedule: list[tuple[float, Message]],
    rest: float,
    seed: int,
) -> None:
    stage = Stage(mode, config, codec=codec, sampling=sampling, seed=seed)
    stage.perform(schedule)
    with stage.session:
        stage.run((schedule[-1][0] if schedule else 0.0) + rest)
        sounds_now = sounding(stage.output.messages)
        assert sounds_now == {note.key for note in stage.session.scheduler.sounding}
        # Behind what has sounded, the model believes of itself what is true.
        stage.rewind()
        assert set(stage.model_pitches) == {pitch for _, pitch in sounds_now}
        assert stage.planner.base.pedal_sent == len(pedals_down(stage.output.messages))
    sent = stage.output.messages
    assert sounding(sent) == pedals_down(sent) == set()
    used = {message[0] & 0x0F for message in sent if is_note_on(message)}
    last = itertools.takewhile(is_ending, reversed(sent))
    assert {(status | channel, *rest) for channel in used for status, *rest in ENDINGS} <= set(last)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=settings().max_examples // 4)  # in each of the modes
@given(schedules(channels=1), st.integers(0, 9))
def test_the_model_has_heard_all_that_sounded_when_it_sounded(
    mode: str, schedule: list[tuple[float, Message]], seed: int
) -> None:
    stage = Stage(mode, LiveConfig(silence_seconds=0.3), seed=seed)
    stage.perform(schedule)
    with patch.object(stream, "LONGEST_REST_SECONDS", 1e6):
        stage.run((schedule[-1][0] if schedule else 0.0) + 3.0)
    stage.rewind()
    # The stream begins where the first note was heard.
    end_seconds = stage.sampler.grammar_state.step / stage.sampler.codec.steps_per_second
    begin_seconds = stage.planned_until - stage.start - end_seconds
    decoded = stage.sampler.codec.decode(stage.sampler.tokens)
    heard = list(zip(decoded.start + begin_seconds, decoded.pitch, strict=True))
    own = [(seconds, m[1]) for seconds, m in stage.sent if is_note_on(m)]
    performed = [(seconds, m[1]) for seconds, m in schedule if is_note_on(m) and m[0] != 0x99]
    for note in heard:
        assert is_among([*own, *performed], note), f"{note} did not sound"
    # Of the performer's notes those without length are not heard; of the model's, all are.
    for note in own:
        assert is_among(heard, note), f"{note} was not heard"


def is_among(notes: list[tuple[float, int]], note: tuple[float, int]) -> bool:
    """Whether one of the (seconds, pitch) is this one, give or take a few steps."""
    return any(abs(seconds - note[0]) < 0.05 for seconds, pitch in notes if pitch == note[1])
