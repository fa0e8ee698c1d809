"""Commands in the documentation are commands of midirnn, with flags that exist."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest

from midirnn.cli.main import COMMANDS, make_app
from midirnn.engines.load import PRETRAINED, load
from tests.docs.pages import DOCUMENTS, PAGES, ROOT, flags_of_commands, name_of, prose, shell_lines

LINES = [(page, line) for page in DOCUMENTS for line in shell_lines(page)]
MIDIRNN_LINES = [
    pytest.param(line[line.index("midirnn ") :], id=f"{name_of(page)}: {line}")
    for page, line in LINES
    if re.match(r"(torchrun .* -m )?midirnn ", line)
]
SCRIPTS = sorted({word for _, line in LINES for word in line.split() if "scripts/" in word})

OTHER_PROGRAMS = {"--nproc-per-node", "--fix", "--tunes", "--strict", "--index-url"}
"""Flags of torchrun, our scripts, mkdocs and pip."""


@pytest.mark.parametrize("line", MIDIRNN_LINES)
def test_each_command_line_is_understood(line: str) -> None:
    make_app().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_that_is_named_exists(script: str) -> None:
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_commands_within_a_sentence_exist_with_their_flags(page: Path) -> None:
    unknown = [
        command
        for command in re.findall(r"`midirnn\s+([^`]+)`", prose(page))
        for name, *arguments in [command.split()]
        if (name not in {*COMMANDS, "COMMAND"} and not name.startswith("--"))
        or not {a for a in arguments if a.startswith("--")} <= flags_of_commands().get(name, set())
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_flags_within_a_sentence_exist(page: Path) -> None:
    named = set(re.findall(r"`(--[a-z0-9][a-z0-9-]*)", prose(page)))
    known = set().union(*flags_of_commands().values())
    scripts = re.findall(r"`python scripts/[^`]*`", prose(page))
    assert sorted(f for f in named - known - OTHER_PROGRAMS if f not in " ".join(scripts)) == []


def test_every_command_has_an_example() -> None:
    shown = {shlex.split(line)[1] for page, line in LINES if line.startswith("midirnn ")}
    assert set(COMMANDS) - shown == set()


@pytest.mark.skipif(
    not (PRETRAINED / "piano" / "config.json").exists(),
    reason="the weights of 'piano' are not in the package",
)
def test_a_run_that_starts_from_piano_is_shown_with_the_flags_it_needs() -> None:
    (line,) = [line for _, line in LINES if "--start-from piano" in line]
    _, bound, _ = make_app().parse_args(
        shlex.split(line)[1:], exit_on_error=False, print_error=False
    )
    assert asdict(bound.arguments["model"]) == asdict(load("piano").config)
