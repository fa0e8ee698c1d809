"""Where commands write music: a file by its suffix, or standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.cli.targets import check_file
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.codecs import Codec

STDOUT = Path("-")
"""The value of --output that stands for standard output."""


def with_format(output: Path, format: str | None) -> Path:
    """Return the path of the output, with the suffix of the format if it has none."""
    if format is None or output == STDOUT:
        return output
    suffix = f".{format}"
    if output.suffix.lower() not in ("", suffix):
        raise OptionError(
            f"--format is {format!r}, and {output} is named otherwise: leave out one of them"
        )
    return output if output.suffix else output.with_suffix(suffix)


def _suffixes(codec: Codec[Any]) -> list[str]:
    """Return the suffixes of the files that a codec writes."""
    from midirnn.codecs import Translates

    return [*codec.suffixes, *(codec.written if isinstance(codec, Translates) else ())]


def check_output(output: Path, codec: Codec[Any] | None) -> None:
    """Raise :class:`OptionError` if the codec (None: any codec) cannot write that file."""
    from midirnn.codecs import CODECS

    if output == STDOUT:
        return
    able = [kind() for kind in CODECS.values()] if codec is None else [codec]
    check_file(output, sorted({suffix for one in able for suffix in _suffixes(one)}))


def format_of_stdout(codec: Codec[Any], format: str | None) -> str:
    """Return the suffix of the format that goes to standard output."""
    suffixes = _suffixes(codec)
    suffix = suffixes[0] if format is None else f".{format}"
    if suffix not in suffixes:
        allowed = ", ".join(known.removeprefix(".") for known in suffixes)
        raise OptionError(f"--format is {format!r}; with this model it can be {allowed}")
    return suffix


def print_piece(codec: Codec[Any], piece: Any, suffix: str) -> None:
    """Write to standard output what the codec writes to a file with that suffix."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, f"piece{suffix}")
        codec.write(piece, path)
        content = path.read_bytes()
    if sys.stdout.isatty() and not content.endswith(b"\n"):
        content += b"\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
