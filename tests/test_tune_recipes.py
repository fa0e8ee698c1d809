"""Tunes are made plain for training, and the recipe of the weights `folk` runs to its end."""

from __future__ import annotations

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midirnn.codecs.passages import find_tunes
from midirnn.engines.load import load
from tests.recipes import ROOT, run_recipe

BOOKS = ("oneills1850", "ryans_mammoth", "airds_airs")
BARS = ("d2fd", "A2AG", "FAdf", "e2c2", "dfaf", "gece", "dcBA")

UNTIDY = """X:7
T:A tune -- with a title
I: :: ::
N:a remark
Z:Somebody
M:2/4
L:1/8
K:D
"D"d2 ~fd|"_SEGUE"A2 {B}AG|(FA) .d.f|e2 uc2|\\
dfaf|gece|dcBA|d4|]

"""


def book(first: int, count: int) -> str:
    """Tunes that differ in the order of their bars, with what a transcriber adds."""
    tunes = []
    for number in range(first, first + count):
        music = "|".join([*random.Random(number).choices(BARS, k=23), "d4"])
        tunes.append(f"X:{number}\nT:No {number}\nM:2/4\nL:1/8\nK:D\n|:{music}:|\n\n")
    return "".join(tunes)


def python(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_tunes_are_written_plainly_and_those_that_cannot_be_are_counted(tmp_path: Path) -> None:
    (tmp_path / "raw.abc").write_text(UNTIDY + "X:8\nM:2/4\nK:D\nd2 & d2|\n\n", encoding="utf-8")
    plain = tmp_path / "plain.abc"
    done = python("scripts/plain_tunes.py", tmp_path / "raw.abc", "-o", plain)
    assert (done.stdout, done.stderr) == (f"{plain}: 1 of 2 tunes\n", "")
    text = plain.read_text(encoding="utf-8")
    assert text.startswith("M:2/4\nK:D\n")
    assert len(find_tunes(text)) == 1
    assert not any(mark in text for mark in ("SEGUE", "Somebody", "::", "~", "u", '"'))


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize(("says", "accepted"), [("Error \\234", False), ("Fine \\234", True)])
def test_a_tune_is_measured_whatever_bytes_abc2midi_writes(
    says: str, accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "abc2midi"
    stand_in.write_text(f"#!/bin/sh\nprintf '{says}'\ntouch \"$3\"\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "measure_tunes.py"))
    assert script["accepted_by_abc2midi"]("X:1\nK:D\nd2|\n\n") is accepted


@pytest.mark.skipif(os.name != "posix", reason="the recipe is a shell script")
def test_the_recipe_of_folk_runs_to_its_end_and_leaves_the_package_alone(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="it trains")
    abc = tmp_path / "abc"
    (abc / "by_source").mkdir(parents=True)
    for number, name in enumerate(BOOKS):
        (abc / "by_source" / f"{name}.abc").write_text(book(100 * number, 12))
    for number, split in enumerate(("train", "validation", "test")):
        (abc / f"{split}.abc").write_text(book(100 * number, 12))
    printed = run_recipe("folk", abc, tmp_path / "run", 10000)
    assert "train: 12 of 12 tunes" in printed
    made = load(tmp_path / "run" / "folk")
    assert made.config.hidden_size == 256
    assert made.info["evaluation"].keys() == {"validation", "test"}
