"""The Python in the documentation runs, and every public name is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import midirnn
from midirnn.live.base.options import live_config, read_options
from tests.docs.pages import PAGES, ROOT, blocks, name_of

TESTED_ELSEWHERE = ("state.md", "unrolling.md", "ensemble.md", "sessions.md")
"""The course follows its commands, and the session in memory is tested with the rig."""


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python") and page.name not in TESTED_ELSEWHERE],
    ids=name_of,
)
def test_the_python_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(page, "python")), name_of(page), "exec"), {})


def test_every_public_name_is_in_the_reference_once() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    # The function is named like its module.
    text = text.replace("midirnn.sampling.generate.generate", "midirnn.generate")
    described = re.findall(r"^::: midirnn\.(\w+)$", text, re.MULTILINE)
    assert sorted(described) == sorted(midirnn.__all__)


def test_the_example_of_a_configuration_file_is_read() -> None:
    config = live_config(read_options(ROOT / "docs" / "examples" / "stage.toml"))
    assert (config.mode, config.sampling.temperature) == ("duet", 0.95)
