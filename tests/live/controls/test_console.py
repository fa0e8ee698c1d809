"""The console on a stage: knobs, presets, mode switches, clock and guard while the model plays."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.engines.state import FloatVector
from midirnn.live import MODES, LiveConfig, Stance
from midirnn.live.base.messages import Knobs
from midirnn.live.controls import ControlMap
from midirnn.live.controls.commands import Say
from midirnn.live.controls.console import NO_SUCH_INPUT, Console
from midirnn.live.controls.knobs import KNOBS
from midirnn.live.recovery.guard import Fault, loop_period
from midirnn.live.timing.beat_gate import LEAD_SECONDS
from midirnn.ports import Message
from midirnn.ports.midi_clock import CLOCK, CONTINUE, START, STOP
from midirnn.sampling import SamplingConfig
from tests.live.performers import schedules
from tests.live.stage import Stage, is_note_off, is_note_on, note, note_ons, sounding

Timed = tuple[float, Message]

FOLLOW = LiveConfig(clock="midi")

PHRASE = note(1.0, 1.5, 60) + note(1.5, 2.0, 64) + note(2.0, 5.0, 67)


def turn(seconds: float, name: str, midi: int) -> Timed:
    """The controller or pad of a knob, moved."""
    binding = ControlMap().bindings[name]
    if binding.cc is not None:
        return seconds, (0xB0, binding.cc, midi)
    return seconds, (0x99 if midi else 0x89, binding.note or 0, midi)


def to_mode(seconds: float, name: str) -> Timed:
    """The mode knob, turned to a mode."""
    knob = KNOBS["mode"]
    midi = next(midi for midi in range(128) if knob.value(midi) == name)
    return turn(seconds, "mode", midi)


def clocks(bpm: float, begin: float, end: float) -> list[Timed]:
    """A MIDI clock that starts."""
    gap = 60.0 / bpm / 24
    times = [begin + i * gap for i in range(int((end - begin) / gap))]
    return [(begin, (START,)), *((seconds, (CLOCK,)) for seconds in times)]


def stage_with(mode: str, *performed: Timed, config: LiveConfig | None = None) -> Stage:
    stage = Stage(mode, config)
    stage.perform(performed)
    return stage


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(MODES, 2)))
def test_switching_while_playing_leaves_no_note_behind(first: str, second: str) -> None:
    stage = stage_with(first, *PHRASE, *note(6.5, 9.0, 72), to_mode(7.0, second))
    with stage.session:
        stage.run(6.999)
        before = len(stage.sent)
        sounded = sounding(message for _, message in stage.sent)
        stage.run(0.002)
        ended = [message for _, message in stage.sent[before:] if is_note_off(message)]
        assert {(message[0] & 0x0F, message[1]) for message in ended} >= sounded
        stage.run(4.0)
    assert type(stage.session.mode) is MODES[second]
    assert sounding(message for _, message in stage.sent) == set()


def test_the_mode_that_is_switched_to_knows_which_keys_are_down() -> None:
    stage = stage_with("call_and_response", *note(1.0, 4.0, 60), to_mode(2.0, "shadow"))
    stage.run(2.5)
    assert stage.session.stance == Stance.BOTH
    stage.run(2.0)
    assert stage.session.stance == Stance.LISTENS


def test_shadow_sounds_on_with_what_the_pedal_holds() -> None:
    pedal: list[Timed] = [(0.5, (0xB0, 64, 127)), (2.0, (0xB0, 64, 0))]
    stage = stage_with("shadow", *note(1.0, 1.4, 60), *pedal)
    stage.run(1.9)
    assert sounding(message for _, message in stage.sent)
    stage.run(0.2)
    assert sounding(message for _, message in stage.sent) == set()
    assert {round(at, 1) for at, message in stage.sent if is_note_off(message)} == {2.0}


@pytest.mark.parametrize("others", [[], [(1.5, (0xB1, 64, 127)), (3.0, (0xB1, 64, 0))]])
def test_shadow_sounds_on_whatever_another_performer_does_with_their_pedal(
    others: list[Timed],
) -> None:
    pedal = [(1.0, (0xB0, 64, 127)), (6.0, (0xB0, 64, 0))]
    stage = stage_with("shadow", *pedal, *note(2.0, 2.5, 60), *others)
    stage.play(8.0)
    assert stage.changes[1:] == [(2.0, Stance.BOTH), (6.0, Stance.LISTENS)]


def test_shadow_knows_of_a_pedal_that_was_down_before_it() -> None:
    pedal = [(1.0, (0xB0, 64, 127)), (6.0, (0xB0, 64, 0))]
    stage = stage_with("duet", *pedal, to_mode(1.5, "shadow"), *note(2.0, 2.5, 60))
    stage.play(8.0)
    assert stage.changes[-2:] == [(2.0, Stance.BOTH), (6.0, Stance.LISTENS)]


def test_shadow_rests_when_only_the_pedal_of_someone_silent_is_down() -> None:
    stage = stage_with("shadow", (1.0, (0xB1, 64, 127)), *note(2.0, 2.5, 60))
    stage.play(4.0)
    assert stage.changes[1:] == [(2.0, Stance.BOTH), (2.5, Stance.LISTENS)]


def test_shadow_sounds_with_the_performers_notes_and_never_else() -> None:
    stage = stage_with("shadow", *note(1.0, 1.4, 60), *note(2.0, 3.0, 64), *note(2.5, 3.5, 67))
    sent = stage.play(8.0)
    onsets = note_ons(sent)
    assert len(onsets) == 6
    for seconds, performed in zip(onsets, [1.0, 1.0, 2.0, 2.0, 2.5, 2.5], strict=True):
        assert performed <= seconds <= performed + 0.03
    ends = [seconds for seconds, message in sent if message[0] == 0x80]
    for seconds, performed in zip(ends, [1.4, 1.4, 3.0, 3.0, 3.5, 3.5], strict=True):
        assert performed <= seconds <= performed + 0.03


def test_echo_returns_the_phrase_in_time_with_what_is_likely_kept() -> None:
    stage = stage_with("echo", *PHRASE, config=LiveConfig(echo_threshold=0.0))
    sent = stage.play(15.0)
    played = [(seconds, m[1]) for seconds, m in sent if is_note_on(m)]
    assert [pitch for _, pitch in played] == [60, 64, 67]
    gaps = np.diff([seconds for seconds, _ in played])
    assert gaps == pytest.approx([0.5, 0.5], abs=0.011)
    assert 6.0 <= played[0][0] <= 6.05


def test_echo_varies_what_is_unlikely_but_not_when_it_comes() -> None:
    stage = stage_with("echo", *PHRASE, config=LiveConfig(echo_threshold=1.0))
    played = [(seconds, m[1]) for seconds, m in stage.play(15.0) if is_note_on(m)]
    assert len(played) == 3
    assert [pitch for _, pitch in played] != [60, 64, 67]
    assert 0.2 <= played[1][0] - played[0][0] <= 1.05


def test_echo_has_the_new_phrase_each_time() -> None:
    again = note(15.0, 15.4, 50) + note(15.4, 15.8, 52)
    stage = stage_with("echo", *PHRASE, *again, config=LiveConfig(echo_threshold=0.0))
    played = [m[1] for seconds, m in stage.play(25.0) if is_note_on(m)]
    assert played == [60, 64, 67, 50, 52]


def test_duet_comes_in_and_plays_through_the_performers_rest() -> None:
    stage = stage_with("duet", *note(1.0, 2.0, 60), *note(6.0, 7.0, 62))
    onsets = note_ons(stage.play(12.0))
    assert min(onsets) >= 1.0
    assert np.diff([1.0, *onsets, 12.0]).max() < 3.2


def test_the_temperature_is_the_models_at_once() -> None:
    stage = stage_with("autopilot", turn(2.0, "temperature", 127))
    stage.run(2.01)
    assert stage.sampler.config == SamplingConfig(temperature=4.0)


def test_many_movements_of_a_knob_at_a_moment_are_one_change() -> None:
    stage = Stage("autopilot")
    asked: list[Knobs] = []
    instrument = stage.session.interplay
    change_model = instrument.change_model

    def note_down(requests: list[Knobs], now: float) -> None:
        asked.extend(requests)
        change_model(requests, now)

    instrument.change_model = note_down  # type: ignore[method-assign, assignment]
    stage.perform(turn(2.0, "temperature", midi) for midi in range(100))
    stage.run(3.0)
    assert len(asked) == 1


def test_the_register_holds_the_model_in() -> None:
    stage = stage_with("autopilot", turn(2.0, "lowest_pitch", 60), turn(2.0, "highest_pitch", 71))
    sent = stage.play(8.0)
    before = {m[1] for seconds, m in sent if is_note_on(m) and seconds < 2.0}
    after = {m[1] for seconds, m in sent if is_note_on(m) and seconds > 2.0}
    assert before - set(range(60, 72))
    assert after
    assert after <= set(range(60, 72))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["autopilot", "duet", "ensemble"])
def test_a_model_whose_register_is_held_waits_for_a_key_of_it(mode: str, seed: int) -> None:
    stage = Stage(mode, seed=seed)
    stage.session.turn("lowest_pitch", 60)
    stage.session.turn("highest_pitch", 61)
    held = [event for pitch in (60, 61) for event in note(0.5, 6.0, pitch)]
    stage.perform(sorted([*held, *note(6.5, 14.0, 60), *note(8.0, 8.5, 40)]))
    sent = [(at, m[1]) for at, m in stage.play(14.0) if is_note_on(m) and at > 0.6]
    assert {pitch for _, pitch in sent} <= {60, 61}
    assert min(at for at, _ in sent) > 6.0
    assert max(at for at, _ in sent) > 9.0


def test_a_key_that_follows_the_performer_follows_only_what_is_listened_to() -> None:
    stage = Stage("autopilot", LiveConfig(input_channels=(1, 10)))
    stage.session.turn("key", "performer")
    drum, other = (1.0, (0x99, 42, 90)), (1.1, (0x91, 61, 90))
    stage.perform([drum, other])
    stage.run(1.5)
    performer = stage.session.console.performer
    assert performer.shares() is None
    stage.perform(note(2.0, 2.5, 64))
    stage.run(1.5)
    assert performer.shares() == tuple(float(pitch_class == 4) for pitch_class in range(12))


def test_the_balance_scales_what_is_sent_and_nothing_else() -> None:
    plain, soft = Stage("autopilot").play(4.0), stage_with("autopilot", turn(0.0, "balance", 0))
    quarter = [(seconds, m[2]) for seconds, m in soft.play(4.0) if is_note_on(m)]
    full = [(seconds, m[2]) for seconds, m in plain if is_note_on(m)]
    loud = dict(full)
    same = [(v, loud[seconds]) for seconds, v in quarter if seconds in loud]
    assert same
    assert max(velocity for _, velocity in quarter) <= 33


def test_a_key_that_follows_the_performer_follows_nothing_frozen_and_forgets_at_a_reset() -> None:
    stage = stage_with("autopilot", *note(0.5, 1.0, 64), turn(2.0, "freeze", 127))
    stage.perform([*note(2.5, 2.7, 61), turn(3.0, "freeze", 0)])
    stage.run(4.0)
    heard = stage.session.console.performer.shares()
    assert heard is not None
    assert [pitch_class for pitch_class, share in enumerate(heard) if share] == [4]
    stage.perform([turn(4.0, "reset", 127)])
    stage.run(0.1)
    assert stage.session.console.performer.shares() is None


def test_frozen_the_model_plays_on_and_hears_nothing_new() -> None:
    stage = stage_with("autopilot", turn(2.0, "freeze", 127), *note(3.0, 4.0, 61))
    stage.run(3.5)
    alone = stage_with("autopilot", turn(2.0, "freeze", 127))
    alone.run(3.5)
    assert stage.sent == alone.sent
    stage.perform([turn(5.0, "freeze", 0), *note(6.0, 9.0, 61)])
    stage.run(3.0)
    assert 61 in stage.sampler.sounding


@pytest.mark.parametrize("mode", ["call_and_response", "echo"])
def test_frozen_an_answer_goes_on_whatever_is_played(mode: str) -> None:
    config = LiveConfig(silence_seconds=0.5, answer_seconds=4.0)
    phrase = note(0.2, 0.6, 60) + note(0.6, 1.0, 64)
    for frozen in (True, False):
        stage = stage_with(mode, *phrase, *note(3.0, 3.2, 70), config=config)
        if frozen:
            stage.perform([turn(2.0, "freeze", 127)])
        stage.run(5.0)
        ends = [at for at, stance in stage.changes if Stance.PLAYS not in stance and at > 1.0]
        assert (ends[:1] == [3.0]) is not frozen


def test_a_note_that_was_held_before_freezing_ends_all_the_same() -> None:
    stage = stage_with("autopilot", *note(1.0, 4.0, 61), turn(2.0, "freeze", 127))
    stage.run(3.9)
    assert 61 in stage.sampler.sounding
    stage.run(0.2)
    assert 61 not in stage.sampler.sounding


@pytest.mark.parametrize("mode", ["autopilot", "duet", "call_and_response"])
def test_your_turn_ends_a_panic_and_a_stop_of_the_clock(mode: str) -> None:
    stopped = stage_with(mode, *note(0.5, 1.0, 60), (3.0, (STOP,)), config=FOLLOW)
    panicked = stage_with(mode, *note(0.5, 1.0, 60), turn(3.0, "panic", 127))
    for stage in (stopped, panicked):
        stage.perform([turn(5.0, "your_turn", 127)])
        onsets = note_ons(stage.play(8.0))
        assert not any(3.0 < seconds < 5.0 for seconds in onsets)
        assert any(5.0 < seconds < 7.0 for seconds in onsets)


@pytest.mark.parametrize("gesture", ["switch", "your_turn"])
@pytest.mark.parametrize("mode", MODES)
def test_given_the_turn_after_a_panic_or_a_stop_of_the_clock_the_model_begins_anew(
    mode: str, gesture: str
) -> None:
    stopped = stage_with(mode, *PHRASE, (7.0, (STOP,)), config=FOLLOW)
    panicked = stage_with(mode, *PHRASE, turn(7.0, "panic", 127))
    for stage in (stopped, panicked):
        stage.perform(note(6.5, 14.0, 60) if mode == "shadow" else [])
        stage.perform([turn(8.0, gesture, 127)])
        stage.run(13.0)
        changes = [change for change in stage.changes if change[0] >= 7.0]
        assert changes[:2] == [(7.0, Stance.LISTENS), (8.0, Stance.BOTH)]
        ends = [(12.0, Stance.LISTENS)] if mode in ("call_and_response", "echo") else []
        assert changes[2:] == ends


def test_neither_a_start_of_the_clock_nor_a_key_while_frozen_ends_a_panic() -> None:
    stage = stage_with("autopilot", turn(3.0, "panic", 127), (4.0, (STOP,)), config=FOLLOW)
    stage.perform([(5.0, (START,)), turn(6.0, "freeze", 127), *note(7.0, 8.0, 60)])
    stage.run(9.0)
    assert max(note_ons(stage.sent)) < 3.0
    stage.perform([turn(9.5, "freeze", 0), *note(10.0, 10.2, 60)])
    stage.run(3.0)
    assert max(note_ons(stage.sent)) > 10.0


def test_panic_ends_all_and_the_model_waits_for_a_key() -> None:
    stage = stage_with("autopilot", turn(3.0, "panic", 127), turn(3.1, "panic", 0))
    with stage.session:
        stage.run(6.0)
        assert not [seconds for seconds in note_ons(stage.sent) if seconds > 3.0]
        assert sounding(message for _, message in stage.sent) == set()
        offs = {m[0] & 15 for s, m in stage.sent if m[0] & 0xF0 == 0xB0 and m[1] == 123}
        assert offs == set(range(16))
        stage.perform(note(7.0, 7.5, 60))
        stage.run(3.0)
        assert [seconds for seconds in note_ons(stage.sent) if seconds > 7.0]


def test_the_pedals_of_a_stage_piano_say_whose_turn_it_is() -> None:
    sostenuto, soft = (5.1, (176, 66, 127)), (6.0, (176, 67, 127))
    stage = stage_with("call_and_response", *PHRASE, sostenuto, (5.4, (176, 66, 0)), soft)
    sent = stage.play(8.0)
    assert stage.changes[1:] == [(5.1, Stance.BOTH), (6.0, Stance.LISTENS)]
    assert sounding(message for _, message in sent) == set()


def test_the_foot_switch_asks_for_the_answer() -> None:
    stage = stage_with("call_and_response", *PHRASE, turn(5.1, "switch", 127))
    stage.play(8.0)
    assert (5.1, Stance.BOTH) in stage.changes


def test_the_length_of_answers_can_be_turned() -> None:
    stage = stage_with("call_and_response", turn(0.5, "answer_seconds", 1), *PHRASE)
    stage.play(12.0)
    assert stage.changes[1:] == [(6.0, Stance.BOTH), (7.0, Stance.LISTENS)]


def hidden(stage: Stage) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(stage.session.model.server.planner.base.sampler.engine.state[0])  # type: ignore[attr-defined]


def test_a_preset_is_stored_and_loaded_and_that_is_undone() -> None:
    keep = [turn(5.4, "store", 127), turn(5.5, "preset_3", 90), turn(5.6, "store", 0)]
    keep.append(turn(5.6, "preset_3", 0))
    stage = stage_with("call_and_response", *PHRASE, *keep)
    stage.run(5.501)
    kept = hidden(stage)
    stage.perform([turn(18.0, "preset_3", 90), turn(18.1, "preset_3", 0)])
    stage.run(12.498)
    other = hidden(stage)
    assert not np.array_equal(kept, other)
    stage.run(0.002)
    assert np.array_equal(hidden(stage), kept)
    stage.perform([turn(18.002, "undo", 127)])
    stage.run(0.002)
    assert np.array_equal(hidden(stage), other)


def test_the_wheel_blends_two_presets() -> None:
    presets = [
        turn(0.2, "store", 127),
        turn(0.3, "preset_1", 90),
        *note(1.0, 1.1, 60),
        turn(1.5, "preset_2", 90),
    ]
    stage = stage_with("call_and_response", *presets, config=LiveConfig(silence_seconds=30.0))
    stage.run(0.4)
    first = hidden(stage)
    stage.run(1.2)
    second = hidden(stage)
    stage.perform([turn(1.7, "crossfade", 127)])
    stage.run(0.15)
    assert hidden(stage) == pytest.approx(second)
    stage.perform([turn(1.8, "crossfade", 32)])
    stage.run(0.15)
    share = 32 / 127
    assert hidden(stage) == pytest.approx((1 - share) * first + share * second, abs=1e-5)


def test_a_reset_forgets_what_was_heard_and_the_model_plays_on() -> None:
    stage = stage_with("autopilot", turn(3.0, "reset", 127))
    with stage.session:
        stage.run(3.001)
        assert sounding(message for _, message in stage.sent) == set()
        stage.run(3.0)
        assert [seconds for seconds in note_ons(stage.sent) if seconds > 3.0]
        assert stage.sampler.grammar_state.step < 450


def test_answers_begin_on_the_beat() -> None:
    config = LiveConfig(on_beat=1.0, clock="midi")
    stage = stage_with("call_and_response", *clocks(90.0, 0.4, 20.0), *PHRASE, config=config)
    first = note_ons(stage.play(10.0))[0]
    beats = (first - 0.4) / (60.0 / 90.0)
    assert first >= 6.0
    assert beats == pytest.approx(round(beats), abs=0.02)


@pytest.mark.parametrize("mode", ["call_and_response", "echo"])
@pytest.mark.parametrize("bpm", [60.0, 70.0, 90.0])
def test_an_answer_that_waits_for_the_bar_lasts_as_long_as_one_that_does_not(
    mode: str, bpm: float
) -> None:
    config = LiveConfig(on_beat=4.0, clock_out_bpm=bpm, reference_bpm=bpm, answer_seconds=2.0)
    stage = stage_with(mode, *PHRASE, config=config)
    stage.play(14.0)
    (begins, stance), (ends, _) = stage.changes[1:]
    bar = begins + LEAD_SECONDS
    assert stance == Stance.BOTH
    assert bar / (240.0 / bpm) == pytest.approx(round(bar / (240.0 / bpm)), abs=0.01)
    assert bar >= 6.0
    assert ends - bar == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(("bpm", "bar"), [(120.0, 7.25), (90.0, 7.5), (40.0, 8.75)])
def test_an_answer_waits_for_the_bar_if_the_tempo_changes_meanwhile(bpm: float, bar: float) -> None:
    config = LiveConfig(on_beat=4.0, clock="midi", answer_seconds=2.0)
    ticks = [*clocks(60.0, 0.0, 6.5), *clocks(bpm, 6.5, 14.0)[1:]]
    stage = stage_with("call_and_response", *ticks, *PHRASE, config=config)
    sent = stage.play(14.0)
    (begins, _), (ends, _) = stage.changes[1:]
    assert begins + LEAD_SECONDS == pytest.approx(bar, abs=0.02)
    assert note_ons(sent)[0] == pytest.approx(bar, abs=0.02)
    assert ends - bar == pytest.approx(2.0, abs=0.02)


def test_without_a_clock_answers_do_not_wait_for_the_beat() -> None:
    stage = stage_with("call_and_response", *PHRASE, config=LiveConfig(on_beat=4.0))
    stage.play(8.0)
    assert (6.0, Stance.BOTH) in stage.changes


def test_at_half_the_reference_tempo_a_step_lasts_twice_as_long() -> None:
    stage = stage_with("autopilot", *clocks(60.0, 0.0, 12.0), config=FOLLOW)
    at_tempo = [seconds for seconds in note_ons(stage.play(12.0)) if seconds > 2.0]
    assert len(at_tempo) > 20
    steps = np.diff(at_tempo) / 0.02
    assert steps == pytest.approx(steps.round(), abs=0.02)
    plain = np.diff(note_ons(Stage("autopilot").play(12.0))) / 0.02
    assert np.abs(plain - plain.round()).max() > 0.4


def test_a_phrase_that_is_played_at_a_tempo_is_heard_as_at_the_reference() -> None:
    stage = stage_with("echo", *clocks(60.0, 0.0, 20.0), *PHRASE, config=FOLLOW)
    stage.run(5.5)
    phrase = stage.session.model.server.planner.base.phrase.steps  # type: ignore[attr-defined]
    onsets = [step.step for step in phrase if step.note_ons]
    assert np.diff(sorted(set(onsets))).tolist() == pytest.approx([25, 25], abs=1)


def test_a_clock_that_stops_and_goes_on_disturbs_nothing() -> None:
    ticks = clocks(120.0, 0.0, 8.0)
    stage = stage_with("autopilot", *ticks, (3.0, (STOP,)), (4.0, (CONTINUE,)), config=FOLLOW)
    assert sounding(message for _, message in stage.play(8.0)) == set()


def test_a_clock_that_is_not_followed_changes_nothing() -> None:
    ticks = clocks(60.0, 0.0, 4.0)
    assert stage_with("autopilot", *ticks).play(4.0) == Stage("autopilot").play(4.0)


def test_a_clock_of_ones_own_is_sent_and_answers_begin_on_its_beat() -> None:
    config = LiveConfig(clock_out_bpm=90.0, reference_bpm=90.0, on_beat=1.0)
    sent = stage_with("call_and_response", *PHRASE, config=config).play(8.0)
    ticks = [seconds for seconds, message in sent if message == (CLOCK,)]
    assert sent[0] == (0.0, (START,))
    assert ticks == pytest.approx([i * 60.0 / 90.0 / 24 for i in range(len(ticks))], abs=1e-5)
    assert len(ticks) == pytest.approx(8.0 * 36, abs=1)
    assert [message for _, message in sent if message[0] >= 0xF0][-1] == (STOP,)
    beats = note_ons(sent)[0] / (60.0 / 90.0)
    assert beats == pytest.approx(round(beats), abs=0.02)


@dataclass
class FixedBeats:
    """The tempo of others, who have not begun."""

    bpm: float | None
    running: bool = False

    def beat_at(self, seconds: float) -> float | None:
        return None


@pytest.mark.parametrize(("beyond", "nearest"), [(999.0, 400.0), (5.0, 20.0)])
def test_a_clock_is_sent_at_the_tempo_that_is_followed_or_as_near_as_it_may_go(
    beyond: float, nearest: float
) -> None:
    beats = FixedBeats(120.0)
    console = Console(LiveConfig(clock="link", clock_out_bpm=90.0), beats=beats)
    assert console.clock_out is not None
    said, sent = [], []
    for now, beats.bpm in enumerate((120.0, beyond, beyond, 130.0, nearest, beyond)):
        said.append([e.text for e in console.step(float(now)) if isinstance(e, Say)])
        sent.append(console.clock_out.bpm)
    assert sent == [120.0, nearest, nearest, 130.0, nearest, nearest]
    told = [f"the tempo is {beyond:g}: the MIDI clock that is sent stays at {nearest:g}"]
    assert said == [[], told, [], [], [], told]


def test_the_sound_that_was_chosen_is_sent_first() -> None:
    sent = stage_with("autopilot", config=LiveConfig(program=5, channel=3)).play(1.0)
    assert sent[0] == (0.0, (0xC2, 4))


def test_the_pedal_is_sent_where_that_was_chosen() -> None:
    sent = stage_with("autopilot", config=LiveConfig(pedal_out=True)).play(8.0)
    assert (0xB0, 64, 127) in [message for _, message in sent]
    pedals = [message[2] for _, message in sent if message[:2] == (0xB0, 64)]
    assert pedals[-1] == 0


def test_channels_that_are_not_listened_to_are_not_heard_and_thru_passes_the_others() -> None:
    config = LiveConfig(input_channels=(1,), thru=True)
    stage = stage_with(
        "call_and_response", *note(1.0, 1.5, 60), (1.0, (0x91, 62, 80)), config=config
    )
    stage.run(1.9)
    assert [message[:2] for _, message in stage.sent] == [(0x90, 60), (0x80, 60)]
    assert stage.sampler.sounding == []


def test_a_model_without_such_inputs_says_so() -> None:
    stage = Stage("autopilot")
    stage.session.console._steerable = False
    stage.perform([turn(1.0, "density", 90)])
    stage.run(1.5)
    assert stage.troubles == [NO_SUCH_INPUT.format(name="density")]


def test_the_guard_acts_on_a_model_that_babbles_and_counts_it() -> None:
    stage = Stage("autopilot", guard=True)
    stage.run(6.0)
    assert stage.session.console.guard.acted == {Fault.BABBLE: 1}
    assert stage.notes == ["babble: temperature x 0.7"]
    assert stage.sampler.config.temperature == pytest.approx(0.7)
    stage.run(12.0)
    assert "went back to your music" in stage.session.console.guard.report()
    assert stage.notes[1] == "babble: temperature x 0.49, and back to your music"


def test_a_model_that_waits_for_a_key_is_not_silent_to_the_guard() -> None:
    stage = Stage("autopilot", guard=True)
    stage.session.turn("lowest_pitch", 60)
    stage.session.turn("highest_pitch", 61)
    stage.perform(sorted([*note(0.3, 16.0, 60), *note(0.3, 16.0, 61)]))
    stage.run(16.0)
    assert not stage.session.console.guard.acted


def test_a_model_that_may_play_but_does_not_is_silent_to_the_guard() -> None:
    console = Console()
    guard, console._model_plays = console.guard, True
    guard.begin(0.0)
    assert console.look_after(20.0, frozenset(range(1, 128))) != ([], 20.5)
    assert guard.acted == {Fault.SILENCE: 1}
    everything = frozenset(range(128))
    for seconds in range(30, 60):
        assert console.look_after(float(seconds), everything) == ([], seconds + 0.5)
    console.look_after(69.0, frozenset())
    assert guard.acted == {Fault.SILENCE: 1}
    console.look_after(72.0, frozenset())
    assert guard.acted == {Fault.SILENCE: 2}


FIGURE = [60, 64, 67, 72]
SCALE = range(58, 75)
STUCK_NATS = 8.0
"""So much likelier the next note of the figure is than each other, once the figure goes on."""


def stuck(tokens: list[int], codec: PerformanceCodec) -> FloatVector:
    """The logits of a model that plays notes of 150 ms at random, and cannot leave a figure."""
    token = codec.vocabulary.token
    described = [codec.vocabulary.describe(heard) for heard in tokens]
    logits = np.full(codec.vocab_size, -20.0, np.float32)
    kind = described[-1][0] if described else TokenType.NOTE_OFF
    pitches = [pitch for on, pitch in described if on is TokenType.NOTE_ON]
    if kind is TokenType.NOTE_ON:
        logits[token(TokenType.TIME_SHIFT, 15)] = 20.0
    elif kind is TokenType.TIME_SHIFT and pitches:
        logits[token(TokenType.NOTE_OFF, pitches[-1])] = 20.0
    logits[[token(TokenType.NOTE_ON, pitch) for pitch in SCALE]] = 0.0
    if all((a, b) in itertools.pairwise(FIGURE * 2) for a, b in itertools.pairwise(pitches[-3:])):
        last = pitches[-1] if pitches else FIGURE[-1]
        logits[token(TokenType.NOTE_ON, FIGURE[(FIGURE.index(last) + 1) % 4])] = STUCK_NATS
    return logits


def play_stuck(seed: int, *, guard: bool) -> tuple[Stage, int]:
    """A minute of that model, and the period of the loop that it ends in; 0 for none."""
    stage = Stage("autopilot", guard=guard, seed=seed)
    stage.sampler.engine.logits = (  # type: ignore[method-assign]
        lambda: stuck(stage.sampler.latest(12), stage.sampler.codec)
    )
    sent = stage.play(60.0)
    pitches = np.array([message[1] for _, message in sent if is_note_on(message)])
    assert len(pitches) > 300
    return stage, loop_period(pitches, 24)


@pytest.mark.parametrize("seed", [0, 2])
def test_the_guard_leads_a_model_out_of_a_loop_that_it_would_not_leave(seed: int) -> None:
    assert play_stuck(seed, guard=False)[1] == len(FIGURE)
    stage, period = play_stuck(seed, guard=True)
    assert set(stage.session.console.guard.acted) == {Fault.LOOP}
    assert period == 0


def test_without_the_guard_nothing_is_done() -> None:
    stage = Stage("autopilot")
    stage.run(6.0)
    assert not stage.session.console.guard.acted
    assert stage.sampler.config == SamplingConfig()


@st.composite
def turned(draw: st.DrawFn) -> list[Timed]:
    """A performance in which knobs are turned."""
    performed = draw(schedules(max_messages=15))
    names, times = st.sampled_from(list(KNOBS)), st.floats(0.0, 4.0)
    turns = draw(st.lists(st.tuples(times, names, st.integers(0, 127)), max_size=12))
    return sorted([*performed, *(turn(*each) for each in turns)], key=lambda timed: timed[0])


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(performed=turned(), seed=st.integers(0, 3))
def test_whatever_is_played_and_turned_no_note_is_left_on(
    mode: str, performed: list[Timed], seed: int
) -> None:
    stage = Stage(mode, LiveConfig(silence_seconds=0.3), seed=seed)
    stage.perform(performed)
    assert sounding(message for _, message in stage.play(5.0)) == set()


def test_a_console_of_ones_own_can_be_given() -> None:
    console = Console(values={"lowest_pitch": 100.0})
    assert console.knobs(0.0).lowest == 100
