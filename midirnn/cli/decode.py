"""``midirnn decode``."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.outputs import STDOUT, check_output, print_piece
from midirnn.codecs import FORMATS, codec_from_settings
from midirnn.errors import DatasetError, OptionError
from midirnn.files import one_line_errors, reason_of, write_file
from midirnn.wording import counted

if TYPE_CHECKING:
    from midirnn.datasets import Dataset


def decode(
    dataset: Annotated[
        str,
        Parameter(
            name="DATASET",
            help="A data set made by midirnn encode, or its URL; with --format a JSON file of "
            "token ids.",
        ),
    ],
    piece: Annotated[
        str | None,
        Parameter(
            name="ID",
            help="The piece: the path under which it is stored, or SPLIT:NUMBER, such as train:0.",
        ),
    ] = None,
    /,
    *,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The file to write; a .json file gets the token ids. A dash (-) writes to "
            "standard output.",
        ),
    ],
    format: Annotated[
        str | None,
        Parameter(help="Format of the token ids in a JSON file: magenta (note-seq) or miditok."),
    ] = None,
) -> None:
    """Write a piece of a data set to a file, as a model reads it.

    A MIDI file is written with its notes on the grid of the encoding, and with the pedal applied.
    With --format the token ids come from a JSON file that another program wrote: a list, or an
    object with "ids".
    """
    from midirnn.datasets import Dataset

    if format is not None:
        _decode_ids(Path(dataset), format, output)
        return
    if piece is None:
        raise OptionError("name the piece: midirnn decode DATASET ID -o FILE")
    opened = Dataset.open(dataset)
    if output.suffix == ".json":
        split, index = _find(opened, piece)
        text = json.dumps({"ids": opened.stored_pieces(split)[index].tolist()})
        with one_line_errors(output, OptionError):
            write_file(output, text + "\n")
        print(f"{output}: token ids of piece {index} of {split}")
        return
    check_output(output, opened.codec)
    split, index = _find(opened, piece)
    tokens = opened.stored_pieces(split)[index]
    decoded = opened.codec.decode(tokens)
    if output == STDOUT:
        print_piece(opened.codec, decoded, opened.codec.suffixes[0])
        return
    opened.codec.write(decoded, output)
    print(f"{output}: piece {index} of {split}, {opened.rows(split)[index]['path']}")


def _decode_ids(path: Path, format: str, output: Path) -> None:
    """Decode the token ids in a JSON file, and write the piece."""
    if format not in FORMATS:
        raise OptionError(f"--format is {format!r}; it can be {' or '.join(FORMATS)}")
    codec = codec_from_settings(FORMATS[format])
    check_output(output, codec)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read ({reason_of(error)})") from None
    except ValueError as error:
        raise OptionError(f"{path} is not JSON ({reason_of(error)})") from None
    ids = found.get("ids") if isinstance(found, dict) else found
    if isinstance(ids, list) and len(ids) == 1 and isinstance(ids[0], list):
        ids = ids[0]  # MidiTok writes a list for each track
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise OptionError(f"{path} holds no list of token ids")
    piece = codec.decode(ids)
    if output == STDOUT:
        print_piece(codec, piece, codec.suffixes[0])
        return
    codec.write(piece, output)
    print(f"{output}: {len(ids):,} token ids of {path}")


def _find(dataset: Dataset, piece: str) -> tuple[str, int]:
    """Return the split and the index of a piece."""
    from midirnn.datasets.splits import usual_name

    given, colon, number = piece.rpartition(":")
    split = usual_name(given)
    if colon and number.isdecimal() and split in dataset.splits:
        count = dataset.counts[split].files
        if int(number) < count:
            return split, int(number)
        pieces = counted(count, "piece", "pieces")
        raise DatasetError(f"{dataset.path} has {pieces} in {split}: 0 to {count - 1}")
    names: list[str] = []
    for split in dataset.splits:
        paths = [row["path"] for row in dataset.rows(split)]
        if piece in paths:
            return split, paths.index(piece)
        names += paths
    inside = [name for name in names if piece in name]
    close = list(dict.fromkeys([*inside, *get_close_matches(piece, names, n=3)]))[:3]
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise DatasetError(f"{dataset.path} has no piece {piece!r}{hint}")
