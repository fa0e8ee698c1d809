"""``midirnn infill``."""

from __future__ import annotations

import sys
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


def infill(
    file: MusicFile,
    /,
    *,
    output: MidiOutput,
    begin: Annotated[float, Parameter(name="--from", help="Where the stretch begins, in seconds.")],
    end: Annotated[float, Parameter(name="--to", help="Where it ends, in seconds.")],
    candidates: Annotated[
        int, Parameter(help="Draw this many, and keep the one that leads best to what follows.")
    ] = 8,
    seed: Seed = None,
    model: ModelName = "piano",
    engine: EngineName = "auto",
    sampling: Sampling = None,
) -> None:
    """Rewrite a stretch of a MIDI file, so that it connects what comes before and after.

    Candidates are drawn in one batch; the best is the one after which the next seconds of the piece
    are most likely under the model or, where next to nothing follows, the one that is itself most
    likely, in nats per token. Notes that sound where the stretch begins or ends are kept. The
    pedal is applied, and drums are left out.
    """
    from midirnn.composing.infill import infill as rewrite
    from midirnn.engines.load import load
    from midirnn.sampling.primer import dropped_drums

    own = seed_or_random(seed)
    loaded = load(model)
    check_output(output, loaded.codec)
    piece = read_music(file, drums=True)
    if dropped := dropped_drums(piece):
        print(f"{file}: {dropped}, and the new file is without them", file=sys.stderr)
    with progress_bar("candidates") as progress:
        found = rewrite(
            loaded,
            piece,
            begin,
            end,
            candidates=candidates,
            sampling=sampling,
            seed=own,
            engine=engine,
            progress=progress,
        )
    nats = ", ".join(f"{one.nats:.1f} ({one.nats_per_token:.2f})" for one in found)
    print(f"nats of what follows each candidate (per token, with its own): {nats}", file=sys.stderr)
    count = found[0].new_notes
    notes = f"{count} new {'note' if count == 1 else 'notes'}"
    told = f"{notes} from {begin:g} to {end:g} s (seed {own})"
    write_music(loaded.codec, found[0].performance, output, told)
