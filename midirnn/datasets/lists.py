"""Lists of millions of items that need next to no memory."""

from __future__ import annotations

import json
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

_MOST_BYTES = 16_000_000
"""A list of up to this many bytes stays in memory."""


class View(Sequence[T]):
    """A function's results for the items of a sequence, each computed when it is needed."""

    def __init__(
        self, items: Sequence[Any], make: Callable[[Any], T], places: range | None = None
    ) -> None:
        self._items = items
        self._make = make
        self._places = range(len(items)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        return (self._make(self._items[place]) for place in self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> View[T]: ...
    def __getitem__(self, index: int | slice) -> T | View[T]:
        if isinstance(index, slice):
            return View(self._items, self._make, self._places[index])
        return self._make(self._items[self._places[index]])


class DiskList(Sequence[T], Generic[T]):
    """A list in a temporary file, in which each item is a line of JSON.

    Owns the file, and in memory the offset of each item: 8 bytes. A short list has no file.
    """

    def __init__(self, to_json: Callable[[T], Any], from_json: Callable[[Any], T]) -> None:
        self._to_json = to_json
        self._from_json = from_json
        self._file = SpooledTemporaryFile(max_size=_MOST_BYTES)  # noqa: SIM115  # closed with the list
        weakref.finalize(self, self._file.close)
        self._begins = array("q", [0])

    def append(self, item: T) -> None:
        """Add an item at the end."""
        line = json.dumps(self._to_json(item), separators=(",", ":")).encode()
        self._file.seek(self._begins[-1])
        self._file.write(line)
        self._begins.append(self._begins[-1] + len(line))

    def __len__(self) -> int:
        return len(self._begins) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> View[T]: ...
    def __getitem__(self, index: int | slice) -> T | View[T]:
        if isinstance(index, slice):
            return View(self, lambda item: item, range(len(self))[index])
        place = range(len(self))[index]
        begin, end = self._begins[place : place + 2]
        self._file.seek(begin)
        return self._from_json(json.loads(self._file.read(end - begin)))
