"""The patches in ``examples`` play a session, in the real programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midirnn.live.osc.addresses import ADDRESSES, TOLD
from midirnn.live.output import scheduler
from tests.live.osc.sessions import free_ports, served, until
from tests.live.stage import is_note_on, write_tiny_model

EXAMPLES = Path(__file__).parents[3] / "examples"


def needs(program: str) -> pytest.MarkDecorator:
    missing = shutil.which(program) is None and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"no {program}: scripts/install-system-packages")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(autouse=True)
def no_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere


HEADLESS = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}
"""The environment in which SuperCollider starts without a screen, and as root."""


@contextmanager
def program(*command: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a program as long as the block lasts; its output goes to a file."""
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        try:
            yield
        finally:
            process.kill()
            process.communicate()


@needs("pd")
def test_pure_data_plays_a_phrase_and_hears_the_answer(model: str, tmp_path: Path) -> None:
    port, to = free_ports()
    log = tmp_path / "pd.txt"
    ports = [f"midirnn-connect 127.0.0.1 {port}", f"midirnn-listen {to}"]
    sends = [*ports, "midirnn-temperature 0.5", "midirnn-phrase bang"]
    flags = ["-nogui", "-noaudio", "-nomidi", "-open", str(EXAMPLES / "midirnn.pd")]
    with served(model, port, to, silence_seconds=0.3) as (rig, output):
        for each in sends:
            flags += ["-send", each]
        with program("pd", *flags, log=log):
            until(lambda: any(map(is_note_on, list(output.messages))), "an answer")
            until(lambda: "played: " in log.read_text(), "the answer in Pure Data")
        assert rig.session.view().knobs["temperature"] == 0.5
    text = log.read_text()
    assert "heard: 60 80" in text
    assert "error" not in text


@pytest.mark.skipif(shutil.which("sclang") is None, reason="no sclang: supercollider-language")
def test_supercollider_plays_a_phrase_and_hears_the_answer(model: str, tmp_path: Path) -> None:
    port, to = free_ports()
    script, log = tmp_path / "midirnn.scd", tmp_path / "sc.txt"
    text = (EXAMPLES / "midirnn.scd").read_text(encoding="utf-8")
    block, _, lines = text.replace("9000", str(port)).replace("9001", str(to)).partition("\n)\n")
    block = block[block.index("(\n") + 2 :]
    assert "panic" in lines
    # A file is run as one block: without the brackets, and without the lines that end the music.
    run = [line for line in lines.splitlines() if "phrase" in line or "temperature" in line]
    script.write_text("\n".join([block, *run]), encoding="utf-8")
    with (
        served(model, port, to, silence_seconds=0.3) as (rig, output),
        program("sclang", str(script), log=log, **HEADLESS),
    ):
        until(lambda: any(map(is_note_on, list(output.messages))), "an answer")
        until(lambda: "played: pitch" in log.read_text(), "the answer in SuperCollider")
        until(lambda: "the model is playing" in log.read_text(), "what the model does")
        assert rig.session.view().knobs["temperature"] == pytest.approx(0.9)
    assert "ERROR" not in log.read_text()


def test_the_patch_for_max_is_whole_and_names_addresses_that_exist() -> None:
    patcher = json.loads((EXAMPLES / "midirnn.maxpat").read_text(encoding="utf-8"))["patcher"]
    boxes = {each["box"]["id"]: each["box"] for each in patcher["boxes"]}
    for line in patcher["lines"]:
        (source, outlet), (target, inlet) = line["patchline"].values()
        assert outlet < boxes[source]["numoutlets"]
        assert inlet < boxes[target]["numinlets"]
    words = " ".join(box.get("text", "") for box in boxes.values()).split()
    named = {word for word in words if word.startswith("/midirnn/")}
    assert named
    assert named <= {*ADDRESSES, *TOLD}
