"""``midirnn generate``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.constraints import ConstraintFlags
from midirnn.cli.inputs import STDIN, read_music
from midirnn.cli.main import UsageError
from midirnn.cli.outputs import (
    STDOUT,
    check_output,
    format_of_stdout,
    print_piece,
    text_primer,
    with_format,
)
from midirnn.cli.progress import progress_bar
from midirnn.cli.sounds import check_sound, write_audio
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from midirnn.codecs import Codec
    from midirnn.engines.load import Model
    from midirnn.sampling.generate import Generated
    from midirnn.sampling.requests import Request
    from midirnn.sampling.sampler import Sampler

LONG_PRIMER = 2000
"""Notes; of longer primers a line says that they take some seconds."""


def generate(
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The file to write; with --count a number is added to its name. A dash (-) "
            "writes to standard output. May be left out with --audio.",
        ),
    ] = None,
    primer: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="A file to continue: MIDI (a dash, -, reads it from standard input) or, with a "
            "model of text, text.",
        ),
    ] = None,
    primer_text: Annotated[
        str | None,
        Parameter(help=r"A text to continue, with a model of text; \n begins a new line."),
    ] = None,
    primer_from: Annotated[
        float | None,
        Parameter(help="Begin the primer at this second of the file; below 0, before its end."),
    ] = None,
    primer_seconds: Annotated[
        float | None, Parameter(help="Length of the primer in seconds. [to the end of the file]")
    ] = None,
    primer_drums: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Use the primer's channel 10 as notes. Without it they are drums and left out.",
        ),
    ] = False,
    only_new: Annotated[
        bool, Parameter(negative="", show_default=False, help="Write the new notes only.")
    ] = False,
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
    end: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Bring the music to a close at about its length, and let the last notes sound on "
            "for up to 4 s, instead of cutting them off.",
        ),
    ] = False,
    count: Annotated[
        int, Parameter(help="Number of pieces to generate: out-1.mid, out-2.mid, ...")
    ] = 1,
    workers: Annotated[
        int, Parameter(help="With --count: so many processes share the pieces.")
    ] = 1,
    batch: Annotated[
        int | None,
        Parameter(
            help="With --count: so many pieces are in progress at once, in numpy. The music does "
            "not depend on how many, nor on --workers. [one after another]"
        ),
    ] = None,
    resume: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="With --count and --seed: keep the files that exist, and make the others.",
        ),
    ] = False,
    best_of: Annotated[
        int,
        Parameter(help="Draw so many candidates in one batch, in numpy, and keep the best."),
    ] = 1,
    by: Annotated[
        str,
        Parameter(
            help="What --best-of chooses by: likelihood, continuity (nearness to the primer), key, "
            "density, or FILE.py:function, which is given a Performance and returns a number."
        ),
    ] = "likelihood",
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
    audio: Annotated[
        Path | None,
        Parameter(
            help="Also write the sound of the (first) piece: .wav, .flac or .mp3. See midirnn "
            "render."
        ),
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
    follow_seconds: Annotated[
        float | None,
        Parameter(
            group="Controls",
            help="Let go of the primer's style bit by bit, to be free of it after so many seconds. "
            "[never]",
        ),
    ] = None,
    rules: Annotated[ConstraintFlags | None, Parameter(name="*")] = None,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Generate MIDI files, or texts, that continue a primer or start from nothing.

    The file begins with the primer. Of MIDI its pedal is applied and its tempo map kept; the model
    ends the notes that still sound at its end, and the new notes are on a track of their own.
    """
    import secrets

    from midirnn.codecs import NoteStream, require
    from midirnn.engines.load import load
    from midirnn.sampling.generate import DEFAULT_SECONDS
    from midirnn.sampling.many import continue_many
    from midirnn.sampling.requests import Request
    from midirnn.sampling.sampler import Sampler

    if count < 1:
        raise OptionError(f"--count is {count}; it must be at least 1")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    for name, number in (("--workers", workers), ("--best-of", best_of), ("--batch", batch)):
        if number is not None and number < 1:
            raise OptionError(f"{name} is {number}; it must be at least 1")
    if workers > 1 and best_of > 1:
        raise OptionError("--workers share the pieces of --count; --best-of draws in one process")
    if resume and seed is None:
        raise OptionError("--resume makes the pieces that are missing: give the --seed of the rest")
    if best_of > 1:
        from midirnn.composing import find_measure

        find_measure(by)
        if engine == "onnxruntime":
            raise OptionError("--best-of draws in one batch, which the engine numpy does")
    if primer is not None and primer_text is not None:
        raise OptionError("--primer and --primer-text are two primers; choose one")
    if output is None and audio is None:
        raise UsageError(
            "--output requires an argument: the file to write. See: midirnn generate --help"
        )
    writes = output is not None
    output = with_format(output or Path("music.mid"), format if writes else None)
    if writes:
        check_output(output, None)
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(plot))
    if audio is not None:
        check_sound(audio)
    controls = _controls(notes_per_second, loudness, pitch_classes)
    constraints = None
    if rules is not None:
        constraints = rules.constraints(DEFAULT_SECONDS if seconds is None else seconds)
    loaded = load(model)
    codec = loaded.codec
    if writes:
        check_output(output, codec)
    on_stdout = format_of_stdout(codec, format)
    if plot is not None:
        require(codec, NoteStream, "--plot", "notes to draw")
    if audio is not None:
        require(codec, NoteStream, "--audio", "notes to hear")
    if primer_text is not None:
        heard = text_primer(codec, primer_text)
    else:
        heard = _primer(codec, primer, primer_from, primer_seconds, primer_drums)
    if only_new and not isinstance(codec, NoteStream):
        raise OptionError(f"--only-new is for music; the codec {codec.name!r} has no notes")
    first_seed = secrets.randbelow(2**32) if seed is None else seed
    if end and not loaded.config.style_inputs:
        print(f"{model}: {_end_of(loaded.config.control_inputs)}", file=sys.stderr)
    paths = [
        output if count == 1 else output.with_stem(f"{output.stem}-{index + 1}")
        for index in range(count)
    ]
    wanted = [index for index in range(count) if not (writes and resume and paths[index].exists())]
    if len(wanted) < count:
        print(f"{count - len(wanted)} of {count} files exist and are kept", file=sys.stderr)
    seeds = [first_seed + index for index in wanted]
    pieces: Iterable[Generated]
    primer_piece: Any = heard
    if isinstance(codec, NoteStream) and (best_of > 1 or workers > 1 or batch is not None):
        length = DEFAULT_SECONDS if seconds is None else seconds
        request = Request(length, sampling, controls, follow, follow_seconds, end, constraints)
        if best_of > 1:
            pieces = _best(loaded, best_of, by, request, heard, seeds)
        else:
            pieces = continue_many(
                loaded,
                [primer_piece] * len(seeds),
                request=request,
                seeds=seeds,
                engine=engine,
                workers=workers,
                batch=batch,
            )
    else:
        if best_of > 1 or workers > 1 or batch is not None:
            raise OptionError(
                f"--best-of, --workers and --batch are for music; the codec {codec.name!r} has no "
                "time"
            )
        stepping = loaded.engine(engine)
        settings = {
            "seconds": seconds,
            "tokens": tokens,
            "controls": controls,
            "follow": follow,
            "follow_seconds": follow_seconds,
            "end": end,
            "constraints": constraints,
        }
        pieces = (
            _shown(Sampler(stepping, codec, sampling, seed=own), heard, settings) for own in seeds
        )
    for index, made in zip(wanted, pieces, strict=True):
        piece = made.continuation if only_new else made.piece
        told = f"{made.summary()} (seed {first_seed + index})"
        path = paths[index]
        if not writes:
            print(told)
        elif output == STDOUT:
            print_piece(codec, piece, on_stdout)
            print(told, file=sys.stderr)
        else:
            codec.write(piece, path)
            print(f"{path}: {told}")
        if plot is not None and index == 0:
            from midirnn.plots import plot_piano_roll

            plot_piano_roll(
                made.continuation if only_new else made.performance,
                plot,
                title=path.name,
                primer_seconds=None if heard is None or only_new else made.primer_seconds,
            )
            print(f"{plot}: its piano roll", file=sys.stderr if output == STDOUT else sys.stdout)
        if audio is not None and index == 0:
            write_audio(made.continuation if only_new else made.performance, audio)
            print(f"{audio}: its sound", file=sys.stderr if output == STDOUT else sys.stdout)


def _shown(sampler: Sampler[Any], heard: Any, settings: dict[str, Any]) -> Generated:
    """Generate a piece under a progress bar."""
    from midirnn.sampling.generate import continue_piece

    with progress_bar("generating") as progress:
        return continue_piece(sampler, heard, **settings, progress=progress)


def _best(
    model: Model, count: int, by: str, request: Request, heard: Any, seeds: Sequence[int]
) -> Iterator[Generated]:
    """Yield the best of many candidates for each seed, and print the measures of all."""
    from midirnn.composing import best_of, find_measure

    measure = find_measure(by)
    for seed in seeds:
        with progress_bar("candidates") as progress:
            found = best_of(model, count, measure, request, heard, seed=seed, progress=progress)
        values = ", ".join(f"{candidate.measure:.3f}" for candidate in found)
        print(f"{by} of {count} candidates: {values}", file=sys.stderr)
        yield found[0].generated


def _end_of(has_controls: bool) -> str:
    """Return how a model ends that was never told in training how far the end is."""
    untold = "it was not trained to know how far the end is (--style-inputs), so"
    if has_controls:
        return f"{untold} --end asks it for fewer notes and the tonic only"
    return f"{untold} --end only lets its last notes sound on"


def _primer(
    codec: Codec[Any], path: Path | None, begin: float | None, seconds: float | None, drums: bool
) -> Any:
    """Return the passage of a file to continue, and say what of it is not used."""
    from midirnn.codecs import NoteStream
    from midirnn.performance import Performance
    from midirnn.sampling.primer import dropped_drums, drums_as_notes, passage, read_primer

    given = {"--primer-from": begin, "--primer-seconds": seconds, "--primer-drums": drums or None}
    flag = next((name for name, value in given.items() if value is not None), None)
    if path is None:
        if flag:
            raise OptionError(f"{flag} says what of a primer to use; name its file with --primer")
        return None
    from_pipe = path == STDIN and isinstance(codec, NoteStream)
    piece: Any = read_music(path, drums=True) if from_pipe else read_primer(codec, path)
    if not isinstance(piece, Performance):
        if flag:
            raise OptionError(f"{flag} is for music; the codec {codec.name!r} has no notes")
        return piece
    if drums:
        piece = drums_as_notes(piece)
    piece = passage(piece, begin or 0.0, seconds)
    if dropped := dropped_drums(piece):
        print(f"{path}: {dropped} (use them with --primer-drums)", file=sys.stderr)
    if len(piece) > LONG_PRIMER:
        print(f"{path}: the model hears {len(piece):,} notes first ...", file=sys.stderr)
    return piece


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
