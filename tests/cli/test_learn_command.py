"""``midirnn live --learn``, and the flags about playing."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
from cyclopts import Parameter

from midirnn.cli import main as cli
from midirnn.cli.playing import ControlConfig, PlayingConfig, learn
from midirnn.errors import OptionError
from midirnn.live import LiveConfig
from midirnn.live.controls import Binding, ControlMap
from midirnn.ports import InputCallback, MemoryInput, Message


def learned(control: ControlConfig, *messages: Message) -> list[str]:
    """What is told while these messages come in."""
    told: list[str] = []

    def open_input(callback: InputCallback) -> MemoryInput:
        port = MemoryInput(callback)
        threading.Timer(0.01, lambda: [port.feed(message) for message in messages]).start()
        return port

    learn(control, open_input, told.append, seconds=5.0)
    return told


def test_what_is_moved_next_turns_the_knob_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    told = learned(ControlConfig(path, "temperature"), (0xB0, 74, 5), (0xB0, 74, 6))
    assert told == [
        "move what is to turn temperature, on memory in",
        f"CC 74 on channel 1 turns temperature (written to {path})",
    ]
    assert ControlMap.read(path).bindings["temperature"] == Binding(cc=74, channel=1)


def test_it_says_what_nothing_turns_any_more_and_keeps_what_was_learned_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "map.toml"
    learned(ControlConfig(path, "temperature"), (0xB0, 21, 5), (0xB0, 21, 6))
    told = learned(ControlConfig(path, "mood_1"), (0x99, 40, 5))
    assert told[-1] == "nothing turns mood_5 any more"
    bindings = ControlMap.read(path).bindings
    assert bindings["temperature"] == Binding(cc=21, channel=1)
    assert bindings["mood_1"] == Binding(note=40, channel=10)
    assert "mood_5" not in bindings


def test_an_unknown_knob_is_refused_before_anything_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["live", "--learn", "volume"]) == 1
    assert "there is no knob 'volume'; known are" in capsys.readouterr().err


def test_waiting_has_an_end(tmp_path: Path) -> None:
    control = ControlConfig(tmp_path / "map.toml", "temperature")
    with pytest.raises(OptionError, match=r"nothing was moved on 'memory in' for 0\.01 s"):
        learn(control, MemoryInput, lambda text: None, seconds=0.01)


def test_a_map_that_was_named_must_be_there_and_the_users_own_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert ControlConfig().read() == ControlMap()
    with pytest.raises(OptionError, match="cannot read the control map"):
        ControlConfig(tmp_path / "none.toml").read()
    ControlMap().bind("freeze", Binding(cc=3)).write(ControlConfig().path)
    assert ControlConfig().read().bindings["freeze"] == Binding(cc=3)


def test_the_flags_are_those_of_the_configuration_with_its_defaults() -> None:
    assert PlayingConfig().config() == LiveConfig()
    assert {field.name for field in dataclasses.fields(PlayingConfig)} == {
        field.name for field in dataclasses.fields(LiveConfig)
    }
    for field in dataclasses.fields(PlayingConfig):
        assert Parameter.__name__ in str(field.type), f"{field.name} has no help"
