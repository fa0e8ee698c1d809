"""``midirnn infill``."""

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


def infill(
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
    begin: Annotated[float, Parameter(name="--from", help="Where the stretch begins, in seconds.")],
    end: Annotated[float, Parameter(name="--to", help="Where it ends, in seconds.")],
    candidates: Annotated[
        int, Parameter(help="Draw so many, and keep the one that leads best to what follows.")
    ] = 8,
    seed: Annotated[
        int | None,
        Parameter(help="Random seed: the same seed gives the same music. [random, and printed]"),
    ] = None,
    model: Annotated[
        str, Parameter(help="Name of a model, or the folder of one or of a training run.")
    ] = "piano",
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Rewrite a stretch of a MIDI file, so that it leads from what is before to what comes after.

    Candidates are drawn in one batch; the best is the one after which the model finds the next
    seconds of the piece likeliest. Notes that sound where the stretch begins or ends are kept. The
    pedal is applied, and drums are left out.
    """
    from midirnn.composing.infill import infill as rewrite
    from midirnn.engines.load import load

    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    loaded = load(model)
    check_output(output, loaded.codec)
    piece = read_music(file)
    own = secrets.randbelow(2**32) if seed is None else seed
    with progress_bar("candidates") as progress:
        found = rewrite(
            loaded,
            piece,
            begin,
            end,
            candidates=candidates,
            sampling=sampling,
            seed=own,
            progress=progress,
        )
    best = found[0]
    nats = ", ".join(f"{one.nats:.1f}" for one in found)
    print(f"what follows, in nats after each candidate: {nats}", file=sys.stderr)
    told = f"{best.new_notes} new notes from {begin:g} to {end:g} s (seed {own})"
    if output == STDOUT:
        print_piece(loaded.codec, best.performance, loaded.codec.suffixes[0])
        print(told, file=sys.stderr)
        return
    loaded.codec.write(best.performance, output)
    print(f"{output}: {told}")
