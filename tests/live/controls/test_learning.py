"""``learn``: the controller that is moved next moves the knob from now on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from midirnn.cli import main as cli
from midirnn.errors import OptionError
from midirnn.live.controls import Binding, ControlMap, default_path
from midirnn.live.controls.learn import learn
from midirnn.ports import InputCallback, MemoryInput, Message


def learned(path: Path, knob: str, *messages: Message) -> list[str]:
    """What is told while these messages come in."""
    told: list[str] = []

    def open_input(callback: InputCallback) -> MemoryInput:
        port = MemoryInput(callback)
        threading.Timer(0.01, lambda: [port.feed(message) for message in messages]).start()
        return port

    learn(knob, open_input, told.append, path=path, seconds=5.0)
    return told


def test_what_is_moved_next_moves_the_knob_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    told = learned(path, "temperature", (0xB0, 74, 5), (0xB0, 74, 6))
    assert told == [
        "move the controller for temperature, on memory in",
        f"CC 74 on channel 1 moves temperature (written to {path})",
    ]
    assert ControlMap.read(path).bindings["temperature"] == Binding(cc=74, channel=1)


def test_it_says_what_nothing_moves_any_more_and_keeps_what_was_learned_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "map.toml"
    learned(path, "temperature", (0xB0, 21, 5), (0xB0, 21, 6))
    told = learned(path, "preset_1", (0x99, 40, 5))
    assert told[-1] == "nothing moves preset_5 any more"
    bindings = ControlMap.read(path).bindings
    assert bindings["temperature"] == Binding(cc=21, channel=1)
    assert bindings["preset_1"] == Binding(note=40, channel=10)
    assert "preset_5" not in bindings


def test_a_map_and_a_knob_of_an_older_version_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("mood_2 = { note = 50, channel = 10 }\n", encoding="utf-8")
    assert ControlMap.read(path).bindings["preset_2"] == Binding(note=50, channel=10)
    learned(path, "mood_1", (0x99, 51, 5))
    bindings = ControlMap.read(path).bindings
    assert bindings["preset_1"] == Binding(note=51, channel=10)
    assert bindings["preset_2"] == Binding(note=50, channel=10)
    assert "mood" not in path.read_text(encoding="utf-8")


def test_an_unknown_knob_is_refused_before_anything_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["live", "--learn", "volume"]) == 1
    assert "there is no knob 'volume'; known are" in capsys.readouterr().err


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"nothing was moved on 'memory in' for 0\.01 s"):
        learn("temperature", MemoryInput, lambda text: None, path=tmp_path / "map", seconds=0.01)


def test_a_map_that_was_named_must_be_there_and_the_users_own_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert ControlMap.load() == ControlMap()
    with pytest.raises(OptionError, match="cannot read the control map"):
        ControlMap.load(tmp_path / "none.toml")
    ControlMap().bind("freeze", Binding(cc=3)).write(default_path())
    assert ControlMap.load().bindings["freeze"] == Binding(cc=3)
