"""``midirnn generate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from midirnn.codecs import Codec

STDOUT = Path("-")
"""As --output: standard output."""


def generate(
    *,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The file to write; with --count a number is added to its name. A dash (-) "
            "writes to standard output.",
        ),
    ],
    primer: Annotated[
        Path | None,
        Parameter(help="A file to continue: MIDI or, with a model of text, text."),
    ] = None,
    primer_text: Annotated[
        str | None,
        Parameter(help=r"A text to continue, with a model of text; \n begins a new line."),
    ] = None,
    seconds: Annotated[
        float | None, Parameter(help="Length of the new music in seconds. [30]")
    ] = None,
    tokens: Annotated[
        int | None,
        Parameter(
            help="Number of new tokens, with a codec that has no time, such as text; a tune may "
            "end before. [1000]"
        ),
    ] = None,
    format: Annotated[
        str | None,
        Parameter(
            help="How the file is written: mid, or txt or abc with a model of text. A model of "
            "tunes in ABC notation has both. [as the name of --output ends]"
        ),
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
    """Generate MIDI files, or texts, that continue a primer or start from nothing.

    The file begins with the primer. Of MIDI its pedal is applied and its tempo map kept; the model
    ends the notes that still sound at its end.
    """
    import secrets

    from midirnn.codecs import NoteStream, require
    from midirnn.engines.load import load
    from midirnn.sampling.generate import continue_piece
    from midirnn.sampling.sampler import Sampler

    if count < 1:
        raise OptionError(f"--count is {count}; it must be at least 1")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    if primer is not None and primer_text is not None:
        raise OptionError("--primer and --primer-text are two primers; choose one")
    output = _with_format(output, format)
    _check_output(output, None)
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    controls = _controls(notes_per_second, loudness, pitch_classes)
    loaded = load(model)
    codec = loaded.codec
    _check_output(output, codec)
    on_stdout = _format_of_stdout(codec, format)
    if plot is not None:
        require(codec, NoteStream, "--plot", "notes to draw")
    heard = _primer(codec, primer, primer_text)
    first_seed = secrets.randbelow(2**32) if seed is None else seed
    stepping = loaded.engine(engine)
    for index in range(count):
        sampler = Sampler(stepping, codec, sampling, seed=first_seed + index)
        made = continue_piece(
            sampler, heard, seconds=seconds, tokens=tokens, controls=controls, follow=follow
        )
        told = f"{made.summary()} (seed {first_seed + index})"
        if output == STDOUT:
            _print_piece(codec, made.piece, on_stdout)
            print(told, file=sys.stderr)
        else:
            path = output if count == 1 else output.with_stem(f"{output.stem}-{index + 1}")
            codec.write(made.piece, path)
            print(f"{path}: {told}")
        if plot is not None and index == 0:
            from midirnn.plots import plot_piano_roll

            plot_piano_roll(
                made.performance,
                plot,
                title=output.name,
                primer_seconds=made.primer_seconds if heard is not None else None,
            )
            print(f"{plot}: its piano roll", file=sys.stderr if output == STDOUT else sys.stdout)


def _with_format(output: Path, format: str | None) -> Path:
    """Return the name of the output, with the suffix of the format where it has none."""
    if format is None or output == STDOUT:
        return output
    suffix = f".{format}"
    if output.suffix.lower() not in ("", suffix):
        raise OptionError(
            f"--format is {format!r}, and {output} is named otherwise: leave out one of them"
        )
    return output if output.suffix else output.with_suffix(suffix)


def _suffixes(codec: Codec[Any]) -> list[str]:
    """Return how the names of the files end that a codec writes."""
    from midirnn.codecs import Translates

    return [*codec.suffixes, *(codec.written if isinstance(codec, Translates) else ())]


def _check_output(output: Path, codec: Codec[Any] | None) -> None:
    """Raise :class:`OptionError` if the codec, or none that is known, can write that file."""
    from midirnn.codecs import CODECS

    if output == STDOUT:
        return
    able = [kind() for kind in CODECS.values()] if codec is None else [codec]
    check_file(output, sorted({suffix for one in able for suffix in _suffixes(one)}))


def _primer(codec: Codec[Any], path: Path | None, text: str | None) -> Any:
    """Return the piece to continue; None if there is none."""
    from midirnn.codecs import TextCodec

    if path is not None:
        return codec.read(path)
    if text is None:
        return None
    if not isinstance(codec, TextCodec):
        raise OptionError(
            f"--primer-text is for models of text, and this one has the codec {codec.name!r}; "
            "give it a file with --primer"
        )
    return text.replace("\\n", "\n")


def _format_of_stdout(codec: Codec[Any], format: str | None) -> str:
    """Return the suffix of a file like what goes to standard output."""
    suffixes = _suffixes(codec)
    suffix = suffixes[0] if format is None else f".{format}"
    if suffix not in suffixes:
        allowed = ", ".join(known.removeprefix(".") for known in suffixes)
        raise OptionError(f"--format is {format!r}; with this model it can be {allowed}")
    return suffix


def _print_piece(codec: Codec[Any], piece: Any, suffix: str) -> None:
    """Write to standard output what the codec writes to a file with that suffix."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, f"piece{suffix}")
        codec.write(piece, path)
        content = path.read_bytes()
    if sys.stdout.isatty() and not content.endswith(b"\n"):
        content += b"\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


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
