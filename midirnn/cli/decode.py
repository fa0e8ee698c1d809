"""``midirnn decode``."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.outputs import STDOUT, check_output, print_piece
from midirnn.errors import DatasetError

if TYPE_CHECKING:
    from midirnn.datasets import Dataset


def decode(
    dataset: Annotated[
        Path, Parameter(name="DATASET", help="A data set: a folder made by midirnn encode.")
    ],
    piece: Annotated[
        str,
        Parameter(
            name="ID",
            help="The piece: the path under which it is stored, or SPLIT:NUMBER, from train:0 on.",
        ),
    ],
    /,
    *,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The file to write. A dash (-) writes to standard output.",
        ),
    ],
) -> None:
    """Write a piece of a data set as a file: what a model reads of it.

    Of a MIDI file these are the notes on the grid of the encoding, with the pedal applied.
    """
    from midirnn.datasets import Dataset

    opened = Dataset.open(dataset)
    check_output(output, opened.codec)
    split, index = _find(opened, piece)
    tokens = opened.stored_pieces(split)[index]
    decoded = opened.codec.decode(tokens)
    if output == STDOUT:
        print_piece(opened.codec, decoded, opened.codec.suffixes[0])
        return
    opened.codec.write(decoded, output)
    print(f"{output}: piece {index} of {split}, {opened.rows(split)[index]['path']}")


def _find(dataset: Dataset, piece: str) -> tuple[str, int]:
    """Return the split and the index of a piece."""
    split, colon, number = piece.rpartition(":")
    if colon and number.isdecimal() and split in dataset.splits:
        count = dataset.counts[split].files
        if int(number) < count:
            return split, int(number)
        raise DatasetError(f"{dataset.path} has {count} pieces in {split}: 0 to {count - 1}")
    names: list[str] = []
    for split in dataset.splits:
        paths = [row["path"] for row in dataset.rows(split)]
        if piece in paths:
            return split, paths.index(piece)
        names += paths
    inside = [name for name in names if piece in name]
    close = [*inside, *get_close_matches(piece, names, n=3)][:3]
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise DatasetError(f"{dataset.path} has no piece {piece!r}{hint}")
