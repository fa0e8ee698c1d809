"""``midirnn humanize``."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN
from midirnn.cli.outputs import STDOUT, check_output, print_piece
from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.scores import Score


def humanize(
    score: Annotated[
        Path,
        Parameter(
            name="SCORE",
            allow_leading_hyphen=True,
            help="A score: MIDI, or MusicXML (.musicxml, .mxl, .xml). A dash: MIDI from standard "
            "input.",
        ),
    ],
    /,
    *,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The MIDI file to write. A dash (-) writes to standard output.",
        ),
    ],
    seed: Annotated[
        int | None,
        Parameter(help="Random seed: the same seed gives the same music. [random, and printed]"),
    ] = None,
    amount: Annotated[
        float,
        Parameter(
            help="Amount of expression: 0 plays in exact time and equally loud, 1.5 exaggerates."
        ),
    ] = 1.0,
    tempo: Annotated[
        float | None,
        Parameter(help="Mean tempo in quarter notes per minute. [the score's own]"),
    ] = None,
    plot: Annotated[
        Path | None,
        Parameter(help="Also draw the score and the performance: .png, .svg or .pdf."),
    ] = None,
    model: Annotated[
        str, Parameter(help="Name of a model that plays scores, or its folder.")
    ] = "humanize",
) -> None:
    """Play a score as a pianist might: with tempo, dynamics, articulation and pedal.

    A network reads the whole score, then plays it note by note. The result has exactly the notes
    of the score. MusicXML needs pip install 'midirnn[scores]'; repeats in it are played.
    """
    from midirnn.codecs import PerformanceCodec
    from midirnn.composing.humanize import check_options
    from midirnn.composing.humanize import humanize as humanized
    from midirnn.engines.humanizer import load_humanizer
    from midirnn.midifile import write_midi

    check_options(seed, amount, tempo)
    check_output(output, PerformanceCodec())
    if plot is not None:
        check_file(plot, (".png", ".svg", ".pdf"))
    written = _read(score)
    engine = load_humanizer(model)
    own = secrets.randbelow(2**32) if seed is None else seed
    with progress_bar("playing") as progress:
        played = humanized(
            written, seed=own, amount=amount, bpm=tempo, model=engine, progress=progress
        )
    told = f"{score}, {len(played):,} notes in {played.duration:.1f} s (seed {own})"
    if plot is not None:
        from midirnn.plots.performed import plot_performed

        plot_performed(written.written, played, plot, title=score.stem)
    if output == STDOUT:
        print_piece(PerformanceCodec(), played, ".mid")
        print(told, file=sys.stderr)
        return
    write_midi(played, output)
    print(f"{output}: {told}")


def _read(score: Path) -> Score:
    """Return the score in a file, or from standard input."""
    from midirnn.scores import read_score

    if score != STDIN:
        return read_score(score)
    if sys.stdin.isatty():
        raise OptionError("a dash reads a MIDI file from standard input: pipe one into it")
    return read_score(sys.stdin.buffer.read())
