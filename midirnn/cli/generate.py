"""``midirnn generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig


def generate(
    *,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            help="The MIDI file to write; with --count a number is added to its name.",
        ),
    ],
    primer: Annotated[Path | None, Parameter(help="A MIDI file to continue.")] = None,
    seconds: Annotated[
        float | None, Parameter(help="Length of the new music in seconds. [30]")
    ] = None,
    tokens: Annotated[
        int | None,
        Parameter(help="Number of new tokens, with a codec that has no time, such as text. [1000]"),
    ] = None,
    count: Annotated[
        int, Parameter(help="Number of pieces to generate: out-1.mid, out-2.mid, ...")
    ] = 1,
    seed: Annotated[
        int | None,
        Parameter(help="Random seed: the same seed gives the same bytes. [random, and printed]"),
    ] = None,
    model: Annotated[
        str, Parameter(help="Name of a model, or the folder of one or of a training run.")
    ] = "piano",
    engine: Annotated[
        str,
        Parameter(
            help="What runs the model: onnxruntime (fast, int8 weights) or numpy (exact). Each "
            "gives its own music for a seed. [auto: onnxruntime if it is installed]",
            show_default=False,
        ),
    ] = "auto",
    plot: Annotated[
        Path | None,
        Parameter(help="Also draw a piano roll of the (first) piece, into this file."),
    ] = None,
    notes_per_second: Annotated[
        float | None, Parameter(group="Controls", help="Notes per second. [up to the model]")
    ] = None,
    loudness: Annotated[
        float | None,
        Parameter(group="Controls", help="Mean velocity, 0 to 127. [up to the model]"),
    ] = None,
    pitch_classes: Annotated[
        str | None,
        Parameter(
            group="Controls",
            help="Pitch classes, 'C E G', or a key, 'F# minor'. [up to the model]",
        ),
    ] = None,
    follow: Annotated[
        float,
        Parameter(
            group="Controls",
            help="How closely to keep to the primer's style, 0 to 1: its density, loudness, "
            "register, rhythm and so on, where no other control says otherwise.",
        ),
    ] = 1.0,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Generate MIDI files that continue a primer, or start from nothing.

    The file begins with the primer, its pedal applied and its tempo map kept; the model ends the
    notes that still sound at its end.
    """
    import secrets

    from midirnn.codecs import CODECS, NoteStream, require
    from midirnn.engines.load import load
    from midirnn.sampling.generate import continue_piece
    from midirnn.sampling.sampler import Sampler

    if count < 1:
        raise OptionError(f"--count is {count}; it must be at least 1")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    check_file(output, sorted({suffix for codec in CODECS.values() for suffix in codec.suffixes}))
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    controls = _controls(notes_per_second, loudness, pitch_classes)
    loaded = load(model)
    codec = loaded.codec
    check_file(output, codec.suffixes)
    if plot is not None:
        require(codec, NoteStream, "--plot", "notes to draw")
    heard = codec.read(primer) if primer is not None else None
    first_seed = secrets.randbelow(2**32) if seed is None else seed
    stepping = loaded.engine(engine)
    for index in range(count):
        sampler = Sampler(stepping, codec, sampling, seed=first_seed + index)
        made = continue_piece(
            sampler, heard, seconds=seconds, tokens=tokens, controls=controls, follow=follow
        )
        path = output if count == 1 else output.with_stem(f"{output.stem}-{index + 1}")
        codec.write(made.piece, path)
        print(f"{path}: {made.summary()} (seed {first_seed + index})")
        if plot is not None and index == 0:
            from midirnn.plots import plot_piano_roll

            plot_piano_roll(
                made.performance,
                plot,
                title=path.name,
                primer_seconds=made.primer_seconds if heard is not None else None,
            )
            print(f"{plot}: its piano roll")


def _controls(
    notes_per_second: float | None, loudness: float | None, pitch_classes: str | None
) -> Any:
    """Return the controls that are set; None if there are none."""
    from midirnn.codecs.controls import Controls, parse_pitch_classes

    given = Controls(
        notes_per_second,
        loudness,
        None if pitch_classes is None else parse_pitch_classes(pitch_classes),
    )
    return None if given == Controls() else given
