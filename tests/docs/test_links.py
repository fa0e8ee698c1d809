"""Links between the documents lead somewhere, to a heading where they name one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCUMENTS, ROOT, name_of, prose


def links(page: Path) -> list[tuple[str, str]]:
    """Return (file, heading) of each link in a document that leads into the repository."""
    return re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", prose(page))


def headings(page: Path) -> set[str]:
    """Return the anchors of a document's headings, those of what it includes among them."""
    included = re.findall(r'^--8<-- "([\w./]+)"$', prose(page), re.MULTILINE)
    text = "\n".join(prose(path) for path in [page, *(ROOT / name for name in included)])
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    assert [file for file, _ in links(page) if not (page.parent / file).exists()] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_links_to_a_heading_find_it(page: Path) -> None:
    lost = [
        f"{file}#{heading}"
        for file, heading in links(page)
        if heading
        and not file.endswith("commands.md")  # its headings are generated
        and heading not in headings(page.parent / file if file else page)
    ]
    assert lost == []
