"""Data sets made of given tokens, without MIDI files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets.writer import DatasetWriter, Row


def write_pieces(
    folder: Path,
    train: Iterable[Tokens],
    validation: Iterable[Tokens] = (),
    codec: PerformanceCodec | None = None,
) -> Path:
    """The folder, in which there is now a data set of these pieces."""
    with DatasetWriter(folder) as writer:
        for split, pieces in (("train", train), ("validation", validation)):
            for index, tokens in enumerate(pieces):
                name = f"{split}/{index}.mid"
                writer.add(Row(tokens, name, split, len(tokens) / 40, len(tokens) // 4, "0" * 64))
        writer.finish([], {"codec": (codec or PerformanceCodec()).settings()})
    return folder
