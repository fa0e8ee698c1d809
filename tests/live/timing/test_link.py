"""Ableton Link, with the real library where it is installed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from midirnn.errors import MissingExtraError
from midirnn.live.base.clock import ManualClock, MonotonicClock
from midirnn.live.timing.link import LinkBeats
from midirnn.live.timing.tempo import next_beat

OTHER = """
import sys
from midirnn.live.base.clock import MonotonicClock
from midirnn.live.timing.link import LinkBeats
clock = MonotonicClock()
with LinkBeats(clock, 140.0) as beats:
    print("joined", flush=True)
    for line in sys.stdin:
        if line.strip() == "beat":
            now = clock.now()
            print(now, beats.beat_at(now), beats.bpm, beats.peers, flush=True)
        else:
            beats.set_bpm(float(line))
"""
"""Another program in the session: it does what it is told, and tells where its beats are."""


class Peer:
    """A peer in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._read() == "joined"

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def beat(self) -> tuple[float, float, float, float]:
        """The time there (the clock is the system's), the beat, the tempo, and its peers."""
        self.say("beat")
        seconds, beat, bpm, peers = map(float, self._read().split())
        return seconds, beat, bpm, peers

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def another_process() -> Iterator[Peer]:
    command = [sys.executable, "-c", OTHER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.kill()


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


def test_two_processes_share_tempo_and_beat() -> None:
    pytest.importorskip("aalink", reason="the extra 'link' is not installed")
    clock = MonotonicClock()
    with LinkBeats(clock, 100.0) as here, another_process() as there:
        until = clock.now() + 10.0
        while not (here.peers and there.beat()[3]) and clock.now() < until:
            time.sleep(0.02)
        if not here.peers:
            pytest.skip("Link finds no peer: this network lets no multicast through")
        there.say("90")
        while here.bpm != pytest.approx(90.0) and clock.now() < until:
            time.sleep(0.02)
        assert here.bpm == pytest.approx(90.0)
        here.set_bpm(75.0)
        while there.beat()[2] != pytest.approx(75.0) and clock.now() < until:
            time.sleep(0.02)
        seconds, beat, bpm, _ = there.beat()
        assert bpm == pytest.approx(75.0)
        mine = here.beat_at(seconds)
        assert mine is not None
        assert (mine - beat + 0.5) % 1.0 - 0.5 == pytest.approx(0.0, abs=0.03)
