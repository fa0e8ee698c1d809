"""``midirnn plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_music
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError


def plot(
    *sources: Annotated[
        Path,
        Parameter(
            name="SOURCE",
            required=True,
            allow_leading_hyphen=True,
            help="A MIDI file (-: standard input), or folders of training runs.",
        ),
    ],
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="The picture to write: .png, .svg or .pdf. [one run: curves.png in its folder]",
        ),
    ] = None,
    title: Annotated[str | None, Parameter(help="Title. [name of the file]")] = None,
    primer: Annotated[
        float | None, Parameter(help="Mark the first SECONDS of the MIDI file as its primer.")
    ] = None,
) -> None:
    """Draw a MIDI file as a piano roll, or the curves of training runs.

    Curves are drawn from the metrics.jsonl in each run's folder, in one colour per run.
    """
    missing = [source for source in sources if source != STDIN and not source.exists()]
    if missing:
        raise OptionError(f"{missing[0]}: there is no such file or folder")
    output = output or _output_of(sources)
    check_file(output)
    if sources and all(source.is_dir() for source in sources):
        from midirnn.plots import plot_curves

        if primer is not None:
            raise OptionError("--primer is for a MIDI file; training runs have no primer")
        plot_curves(sources, output, title=title)
        print(f"{output}: the curves of {', '.join(map(str, sources))}")
        return
    if len(sources) != 1:
        raise OptionError(
            f"{len(sources)} sources were given; give one MIDI file, or folders of training runs"
        )
    from midirnn.plots import plot_piano_roll

    performance = read_music(sources[0])
    if primer is not None and not 0 <= primer <= performance.duration:
        raise OptionError(
            f"--primer is {primer:g}; {sources[0]} lasts {performance.duration:.2f} s"
        )
    plot_piano_roll(performance, output, title=title or sources[0].stem, primer_seconds=primer)
    print(f"{output}: the piano roll of {sources[0]}")


def _output_of(sources: tuple[Path, ...]) -> Path:
    """Return the default output, which only a single run has."""
    if len(sources) == 1 and sources[0].is_dir():
        return sources[0] / "curves.png"
    raise OptionError(
        "choose a file with --output: only a single run has a default, curves.png in its folder"
    )
