"""``midirnn vary``."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import read_music
from midirnn.cli.outputs import STDOUT, check_output, print_piece
from midirnn.cli.progress import progress_bar
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig


def vary(
    file: Annotated[
        Path,
        Parameter(
            name="FILE", allow_leading_hyphen=True, help="A MIDI file. A dash: standard input."
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
    what: Annotated[str, Parameter(help="What to draw anew: velocity, timing, pitch or duration.")],
    amount: Annotated[float, Parameter(help="The share of notes that are varied, up to 1.")] = 0.3,
    hand: Annotated[
        str | None,
        Parameter(help="Only notes below middle C (left), or from there on (right). [both]"),
    ] = None,
    seed: Annotated[
        int | None,
        Parameter(help="Random seed: the same seed gives the same music. [random, and printed]"),
    ] = None,
    model: Annotated[
        str, Parameter(help="Name of a model, or the folder of one or of a training run.")
    ] = "piano",
    engine: Annotated[
        str, Parameter(help="What runs the model: auto, onnxruntime or numpy.")
    ] = "auto",
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Vary a MIDI file: draw the velocity, time, pitch or duration of some of its notes anew.

    The model reads the piece from its start and draws what is varied, given all that comes before.
    Everything else stays as it is: notes, pedals and controllers. Pitches move by an octave at
    most, times by 60 ms.
    """
    from midirnn.composing.vary import vary as varied
    from midirnn.engines.load import load

    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    loaded = load(model)
    check_output(output, loaded.codec)
    piece = read_music(file, drums=True)
    own = secrets.randbelow(2**32) if seed is None else seed
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
    told = f"{what} of {file} varied (seed {own})"
    if output == STDOUT:
        print_piece(loaded.codec, made, loaded.codec.suffixes[0])
        print(told, file=sys.stderr)
        return
    loaded.codec.write(made, output)
    print(f"{output}: {told}")
