"""The project's documents, and what stands in their blocks."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import cache
from pathlib import Path

import pytest

from midirnn.cli.main import make_app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [
    *PAGES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")),
    ROOT / "scripts" / "recipes" / "README.md",
    *sorted((ROOT / "midirnn" / "pretrained").glob("*/README.md")),
]

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None and "CI" not in os.environ,
    reason="MkDocs is not installed: pip install '.[docs]'",
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language in a document, with the files they include."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"--8<--\n(.*)\n--8<--\n", _included, block) for block in found]


def _included(match: re.Match[str]) -> str:
    return (ROOT / match[1]).read_text(encoding="utf-8")


def shell_lines(path: Path) -> list[str]:
    """Return the commands in a document's ``sh`` blocks, without comments; of a pipe each."""
    lines = [
        command.strip()
        for block in blocks(path, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        for command in re.split(r" \| (?=midirnn )", line.split(" #")[0])
    ]
    return [line for line in lines if line and not line.startswith("#")]


def prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def flags_of_commands() -> dict[str, set[str]]:
    """Return the long flags of each command, as its help lists them."""
    sections = make_app().generate_docs("markdown").split("\n## midirnn ")[1:]
    return {
        section.split()[0]: {*re.findall(r"--[a-z0-9][a-z0-9-]*", section), "--help", "--traceback"}
        for section in sections
    }
