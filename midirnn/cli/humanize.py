"""``midirnn humanize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_stdin
from midirnn.cli.outputs import check_output
from midirnn.cli.parameters import MidiOutput, Seed, seed_or_random, write_music
from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file
from midirnn.wording import counted


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
    output: MidiOutput,
    seed: Seed = None,
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
    from midirnn.scores import read_score

    check_options(seed, amount, tempo)
    own, codec = seed_or_random(seed), PerformanceCodec()
    check_output(output, codec)
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    written = read_score(read_stdin() if score == STDIN else score)
    engine = load_humanizer(model)
    with progress_bar("playing") as progress:
        played = humanized(
            written, seed=own, amount=amount, bpm=tempo, model=engine, progress=progress
        )
    notes = counted(len(played), "note", "notes")
    told = f"{score}, {notes} in {played.duration:.1f} s (seed {own})"
    if plot is not None:
        from midirnn.plots.performed import plot_performed

        plot_performed(written.written, played, plot, title=score.stem)
    write_music(codec, played, output, told)
