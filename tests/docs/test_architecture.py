"""The page on the architecture names the packages and threads that there are."""

from __future__ import annotations

import re

from tests import test_house
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def names_in(text: str) -> list[str]:
    return [name.rstrip("/") for name in re.findall(r"`([\w/]+)`", text)]


def test_the_order_of_the_packages_is_the_one_that_is_enforced() -> None:
    listed = PAGE.split("<!-- the order of the packages -->")[1].split("\n\n")[0]
    lines = [set(names_in(line)) for line in listed.splitlines() if line]
    assert lines == [{n for group in line for n in group} for line in test_house.LAYERS]


def test_every_package_is_described() -> None:
    packages = {p.parent.name for p in (ROOT / "midirnn").glob("*/__init__.py")}
    table = PAGE.split("| package | contents |")[1].split("\n\n")[0]
    described = {n for row in table.splitlines()[2:] for n in names_in(row.split("|")[1])}
    assert packages - described == set()


def test_every_thread_is_in_the_table() -> None:
    started = {
        name
        for path in (ROOT / "midirnn").rglob("*.py")
        for name in re.findall(r"name=\"midirnn ([\w ]+)\"", path.read_text(encoding="utf-8"))
    }
    assert "scheduler" in started
    assert started == set(re.findall(r"\*midirnn ([\w ]+)\*", PAGE))


def test_the_order_of_the_live_packages_is_the_one_that_is_enforced() -> None:
    table = PAGE.split("| sub-package | contents |")[1].split("\n\n")[0]
    rows = [names_in(row.split("|")[1]) for row in table.splitlines()[2:]]
    assert rows == [[n for group in line for n in group] for line in test_house.SUBLAYERS["live"]]
