"""The page on DAWs quotes what the commands print: each is run, over JACK."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.live.timing.clock_check import NO_CLOCK, WAIT_SECONDS
from tests.docs.pages import ROOT
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import write_tiny_model

PAGE = ROOT / "docs" / "daw.md"
QUOTED = re.findall(
    r"```sh\n(midirnn live [^\n]*)\n```\n[^`]*```text\n(.*?)```",
    PAGE.read_text(encoding="utf-8"),
    re.DOTALL,
)


jack_server = jack_fixture(scope="module")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_each_daw_has_a_command_and_what_it_prints() -> None:
    headings = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:5] == ["Ableton Live", "Bitwig Studio", "Reaper", "Logic Pro", "Ardour"]
    assert len(QUOTED) == 5


def test_the_page_quotes_what_is_said_without_a_clock() -> None:
    assert NO_CLOCK.format(seconds=WAIT_SECONDS) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "quoted"), QUOTED, ids=[command for command, _ in QUOTED])
def test_it_prints_what_the_page_says(
    command: str, quoted: str, jack_server: JackServer, model: Path
) -> None:
    if "link" in command and importlib.util.find_spec("aalink") is None and "CI" not in os.environ:
        pytest.skip("aalink is not installed: pip install '.[link]'")
    more = ["--api", "jack", "--model", str(model), "--no-spare", "--seconds", "0.3"]
    found = subprocess.run(
        [sys.executable, "-m", *shlex.split(command.replace("--api jack", "")), *more],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert found.stderr == ""
    # "…" stands for what is left out, lines too.
    parts = [re.escape(part) for part in quoted.strip().split("…")]
    assert re.fullmatch("(?s)" + ".*".join(parts) + r"\s*", found.stdout), found.stdout
