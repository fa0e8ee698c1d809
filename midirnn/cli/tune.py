"""``midirnn tune``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.inputs import midi_files
from midirnn.cli.parameters import refuse_given
from midirnn.cli.progress import counted_bar, progress_bar
from midirnn.cli.same_codec import check_same_codec
from midirnn.cli.targets import check_folder
from midirnn.errors import CheckpointError, MidirnnError, OptionError

if TYPE_CHECKING:
    from midirnn.codecs import PerformanceCodec, Tokens
    from midirnn.engines.load import Model
    from midirnn.performance import Performance
    from midirnn.training.tuning import Tuned

SAMPLE_ROWS = {
    "distinct_share": "different figures of 4",
    "longest_copy": "longest copy, notes",
}
"""The printed names of the figures of :func:`midirnn.judging.samples.judge_samples`."""

NO_BETTER = (
    "it is no better on the end of your playing: that part is unlike the rest, or there is too "
    "little of both. More playing helps"
)

PLAYERS = ("performer", "both")
PERFORMER, MODEL = "performer", "model"
"""The names of the tracks of a recorded session."""

OWN_PIECES, OWN_SECONDS = 24, 40.0
"""How much of its own music the model plays first, to mix into the training and to measure on."""

JUDGED_PIECES = 8
"""How many of them are judged, and as many pieces of the tuned model."""

TEST_TOKENS = 20_000
"""How many tokens of a data set's test split forgetting is measured on."""

ROWS = {
    "yours": "your playing, kept aside",
    "beginnings": "the first notes of it",
    "own": "the model's own music",
    "base_test": "{dataset}, test split",
}
"""The printed names of the measurements, by their names in midirnn.training.tuning (which needs
torch)."""


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
    kind: Annotated[
        str,
        Parameter(
            help="What to tune: state (only the initial state: seconds, a few kilobytes), adapter "
            "(all weights, by low-rank matrices: minutes, a megabyte) or all (all weights in full: "
            "minutes, 17 megabytes for piano)."
        ),
    ] = "adapter",
    of: Annotated[
        str,
        Parameter(
            help="Whose notes of a recorded session to learn from: performer, or both (the model's "
            "too). Other files are used as a whole."
        ),
    ] = PERFORMER,
    price_on: Annotated[
        Path | None,
        Parameter(help="Also measure what is forgotten, on the test split of this data set."),
    ] = None,
    minutes: Annotated[
        float | None,
        Parameter(
            help="Train for at most this many minutes, and at most 240 steps; training stops when "
            "it no longer improves. [3]"
        ),
    ] = None,
    steps: Annotated[
        int,
        Parameter(
            help="Train for at most this many steps instead, which gives the same result on a slow "
            "or busy machine (0: by minutes)."
        ),
    ] = 0,
    learning_rate: Annotated[float | None, Parameter(help="Peak learning rate. [0.0006]")] = None,
    rank: Annotated[int | None, Parameter(help="Rank of an adapter's matrices. [16]")] = None,
    validation_share: Annotated[
        float, Parameter(help="Share of your playing, before --test-share, that says when to stop.")
    ] = 0.15,
    test_share: Annotated[
        float,
        Parameter(help="Share of your playing, at its end, that is only used to measure the gain."),
    ] = 0.15,
    base_share: Annotated[
        float | None,
        Parameter(
            help="Share of the model's own music in the training, to prevent forgetting. [0.3]"
        ),
    ] = None,
    threads: Annotated[int, Parameter(help="Number of threads.")] = 1,
    seed: Annotated[int, Parameter(help="Random seed.")] = 0,
) -> None:
    """Tune a model to your playing.

    It learns from what you played, in a few minutes. The result is a small folder that live, jam
    and generate take as --model. It prints nats per token, before and after, on the end of your
    playing, which it did not learn from, and on the model's own music; how varied its playing is;
    and how much of that is copied from your recordings.
    """
    from midirnn.codecs import PerformanceCodec, require
    from midirnn.engines.adapters import ADAPTER_FILE, write_adapter
    from midirnn.engines.load import load
    from midirnn.engines.load import tuned as tuned_model
    from midirnn.files import replacing_folder
    from midirnn.models.config import ModelConfig
    from midirnn.training.tuning_config import KINDS_OF, TuningConfig

    of_some_kinds: dict[str, Any] = {
        "minutes": minutes,
        "learning_rate": learning_rate,
        "rank": rank,
        "base_share": base_share,
    }
    given = {name: value for name, value in of_some_kinds.items() if value is not None}
    config = TuningConfig(
        kind,
        steps=steps,
        validation_share=validation_share,
        test_share=test_share,
        threads=threads,
        seed=seed,
        **given,
    )
    refuse_given(
        {name.replace("_", "-"): kind not in KINDS_OF[name] for name in given},
        f"has no effect with --kind {kind}; leave it out",
    )
    if of not in PLAYERS:
        raise OptionError(f"--of is {of!r}; allowed are {', '.join(PLAYERS)}")
    check_folder(output)
    if output.exists() and any(output.iterdir()) and not (output / ADAPTER_FILE).exists():
        raise OptionError(f"{output} holds something else than a tuned model: choose another -o")
    base = load(model)
    if base.config.architecture != ModelConfig.architecture:
        raise OptionError(
            f"{model} has the architecture {base.config.architecture!r}; only models with "
            "recurrent layers can be tuned"
        )
    codec = require(base.codec, PerformanceCodec, "midirnn tune")
    if base.base is not None:
        raise OptionError(f"{model} is a tuned model: tune its base, with all your playing")
    test = _test_pieces(base, price_on)
    pieces = _all_played(codec, files, of)
    from midirnn.training import tuning

    parts = tuning.split(base, pieces, config)  # raises before anything is played
    own = _play(base, seed, OWN_PIECES)
    with progress_bar("tune") as show:
        music = tuning.base_music(base, own, test)
        tuned = tuning.tune(
            base, parts, music, config, report=lambda r: show(r.step, max(r.step, r.total_steps))
        )
    made = _play(tuned_model(base, tuned.adapter, model, base.folder), seed, JUDGED_PIECES)
    heard = _judge(codec, {"before": own[:JUDGED_PIECES], "after": made}, pieces)
    with replacing_folder(output, CheckpointError) as fresh:
        write_adapter(fresh, replace(tuned.adapter, info=tuned.adapter.info | {"samples": heard}))
    _print(tuned, heard, price_on, output)


def _all_played(codec: PerformanceCodec, paths: Sequence[Path], of: str) -> list[Performance]:
    """Return what was played in files and in the files of folders.

    A file of a folder that cannot be learned from is left out, and a line says so; for a file that
    was named it is an error.
    """
    pieces, reason = [], None
    for path in paths:
        if not path.is_dir():
            pieces.append(_played(codec, path, of))
            continue
        for each in midi_files(path):
            try:
                pieces.append(_played(codec, each, of))
            except MidirnnError as error:
                reason = error
                print(f"left out: {error}", file=sys.stderr)
    if not pieces and reason is not None:
        raise OptionError("there is nothing to learn from: all files were left out") from reason
    return pieces


def _played(codec: PerformanceCodec, path: Path, of: str) -> Performance:
    """Return what was played in a file."""
    piece = codec.read(path)
    names = {part.name for part in piece.parts}
    if of == PERFORMER and MODEL in names:  # a recorded session
        piece = _of_performer(piece)
        if not len(piece):
            raise OptionError(f"{path} holds no note of the performer; --of both takes the model's")
    return piece


def _of_performer(piece: Performance) -> Performance:
    """Return the performer's notes of a recorded session."""
    import numpy as np

    mine = [number for number, part in enumerate(piece.parts) if part.name == PERFORMER]
    return piece.select(np.isin(piece.part, mine))


def _test_pieces(model: Model, dataset: Path | None) -> Sequence[Tokens]:
    """Return excerpts of the test split of a data set, if one is given."""
    if dataset is None:
        return ()
    from midirnn.datasets import Dataset
    from midirnn.datasets.draws import excerpts

    opened = Dataset.open(dataset)
    check_same_codec(model, opened)
    return excerpts(opened.pieces("test"), TEST_TOKENS)


def _play(model: Model, seed: int, count: int) -> list[Performance]:
    """Return what a model plays without a primer."""
    from midirnn.sampling.many import continue_many
    from midirnn.sampling.requests import Request

    drawn = continue_many(
        model,
        [None] * count,
        request=Request(OWN_SECONDS),
        seeds=range(seed, seed + count),
        batch=count,
    )
    return [piece.performance for piece in counted_bar("play", drawn, count)]


def _judge(
    codec: PerformanceCodec, made: dict[str, list[Performance]], recordings: Sequence[Performance]
) -> dict[str, dict[str, float]]:
    """Return the figures of the pieces that the model played before and after."""
    from midirnn.judging.samples import judge_samples

    known = [codec.encode(piece) for piece in recordings]
    return {
        when: judge_samples(codec, [codec.encode(piece) for piece in pieces], known)
        for when, pieces in made.items()
    }


def _print(
    tuned: Tuned, heard: dict[str, dict[str, float]], price_on: Path | None, output: Path
) -> None:
    rows = [
        (ROWS[name].format(dataset=price_on), change.before, change.after)
        for name, change in tuned.changes.items()
    ]
    width = max(len(name) for name, _, _ in rows) + 1
    print(f"{'nats per token':<{width}}{'before':>8}{'after':>8}{'change':>8}")
    for name, before, after in rows:
        print(f"{name:<{width}}{before:>8.3f}{after:>8.3f}{after - before:>+8.3f}")
    print(f"{f'{JUDGED_PIECES} pieces that it plays':<{width}}{'before':>8}{'after':>8}")
    for name, form in (("distinct_share", ".2f"), ("longest_copy", ".0f")):
        values = "".join(f"{heard[when][name]:>8{form}}" for when in ("before", "after"))
        print(f"{SAMPLE_ROWS[name]:<{width}}{values}")
    if tuned.changes.get("beginnings", tuned.changes["yours"]).difference >= 0.0:
        print(NO_BETTER, file=sys.stderr)
    size = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(f"{output}: {size:.2f} MB. Play with it: midirnn live --model {output}", file=sys.stderr)
