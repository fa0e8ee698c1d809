"""``midirnn vary``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import read_music
from midirnn.cli.outputs import check_output
from midirnn.cli.parameters import (
    EngineName,
    MidiOutput,
    ModelName,
    MusicFile,
    Sampling,
    Seed,
    seed_or_random,
    write_music,
)
from midirnn.cli.progress import progress_bar


def vary(
    file: MusicFile,
    /,
    *,
    output: MidiOutput,
    what: Annotated[str, Parameter(help="What to redraw: velocity, timing, pitch or duration.")],
    amount: Annotated[float, Parameter(help="Share of the notes to vary, up to 1.")] = 0.3,
    hand: Annotated[
        str | None,
        Parameter(help="Only notes below middle C (left), or from there on (right). [both]"),
    ] = None,
    seed: Seed = None,
    model: ModelName = "piano",
    engine: EngineName = "auto",
    sampling: Sampling = None,
) -> None:
    """Vary a MIDI file: redraw the velocity, time, pitch or duration of some of its notes.

    The model reads the piece from its start and draws what is varied, given all that comes before.
    Everything else stays as it is: notes, pedals and controllers. Pitches move by at most an
    octave, times by at most 60 ms.
    """
    from midirnn.composing.vary import vary as varied
    from midirnn.engines.load import load

    own = seed_or_random(seed)
    loaded = load(model)
    check_output(output, loaded.codec)
    piece = read_music(file, drums=True)
    with progress_bar("varying") as progress:
        made = varied(
            loaded,
            piece,
            what,
            amount,
            hand=hand,
            sampling=sampling,
            seed=own,
            engine=engine,
            progress=progress,
        )
    write_music(loaded.codec, made, output, f"{what} of {file} varied (seed {own})")
