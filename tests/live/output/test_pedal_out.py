"""Long notes leave as short ones under the pedal, and none is lost or left on."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from midirnn.live import ManualClock
from midirnn.live.base.messages import PlannedEvent
from midirnn.live.output.pedal_out import FINGER_SECONDS, LINGER_SECONDS, PedalOutput
from midirnn.live.output.scheduler import Scheduler
from midirnn.ports import MemoryOutput, Message

DOWN, UP = (0xB0, 64, 127), (0xB0, 64, 0)


def on(pitch: int) -> Message:
    return (0x90, pitch, 80)


def off(pitch: int) -> Message:
    return (0x80, pitch, 0)


def through(schedule: Iterable[tuple[float, Message]]) -> list[tuple[float, Message]]:
    """What leaves, and when."""
    clock = ManualClock()
    output = MemoryOutput(clock=clock.now)
    pedal = PedalOutput(output, clock.now)
    for seconds, message in schedule:
        clock.advance(seconds - clock.now())
        pedal.send(message)
    return output.sent


def heard(messages: Iterable[tuple[float, Message]]) -> set[int]:
    """What sounds at the end: keys that are down, and what the pedal holds."""
    keys: set[int] = set()
    held: set[int] = set()
    pedal = False
    for _, message in messages:
        if message[0] == 0x90:
            assert message[1] not in keys, "a key goes down twice"
            keys.add(message[1])
        elif message[0] == 0x80:
            keys.discard(message[1])
        elif message[1] == 64:
            pedal = message[2] >= 64
            held = held if pedal else set()
        held |= keys if pedal else set()
    return keys | held


def test_short_notes_go_through_as_they_are() -> None:
    schedule = [(0.0, on(60)), (0.2, off(60)), (0.2, on(62)), (0.4, off(62))]
    assert through(schedule) == schedule


def test_a_long_note_under_a_new_one_is_left_to_the_pedal_until_it_ends() -> None:
    sent = through([(0.0, on(48)), (0.6, on(60)), (0.8, off(60)), (2.0, off(48))])
    assert sent == [
        (0.0, on(48)),
        (0.6, on(60)),
        (0.6, DOWN),
        (0.6, off(48)),
        (0.8, off(60)),
        (2.0, UP),
    ]


def test_notes_that_end_together_end_with_the_pedal() -> None:
    notes = [(0.0, on(48)), (0.3, on(52)), (0.6, on(55)), (1.0, on(60))]
    sent = through([*notes, (2.0, off(48)), (2.0, off(52)), (2.0, off(55)), (2.0, off(60))])
    assert [message for seconds, message in sent if seconds == 2.0] == [UP, off(55), off(60)]
    assert heard(sent) == set()


def test_the_pedal_changes_with_the_next_onset_once_a_note_of_it_has_ended() -> None:
    late = 2.0 + LINGER_SECONDS + 0.01
    schedule = [(0.0, on(48)), (0.1, on(50)), (1.0, on(60)), (2.0, off(48)), (late, on(62))]
    sent = through(schedule)
    assert [message for seconds, message in sent if seconds > 2.0][:2] == [UP, on(62)]
    assert 50 not in heard(sent)


def test_the_performers_pedal_keeps_its_effect() -> None:
    sent = through(
        [(0.0, DOWN), (0.1, on(48)), (0.9, on(60)), (1.0, UP), (1.1, off(60)), (2.0, off(48))]
    )
    pedals = [(seconds, message) for seconds, message in sent if message[0] == 0xB0]
    assert pedals == [(0.0, DOWN), (0.9, DOWN), (2.0, UP)]


def test_what_is_not_about_notes_goes_through() -> None:
    schedule: list[tuple[float, Message]] = [(0.0, (0xC0, 4)), (0.0, (0xE0, 0, 64)), (0.0, (0xF8,))]
    assert through(schedule) == schedule


def seconds_between(first: float, last: float) -> st.SearchStrategy[float]:
    """Binary fractions, so that sums and differences of times are exact."""
    return st.integers(int(first * 1024), int(last * 1024)).map(lambda number: number / 1024)


NOTES = st.lists(
    st.tuples(seconds_between(0.0, 6.0), seconds_between(0.02, 4.0), st.integers(60, 66)),
    max_size=25,
)


def schedule_of(notes: list[tuple[float, float, int]]) -> list[tuple[float, Message]]:
    """A schedule in which a pitch sounds once at a time."""
    schedule: list[tuple[float, Message]] = []
    free_at: dict[int, float] = {}
    for start, length, pitch in sorted(notes):
        if start < free_at.get(pitch, -1.0):
            continue
        free_at[pitch] = start + length
        schedule += [(start, on(pitch)), (start + length, off(pitch))]
    return sorted(schedule, key=lambda timed: (timed[0], timed[1][0]))


@given(NOTES)
def test_when_all_notes_have_ended_nothing_sounds(notes: list[tuple[float, float, int]]) -> None:
    assert heard(through(schedule_of(notes))) == set()


@given(NOTES)
def test_a_note_rings_until_its_end_unless_the_pedal_was_changed(
    notes: list[tuple[float, float, int]],
) -> None:
    schedule = schedule_of(notes)
    for count in range(1, len(schedule) + 1):
        sent = through(schedule[:count])
        sounding = {m[1] for _, m in schedule[:count] if m[0] == 0x90}
        for _, message in schedule[:count]:
            sounding = sounding - {message[1]} if message[0] == 0x80 else sounding | {message[1]}
        changes = [m for _, m in sent if m == UP]
        if not changes:
            assert sounding <= heard(sent)


@given(NOTES)
def test_each_key_goes_up_no_later_than_the_note_ends(
    notes: list[tuple[float, float, int]],
) -> None:
    schedule = schedule_of(notes)
    sent = through(schedule)
    for pitch in {message[1] for _, message in schedule}:
        ends = [seconds for seconds, message in schedule if message == off(pitch)]
        ups: list[float] = []
        down = False
        for seconds, message in sent:
            if message == on(pitch):
                down = True
            elif message == off(pitch) and down:
                ups.append(seconds)
                down = False
        assert len(ups) == len(ends)
        assert all(up <= end for up, end in zip(ups, ends, strict=True))


def test_the_scheduler_releases_all_through_it() -> None:
    clock = ManualClock()
    output = MemoryOutput(clock=clock.now)
    scheduler = Scheduler(PedalOutput(output, clock.now), clock, max_note_seconds=20.0)
    scheduler.add([PlannedEvent(0, 0.0, on(48)), PlannedEvent(1, FINGER_SECONDS, on(60))])
    scheduler.send_due()
    clock.advance(FINGER_SECONDS)
    scheduler.send_due()
    assert DOWN in output.messages
    scheduler.close()
    assert heard(output.sent) == set()
