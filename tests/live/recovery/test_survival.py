"""Whatever dies, hangs, is slow or unplugged: play goes on, and no note sounds for ever."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.errors import ModelLostError
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.base.messages import Adopt, Hear, Save
from midirnn.live.controls import ControlMap
from midirnn.live.controls.console import MODEL_IS_LOST
from midirnn.live.modes import MODES
from midirnn.live.recovery.guard import SILENCE_SECONDS, Fault
from midirnn.live.recovery.supervisor import (
    FIRST_PAUSE_SECONDS,
    MOST_LOSSES,
    SAVE_SECONDS,
    STALL_SECONDS,
)
from midirnn.live.view.monitor import doing
from midirnn.ports import Message, PortListing, PortRow
from midirnn.ports.lasting import HeldDown, LastingOutput
from midirnn.ports.watch import Sight
from tests.live.flaky import START_SECONDS, FlakyModel
from tests.live.stage import is_note_off, is_note_on, note, note_ons, sounding
from tests.ports.test_ports_come_and_go import FakeOutput

SWITCH = ControlMap().bindings["switch"].cc
"""The controller of the foot switch."""

FEEDBACK = "connected to its input"


class Concert:
    """A session with a model that can be lost, and ports whose devices come and go."""

    def __init__(
        self,
        mode: str,
        *,
        codec: PerformanceCodec | None = None,
        config: LiveConfig | None = None,
        delay_seconds: float = 0.001,
        start_seconds: float = 500.0,
    ) -> None:
        self.clock = ManualClock(start_seconds)
        self.start = start_seconds
        self.model = FlakyModel(self.clock, codec=codec, delay_seconds=delay_seconds)
        self.outputs: list[FakeOutput] = []
        self.listed = ["Synth 20:0"]
        self.port = LastingOutput(self._open(self.listed[0], "alsa"), self._open)
        self.troubles: list[str] = []
        self.session = Session(
            self.model,
            self.port,
            mode,
            config,
            clock=self.clock,
            on_trouble=self.troubles.append,
        )
        self.keys = HeldDown(self.session.receive, self.clock.now)

    def _open(self, name: str, api: str) -> FakeOutput:
        self.outputs.append(FakeOutput(name, api, self.clock.now))
        return self.outputs[-1]

    @property
    def output(self) -> FakeOutput:
        """The output that was opened last."""
        return self.outputs[-1]

    def run(self, seconds: float) -> None:
        self.session.run(seconds, sending_thread=False)
        self._watch()

    def _watch(self) -> None:
        rows = (PortRow("alsa", "output", name) for name in self.listed)
        self.port.look(Sight(time.monotonic(), PortListing(tuple(rows))))

    def play(self, message: Message) -> None:
        self.keys(message, self.clock.now())

    def unplug(self) -> None:
        self.output.vanish()
        self.listed = []
        self._watch()

    def replug(self) -> None:
        """Plug the same device in again, under another number."""
        self.unplug()
        self.listed = [f"Synth {20 + len(self.outputs)}:0"]
        self._watch()

    @property
    def is_within_reach(self) -> bool:
        """Whether what is sent reaches the device."""
        return self.port.present and self.output.plugged and self.output.failure is None

    @property
    def sent(self) -> list[tuple[float, Message]]:
        """(seconds from the start, message) on all outputs."""
        sent = [event for output in self.outputs for event in output.sent]
        return [(round(seconds - self.start, 6), message) for seconds, message in sent]

    @property
    def sounding(self) -> set[tuple[int, int]]:
        """What the device has sounding, to which all that was sent has gone."""
        return self._left(by=(123,))

    @property
    def unanswered(self) -> set[tuple[int, int]]:
        """The note-ons sent that no note-off has followed; 'all notes off' does not count."""
        return self._left()

    def _left(self, by: tuple[int, ...] = ()) -> set[tuple[int, int]]:
        """What is not ended by note-offs, or by one of these controllers."""
        notes: set[tuple[int, int]] = set()
        for _, message in self.sent:
            channel = message[0] & 0x0F
            if is_note_on(message):
                notes.add((channel, message[1]))
            elif is_note_off(message):
                notes.discard((channel, message[1]))
            elif message[0] & 0xF0 == 0xB0 and message[1] in by:
                notes = {key for key in notes if key[0] != channel}
        return notes

    def panic(self) -> None:
        self.session.panic()


def test_when_the_model_dies_its_notes_end_at_once_and_it_plays_on() -> None:
    concert = Concert("autopilot")
    with concert.session:
        concert.run(3.0)
        assert concert.sounding
        concert.model.kill()
        concert.run(0.05)
        assert concert.sounding == set()
        concert.run(START_SECONDS - 0.1)
        assert [seconds for seconds in note_ons(concert.sent) if seconds > 3.0] == []
        concert.run(3.0)
        assert len([seconds for seconds in note_ons(concert.sent) if seconds > 4.0]) > 5
    assert concert.troubles == ["the model process has died: it is started again"]
    assert concert.sounding == set()


def test_when_the_model_hangs_its_notes_end_after_a_second_and_it_plays_on() -> None:
    concert = Concert("autopilot")
    with concert.session:
        concert.run(3.0)
        concert.model.hang()
        concert.run(STALL_SECONDS + 0.3)  # it is asked when the plan has been played a little
        assert concert.sounding == set()
        assert concert.model.restarts == 1
        concert.run(4.0)
        assert [seconds for seconds in note_ons(concert.sent) if seconds > 5.5]
    assert "does not answer" in concert.troubles[0]


def test_a_model_that_takes_over_has_the_state_of_the_last_and_hears_what_came_since() -> None:
    concert = Concert("call_and_response", config=LiveConfig(silence_seconds=60.0))
    for seconds, message in note(1.0, 1.5, 60) + note(6.0, 6.2, 64) + note(6.4, 9.0, 67):
        concert.clock.at(500.0 + seconds, lambda message=message: concert.play(message))  # type: ignore[misc]
    with concert.session:
        concert.run(8.0)
        assert any(isinstance(request, Save) for request in concert.model.asked)
        heard = concert.model.sampler.tokens
        asked = len(concert.model.asked)
        concert.model.kill()
        concert.run(2.0)
        first = concert.model.asked[asked : asked + 5]
        assert any(isinstance(request, Adopt) for request in first)
        assert any(isinstance(request, Hear) for request in first)
    assert concert.model.sampler.tokens[: len(heard)] == heard
    assert SAVE_SECONDS < 8.0


def test_a_model_that_is_lost_again_and_again_is_tried_more_slowly_and_the_session_stays() -> None:
    concert = Concert("autopilot", config=LiveConfig(thru=True))
    with concert.session:
        for _ in range(MOST_LOSSES + 1):
            concert.run(1.5)
            concert.model.kill()
        concert.run(1.5)
        assert concert.model.restarts == MOST_LOSSES
        assert len(concert.troubles) == MOST_LOSSES + 1
        assert concert.troubles[-1].startswith(
            "the model was lost 6 times in 8 s (the model process has died): it is tried again in "
            f"{FIRST_PAUSE_SECONDS:g} s"
        )
        assert concert.sounding == set()
        concert.play((0x90, 60, 80))  # the instrument stays
        concert.run(0.1)
        assert concert.sounding == {(0, 60)}
        concert.play((0x80, 60, 0))
        concert.run(FIRST_PAUSE_SECONDS)
        assert concert.model.restarts == MOST_LOSSES + 1
        concert.run(3.0)
        assert concert.session.view().has_model
        assert concert.session.view().sounding  # it plays again
        concert.model.kill()
        concert.run(0.1)
        assert f"tried again in {2 * FIRST_PAUSE_SECONDS:g} s" in concert.troubles[-1]


def test_a_model_that_is_loaded_or_tried_again_for_long_has_not_fallen_silent() -> None:
    concert = Concert("autopilot")
    guard = concert.session.console.guard
    with concert.session:
        concert.clock.advance(SILENCE_SECONDS + 1.0)
        concert.run(1.0)
        assert note_ons(concert.sent)
        assert guard.acted[Fault.SILENCE] == 0
        for pause in [0.0] * MOST_LOSSES + [FIRST_PAUSE_SECONDS * 2**n for n in range(3)]:
            concert.model.kill()
            concert.run(pause + START_SECONDS + 0.1)
        assert pause > SILENCE_SECONDS
        concert.run(1.0)
        assert guard.acted[Fault.SILENCE] == 0


def test_a_model_that_is_lost_now_and_then_is_started_again_at_once() -> None:
    concert = Concert("autopilot")
    with concert.session:
        for number in range(1, 10):
            concert.run(8.0)
            concert.model.kill()
            concert.run(0.1)
            assert concert.model.restarts == number


def test_when_the_model_is_lost_nothing_of_its_plan_begins_any_more() -> None:
    concert = Concert("autopilot")
    scheduler = concert.session.scheduler
    left: list[int] = []
    release = scheduler.release

    def note_down() -> None:
        left.append(len(scheduler._plan))
        release()

    with concert.session:
        concert.run(3.0)
        scheduler.release = note_down  # type: ignore[method-assign, assignment]
        assert scheduler._plan
        concert.model.kill()
        concert.run(0.01)
    assert left[0] == 0


def test_the_next_model_knows_a_preset_stored_just_before_and_not_what_was_forgotten() -> None:
    concert = Concert("call_and_response", config=LiveConfig(silence_seconds=60.0))
    with concert.session:
        concert.run(1.0)
        concert.play((0x90, 60, 80))
        concert.run(0.5)
        concert.session.ask(*concert.session.console.bank.store(1))
        concert.run(0.3)
        concert.model.kill()
        concert.run(START_SECONDS + 0.3)
        assert "preset 1" in concert.model.server._stored
        assert concert.model.sampler.tokens
        concert.play((0x80, 60, 0))
        concert.run(0.1)
        concert.session.ask(*concert.session.console.bank.reset())
        concert.run(0.01)
        asked = len(concert.model.asked)
        concert.model.kill()
        concert.run(START_SECONDS + 0.3)
        assert not any(isinstance(request, Hear) for request in concert.model.asked[asked:])


def test_what_only_the_model_can_do_is_refused_while_it_is_started_again() -> None:
    concert = Concert("autopilot")
    session = concert.session
    with session:
        concert.run(1.0)
        session.store_preset(1)
        concert.run(0.1)
        concert.model.kill()
        concert.run(0.01)
        concert.troubles.clear()
        session.store_preset(2)
        session.load_preset(1)
        session.turn("crossfade", 0.5)
        for switch in ("reset", "undo", "untune"):
            session.press(switch)
        concert.run(0.1)
        refused = MODEL_IS_LOST.format
        assert concert.troubles == [
            refused(what="storing preset 2"),
            refused(what="loading preset 1"),
            refused(what="a crossfade"),
            refused(what="reset"),
            refused(what="undo"),
            refused(what="untune"),
        ]
        assert session.view().presets == {1}
        concert.run(START_SECONDS)
        session.store_preset(2)
        concert.run(0.1)
        assert {"preset 2"} <= concert.model.server._stored.keys()


def test_what_comes_while_the_session_is_at_work_is_not_slept_upon() -> None:
    concert = Concert("autopilot")
    session, interplay = concert.session, concert.session.interplay
    times: list[float] = []
    step = interplay.step

    def interrupted(now: float) -> float:
        again = step(now)
        if not times:
            session.receive((0xB0, SWITCH or 0, 127), now)  # the step is past the console already
        times.append(concert.clock.now())
        return again if len(times) > 1 else now + 60.0

    interplay.step = interrupted  # type: ignore[method-assign]
    with session:
        concert.run(0.1)
    assert times[1] == times[0]


def test_the_performer_is_heard_while_the_model_is_gone() -> None:
    concert = Concert("call_and_response", config=LiveConfig(silence_seconds=0.5))
    with concert.session:
        concert.run(1.0)
        concert.model.kill()
        concert.run(0.1)
        for pitch in (60, 64, 67):
            concert.play((0x90, pitch, 80))
            concert.run(0.05)
            concert.play((0x80, pitch, 0))
            concert.run(0.05)
        concert.run(4.0)
        heard = concert.model.sampler.codec.decode(concert.model.sampler.tokens).pitch.tolist()
    assert heard[:3] == [60, 64, 67]
    assert note_ons(concert.sent)


def test_an_output_that_is_gone_is_shown_so_and_when_it_is_back_play_goes_on_there() -> None:
    concert = Concert("autopilot")
    with concert.session:
        concert.run(3.0)
        assert doing(concert.session.view()) == "playing"
        concert.output.fail("it was switched off")
        concert.run(0.3)
        concert.unplug()
        concert.run(2.0)
        assert not concert.session.view().has_output
        assert doing(concert.session.view()) == "output gone"
        concert.replug()
        assert concert.sounding == set()
        concert.run(3.0)
        assert doing(concert.session.view()) == "playing"
        assert len(note_ons([(0.0, m) for m in concert.output.messages])) > 5
    assert concert.sounding == set()


def test_an_output_that_fails_is_opened_again_and_play_goes_on_there() -> None:
    concert = Concert("autopilot")
    with concert.session:
        concert.run(3.0)
        concert.output.fail("it stutters")
        concert.run(0.3)
        assert len(concert.outputs) == 2
        assert concert.sounding == set()
        concert.run(3.0)
        assert len(note_ons([(0.0, m) for m in concert.output.messages])) > 5
    assert concert.sounding == set()


def test_an_output_found_as_the_session_ends_is_silent_too() -> None:
    concert = Concert("autopilot", config=LiveConfig(thru=True))
    concert.play((0x90, 60, 80))
    with concert.session:
        concert.run(3.0)
        assert len(concert.sounding) > 1
        concert.replug()
    assert concert.sounding == set()
    assert concert.unanswered == set()


def test_what_the_performer_played_while_there_was_no_output_does_not_sound_late() -> None:
    concert = Concert("call_and_response", config=LiveConfig(silence_seconds=60.0, thru=True))
    with concert.session:
        concert.run(0.1)
        concert.unplug()
        for pitch in (60, 62, 64):
            concert.play((0x90, pitch, 80))
            concert.run(0.1)
        concert.replug()
        concert.run(0.1)
        assert note_ons(concert.sent) == []
        concert.play((0x90, 67, 80))
        concert.run(0.1)
    assert len(note_ons(concert.sent)) == 1


def test_when_the_input_goes_its_keys_and_pedals_count_as_released() -> None:
    concert = Concert("call_and_response", config=LiveConfig(silence_seconds=0.3, thru=True))
    with concert.session:
        concert.play((0xB0, 64, 127))
        concert.play((0x90, 60, 80))
        concert.run(0.5)
        assert concert.sounding == {(0, 60)}
        concert.keys.let_go()
        concert.run(0.1)
        assert concert.sounding == set()
        assert concert.model.sampler.sounding == []
        concert.run(3.0)
        assert len(note_ons(concert.sent)) > 1


def test_thru_and_the_model_hold_the_same_pitch_apart() -> None:
    concert = Concert("autopilot", config=LiveConfig(thru=True))
    with concert.session:
        concert.run(2.985)
        own = next(iter(concert.sounding))
        concert.play((0x90, own[1], 99))
        concert.run(0.5)
        # The model's note has ended in favour of the performer's, which sounds on.
        assert own in concert.sounding
        concert.play((0x80, own[1], 0))
        concert.run(0.002)
        assert own not in concert.sounding
    assert sounding(concert.output.messages) == set()


def test_when_the_output_is_wired_to_the_input_this_is_said_and_its_notes_are_not_heard() -> None:
    concert = Concert("autopilot")
    concert.output._on_send = concert.session.receive
    with concert.session:
        concert.run(10.0)
    assert len([trouble for trouble in concert.troubles if FEEDBACK in trouble]) == 1
    assert len(note_ons(concert.sent)) > 30


def test_a_performer_who_plays_what_the_model_plays_is_no_feedback() -> None:
    concert = Concert("autopilot")

    def imitate(message: Message, seconds: float) -> None:
        concert.clock.at(seconds + 0.3, lambda: concert.play(message))

    concert.output._on_send = imitate
    with concert.session:
        concert.run(5.0)
    assert [trouble for trouble in concert.troubles if FEEDBACK in trouble] == []


@pytest.mark.parametrize("step_seconds", [0.01, 0.03, 0.1])
def test_a_model_that_is_slower_than_its_music_makes_cheaper_music_and_is_never_later(
    step_seconds: float,
) -> None:
    concert = Concert("autopilot")
    concert.model.step_seconds = step_seconds
    lateness: list[float] = []
    add = concert.session.scheduler.add

    def note_down(events: tuple) -> None:  # type: ignore[type-arg]
        lateness.extend(concert.clock.now() - event.seconds for event in events)
        add(events)

    concert.session.scheduler.add = note_down  # type: ignore[method-assign, assignment]
    with concert.session:
        concert.run(60.0)
        thinning = concert.session.interplay.plan.overload.thinning
    onsets = note_ons(concert.sent)
    assert len(onsets) > 15
    assert max(onsets) > 57.0
    assert max(lateness[len(lateness) // 2 :]) < 0.1 + 4 * step_seconds
    assert thinning > 0 or step_seconds < 0.03


TROUBLES = "kill hang slow fast vanish fail lose replug stall input"
PLAYING = "on on on off off pedal wait wait wait"
events = st.sampled_from([*PLAYING.split(), *TROUBLES.split()])
COUNTS: Counter[str] = Counter()

EXAMPLES = int(os.environ.get("MIDIRNN_TEST_EXAMPLES", "100"))
"""More of them find more: thousands of steps take a minute or two."""


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from(sorted(MODES)),
    st.booleans(),
    st.lists(
        st.tuples(events, st.integers(58, 64), st.sampled_from([0, 1, 4, 30, 120, 400])),
        min_size=20,
        max_size=100,
    ),
)
def test_whatever_happens_every_note_on_is_answered_by_its_note_off(
    mode: str, thru: bool, happenings: list[tuple[str, int, int]]
) -> None:
    concert = Concert(mode, config=LiveConfig(silence_seconds=0.2, thru=thru))
    has_vanished = any(what == "vanish" for what, _, _ in happenings)  # note-offs are lost with it
    try:
        with concert.session:
            for what, pitch, milliseconds in happenings:
                happen(concert, what, pitch)
                concert.run(milliseconds / 1000)
                COUNTS[what] += 1
            concert.replug()
            concert.run(0.01)
            held = {key for key in concert.sounding if is_held(concert, key)}
            assert concert.sounding == held
            assert has_vanished or concert.unanswered == held
            concert.panic()
            concert.run(0.01)
            assert has_vanished or concert.unanswered == set()
    except ModelLostError:  # it was killed too often
        COUNTS["given up"] += 1
        if not concert.is_within_reach:
            return  # no note can be ended
    COUNTS["note-ons"] += len(note_ons(concert.sent))
    assert concert.sounding == set()
    assert has_vanished or concert.unanswered == set()


def is_held(concert: Concert, key: tuple[int, int]) -> bool:
    return any(sounds.key == key for sounds in concert.session.scheduler.sounding)


def happen(concert: Concert, what: str, pitch: int) -> None:
    model = concert.model
    if what == "on":
        concert.play((0x90, pitch, 80))
    elif what == "off":
        concert.play((0x80, pitch, 0))
    elif what == "pedal":
        concert.play((0xB0, 64, 127 if pitch % 2 else 0))
    elif what == "kill":
        model.kill()
    elif what == "hang":
        model.hang()
    elif what in ("slow", "fast"):
        model.step_seconds = 0.05 if what == "slow" else 0.0
    elif what == "vanish":
        concert.output.vanish()
    elif what == "fail":
        concert.output.fail()
    elif what == "lose":
        concert.unplug()
    elif what == "replug":
        concert.replug()
    elif what == "stall":
        concert.clock.advance(0.7)
    elif what == "input":
        concert.keys.let_go()


def test_all_of_that_has_happened() -> None:
    if not COUNTS:  # the test before was left out, or ran in another process
        test_whatever_happens_every_note_on_is_answered_by_its_note_off()
    print(dict(COUNTS))
    assert COUNTS["note-ons"] > 20
    assert min(COUNTS[what] for what in ("kill", "hang", "vanish", "fail", "replug")) > 1
