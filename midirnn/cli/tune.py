"""``midirnn tune``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_folder
from midirnn.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    from midirnn.engines.load import Model
    from midirnn.performance import Performance
    from midirnn.training.tuning import Tuned

PLAYERS = ("performer", "both")
PERFORMER = "performer"

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")

OWN_PIECES, OWN_SECONDS = 8, 60.0
"""How much of its own music the model plays first: half to be mixed in, half to measure with."""

SAMPLES, SAMPLE_SECONDS = 4, 60.0
"""What the tuned model plays, to see how much of it is copied."""


def tune(
    *files: Annotated[
        Path,
        Parameter(
            name="FILE",
            required=True,
            help="What you played: MIDI files of live --record, any others, or folders of them.",
        ),
    ],
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the tuned model.")],
    model: Annotated[str, Parameter(help="Name or folder of the model to tune.")] = "piano",
    of: Annotated[
        str,
        Parameter(
            help="Whose notes of a recorded session to learn from: performer, or both (the model's "
            "too). Other files are learned from whole."
        ),
    ] = PERFORMER,
    minutes: Annotated[
        float,
        Parameter(help="Train for so many minutes at most; it stops when it gets no better."),
    ] = 5.0,
    learning_rate: Annotated[float, Parameter(help="Peak learning rate.")] = 3e-4,
    rank: Annotated[
        int, Parameter(help="Rank at which the change of each matrix is kept (0: all of it).")
    ] = 16,
    validation_share: Annotated[
        float,
        Parameter(
            help="Share of your playing, its end, that is kept aside: to stop in time, and to "
            "measure."
        ),
    ] = 0.15,
    base_share: Annotated[
        float,
        Parameter(help="Share of the model's own music in the training, against forgetting."),
    ] = 0.3,
    threads: Annotated[int, Parameter(help="Number of threads.")] = 1,
    seed: Annotated[int, Parameter(help="Random seed.")] = 0,
) -> None:
    """Tune a model to your playing.

    It learns from what you played, in a few minutes, and the result is a small folder that live,
    jam and generate take as --model. What is printed: nats per token on the end of your playing,
    which it did not learn from, and on music of the model's own, before and after.
    """
    from midirnn.codecs import PerformanceCodec, require
    from midirnn.engines.adapters import ADAPTER_FILE, write_adapter
    from midirnn.engines.load import load
    from midirnn.files import replacing_folder

    if of not in PLAYERS:
        raise OptionError(f"--of is {of!r}; allowed are {', '.join(PLAYERS)}")
    check_folder(output)
    if output.exists() and any(output.iterdir()) and not (output / ADAPTER_FILE).exists():
        raise OptionError(f"{output} holds something else than a tuned model: choose another -o")
    base = load(model)
    require(base.codec, PerformanceCodec, "midirnn tune")
    if "tuned" in base.info:
        raise OptionError(f"{model} is a tuned model: tune its base, with all your playing")
    pieces = [_played(base, path, of) for path in _midi_files(files)]
    from midirnn.training.tuning import TuningConfig
    from midirnn.training.tuning import tune as tune_to

    config = TuningConfig(minutes, learning_rate, rank, validation_share, base_share, threads, seed)
    own = _play(base, OWN_PIECES, OWN_SECONDS, seed)
    with progress_bar("tune") as progress:

        def show(step: int, total: int) -> None:
            if progress is not None:
                progress(step, total)

        tuned = tune_to(
            base, pieces, own, config, report=lambda r: show(r.step, max(r.step, r.total_steps))
        )
    with replacing_folder(output, CheckpointError) as fresh:
        write_adapter(fresh, tuned.adapter)
    _print(tuned, _longest_copy(base, tuned, pieces, seed), output)


def _midi_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield files as they are, and those in folders by their names: by time, for recordings."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in MIDI_SUFFIXES)
        if not found:
            raise OptionError(f"{path} holds no MIDI file")
        yield from found


def _played(model: Model, path: Path, of: str) -> Performance:
    """Return what was played in a file."""
    piece: Performance = model.codec.read(path)
    names = {part.name for part in piece.parts}
    if of == PERFORMER and {PERFORMER, "model"} <= names:
        piece = _of_performer(piece)
        if not len(piece):
            raise OptionError(f"{path} holds no note of the performer; --of both takes the model's")
    return piece


def _of_performer(piece: Performance) -> Performance:
    """Return the performer's notes of a recorded session."""
    import numpy as np

    mine = [number for number, part in enumerate(piece.parts) if part.name == PERFORMER]
    return piece.select(np.isin(piece.part, mine))


def _play(model: Model, count: int, seconds: float, seed: int) -> list[Performance]:
    """Return music of the model's own."""
    from midirnn.sampling.many import generate_many

    with progress_bar("play") as progress:
        made = []
        for piece in generate_many(model, count, seconds=seconds, seed=seed):
            made.append(piece)
            if progress is not None:
                progress(len(made), count)
    return made


def _longest_copy(base: Model, tuned: Tuned, pieces: Sequence[Performance], seed: int) -> int:
    """Return how many notes in a row of what the tuned model plays stand in the recordings."""
    from midirnn.codecs import NoteStream, require
    from midirnn.judging.copying import Corpus, pitches

    codec = require(base.codec, NoteStream, "midirnn tune")
    model = replace(base, weights=tuned.adapter.apply(base.weights))
    made = _play(model, SAMPLES, SAMPLE_SECONDS, seed)
    corpus = Corpus([pitches(codec, base.codec.encode(piece)) for piece in pieces])
    runs = corpus.longest_runs([pitches(codec, base.codec.encode(piece)) for piece in made])
    return max(run.length for run in runs)


def _print(tuned: Tuned, longest_copy: int, output: Path) -> None:
    print(f"{'nats per token':<28}{'before':>8}{'after':>8}{'change':>8}")
    for name, before, after in (
        ("your playing, kept aside", tuned.yours_before, tuned.yours_after),
        ("the model's own music", tuned.base_before, tuned.base_after),
    ):
        print(f"{name:<28}{before:>8.3f}{after:>8.3f}{after - before:>+8.3f}")
    print(f"longest copy of your playing in {SAMPLES} pieces: {longest_copy} notes")
    size = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(f"{output}: {size:.1f} MB. Play with it: midirnn live --model {output}", file=sys.stderr)
