"""Ardour, a real DAW, plays to a session and records it over JACK, as the page on DAWs says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midirnn import Performance, read_midi
from midirnn.ports import open_output
from tests.docs.pages import ROOT
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import write_tiny_model

ARDOUR = shutil.which("ardour7-lua") or shutil.which("ardour8-lua")

pytestmark = pytest.mark.skipif(ARDOUR is None, reason="Ardour is not installed")

PHRASE = (60, 64, 67, 72, 69, 67)
BAR_SECONDS = 2.0
"""A bar of four at 120, the tempo of a new session of Ardour's."""

PATIENCE_SECONDS = 60.0


jack_server = jack_fixture(period=256)


def until_said(log: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while words not in log.read_text(encoding="utf-8"):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, f"{words!r} was not said: {log.read_text(encoding='utf-8')}"
        time.sleep(0.05)


def start(log: Path, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment, cwd=ROOT
        )


def taken(session: Path, track: str) -> Performance:
    """What Ardour recorded on a track."""
    [path] = session.rglob(f"Take1_{track}-*.mid")
    return read_midi(path)


def play(send: Callable[[tuple[int, ...]], None]) -> None:
    for pitch in PHRASE:
        send((0x90, pitch, 80))
        time.sleep(0.15)
        send((0x80, pitch, 0))
        time.sleep(0.05)


def test_ardour_passes_on_what_you_play_and_records_the_answer_on_its_bar(
    jack_server: JackServer, tmp_path: Path
) -> None:
    assert ARDOUR is not None
    session, takes = tmp_path / "song", tmp_path / "takes"
    (tmp_path / "model").mkdir()
    model = write_tiny_model(tmp_path / "model")
    options = ["--virtual", "--api", "jack", "--clock", "midi", "--on-beat", "4"]
    more = ["--model", str(model), "--no-spare", "--record", str(takes), "--seconds", "600"]
    log, said = tmp_path / "midirnn.txt", tmp_path / "ardour.txt"
    with open_output("Stage piano", virtual=True, api="jack") as keys:
        live = start(log, sys.executable, "-m", "midirnn", "live", *options, *more)
        try:
            until_said(log, "listening", live)
            script = [str(ROOT / "examples" / "ardour.lua"), str(session), "12", "Stage piano"]
            own = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
            ardour = start(said, ARDOUR, *script, **own)
            until_said(said, "recording", ardour)
            play(keys.send)
            assert ardour.wait(PATIENCE_SECONDS) == 0, said.read_text(encoding="utf-8")
        finally:
            live.terminate()
            live.wait(PATIENCE_SECONDS)
    assert taken(session, "You").pitch.tolist() == list(PHRASE)
    answer = taken(session, "midirnn")
    assert len(answer) > 0
    [recorded] = takes.glob("*.mid")
    ours = read_midi(recorded)
    assert ours.pitch[ours.part == 0].tolist() == list(PHRASE)
    assert set(answer.pitch.tolist()) <= set(ours.pitch[ours.part == 1].tolist())
    # The answer begins on a bar of Ardour's, whose clock midirnn follows.
    off = (answer.start.min() + BAR_SECONDS / 2) % BAR_SECONDS - BAR_SECONDS / 2
    assert np.abs(off) < 0.2
