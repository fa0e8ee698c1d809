"""Ableton Link, with the real library where it is installed."""

from __future__ import annotations

import sys
import time

import pytest

from midirnn.errors import MissingExtraError
from midirnn.live.base.clock import ManualClock, MonotonicClock
from midirnn.live.timing.link import LinkBeats
from midirnn.live.timing.tempo import next_beat


def test_without_the_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aalink", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'midirnn\[link\]'"):
        LinkBeats(ManualClock())


def test_beats_go_on_at_the_tempo() -> None:
    pytest.importorskip("aalink", reason="the extra 'link' is not installed")
    clock = MonotonicClock()
    with LinkBeats(clock, 150.0) as beats:
        begin = clock.now()
        first = beats.beat_at(begin)
        time.sleep(0.2)
        end = clock.now()
        last = beats.beat_at(end)
        assert first is not None and last is not None
        assert last - first == pytest.approx((end - begin) * 2.5, abs=0.02)
        ahead = beats.beat_at(end + 4.0)
        assert ahead is not None
        assert ahead - last == pytest.approx(10.0, abs=0.02)
        beat = beats.beat_at(next_beat(beats, clock.now()))
        assert beat == pytest.approx(round(beat or 0.0), abs=0.02)


def test_two_in_a_session_have_one_tempo() -> None:
    pytest.importorskip("aalink", reason="the extra 'link' is not installed")
    clock = MonotonicClock()
    with LinkBeats(clock, 100.0) as one, LinkBeats(clock, 140.0) as other:
        until = clock.now() + 5.0
        while not (one.peers and other.peers) and clock.now() < until:
            time.sleep(0.02)
        if not one.peers:
            pytest.skip("Link finds no peer: this network lets no multicast through")
        one.set_bpm(90.0)
        while other.bpm != pytest.approx(90.0) and clock.now() < until:
            time.sleep(0.02)
        assert other.bpm == pytest.approx(90.0)
        here, there = one.beat_at(until), other.beat_at(until)
        assert here is not None and there is not None
        assert (here - there + 0.5) % 1.0 - 0.5 == pytest.approx(0.0, abs=0.02)
