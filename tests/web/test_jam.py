"""A jam in this process: what pages ask reaches the session, and no page holds it up."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from midirnn import read_midi
from midirnn.errors import CheckpointError
from midirnn.live import LiveConfig
from midirnn.live.recording.event_log import read_log
from midirnn.live.recording.replay import replay
from midirnn.web.jam import Jam
from midirnn.web.takes import Take, read_log_of, read_take
from tests.live.stage import write_tiny_model
from tests.web.jams import until
from tests.web.sessions import Told, keys_down, note, page_of, rig_of, running, say, send
from tests.web.test_server import FUZZ_MESSAGES, random_message


@pytest.fixture
def report() -> Told:
    return Told()


@pytest.fixture
def jam(tmp_path: Path, report: Told) -> Iterator[Jam]:
    (tmp_path / "model").mkdir()
    model = write_tiny_model(tmp_path / "model")
    with running(LiveConfig(model=str(model), seed=1, silence_seconds=0.3), report) as found:
        yield found


def test_the_session_hears_a_page_and_lets_go_when_it_closes(jam: Jam) -> None:
    with page_of(jam) as page:
        note(page, 60)
        note(page, 64)
        until(lambda: keys_down(jam) == 2)
    until(lambda: keys_down(jam) == 0)


def test_a_page_plays_notes_and_pedal_on_a_channel_that_is_listened_to(
    tmp_path: Path, report: Told
) -> None:
    config = LiveConfig(model=str(write_tiny_model(tmp_path)), seed=1, input_channels=(5, 6))
    with running(config, report) as jam, page_of(jam) as page:
        for message in ([0xB0, 64, 127], [0x90, 60, 80], [0x80, 60, 0], [0xB0, 64, 0]):
            say(page, t="midi", m=message, at=time.monotonic())
        heard: list[list[int]] = []
        while len(heard) < 4:
            heard += [m["m"] for m in json.loads(page.recv(timeout=20)) if m["t"] == "heard"]
    assert heard == [[0xB4, 64, 127], [0x94, 60, 80], [0x84, 60, 0], [0xB4, 64, 0]]


def test_controllers_and_pads_of_a_page_act_on_their_channels(tmp_path: Path, report: Told) -> None:
    path = tmp_path / "controls.toml"
    path.write_text("temperature = { cc = 74, channel = 5 }\nfreeze = { note = 50, channel = 10 }")
    model = str(write_tiny_model(tmp_path))
    config = LiveConfig(model=model, seed=1, input_channels=(3,), controls=path)
    with running(config, report) as jam, page_of(jam) as page:
        view = rig_of(jam).session.view
        send(page, 0xB0, 74, 0)
        send(page, 0xB4, 74, 127)
        until(lambda: view().knobs["temperature"] == 4.0)
        send(page, 0xBF, 106, 127)
        send(page, 0x99, 37, 90)
        until(lambda: view().presets == {2})
        send(page, 0xB0, 29, 25)
        until(lambda: view().mode == "duet")
        with page_of(jam) as other:  # it does not play
            send(other, 0xB4, 74, 0)
            send(other, 0x99, 50, 90)
            say(other, t="press", name="panic")
            until(lambda: any("panic" in line for line in report.lines))
        assert (view().knobs["temperature"], view().frozen) == (4.0, False)
        send(page, 0x99, 50, 90)
        until(lambda: view().frozen)
        page.close()
        until(lambda: not view().frozen)


def test_the_music_goes_on_while_the_server_hangs(jam: Jam) -> None:
    session = rig_of(jam).session
    session.set_mode("autopilot")
    until(lambda: session.scheduler.last_sent > 5)
    server = jam.server.process_id
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    try:
        before = session.scheduler.last_sent
        until(lambda: session.scheduler.last_sent > before + 10)
    finally:
        os.kill(server, signal.SIGCONT)


def test_ten_thousand_hostile_messages_do_no_harm_to_a_session(jam: Jam, report: Told) -> None:
    rng, sent = random.Random(2), 0
    session = rig_of(jam).session
    session.set_mode("autopilot")
    while sent < FUZZ_MESSAGES:
        with suppress(ConnectionClosed), page_of(jam) as page:  # it is refused often enough
            for _ in range(FUZZ_MESSAGES - sent):
                page.send(random_message(rng))
                sent += 1
    until(lambda: keys_down(jam) == 0)
    assert jam.rig is not None
    assert all("\n" not in line and "Traceback" not in line for line in report.lines)
    before = session.scheduler.last_sent
    with page_of(jam) as page:
        note(page, 60)  # one of the messages may have been a panic: it plays on when somebody plays
        until(lambda: keys_down(jam) == 1)
        until(lambda: session.scheduler.last_sent > before + 5)


def test_pages_command_the_session(jam: Jam) -> None:
    session = rig_of(jam).session
    with page_of(jam) as page:
        say(page, t="turn", knob="density", value=4.0)
        until(lambda: session.view().knobs["density"] == 4.0)
        say(page, t="store", preset=3)
        until(lambda: session.view().presets == {3})
        say(page, t="turn", knob="freeze", value=True)
        until(lambda: session.view().frozen)
        say(page, t="press", name="panic")
        say(page, t="turn", knob="mode", value="duet")
        until(lambda: session.view().mode == "duet")


def test_what_the_session_refuses_is_told_in_a_line(jam: Jam, report: Told) -> None:
    with page_of(jam) as page:
        say(page, t="turn", knob="warmth", value=1)
        until(lambda: any("warmth" in line for line in report.lines))
        say(page, t="turn", knob="density", value=1e9)
        until(lambda: any("density is 1000000000" in line for line in report.lines))
        say(page, t="load", preset=500)
        until(lambda: any("the preset is 500" in line for line in report.lines))
        say(page, t="model", name="no-such-model")
        until(lambda: any("no-such-model" in line for line in report.lines))
        note(page, 60)
        until(lambda: keys_down(jam) == 1)


def test_a_model_that_does_not_exist_is_refused_before_anything_starts(report: Told) -> None:
    with pytest.raises(CheckpointError), Jam(LiveConfig(model="no-such-model"), report, port=0):
        pass


def test_another_model_takes_over_with_the_same_knobs(jam: Jam, tmp_path: Path) -> None:
    first = rig_of(jam)
    (tmp_path / "other").mkdir()
    other = write_tiny_model(tmp_path / "other")
    with page_of(jam) as page:
        say(page, t="turn", knob="balance", value=2.0)
        say(page, t="turn", knob="mode", value="duet")
        until(lambda: first.session.view().mode == "duet")
        say(page, t="model", name=str(other))
        until(lambda: jam.rig not in (None, first))
        until(lambda: rig_of(jam).session.view().knobs["balance"] == 2.0)
        assert rig_of(jam).session.view().mode == "duet"
        assert jam.config.model == str(other)


def test_pages_are_told_the_end_of_what_sounds_when_the_model_changes(
    jam: Jam, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = write_tiny_model(tmp_path / "other")
    with page_of(jam) as page:
        say(page, t="turn", knob="mode", value="autopilot")
        until(lambda: rig_of(jam).session.scheduler.sounding)
        say(page, t="model", name=str(other))
        told: list[dict[str, Any]] = []
        while not any(m.get("loading") and m["model"] == str(other) for m in told):
            told += json.loads(page.recv(timeout=20))
    sent = [message["m"] for message in told if message["t"] == "sent"]
    last = {pitch: status & 0xF0 for status, pitch, _ in sent if status & 0xF0 in (0x80, 0x90)}
    assert set(last.values()) == {0x80}
    end = max(at for at, message in enumerate(told) if message["t"] == "sent")
    assert next(message for message in told[end:] if message["t"] == "drop")["after"] is not None


def test_a_take_is_kept_as_music_and_as_a_log_that_replays(jam: Jam, tmp_path: Path) -> None:
    session = rig_of(jam).session
    with page_of(jam) as page:
        note(page, 50)
        note(page, 50, 0)
        time.sleep(0.2)
        say(page, t="record", on=True)
        time.sleep(0.2)
        for pitch in (60, 64, 67):
            note(page, pitch)
            time.sleep(0.1)
            note(page, pitch, 0)
        before = session.scheduler.last_sent
        until(lambda: session.scheduler.last_sent > before + 6)
        say(page, t="record", on=False)
        takes: list[dict[str, Any]] = []
        while not takes:
            for message in json.loads(page.recv(timeout=20)):
                takes = message["takes"] if message["t"] == "takes" else takes
        assert "log" not in takes[0]
    take = jam.takes[0]
    music = read_take(take)
    players = [music.parts[part].name for part in music.part]
    pitches = music.pitch.tolist()
    assert [p for p, who in zip(pitches, players, strict=True) if who == "performer"] == [
        60,
        64,
        67,
    ]
    assert players.count("model") >= 2
    assert music.start.min() >= 0.0
    path = tmp_path / "take.jsonl"
    path.write_text(read_log_of(take), encoding="utf-8")
    log = read_log(path)
    assert max(record.seconds for record in log.records) <= take.end
    assert replay(log).difference is None


def test_takes_end_where_the_log_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-log"):
        read_take(Take(1, tmp_path / "no-log.jsonl", 0.0, 1.0))


def test_a_take_downloads_as_midi(jam: Jam, tmp_path: Path) -> None:
    with page_of(jam) as page:
        say(page, t="record", on=True)
        time.sleep(0.2)
        note(page, 60)
        note(page, 60, 0)
        say(page, t="record", on=False)
        until(lambda: jam.takes)
        host = jam.url.split("/")[2]
        connection = http.client.HTTPConnection(host)

        def get() -> http.client.HTTPResponse | None:
            connection.request("GET", f"/takes/1.mid?token={jam.token}")
            response = connection.getresponse()
            data = response.read()
            (tmp_path / "take.mid").write_bytes(data)
            return response if response.status == 200 else None

        response = until(get)
        assert response.headers["content-type"] == "audio/midi"
        connection.close()
    assert read_midi(tmp_path / "take.mid").pitch.tolist() == [60]
