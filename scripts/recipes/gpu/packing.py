"""The format of a pack: data sets of performances in a few small files.

Tokens are stored in columns by type, each compressed with xz: the types of all tokens, the pitches
of the note-ons, which of the sounding notes each note-off ends, the time shifts, the velocities,
and the lengths of the pieces. This takes about 0.6 bytes per token; a data set takes 0.93.
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import PerformanceCodec, Tokens, codec_from_settings
from midirnn.datasets.mixture import Mixture, Source
from midirnn.errors import DatasetError
from midirnn.files import usable_processors, write_file

CONTENTS = "pack.json"
SPLITS = ("train", "validation")

NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY = range(4)
"""The types of tokens, in the order of the vocabulary."""

Columns = dict[str, npt.NDArray[Any]]
_TYPES = {
    "lengths": np.uint32,
    "types": np.uint8,
    "note_ons": np.uint8,
    "note_offs": np.uint8,
    "time_shifts": np.uint16,
    "velocities": np.uint8,
}
"""The columns, in the order in which they are stored, with their types."""


_NUMBERS = {
    "id": lzma.FILTER_LZMA2,
    "preset": 6,
    "lc": 4,
    "lp": 0,
    "pb": 0,
    "mf": lzma.MF_HC3,
    "nice_len": 16,
    "depth": 4,
}
"""The compression of columns with little repetition, where a longer search would gain nothing.
Types do repeat, and are compressed with the default of xz."""


def _compressed(name: str, column: npt.NDArray[Any]) -> bytes:
    """Return a column compressed with xz."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}] if name == "types" else [_NUMBERS]
    return lzma.compress(column.tobytes(), filters=filters)


def first_tokens(codec: PerformanceCodec) -> npt.NDArray[np.int64]:
    """Return the first token of each type."""
    return np.array([group.start for group in codec.groups().values()])


def to_columns(pieces: Sequence[Tokens], codec: PerformanceCodec) -> Columns:
    """Return pieces as columns."""
    tokens = np.concatenate([*pieces, np.empty(0, np.uint16)]).astype(np.int64)
    first = first_tokens(codec)
    types = np.searchsorted(first, tokens, side="right") - 1
    values = tokens - first[types]
    ends = [rank for piece in pieces for rank in _which_ends(piece, first)]
    columns = {
        "lengths": np.array([len(piece) for piece in pieces]),
        "types": types,
        "note_ons": values[types == NOTE_ON],
        "note_offs": np.array(ends, np.int64),
        "time_shifts": values[types == TIME_SHIFT],
        "velocities": values[types == VELOCITY],
    }
    return {name: columns[name].astype(kind) for name, kind in _TYPES.items()}


def _which_ends(piece: Tokens, first: npt.NDArray[np.int64]) -> Iterator[int]:
    """Yield for each note-off which of the sounding notes it ends, counted from the oldest."""
    off, shift = int(first[NOTE_OFF]), int(first[TIME_SHIFT])
    sounding: list[int] = []
    for token in piece[piece < shift].tolist():
        if token < off:
            sounding.append(token)
            continue
        if token - off not in sounding:
            raise DatasetError(f"a piece ends the pitch {token - off}, which does not sound")
        rank = sounding.index(token - off)
        del sounding[rank]
        yield rank


def from_columns(columns: Columns, codec: PerformanceCodec) -> list[Tokens]:
    """Return the pieces of columns."""
    first, types = first_tokens(codec), columns["types"]
    tokens = np.empty(len(types), np.int64)
    tokens[types == NOTE_ON] = columns["note_ons"]
    tokens[types == TIME_SHIFT] = columns["time_shifts"] + first[TIME_SHIFT]
    tokens[types == VELOCITY] = columns["velocities"] + first[VELOCITY]
    ranks, begin = iter(columns["note_offs"].tolist()), 0
    pieces = []
    for length in columns["lengths"].tolist():
        piece, of_types = tokens[begin : begin + length], types[begin : begin + length]
        sounding: list[int] = []
        for index in np.flatnonzero(of_types <= NOTE_OFF).tolist():
            if of_types[index] == NOTE_ON:
                sounding.append(int(piece[index]))
            else:
                piece[index] = sounding.pop(next(ranks)) + first[NOTE_OFF]
        pieces.append(piece.astype(np.uint16))
        begin += length
    return pieces


def write_pack(folder: Path, mixture: Mixture, most_bytes: float = math.inf) -> int:
    """Write data sets into a folder; return the number of bytes.

    Raises :class:`DatasetError` for data sets that do not hold performances, and, before anything
    is written, if they take more than ``most_bytes``.
    """
    codec = mixture.datasets[0].codec
    if not isinstance(codec, PerformanceCodec):
        raise DatasetError(
            f"the data sets are encoded as {codec.name!r}; only performances are packed"
        )
    sources = mixture.sources()
    files, sets = {}, []
    for number, columns_of in enumerate(_compressed_columns(sources, codec)):
        sizes = {}
        for split, stored in columns_of.items():
            files[f"{number}-{split}.xz"] = b"".join(stored.values())
            sizes[split] = {name: len(column) for name, column in stored.items()}
        source = sources[number]
        sets.append({"name": source.name, "weight": source.weight, "sizes": sizes})
    written = sum(map(len, files.values()))
    if written > most_bytes:
        raise DatasetError(
            f"the pack would take {written / 1e6:.1f} MB, and at most {most_bytes / 1e6:g} MB are "
            "allowed: pack fewer data sets, or raise --megabytes"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_file(folder / name, content)
    contents = {"codec": codec.settings(), "sets": sets}
    write_file(folder / CONTENTS, json.dumps(contents, indent=2) + "\n")
    return written


def _compressed_columns(
    sources: Sequence[Source], codec: PerformanceCodec
) -> list[dict[str, dict[str, bytes]]]:
    """Return the compressed columns of each split of each data set."""
    with ThreadPoolExecutor(usable_processors()) as threads:  # xz releases Python's lock
        parts = [
            {
                split: {
                    name: threads.submit(_compressed, name, column)
                    for name, column in to_columns(pieces[:], codec).items()
                }
                for split, pieces in zip(SPLITS, (source.train, source.validation), strict=True)
            }
            for source in sources
        ]
    return [
        {
            split: {name: column.result() for name, column in columns.items()}
            for split, columns in part.items()
        }
        for part in parts
    ]


def read_pack(folder: Path) -> tuple[PerformanceCodec, list[Source]]:
    """Read the data sets of a pack. Raises :class:`DatasetError` if it is missing or damaged."""
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        codec = codec_from_settings(contents["codec"])
        assert isinstance(codec, PerformanceCodec)
        return codec, [
            _read_set(folder, number, of_set, codec)
            for number, of_set in enumerate(contents["sets"])
        ]
    except (OSError, ValueError, KeyError, IndexError, StopIteration, lzma.LZMAError) as error:
        raise DatasetError(f"{folder} holds no pack that can be read ({error})") from None


def _read_set(folder: Path, number: int, of_set: dict[str, Any], codec: PerformanceCodec) -> Source:
    pieces = {}
    for split in SPLITS:
        stored, begin = (folder / f"{number}-{split}.xz").read_bytes(), 0
        columns = {}
        for name, size in of_set["sizes"][split].items():
            raw = lzma.decompress(stored[begin : begin + size])
            columns[name] = np.frombuffer(raw, _TYPES[name])
            begin += size
        pieces[split] = from_columns(columns, codec)
    return Source(of_set["name"], pieces["train"], pieces["validation"], of_set["weight"])
