"""The scheduler sends on time, drops a plan, and never a note-off."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import PortError
from midirnn.live import ManualClock, MonotonicClock
from midirnn.live.base.messages import PlannedEvent
from midirnn.live.output.ledger import MODEL, PERFORMER, Ledger
from midirnn.live.output.scheduler import MARGIN_SECONDS, PATIENCE_SECONDS, STUCK_SECONDS, Scheduler
from midirnn.live.output.sent import SentEvent
from midirnn.live.timing.tempo import ClockSender
from midirnn.ports import MemoryOutput, Message
from midirnn.ports.midi_clock import CLOCK, CONTINUE, song_position
from tests.live.stage import sounding

ON, OFF = (0x90, 60, 64), (0x80, 60, 0)
OTHER_ON, OTHER_OFF = (0x90, 64, 64), (0x80, 64, 0)
ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]


class Desk:
    """A scheduler with a manual clock and a memory output."""

    def __init__(self, max_note_seconds: float = 20.0) -> None:
        self.clock = ManualClock()
        self.output = MemoryOutput(clock=self.clock.now)
        self.scheduler = Scheduler(self.output, self.clock, max_note_seconds=max_note_seconds)
        self.number = 0

    def plan(self, *events: tuple[float, Message]) -> None:
        for seconds, message in events:
            self.scheduler.add([PlannedEvent(self.number, seconds, message)])
            self.number += 1

    def go_to(self, seconds: float) -> None:
        """Send what is due on the way, each when it is due."""
        while (due := self.scheduler.send_due()) <= seconds:
            self.clock.wait(threading.Condition(), due)
        self.clock.wait(threading.Condition(), seconds)
        self.scheduler.send_due()


def test_each_event_goes_out_at_its_time() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (1.5, OFF), (2.0, OTHER_ON))
    desk.go_to(1.9)
    assert desk.output.sent == [(1.0, ON), (1.5, OFF)]
    assert desk.scheduler.last_sent == 1


def test_what_is_late_goes_out_at_once() -> None:
    desk = Desk()
    desk.go_to(5.0)
    desk.plan((4.6, ON), (4.8, OFF))
    desk.go_to(5.0)
    assert desk.output.sent == [(5.0, ON), (5.0, OFF)]


def test_what_is_much_too_late_does_not_begin_and_ends_all_the_same() -> None:
    desk = Desk()
    desk.plan((1.0, ON))
    desk.go_to(1.0)
    other = (ON[0], ON[1] + 1, ON[2])
    desk.plan((2.0, OFF), (2.0, other), (2.5, (OFF[0], other[1], 0)), (5.0, other))
    desk.go_to(1.5)
    desk.clock.advance(5.0 - desk.clock.now())  # as if the process had been asleep
    desk.go_to(5.0)
    assert [message for _, message in desk.output.sent] == [ON, OFF, other]


def test_a_cut_drops_what_has_not_sounded_and_names_what_has() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (2.0, OTHER_ON), (3.0, OFF))
    desk.go_to(1.5)
    assert desk.scheduler.cut() == 0
    desk.go_to(2.5)
    assert desk.output.messages == [ON]
    assert [note.key for note in desk.scheduler.sounding] == [(0, 60)]


def test_released_notes_end_at_once_and_those_of_others_are_left_alone() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (1.0, OTHER_ON))
    desk.go_to(1.5)
    desk.scheduler.release([(0, 60), (0, 72), (1, 64)])
    desk.go_to(1.5)
    assert desk.output.messages == [ON, OTHER_ON, OFF]
    desk.scheduler.release()
    desk.go_to(1.6)
    assert desk.output.messages[3:] == [OTHER_OFF]


def test_a_note_off_for_a_note_that_is_not_ours_is_not_sent() -> None:
    desk = Desk()
    desk.plan((1.0, OFF))
    desk.go_to(2.0)
    assert desk.output.messages == []


def test_a_note_that_sounds_is_ended_before_it_is_struck_again() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (2.0, ON))
    desk.go_to(2.0)
    assert desk.output.messages == [ON, OFF, ON]


def test_a_note_without_note_off_ends_after_the_longest_note() -> None:
    desk = Desk(max_note_seconds=3.0)
    desk.plan((1.0, ON))
    desk.go_to(60.0)
    assert desk.output.sent == [(1.0, ON), (4.0 + MARGIN_SECONDS, OFF)]
    assert desk.scheduler.take_rescued()
    assert not desk.scheduler.take_rescued()


def test_notes_end_when_nobody_plans_on() -> None:
    desk = Desk()
    desk.scheduler.extend(2.0)
    desk.plan((1.0, ON))
    desk.go_to(1.5)
    desk.scheduler.extend(3.0)
    desk.go_to(60.0)
    assert desk.output.sent == [(1.0, ON), (3.0 + PATIENCE_SECONDS, OFF)]
    assert desk.scheduler.take_rescued()


def test_the_end_releases_all_and_silences_the_channels_that_were_used() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (1.0, (0x94, 70, 1)), (9.0, OTHER_ON))
    desk.go_to(2.0)
    desk.scheduler.close()
    assert desk.output.messages[2:] == [
        OFF,
        (0x84, 70, 0),
        *ENDINGS,
        (0xB4, 64, 0),
        (0xB4, 123, 0),
    ]
    desk.scheduler.close()
    assert len(desk.output.messages) == 8
    assert desk.scheduler.send_due() == math.inf


def test_without_a_note_nothing_is_sent_at_the_end() -> None:
    desk = Desk()
    desk.scheduler.close()
    assert desk.output.messages == []


def test_when_sending_fails_nothing_more_is_played_but_every_note_is_ended() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (2.0, OTHER_ON), (3.0, OFF))
    desk.go_to(1.5)
    desk.output.fail("no answer")
    desk.go_to(2.5)
    assert isinstance(desk.scheduler.failure, PortError)
    desk.output.restore()
    desk.go_to(4.0)
    assert desk.output.messages == [ON]
    desk.scheduler.close()
    # The second note may have sounded: nobody knows how far a message gets that fails.
    assert desk.output.messages == [ON, OFF, OTHER_OFF, *ENDINGS]


def test_a_note_off_that_fails_keeps_back_no_other_and_can_be_sent_again() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (1.0, OTHER_ON))
    desk.go_to(1.5)
    desk.output.fail("no answer")
    with pytest.raises(PortError, match=r"notes may hang on MIDI output 'memory out': .*no answer"):
        desk.scheduler.close()
    desk.output.restore()
    desk.scheduler.close()
    assert desk.output.messages == [ON, OTHER_ON, OFF, OTHER_OFF, *ENDINGS]


def test_an_output_that_is_stuck_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("midirnn.live.output.scheduler.JOIN_SECONDS", 0.05)
    stuck = threading.Event()

    def on_send(message: Message, seconds: float) -> None:
        stuck.wait(20)

    output = MemoryOutput(on_send=on_send)
    scheduler = Scheduler(output, MonotonicClock(), max_note_seconds=20.0)
    scheduler.add([PlannedEvent(0, 0.0, ON)])
    scheduler.start()
    while not output.sent:
        pass
    try:
        with pytest.raises(PortError, match="'memory out' is stuck"):
            scheduler.close()
    finally:
        stuck.set()


def test_an_output_that_is_stuck_holds_up_nobody() -> None:
    clock, free = MonotonicClock(), threading.Event()
    stuck = MemoryOutput(on_send=lambda message, seconds: free.wait(20) and None)
    scheduler = Scheduler(stuck, clock, max_note_seconds=20.0)
    scheduler.start()
    scheduler.add([PlannedEvent(0, 0.0, ON), PlannedEvent(1, 0.0, OTHER_ON)])
    while not stuck.sent:
        pass
    assert scheduler.stuck_at <= clock.now() + STUCK_SECONDS
    assert scheduler.cut() == 0  # nobody waits for the output
    free.set()
    scheduler.close()
    assert stuck.messages == [ON, OFF, *ENDINGS]


def test_notes_of_the_performer_and_of_the_model_are_counted_apart() -> None:
    desk = Desk()
    desk.plan((1.0, ON), (3.0, OFF))
    desk.go_to(1.5)
    desk.scheduler.pass_on((0x90, 60, 99), 1.5)
    desk.go_to(3.5)
    # Struck anew for the performer, whose note the model's note-off does not end.
    assert desk.output.messages == [ON, OFF, (0x90, 60, 99)]
    desk.scheduler.release()
    desk.go_to(30.0)
    assert len(desk.output.messages) == 3
    desk.scheduler.pass_on((0x90, 60, 0), 30.0)
    desk.go_to(30.0)
    assert desk.output.messages[3:] == [OFF]
    assert desk.scheduler.sounding == []


def test_the_end_of_a_note_of_the_model_is_told_even_if_the_performer_holds_its_key() -> None:
    clock, told = ManualClock(), list[SentEvent]()
    output = MemoryOutput()
    scheduler = Scheduler(output, clock, max_note_seconds=20.0, on_sent=told.append)
    pedal, lift = (0xB0, 64, 127), (0xB0, 64, 0)
    scheduler.add([PlannedEvent(0, 0.0, ON), PlannedEvent(1, 0.0, pedal)])
    scheduler.send_due()
    for message in (ON, pedal):
        scheduler.pass_on(message, 0.0)
    scheduler.send_due()
    told.clear()
    scheduler.add([PlannedEvent(2, 0.0, OFF), PlannedEvent(3, 0.0, lift)])
    scheduler.send_due()
    scheduler.release([(0, 60)])
    scheduler.lift_pedals()
    scheduler.send_due()
    assert [(sent.owner, sent.message) for sent in told] == [(MODEL, OFF), (MODEL, lift)]
    assert output.messages == [ON, pedal, OFF, ON, pedal]


def test_what_the_performer_plays_goes_out_at_once_and_before_what_is_planned() -> None:
    desk = Desk()
    desk.go_to(1.0)
    desk.plan((1.0, ON))
    desk.scheduler.pass_on((0xB0, 64, 127), 1.0)
    desk.go_to(1.0)
    assert desk.output.messages == [(0xB0, 64, 127), ON]


def test_a_thread_of_its_own_sends_on_time() -> None:
    clock = MonotonicClock()
    done = threading.Event()

    def on_send(message: Message, seconds: float) -> None:
        if message == OFF:
            done.set()

    output = MemoryOutput(on_send=on_send)
    scheduler = Scheduler(output, clock, max_note_seconds=20.0)
    scheduler.start()
    start = clock.now()
    scheduler.add([PlannedEvent(0, start + 0.01, ON), PlannedEvent(1, start + 0.03, OFF)])
    assert done.wait(20)
    scheduler.close()
    assert [message for _, message in output.sent] == [ON, OFF, *ENDINGS]
    assert output.sent[0][0] >= start + 0.01
    assert output.sent[1][0] >= start + 0.03


def test_a_failure_in_the_thread_is_told() -> None:
    told = threading.Event()
    output = MemoryOutput()
    output.fail()
    scheduler = Scheduler(output, MonotonicClock(), max_note_seconds=20.0, on_failure=told.set)
    scheduler.start()
    scheduler.add([PlannedEvent(0, 0.0, ON)])
    assert told.wait(20)
    assert isinstance(scheduler.failure, PortError)
    output.restore()
    scheduler.close()


def test_the_ledger_knows_whose_notes_sound_and_until_when() -> None:
    ledger = Ledger()
    assert ledger.next_deadline == math.inf
    ledger.begin((0, 60), 5.0)
    ledger.begin((3, 60), 4.0, owner="echo")
    assert [(note.key, note.owner) for note in ledger.sounding] == [
        ((0, 60), "model"),
        ((3, 60), "echo"),
    ]
    assert ledger.next_deadline == 4.0
    assert [note.key for note in ledger.overdue(4.5)] == [(3, 60)]
    ledger.extend(2.0)
    assert ledger.next_deadline == 2.0
    assert [note.key for note in ledger.overdue(2.0)] == [(0, 60), (3, 60)]
    ledger.end((0, 60))
    ledger.end((0, 60))
    assert (0, 60) not in ledger
    assert ledger.channels == {0, 3}


@st.composite
def messages(draw: st.DrawFn) -> Message:
    status = draw(st.sampled_from([0x90, 0x90, 0x80, 0x91, 0x81]))
    return (status, draw(st.integers(60, 62)), draw(st.integers(1, 127)))


actions = st.one_of(
    st.tuples(st.just("plan"), st.floats(0.0, 3.0), messages()),
    st.tuples(st.just("wait"), st.floats(0.0, 3.0), st.none()),
    st.tuples(st.just("cut"), st.just(0.0), st.none()),
    st.tuples(st.just("release"), st.just(0.0), st.none()),
    st.tuples(st.just("extend"), st.floats(-3.0, 3.0), st.none()),
)


@given(st.lists(actions, max_size=40))
def test_whatever_is_planned_cut_and_released_no_note_is_left_on(
    done: list[tuple[str, float, Message | None]],
) -> None:
    desk = Desk(max_note_seconds=4.0)
    planned = 0.0
    for action, seconds, message in done:
        now = desk.clock.now()
        if action == "plan" and message is not None:
            planned = max(planned, now + seconds)
            desk.plan((planned, message))
        elif action == "wait":
            desk.go_to(now + seconds)
        elif action == "cut":
            desk.scheduler.cut()
        elif action == "release":
            desk.scheduler.release()
        else:
            desk.scheduler.extend(now + seconds)
        assert sounding(desk.output.messages) == {n.key for n in desk.scheduler.sounding}
    desk.scheduler.close()
    assert sounding(desk.output.messages) == set()


def test_after_a_minute_asleep_the_clock_joins_at_a_sixteenth_and_sends_none_of_the_past() -> None:
    desk = Desk()
    desk.scheduler.clock_out = ClockSender(120.0)
    desk.scheduler.start_clock(0.0)
    desk.go_to(2.0)
    before = len(desk.output.sent)
    desk.clock.advance(60.01)
    desk.go_to(63.0)
    sent = desk.output.sent[before:]
    assert [message for _, message in sent[:2]] == [song_position(497), (CONTINUE,)]
    assert sent[2] == (pytest.approx(497 / 8), (CLOCK,))
    assert len(sent) == 2 + 42


def test_what_closing_ends_is_told_as_sent_by_its_owner() -> None:
    clock, told = ManualClock(), list[SentEvent]()
    scheduler = Scheduler(MemoryOutput(), clock, max_note_seconds=20.0, on_sent=told.append)
    scheduler.add([PlannedEvent(0, 0.0, ON), PlannedEvent(1, 0.0, (0xB0, 64, 127))])
    scheduler.pass_on(OTHER_ON, 0.0)
    scheduler.send_due()
    told.clear()
    scheduler.close()
    scheduler.close()
    assert [(sent.owner, sent.message) for sent in told] == [
        (PERFORMER, OTHER_OFF),
        (MODEL, OFF),
        (MODEL, (0xB0, 64, 0)),
    ]


def test_what_closing_could_not_end_is_not_told() -> None:
    told = list[SentEvent]()

    def on_send(message: Message, seconds: float) -> None:
        if message == OFF:
            raise PortError("the cable is loose")

    output = MemoryOutput(on_send=on_send)
    scheduler = Scheduler(output, ManualClock(), max_note_seconds=20.0, on_sent=told.append)
    scheduler.add([PlannedEvent(0, 0.0, ON), PlannedEvent(1, 0.0, OTHER_ON)])
    scheduler.send_due()
    told.clear()
    with pytest.raises(PortError, match="loose"):
        scheduler.close()
    assert [sent.message for sent in told] == [OTHER_OFF]
