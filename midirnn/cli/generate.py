"""``midirnn generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig


def generate(
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="The MIDI file; with --count also a number.")
    ],
    primer: Annotated[Path | None, Parameter(help="A MIDI file to go on from.")] = None,
    seconds: Annotated[float, Parameter(help="How much new music.")] = 30.0,
    count: Annotated[int, Parameter(help="How many pieces: out-1.mid, out-2.mid, ...")] = 1,
    seed: Annotated[
        int | None, Parameter(help="The same seed gives the same bytes. [drawn, and printed]")
    ] = None,
    model: Annotated[str, Parameter(help="A model's name, folder or training run.")] = "piano",
    engine: Annotated[
        str,
        Parameter(
            help="What computes: onnxruntime (fast, int8) or numpy (exact). Each gives notes of "
            "its own for a seed. [auto: onnxruntime where it is installed]",
            show_default=False,
        ),
    ] = "auto",
    plot: Annotated[
        Path | None, Parameter(help="Also draw the (first) piece as a piano roll into this file.")
    ] = None,
    notes_per_second: Annotated[
        float | None, Parameter(group="Steering", help="How dense. [left to the model]")
    ] = None,
    loudness: Annotated[
        float | None,
        Parameter(group="Steering", help="The mean velocity, 0 to 127. [left to the model]"),
    ] = None,
    pitch_classes: Annotated[
        str | None,
        Parameter(group="Steering", help="'C E G', or a key: 'F# minor'. [left to the model]"),
    ] = None,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Write MIDI files of music that goes on from a primer, or from nothing.

    A primer comes first in the file, its pedal applied, its tempo kept; what it still held at its
    end the model ends.
    """
    import secrets

    from midirnn.codecs.controls import Controls, parse_pitch_classes
    from midirnn.engines.load import load
    from midirnn.midifile import SUFFIXES, read_midi, write_midi
    from midirnn.sampling.generate import continue_primer
    from midirnn.sampling.sampler import Sampler

    if count < 1:
        raise OptionError(f"--count is {count}; it must be at least 1")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    check_file(output, SUFFIXES)
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    asked = Controls(
        notes_per_second,
        loudness,
        None if pitch_classes is None else parse_pitch_classes(pitch_classes),
    )
    controls = None if asked == Controls() else asked
    loaded = load(model)
    heard = read_midi(primer) if primer is not None else None
    first_seed = secrets.randbelow(2**32) if seed is None else seed
    stepping = loaded.engine(engine)
    for index in range(count):
        sampler = Sampler(stepping, loaded.codec, sampling, seed=first_seed + index)
        made = continue_primer(sampler, seconds, heard, controls)
        path = output if count == 1 else output.with_stem(f"{output.stem}-{index + 1}")
        write_midi(made.performance, path)
        notes = int((made.performance.start >= made.primer_seconds).sum())
        print(f"{path}: {notes} new notes in {seconds:g} s (seed {first_seed + index})")
        if plot is not None and index == 0:
            from midirnn.plots import plot_piano_roll

            plot_piano_roll(
                made.performance,
                plot,
                title=path.name,
                primer_seconds=made.primer_seconds if heard is not None else None,
            )
            print(f"{plot}: its piano roll")
