"""The event log: what is written can be read, from a log that was cut off, too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.codecs.controls import Controls
from midirnn.errors import RecordingError
from midirnn.live.base import messages
from midirnn.live.base.messages import (
    Adopt,
    Blend,
    Failed,
    Hear,
    Heard,
    HeardStep,
    Knobs,
    ModelSettings,
    Plan,
    Planned,
    PlannedEvent,
    Reset,
    Saved,
    Surprise,
)
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.event_log import (
    EventLog,
    free_path,
    from_plain,
    header,
    read_log,
    to_plain,
)
from midirnn.live.recording.midi import notes_of
from midirnn.sampling import SamplingConfig

SETTINGS = ModelSettings("piano", "numpy", SamplingConfig(temperature=0.9), 7, 1000.0, 3)
FIRST_LINE = header(SETTINGS, "0" * 64, {"mode": "autopilot"})

WRITER = """
import os, signal, sys
from pathlib import Path
from midirnn.live.recording.event_log import EventLog, header
from midirnn.live.base.messages import ModelSettings
log = EventLog(Path(sys.argv[1]), header(ModelSettings("piano"), "", {}))
for number in range(2000):
    log.sent((0x90 - 16 * (number % 2), 60, 64), number / 100, number / 100, "model")
while not log._queue.empty():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "value",
    [
        SETTINGS,
        Hear((HeardStep(5, (60,), ((64, 20), (67, 21))), HeardStep(6, (), ()))),
        Plan(3, 10, 20, 64),
        Planned(2, (PlannedEvent(4, 1000.1 + 0.2, (0x90, 60, 64)),), 1e9 / 3, 5, True),
        Knobs(SamplingConfig(), Controls(notes_per_second=3.5)),
        Blend((("a", 0.25), ("b", 0.75))),
        Heard((60, 62), (Surprise(3, 60, 0.1 + 0.2),)),
        Reset(),
    ],
)
def test_a_message_survives_its_line_bit_for_bit(value: object) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(value)))) == value


def test_every_message_can_be_logged() -> None:
    for kind in (messages.Request, messages.Reply):
        for name in (part.__name__ for part in kind.__args__):  # type: ignore[attr-defined]
            assert name in {"Failed", *_known()}


def _known() -> set[str]:
    from midirnn.live.recording.event_log import known_types

    return set(known_types())


def test_numbers_of_numpy_errors_and_states_become_what_json_holds() -> None:
    assert to_plain((np.float32(0.5), np.int64(3))) == [0.5, 3]
    assert to_plain(Failed(ZeroDivisionError("oh"))) == {
        "type": "Failed",
        "error": "ZeroDivisionError: oh",
    }
    saved = from_plain(to_plain(Saved(b"a state")))
    assert saved == Saved(from_plain(to_plain(b"a state")))
    assert saved.state not in (b"a state", from_plain(to_plain(b"another")))
    assert from_plain(to_plain(Adopt(b"a state"))).state == saved.state


def write(path: Path) -> None:
    with EventLog(path, FIRST_LINE) as log:
        log.started(SETTINGS, 1000.0)
        log.heard((0x90, 60, 64), 1000.5)
        log.asked(Plan(-1, 0, 10, 5), 1000.75)
        log.answered(Heard(), 1000.8)
        log.sent((0x92, 67, 50), 1001.0, 1000.999, MODEL)
        log.sent((0x90, 60, 64), 1000.5, 1000.5, PERFORMER)
        log.heard((0x80, 60, 0), 1001.5)
        log.noted("the lights went out", 1002.0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "log.jsonl")
    log = read_log(tmp_path / "deep" / "log.jsonl")
    assert log.settings == SETTINGS
    assert not log.cut_off
    assert [(record.seconds, record.kind) for record in log.records] == [
        (1000.0, "start"),
        (1000.5, "in"),
        (1000.75, "ask"),
        (1000.8, "answer"),
        (1001.0, "out"),
        (1000.5, "out"),
        (1001.5, "in"),
        (1002.0, "note"),
    ]
    assert log.records[2].value == Plan(-1, 0, 10, 5)
    assert log.records[4].value == ((0x92, 67, 50), 1000.999, MODEL)
    performance = log.recording().performance()
    assert (notes_of(performance, PERFORMER), notes_of(performance, MODEL)) == (1, 1)


def test_a_log_that_was_cut_off_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path)
    data = path.read_bytes()
    first_line = data.index(b"\n") + 1
    for size in range(first_line, len(data) + 1, 7):
        path.write_bytes(data[:size])
        log = read_log(path)
        assert log.cut_off == (data[size - 1 : size] != b"\n")
        assert len(log.records) == data[:size].count(b"\n") - 1


def test_a_process_that_is_killed_leaves_all_that_it_said(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path)], timeout=30)
    assert ended.returncode == -signal.SIGKILL
    log = read_log(path)
    assert len(log.records) >= 1999
    assert notes_of(log.recording().performance(), MODEL) >= 999


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not the event log"),
        ("MThd", "is not the event log"),
        ('{"log": "midirnn", "format": 99}\n', "has format 99; this midirnn reads format 1"),
        ('{"log": "midirnn", "format": 1}\n', "does not say with which model"),
        (json.dumps(FIRST_LINE | {"settings": 5}) + "\n", "no settings of a model"),
        (json.dumps(FIRST_LINE | {"weights_sha256": None}) + "\n", "does not say with which"),
        (
            json.dumps(FIRST_LINE | {"settings": {"type": "ModelSettings", "newer": 1}}) + "\n",
            "settings that this midirnn does not know .*newer.* newer version",
        ),
        (json.dumps(FIRST_LINE) + "\nnonsense\n", "is damaged at line 2"),
        (json.dumps(FIRST_LINE) + "\n" + "[" * 100_000 + "\n", "is damaged at line 2"),
        (json.dumps(FIRST_LINE) + '\n{"at": 1, "ask": {"type": "Plan"}}\n', "damaged at line 2"),
        (json.dumps(FIRST_LINE) + '\n{"at": 1, "ask": {"type": "Dance"}}\n', "'Dance'"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_log(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    ("at", "kind", "value"),
    [
        ("1", "in", "5"),
        ("1", "in", "[144]"),
        ("1", "in", "[144, 60, 1e3]"),
        ("1", "out", "[[144, 60, 64], 1]"),
        ("1", "out", '[[144, 60, 64], "soon", "model"]'),
        ("1", "ask", "null"),
        ("1", "start", "[]"),
        ("1", "answer", '"yes"'),
        ("1", "tune", "[1, 2]"),
        ("1", "note", "1"),
        ('"now"', "note", '"a"'),
        ("NaN", "note", '"a"'),
        ("9" * 400, "note", '"a"'),
    ],
)
def test_a_record_that_no_session_writes_is_refused(
    tmp_path: Path, at: str, kind: str, value: str
) -> None:
    line = f'{{"at": {at}, "{kind}": {value}}}'
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(FIRST_LINE)}\n{line}\n")
    with pytest.raises(RecordingError, match=f"damaged at line 2: it is no record of '{kind}'"):
        read_log(tmp_path / "log.jsonl")


def test_a_record_of_a_kind_that_is_not_known_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps(FIRST_LINE) + '\n{"at": 1, "newer": 5}\n')
    (record,) = read_log(tmp_path / "log.jsonl").records
    assert (record.kind, record.value) == ("newer", 5)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"cannot record to .*file/folder: .*--record"):
        EventLog(tmp_path / "file" / "folder" / "log.jsonl", FIRST_LINE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_on_a_full_disk_it_is_told_once_and_what_follows_is_dropped(tmp_path: Path) -> None:
    told: list[str] = []
    log = EventLog(tmp_path / "log.jsonl", FIRST_LINE, tell=told.append)
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115
    log._file, before = full, log._file
    before.close()
    for number in range(100):
        log.heard((0x90, 60, 64), float(number))
    log.close()
    assert told == [
        f"recording to {log.path} has stopped: No space left on device. The music goes on"
    ]
    assert not log._thread.is_alive()
    assert full.closed


def test_a_name_that_is_taken_is_numbered(tmp_path: Path) -> None:
    assert free_path(tmp_path, "concert").name == "concert.jsonl"
    (tmp_path / "concert.jsonl").touch()
    (tmp_path / "concert-2.jsonl").touch()
    assert free_path(tmp_path, "concert").name == "concert-3.jsonl"


def test_saying_something_is_quick_while_the_disk_is_slow(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log.jsonl", FIRST_LINE)
    slow = threading.Event()

    @dataclass
    class SlowFile:
        file: Any

        def write(self, text: str) -> None:
            slow.wait(20.0)
            self.file.write(text)

        def close(self) -> None:
            self.file.close()

    log._file = SlowFile(log._file)  # type: ignore[assignment]
    for number in range(1000):
        log.heard((0x90, 60, 64), float(number))
    assert len(read_log(log.path).records) == 0
    slow.set()
    log.close()
    assert len(read_log(log.path).records) == 1000
