"""``midirnn doctor``: figures are measured, advice fits them, and nothing crashes without MIDI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn.cli.doctor import doctor, lines
from midirnn.cli.main import main
from midirnn.engines.load import load
from midirnn.errors import PortError
from midirnn.live import checkup
from midirnn.live.checkup import Checkup, Spread, advice, examine, time_loop, time_steps
from midirnn.ports import PortListing, PortRow, open_input, open_output
from midirnn.sampling import Sampler
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import WrappedEngine, tiny_model, write_tiny_model

QUICK = Spread(100, 0.5, 0.8, 1.0, 2.0)
PORT = {"api": "alsa", "direction": "output", "name": "Synth"}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less is measured, and no JACK server but one of our own is found."""
    monkeypatch.setattr(checkup, "TIGHT_SECONDS", 0.05)
    monkeypatch.setattr(checkup, "PACED_SECONDS", 0.1)
    monkeypatch.setattr(checkup, "MESSAGES", 40)
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "midirnn-test-nobody")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def healthy() -> Checkup:
    return Checkup(
        "piano",
        "numpy",
        [PORT],
        step_tight=QUICK,
        step_paced=QUICK,
        lateness=QUICK,
        realtime=True,
        loopback=QUICK,
        sound="FluidSynth with a.sf2",
    )


def changed(**what: object) -> Checkup:
    found = healthy()
    for name, value in what.items():
        setattr(found, name, value)
    return found


def test_on_a_good_machine_there_is_nothing_to_do() -> None:
    assert advice(healthy()) == []
    verdict = "midirnn live will play here with --lookahead-seconds 1."
    assert lines(healthy())[-1] == verdict


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (changed(step_paced=Spread(9, 25.0, 30.0, 30.0, 30.0)), "too slow here"),
        (changed(step_paced=Spread(9, 15.0, 16.0, 16.0, 20.0)), "takes much of the time"),
        (changed(realtime=False), "ulimit -r"),
        (changed(lateness=Spread(9, 0.1, 4.0, 9.0, 20.0)), "sent late"),
        (changed(loopback=Spread(9, 10.0, 20.0, 22.0, 30.0)), "a shorter period"),
        (changed(loopback=None, loopback_lost=3), "lost messages"),
        (changed(ports=[]), "midirnn live --audio"),
        (changed(ports=[], sound=None), "midirnn[audio]"),
    ],
)
def test_each_fault_has_its_advice(found: Checkup, words: str) -> None:
    found.why_not |= {"realtime": "not permitted", "loopback": "no port", "sound": "none"}
    (line,) = advice(found)
    assert words in line
    assert f"- {line}" in lines(found)


def test_a_model_that_is_too_slow_cannot_play() -> None:
    assert not changed(step_paced=Spread(9, 25.0, 30.0, 30.0, 30.0)).can_play


@pytest.mark.parametrize(
    ("p95_ms", "seconds"), [(0.8, 1.0), (10.0, 1.0), (10.1, 1.5), (18.0, 2.0), (900.0, 4.0)]
)
def test_the_look_ahead_covers_a_burst_of_slow_steps(p95_ms: float, seconds: float) -> None:
    found = changed(step_paced=Spread(220, 1.0, p95_ms, 1000.0, 1000.0))
    assert found.lookahead_seconds == seconds


def test_a_few_stalls_while_it_measures_do_not_change_the_look_ahead() -> None:
    usual = [1.0 + 0.005 * (number % 100) for number in range(200)]
    measured = [Spread.of([*usual, *(40.0 * n for n in range(stalls))]) for stalls in range(9)]
    assert {changed(step_paced=spread).lookahead_seconds for spread in measured} == {1.0}


def test_it_says_what_the_look_ahead_was_reckoned_from() -> None:
    (line,) = (line for line in lines(healthy()) if line.startswith("look-ahead"))
    assert line == (
        "look-ahead    1 s, since 100 steps as slow as the slowest 5% of 100 (0.80 ms each) "
        "take 0.08 s"
    )


def test_steps_are_timed() -> None:
    model = tiny_model()
    quick = time_steps(Sampler(model.engine("numpy"), model.codec, seed=0), 0.1)
    waiting = WrappedEngine(model.engine("numpy"), lambda: checkup.time.sleep(0.004))
    slow = time_steps(Sampler(waiting, model.codec, seed=0), 0.1)
    assert quick.count > slow.count > 3
    assert 4.0 <= slow.median_ms < 100.0


def test_without_any_midi_it_finishes_and_says_what_to_do(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(model=str(model), engine="numpy", api="jack") == 0
    out = capsys.readouterr().out
    assert "jack: no server is running" in out
    assert "through MIDI  not timed: cannot open a virtual MIDI input" in out
    assert "there is no MIDI port" in out


def test_json_holds_the_same(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(model=str(model), engine="numpy", api="jack", json_output=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["can_play"] is True
    assert found["lateness"]["count"] == 40
    assert 0.0 <= found["lateness"]["median_ms"] <= found["lateness"]["worst_ms"]
    assert found["loopback"] is None
    assert found["systems_missing"] == {"jack": "no server is running"}
    assert found["lookahead_seconds"] in checkup.LOOKAHEADS


def test_a_machine_without_python_rtmidi_is_examined_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise PortError("MIDI ports need python-rtmidi, which is not installed")

    monkeypatch.setattr("midirnn.ports.rtmidi_ports.load_rtmidi", missing)
    found = examine(load(model), "numpy", PortListing(ports=(PortRow("alsa", "input", "Keys"),)))
    assert found.can_play
    assert "python-rtmidi" in found.why_not["loopback"]


jack_server = jack_fixture(period=256)


def test_the_way_through_jack_is_timed(jack_server: JackServer) -> None:
    milliseconds, lost = time_loop("jack")
    assert lost == 0
    assert len(milliseconds) == 40
    assert min(milliseconds) > 0.0
    assert sorted(milliseconds)[20] < 30.0


def test_the_way_to_an_instrument_and_back_is_timed(
    jack_server: JackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        open_output("Stage piano back", virtual=True, api="jack") as back,
        open_input(
            "Stage piano", lambda message, seconds: back.send(message), virtual=True, api="jack"
        ),
    ):
        arguments = ["--loopback", "Stage piano", "--loopback-input", "Stage piano back"]
        assert main(["doctor", *arguments, "--api", "jack", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["there_and_back"]["count"] == 40
    assert found["there_and_back"]["median_ms"] > 0.0
    half = found["there_and_back"]["median_ms"] / 2
    assert found["output_latency_ms"] == pytest.approx(half, abs=0.06)


def test_an_instrument_that_sends_nothing_back_is_told_of(
    jack_server: JackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        open_output("Stage piano back", virtual=True, api="jack"),
        open_input("Stage piano", lambda message, seconds: None, virtual=True, api="jack"),
    ):
        arguments = ["--loopback", "Stage piano", "--loopback-input", "Stage piano back"]
        assert main(["doctor", *arguments, "--api", "jack"]) == 1
    err = capsys.readouterr().err
    assert "40 did not come back from 'Stage piano back'" in err
    assert err.count("\n") == 1
