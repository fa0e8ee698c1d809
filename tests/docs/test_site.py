"""The documentation site builds without a warning, and asks no other server for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.cli.main import COMMANDS
from tests.docs.pages import PAGES, ROOT, blocks, name_of, needs_mkdocs

pytestmark = needs_mkdocs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site strictly: a link, an anchor or a name that leads nowhere is an error.

    Not with ``--quiet``, which hides warnings from ``--strict``, too.
    """
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    missing = [
        page
        for page in PAGES
        if not (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    ]
    assert missing == []


def test_the_pages_load_nothing_from_other_servers(site: Path) -> None:
    elsewhere = re.compile(
        r"""<(script|link|img|iframe|source)\b[^>]*?(src|href)=["']?(https?:)?//"""
        r"""|url\(\s*["']?(https?:)?//"""
    )
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert [p.name for p in files if elsewhere.search(p.read_text(encoding="utf-8"))] == []


def test_the_reference_has_a_section_for_each_command(site: Path) -> None:
    text = (site / "commands.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="midirnn-{name}"' not in text] == []


def test_equations_are_mathml(site: Path) -> None:
    pages = {p.name: p.read_text(encoding="utf-8") for p in site.rglob("*.html")}
    assert "<math" in pages["state.html"]
    assert [name for name, text in pages.items() if 'class="arithmatex"' in text] == []


def test_what_pages_include_is_there(site: Path) -> None:
    pages = {p.name: p.read_text(encoding="utf-8") for p in site.rglob("*.html")}
    assert [name for name, text in pages.items() if "--8" in re.sub("<[^>]*>", "", text)] == []
    assert "MemoryOutput" in pages["sessions.html"]


def test_the_reference_is_of_functions_and_classes_without_markup(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="midirnn.sampling.generate.generate"' in text
    assert "doc-symbol-module" not in text
    assert re.findall(r":\w+:<code>.*?</code>", text) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_programs_fit_the_width_of_a_page(page: Path) -> None:
    lines = [
        line
        for language in ("sh", "python", "toml")
        for block in blocks(page, language)
        for line in block.splitlines()
    ]
    assert [line for line in lines if len(line) > 80] == []
