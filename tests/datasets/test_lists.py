"""Lists that are on the disk behave like lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.datasets import lists
from midirnn.datasets.lists import DiskList, View
from midirnn.datasets.remote import RemoteFile
from midirnn.datasets.sources import Job, job_list

INDICES = st.integers(-12, 12)
SLICES = st.slices(12)


def on_disk(items: list[str]) -> DiskList[str]:
    found: DiskList[str] = DiskList(lambda item: [item], lambda row: row[0])
    for item in items:
        found.append(item)
    return found


@given(st.lists(st.text(max_size=5), max_size=12), SLICES, SLICES, INDICES)
def test_items_and_slices_are_those_of_a_list(
    items: list[str], outer: slice, inner: slice, index: int
) -> None:
    found = on_disk(items)
    assert list(found) == items
    assert list(found[outer]) == items[outer]
    assert list(found[outer][inner]) == items[outer][inner]
    assert list(View(found, str.upper)[outer]) == [item.upper() for item in items[outer]]
    if -len(items) <= index < len(items):
        assert found[index] == items[index]
    else:
        with pytest.raises(IndexError):
            found[index]


def test_items_can_be_added_while_others_are_read() -> None:
    found = on_disk(["a", "b"])
    reading = iter(found)
    assert next(reading) == "a"
    found.append("c")
    assert list(reading) == ["b", "c"]


def test_a_long_list_is_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_MOST_BYTES", 100)
    items = [f"item {number}" for number in range(1000)]
    found = on_disk(items)
    assert found._file._rolled  # type: ignore[attr-defined]
    assert list(found) == items


def test_jobs_come_back_whatever_their_names_are() -> None:
    jobs = [
        Job(Path("folder/a.mid"), "a.mid", "train"),
        Job(Path("caf\udce9.mid"), "café", None),  # a name that is not UTF-8
        Job(RemoteFile("zip://::file:///x.zip", "in/b.mid"), "b", None),
    ]
    found = job_list()
    for job in jobs:
        found.append(job)
    assert list(found) == jobs
