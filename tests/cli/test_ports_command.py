"""``midirnn ports``: what there is, why there is not more, and what to do about it."""

from __future__ import annotations

import pytest

from midirnn import ports
from midirnn.cli import main as cli
from midirnn.ports import PortListing, PortRow, SystemFailure

NO_SEQUENCER = SystemFailure("alsa", "no sequencer on this machine", "load it with: modprobe")
KEYS = PortRow("jack", "input", "system:midi_capture_1")
SYNTH = PortRow("alsa", "output", "FLUID Synth (1234):0 128:0")


def listed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    listing: PortListing,
    *argv: str,
) -> list[str]:
    """The lines printed where the machine has these ports."""
    asked: list[str | None] = []

    def list_ports(api: str | None = None) -> PortListing:
        asked.append(api)
        return listing

    monkeypatch.setattr(ports, "list_ports", list_ports)
    assert cli.main(["ports", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert asked == [argv[1] if argv else None]
    return out.splitlines()


def test_ports_are_listed_by_direction_with_their_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(monkeypatch, capsys, PortListing((KEYS, SYNTH)))
    assert lines == [
        "inputs:",
        "   1  jack      system:midi_capture_1",
        "outputs:",
        "   1  alsa      FLUID Synth (1234):0 128:0",
    ]


def test_a_system_that_does_not_answer_is_named_with_reason_and_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(monkeypatch, capsys, PortListing((KEYS,), (NO_SEQUENCER,)))
    assert lines[2:] == [
        "outputs: none",
        "not available:",
        "  alsa      no sequencer on this machine (load it with: modprobe)",
    ]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "plan9"])
def test_without_ports_it_says_how_to_have_some_and_how_to_hear(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], platform: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    lines = listed(monkeypatch, capsys, PortListing((), (NO_SEQUENCER,)))
    assert lines[:2] == ["inputs: none", "outputs: none"]
    assert "midirnn live --virtual" in lines[-2]
    assert lines[-1].startswith("MIDI is silent by itself: it takes a synthesizer, for example ")


def test_one_system_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch, capsys, PortListing((KEYS,)), "--api", "jack")


def test_an_unknown_system_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ports", "--api", "oss"]) == 1
    assert "unknown MIDI system 'oss'. Known: " in capsys.readouterr().err
