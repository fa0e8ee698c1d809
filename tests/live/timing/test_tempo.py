"""Tempo: clocks are followed through their jitter and sent in time; musical time stretches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.live.timing.stretch import Stretch, TimeMap
from midirnn.live.timing.tempo import ClockFollower, ClockSender, next_beat
from midirnn.ports import Message
from midirnn.ports.midi_clock import (
    CLOCK,
    CLOCKS_PER_BEAT,
    CONTINUE,
    SONG_POSITION,
    START,
    STOP,
)


def clocks(bpm: float, count: int, begin: float = 0.0) -> list[float]:
    """The times of so many clocks."""
    return [begin + i * 60.0 / bpm / CLOCKS_PER_BEAT for i in range(count)]


def follow(times: list[float], follower: ClockFollower | None = None) -> ClockFollower:
    """A follower that was started and has heard clocks at these times."""
    follower = follower or ClockFollower()
    follower.feed((START,), times[0])
    for seconds in times:
        follower.feed((CLOCK,), seconds)
    return follower


def late_by_up_to(jitter: float, times: list[float], seed: int) -> list[float]:
    rng = random.Random(seed)
    return sorted(seconds + rng.uniform(0.0, jitter) for seconds in times)


@pytest.mark.parametrize("bpm", [30.0, 60.0, 120.0, 174.0, 300.0])
def test_a_steady_clock_gives_its_tempo_and_its_beats(bpm: float) -> None:
    times = clocks(bpm, 100)
    follower = follow(times)
    assert follower.bpm == pytest.approx(bpm)
    for ahead in (0.0, 0.3, 1.7):
        seconds = times[-1] + ahead * 60.0 / bpm / CLOCKS_PER_BEAT
        assert follower.beat_at(seconds) == pytest.approx((99 + ahead) / CLOCKS_PER_BEAT)


@given(st.floats(40.0, 240.0), st.integers(0, 1000))
def test_jitter_of_three_milliseconds_moves_tempo_and_beats_but_little(
    bpm: float, seed: int
) -> None:
    times = clocks(bpm, 24 * 12)
    follower = ClockFollower()
    follower.feed((START,), 0.0)
    tempos, errors = [], []
    for number, seconds in enumerate(late_by_up_to(0.003, times, seed)):
        follower.feed((CLOCK,), seconds)
        if number > 24 * 4:
            middle = times[number] + 30.0 / bpm / CLOCKS_PER_BEAT
            beat = follower.beat_at(middle)
            assert follower.bpm is not None and beat is not None
            tempos.append(follower.bpm)
            errors.append((beat - (number + 0.5) / CLOCKS_PER_BEAT) * 60.0 / bpm)
    assert np.abs(np.array(tempos) / bpm - 1.0).max() < 0.005
    assert np.abs(errors).max() < 0.0035  # seconds; the mean lateness, 1.5 ms, is no error


def test_a_tempo_that_jumps_is_taken_up_within_a_beat() -> None:
    follower = follow(clocks(120.0, 96))
    for seconds in clocks(150.0, 24, begin=4.0):
        follower.feed((CLOCK,), seconds)
    assert follower.bpm == pytest.approx(150.0, rel=0.01)


def test_a_tempo_that_drifts_is_followed() -> None:
    follower, seconds, bpm = follow(clocks(100.0, 96)), 96 * 0.025, 100.0
    for _ in range(24 * 20):
        follower.feed((CLOCK,), seconds)
        bpm += 1.0 / 24.0
        seconds += 60.0 / bpm / CLOCKS_PER_BEAT
    assert follower.bpm == pytest.approx(bpm, rel=0.01)


def test_before_the_second_clock_there_is_no_tempo_and_no_beat() -> None:
    follower = ClockFollower()
    assert (follower.bpm, follower.beat_at(0.0)) == (None, None)
    follower.feed((CLOCK,), 1.0)
    assert follower.bpm is None


def test_stop_holds_the_position_and_continue_goes_on_from_there() -> None:
    times = clocks(120.0, 49)
    follower = follow(times)
    follower.feed((STOP,), times[-1] + 0.001)
    assert not follower.running
    for seconds in clocks(120.0, 24, begin=times[-1] + 0.02):
        follower.feed((CLOCK,), seconds)
    assert follower.beat_at(10.0) == 2.0
    assert follower.bpm == pytest.approx(120.0, rel=0.01)
    follower.feed((CONTINUE,), 3.0)
    follower.feed((CLOCK,), 3.0)
    assert follower.running
    assert follower.beat_at(3.0) == pytest.approx(2.0, abs=0.02)


def test_start_goes_back_to_the_first_beat() -> None:
    follower = follow(clocks(120.0, 60))
    follower.feed((START,), 1.24)
    follower.feed((CLOCK,), 1.25)
    assert follower.beat_at(1.25) == pytest.approx(0.0, abs=0.01)


def test_song_position_counts_sixteenths() -> None:
    follower = follow(clocks(120.0, 30))
    follower.feed((STOP,), 0.61)
    follower.feed((SONG_POSITION, 5, 1), 0.62)
    assert follower.beat_at(0.7) == (128 + 5) / 4
    follower.feed((CONTINUE,), 0.7)
    follower.feed((CLOCK,), 0.71)
    assert follower.beat_at(0.71) == pytest.approx((128 + 5) / 4, abs=0.02)


def test_other_messages_are_not_about_the_clock() -> None:
    follower = ClockFollower()
    for message in ((0x90, 60, 1), (0xFE,), (0xB0, 64, 127), ()):
        assert not follower.feed(message, 0.0)


def test_a_clock_that_comes_no_more_has_stopped_and_comes_back_afresh() -> None:
    times = clocks(120.0, 48)
    follower = follow(times)
    follower.expire(times[-1] + 0.1)
    assert follower.running
    follower.expire(times[-1] + 1.0)
    assert not follower.running
    assert follower.beat_at(100.0) == 47 / CLOCKS_PER_BEAT
    for seconds in clocks(90.0, 30, begin=50.0):
        follower.feed((CLOCK,), seconds)
    assert follower.bpm == pytest.approx(90.0)


def test_the_next_beat_is_where_it_will_be() -> None:
    times = clocks(120.0, 31)  # the last, 30, is at 0.625 s: beat 1.25
    follower = follow(times)
    assert next_beat(follower, 0.625) == pytest.approx(1.0)
    assert next_beat(follower, 1.0) == pytest.approx(1.0, abs=1e-4)
    assert next_beat(follower, 0.625, every=4.0) == pytest.approx(2.0)


def test_without_a_clock_that_runs_the_next_beat_is_now() -> None:
    follower = ClockFollower()
    assert next_beat(follower, 3.3) == 3.3
    follow(clocks(120.0, 48), follower).feed((STOP,), 1.0)
    assert next_beat(follower, 3.3) == 3.3


def sent_by(sender: ClockSender, until: float) -> Iterator[tuple[float, Message]]:
    """What is sent, each time as soon as it is due."""
    now = 0.0
    while (now := max(now, sender.next_seconds)) < until:
        while taken := sender.take(now):
            yield now, taken[0]


def test_a_clock_is_sent_24_times_a_beat_behind_a_start() -> None:
    sender = ClockSender(120.0)
    sender.start(1.0)
    sent = list(sent_by(sender, 3.0))
    assert sent[0][1] == (START,)
    ticks = [seconds for seconds, message in sent if message == (CLOCK,)]
    assert ticks == pytest.approx([1.0 + i / 48 for i in range(96)])


@given(st.floats(20.0, 400.0), st.floats(0.5, 20.0))
def test_what_is_sent_is_followed_at_the_same_tempo_and_beat(bpm: float, seconds: float) -> None:
    sender, follower = ClockSender(bpm), ClockFollower()
    sender.start(0.25)
    last = 0.0
    for last, message in sent_by(sender, seconds + 0.5):
        follower.feed(message, last)
    assert follower.bpm == pytest.approx(bpm, rel=1e-6)
    assert follower.beat_at(last) == pytest.approx(sender.beat_at(last), abs=1e-6)


def test_a_sender_that_stands_still_sends_nothing_and_goes_on_from_its_sixteenth() -> None:
    sender = ClockSender(120.0)
    sender.start(0.0)
    list(sent_by(sender, 0.7))
    sender.stop()
    assert sender.take(5.0) == ((STOP,), 5.0)
    assert sender.take(9.0) is None
    assert not sender.running
    sender.resume(10.0)
    sent = [message for _, message in sent_by(sender, 10.001)]
    assert sent == [(SONG_POSITION, 5, 0), (CONTINUE,), (CLOCK,)]
    assert sender.beat_at(10.0) == pytest.approx(1.25)


@given(st.floats(20.0, 400.0), st.floats(0.0, 90.0), st.integers(0, 40))
def test_a_device_that_joins_is_on_the_beat_and_is_sent_no_clock_that_was_missed(
    bpm: float, away: float, sent_before: int
) -> None:
    sender, alone, device = ClockSender(bpm), ClockSender(bpm), ClockFollower()
    for clock in (sender, alone):
        clock.start(0.0)
    for _ in range(sent_before):
        sender.take(sender.next_seconds)
    now = max(sender.next_seconds, 0.0) + away
    sender.join(now)
    assert sender.beat_at(now + 1.0) == pytest.approx(alone.beat_at(now + 1.0), abs=1e-6)
    told: list[tuple[float, Message]] = []
    while len(told) < 60:
        at = max(now, sender.next_seconds)
        message, _ = sender.take(at) or pytest.fail("nothing is sent")
        told.append((at, message))
        device.feed(message, at)
    assert [message[0] for _, message in told[:3]] == [SONG_POSITION, CONTINUE, CLOCK]
    assert {message for _, message in told[2:]} == {(CLOCK,)}
    assert min(b - a for (a, _), (b, _) in pairwise(told[2:])) > 0.9 * 60.0 / bpm / 24
    last = told[-1][0]
    assert device.beat_at(last) == pytest.approx(sender.beat_at(last), abs=1e-6)


def test_nobody_joins_a_clock_that_stands_still() -> None:
    sender = ClockSender()
    sender.join(3.0)
    assert sender.take(100.0) is None


def test_a_tempo_out_of_range_is_refused() -> None:
    for bpm in (0.0, 19.0, 401.0, float("nan")):
        with pytest.raises(OptionError, match="allowed are 20 to 400"):
            ClockSender(bpm)


@given(
    st.lists(st.tuples(st.floats(0.01, 30.0), st.floats(0.1, 10.0)), max_size=8),
    st.lists(st.floats(0.0, 300.0), min_size=1, max_size=20),
)
def test_musical_time_rises_with_time_and_goes_both_ways(
    changes: list[tuple[float, float]], times: list[float]
) -> None:
    time_map, now = TimeMap(0.0), 0.0
    for gap, rate in changes:
        now += gap
        time_map.set_rate(now, rate)
    musical = [time_map.musical(seconds) for seconds in sorted(times)]
    assert musical == sorted(musical)
    assert [time_map.seconds(m) for m in musical] == pytest.approx(sorted(times), abs=1e-6)


def test_what_lay_before_a_change_of_tempo_stays_where_it_was() -> None:
    time_map = TimeMap(100.0)
    before = time_map.seconds(104.0)
    time_map.set_rate(105.0, 2.0)
    assert time_map.seconds(104.0) == before
    assert time_map.seconds(109.0) == pytest.approx(107.0)


def test_a_rate_that_is_none_is_refused() -> None:
    for rate in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(OptionError, match="must be over 0"):
            TimeMap().set_rate(0.0, rate)


def test_at_half_the_reference_tempo_everything_takes_twice_as_long() -> None:
    stretch = Stretch(follow(clocks(60.0, 96)), reference_bpm=120.0, seconds=0.0)
    assert stretch.follow(10.0)
    assert stretch.map.seconds(11.0) - stretch.map.seconds(10.0) == pytest.approx(2.0)
    assert not stretch.follow(11.0)


def test_jitter_does_not_stretch_anything() -> None:
    times = late_by_up_to(0.001, clocks(120.0, 24 * 20), seed=1)
    follower = follow(times[:96])
    stretch = Stretch(follower, reference_bpm=120.0)
    stretch.follow(times[95])
    changed = 0
    for seconds in times[96:]:
        follower.feed((CLOCK,), seconds)
        changed += stretch.follow(seconds)
    assert changed == 0


def test_without_a_clock_nothing_is_stretched() -> None:
    stretch = Stretch(ClockFollower(), reference_bpm=120.0)
    assert not stretch.follow(1.0)
    assert stretch.map.rate == 1.0


def test_after_a_long_sleep_the_clocks_that_were_missed_are_not_made_up_for() -> None:
    sender, alone, device = ClockSender(120.0), ClockSender(120.0), ClockFollower()
    for clock in (sender, alone):
        clock.start(0.0)
    for seconds, message in sent_by(sender, 1.0):
        device.feed(message, seconds)
    woken = []
    while taken := sender.take(5.0):
        woken.append(taken[0])
    assert woken[0][0] == SONG_POSITION
    assert len(woken) <= 3
    now = 5.0
    while (now := max(now, sender.next_seconds)) < 7.0:
        for message in iter(lambda: sender.take(now), None):
            device.feed(message[0], now)
    assert sender.beat_at(7.0) == pytest.approx(alone.beat_at(7.0), abs=1e-6)
