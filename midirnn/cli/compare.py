"""``midirnn compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.parameters import JsonOutput
from midirnn.cli.progress import counted_bar
from midirnn.cli.targets import check_file
from midirnn.errors import MidiFileError, OptionError

if TYPE_CHECKING:
    from midirnn.performance import Performance


def compare(
    first: Annotated[Path, Parameter(name="A", help="A folder of MIDI files.")],
    second: Annotated[Path, Parameter(name="B", help="The folder to compare it with.")],
    /,
    *,
    seconds: Annotated[
        float, Parameter(help="Use the first SECONDS of each file, or all of a shorter one.")
    ] = 60.0,
    plot: Annotated[
        Path | None, Parameter(help="Also draw the features of both sets into this file.")
    ] = None,
    json_output: JsonOutput = False,
) -> None:
    """Compare two sets of MIDI files, such as generated and real music, or two composers.

    For each of ten features it prints the mean and standard deviation of both sets, and how similar
    they are. In similar sets, distances between pieces of A and B are distributed like those within
    B: the overlap of the two distributions is near 1, and their Kullback-Leibler divergence (KL)
    near 0. The last column is the overlap of one half of B with the other, as a scale. Files that
    cannot be read are listed and left out.
    """
    from midirnn.judging.sets import (
        FEWEST_FOR_OVERLAP,
        FEWEST_PIECES,
        compare_two,
        table_of_two,
    )

    if not 0.0 < seconds < float("inf"):
        raise OptionError(f"--seconds is {seconds:g}; it must be above 0")
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    sets = _read(first), _read(second)
    for folder, pieces in zip((first, second), sets, strict=True):
        if len(pieces) < FEWEST_PIECES:
            raise OptionError(
                f"{folder} holds {len(pieces)} MIDI files with notes; at least {FEWEST_PIECES} are "
                "needed"
            )
    # No more is measured, however much was asked for.
    seconds = min(seconds, max(piece.duration for pieces in sets for piece in pieces))
    report = compare_two(*sets, seconds)
    if json_output:
        print(json.dumps({"first": str(first), "second": str(second), **report}, indent=2))
    else:
        print(f"{first} ({len(sets[0])} files) beside {second} ({len(sets[1])} files):")
        print("\n".join(f"  {line}".rstrip() for line in table_of_two(report, "A", "B")))
        if min(map(len, sets)) < FEWEST_FOR_OVERLAP:
            print(f"a set has fewer than {FEWEST_FOR_OVERLAP} files: the overlaps say little")
    if plot is not None:
        from midirnn.plots.sets import plot_sets

        plot_sets({str(first): sets[0], str(second): sets[1]}, seconds, plot)


def _read(folder: Path) -> list[Performance]:
    """Return the music in a folder, without drums, the pedal applied."""
    from midirnn.codecs import PerformanceCodec
    from midirnn.datasets.sources import find_files
    from midirnn.midifile import read_midi

    files, refused = find_files([folder], PerformanceCodec.suffixes)
    left_out = [f"{refusal.path}: {refusal.reason}" for refusal in refused]
    pieces = []
    for file in counted_bar(f"reading {folder}", files, len(files)):
        try:
            whole = file.path if isinstance(file.path, Path) else file.path.read_bytes()
            piece = read_midi(whole).without_drums().apply_sustain()
        except MidiFileError as error:
            left_out.append(str(error))
            continue
        if len(piece):
            pieces.append(piece)
        else:
            left_out.append(f"{file.path}: it has no notes")
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return pieces
