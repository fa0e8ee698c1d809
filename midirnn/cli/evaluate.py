"""``midirnn evaluate``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.continuations import evaluate_continuations
from midirnn.cli.endings import evaluate_endings
from midirnn.cli.parameters import JsonOutput
from midirnn.cli.progress import counted_bar, progress_bar
from midirnn.cli.same_codec import check_same_codec
from midirnn.cli.targets import check_folder
from midirnn.errors import OptionError
from midirnn.files import one_line_errors
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW
from midirnn.sampling.generate import MAX_SECONDS
from midirnn.wording import counted

if TYPE_CHECKING:
    from midirnn.datasets import Dataset
    from midirnn.engines.load import Model
    from midirnn.performance import Performance

FEWEST_OPENINGS = 64
"""The fewest real pieces to compare samples with, if there are as many."""


@dataclass(frozen=True)
class LikelihoodConfig:
    """How the negative log-likelihood is measured."""

    mask: Annotated[
        bool, Parameter(help="Give no probability to tokens that the codec does not allow.")
    ] = True
    pieces: Annotated[int, Parameter(help="Number of pieces, spread evenly; 0 for all.")] = 0
    threads: Annotated[int, Parameter(help="Number of threads.")] = 1
    stateless: Annotated[
        bool,
        Parameter(negative="", help="Reset the state at each window, as train --stateless does."),
    ] = False
    window: Annotated[
        int, Parameter(help="Number of tokens in a window; only matters with --stateless.")
    ] = 256
    bf16: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Multiply in bfloat16: faster on processors that support it, and equal to about "
            "five digits.",
        ),
    ] = False


@dataclass(frozen=True)
class SamplesConfig:
    """Which pieces are generated and judged."""

    samples: Annotated[
        int, Parameter(help="Number of pieces to generate and judge; 0 measures likelihood.")
    ] = 0
    continuations: Annotated[
        int,
        Parameter(help="Number of performances to continue, and to compare with their primers."),
    ] = 0
    endings: Annotated[
        int,
        Parameter(
            help="Number of performances to bring to an end, and to compare with real endings."
        ),
    ] = 0
    follow: Annotated[
        float,
        Parameter(help="With --continuations: how closely to keep to the primer's style, 0 to 1."),
    ] = DEFAULT_FOLLOW
    follow_seconds: Annotated[
        float | None,
        Parameter(
            help="With --continuations: gradually let go of that style over this many seconds. "
            "[never]"
        ),
    ] = None
    sample_seconds: Annotated[
        float, Parameter(help="Length of each piece, and of the real music it is compared with.")
    ] = 180.0
    seed: Annotated[
        int, Parameter(help="Random seed of the first piece; each next piece has the next seed.")
    ] = 0
    engine: Annotated[
        str,
        Parameter(help="What runs the model: auto, onnxruntime (fast), native or numpy (exact)."),
    ] = "auto"
    workers: Annotated[int, Parameter(help="Number of processes that generate.")] = 1
    save: Annotated[
        Path | None,
        Parameter(show_default=False, help="Save the pieces as MIDI files in this folder."),
    ] = None


def evaluate(
    model: Annotated[
        str, Parameter(name="MODEL", help="Name of a model, or a model's or run's folder.")
    ],
    dataset: Annotated[
        str, Parameter(name="DATASET", help="A data set made by midirnn encode, or its URL.")
    ],
    /,
    *,
    split: Annotated[
        str | None,
        Parameter(help="The split to use. [validation; for generated music: test]"),
    ] = None,
    json_output: JsonOutput = False,
    likelihood: Annotated[LikelihoodConfig | None, Parameter(name="*", group="Likelihood")] = None,
    samples: Annotated[SamplesConfig | None, Parameter(name="*", group="Samples")] = None,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Measure how well a model predicts a data set, how it plays, or how it continues a primer.

    Without --samples, --continuations and --endings it prints the negative log-likelihood in nats:
    lower is better. Each piece is read from start to end, and the state is carried through; a tuned
    model starts in the initial state that it has learned. With --samples, pieces are generated
    without a primer and compared with the beginnings of real ones: by their features, and by
    whether they fall silent, babble, loop, or copy from the split 'train'. As a scale, the same
    figures are printed for real music compared with real music.

    With --continuations the model hears 30 s of performances of the split, starting at 20 s, and
    plays for 60 s. The report says how far that is from the primer, in density, velocity, register,
    polyphony, pitch classes and rhythm; the pianist's own continuation is measured the same way,
    and 1.00 is as far as another piece of the split.

    With --endings the model continues for 20 s and is told how far the end is (see generate --end);
    the last 10 s of what it plays are compared with those of real performances.
    """
    from midirnn.datasets import Dataset
    from midirnn.engines.load import load

    measuring, playing = likelihood or LikelihoodConfig(), samples or SamplesConfig()
    _check(measuring, playing, sampling)
    loaded, opened = load(model), Dataset.open(dataset)
    check_same_codec(loaded, opened)
    if playing.samples:
        config = sampling or SamplingConfig()
        _judge_samples(loaded, opened, split or "test", playing, config, json_output)
    elif playing.continuations:
        evaluate_continuations(
            loaded,
            opened,
            split or "test",
            count=playing.continuations,
            follow=playing.follow,
            follow_seconds=playing.follow_seconds,
            seed=playing.seed,
            engine=_engine_of(loaded, playing.engine),
            workers=playing.workers,
            save=playing.save,
            sampling=sampling or SamplingConfig(),
            json_output=json_output,
        )
    elif playing.endings:
        evaluate_endings(
            loaded,
            opened,
            split or "test",
            count=playing.endings,
            seed=playing.seed,
            engine=_engine_of(loaded, playing.engine),
            workers=playing.workers,
            sampling=sampling or SamplingConfig(),
            json_output=json_output,
        )
    else:
        _measure_likelihood(loaded, opened, split or "validation", measuring, json_output)


def _check(
    measuring: LikelihoodConfig, playing: SamplesConfig, sampling: SamplingConfig | None
) -> None:
    """Raise :class:`OptionError` for values out of range, and flags without effect."""
    for name, value, low in (
        ("pieces", measuring.pieces, 0),
        ("threads", measuring.threads, 1),
        ("window", measuring.window, 1),
        ("samples", playing.samples, 0),
        ("continuations", playing.continuations, 0),
        ("endings", playing.endings, 0),
        ("seed", playing.seed, 0),
        ("workers", playing.workers, 1),
    ):
        if value < low:
            raise OptionError(f"--{name} is {value}; it must be at least {low}")
    if not 0.0 < playing.sample_seconds <= MAX_SECONDS:  # also refuses NaN
        raise OptionError(
            f"--sample-seconds is {playing.sample_seconds:g}; allowed are above 0, "
            f"up to {MAX_SECONDS:g}"
        )
    if playing.samples == 1:
        raise OptionError("--samples is 1; at least 2 are needed to compare with real music")
    measured = [
        f"--{name}" for name in ("samples", "continuations", "endings") if getattr(playing, name)
    ]
    if len(measured) > 1:
        raise OptionError(f"{' and '.join(measured)} are two measurements; choose one")
    if playing.endings == 1:
        raise OptionError("--endings is 1; at least 2 are needed to compare with real music")
    if playing.endings and playing.save is not None:
        raise OptionError("--save is for --samples and --continuations")
    if (
        playing.continuations or playing.endings
    ) and playing.sample_seconds != SamplesConfig.sample_seconds:
        raise OptionError(
            "--sample-seconds is for --samples; continuations have lengths of their own"
        )
    if not 0.0 <= playing.follow <= 1.0:  # also refuses NaN
        raise OptionError(f"--follow is {playing.follow:g}; allowed are 0 to 1")
    if not playing.continuations and playing.follow != DEFAULT_FOLLOW:
        raise OptionError("--follow is for --continuations")
    if not playing.continuations and playing.follow_seconds is not None:
        raise OptionError("--follow-seconds is for --continuations")
    if measured and measuring != LikelihoodConfig():
        raise OptionError(
            "--mask, --pieces, --threads and --bf16 are for the likelihood, as --stateless and "
            f"--window are, and it is not measured with {measured[0]}"
        )
    if not measured and (playing != SamplesConfig() or sampling is not None):
        raise OptionError(
            "give the number of pieces to generate with --samples, --continuations or --endings"
        )
    if playing.save is not None:
        check_folder(playing.save)


def _measure_likelihood(
    model: Model, dataset: Dataset, split: str, config: LikelihoodConfig, json_output: bool
) -> None:
    """Print the negative log-likelihood of a split."""
    import torch

    from midirnn.datasets.draws import evenly
    from midirnn.training.evaluate import evaluate as run_evaluation
    from midirnn.training.initial_state import as_state
    from midirnn.training.language_task import make_language_model

    chosen = dataset.pieces(split)
    if config.pieces:
        chosen = evenly(chosen, config.pieces)
    torch.set_num_threads(config.threads)
    total = sum(len(piece) for piece in chosen)
    done = 0
    with progress_bar("evaluating") as show:

        def advance(tokens: int) -> None:
            nonlocal done
            done += tokens
            show(done, total)

        result = run_evaluation(
            make_language_model(model.config, model.weights).eval(),
            model.codec,
            chosen,
            window=config.window,
            stateless=config.stateless,
            bf16=config.bf16,
            use_mask=config.mask,
            initial=None if model.initial is None else as_state(model.initial),
            progress=advance,
        )
    report = {
        "model": model.name,
        "dataset": dataset.name,
        "split": split,
        "pieces": len(chosen),
        "mask": config.mask,
        **({"stateless_window": config.window} if config.stateless else {}),
        "bf16": config.bf16,
        **result.to_dict(),
    }
    if json_output:
        print(json.dumps(report, indent=2))
        return
    masked = "" if config.mask else ", without a mask"
    if config.stateless:
        masked += f", {config.window} tokens at a time, each read afresh"
    pieces = counted(len(chosen), "piece", "pieces")
    print(f"{model.name} on {pieces} of {dataset.path} ({split}){masked}:")
    for name in ("nats_per_token", "nats_per_note", "nats_per_second"):
        if name in report:
            print(f"  {name:<16} {report[name]:8.4f}")
    for kind, nats in report["nats_per_token_by_type"].items():
        print(f"    {kind:<14} {nats:8.4f}  ({report['tokens_by_type'][kind]:,} tokens)")


def _judge_samples(
    model: Model,
    dataset: Dataset,
    split: str,
    config: SamplesConfig,
    sampling: SamplingConfig,
    json_output: bool,
) -> None:
    """Print figures of generated pieces, compared with real ones of a split."""
    from midirnn.codecs import NoteStream, require
    from midirnn.judging import judge, openings, table

    if split == "train":
        raise OptionError(
            "--split is 'train', on which the model was trained; choose another split"
        )
    seconds, count = config.sample_seconds, config.samples
    codec = require(dataset.codec, NoteStream, "--samples")
    training = dataset.pieces("train")
    real = {
        name: openings(codec, pieces, seconds, most, of=f"{name} ")
        for name, pieces, most in (
            (split, dataset.pieces(split), max(count, FEWEST_OPENINGS)),
            ("train", training, count),
        )
    }
    # The engine is chosen once: each gives its own music for a seed.
    config = dataclasses.replace(config, engine=_engine_of(model, config.engine))
    made = _generate(model, config, sampling)
    findings = judge(codec, made, real, split, training, seconds)
    paths = [row["path"] for row in dataset.rows("train")]
    report: dict[str, Any] = {
        "model": model.name,
        "dataset": dataset.name,
        "split": split,
        "samples": count,
        "sample_seconds": seconds,
        "seed": config.seed,
        "engine": config.engine,
        "sampling": dataclasses.asdict(sampling),
        **findings,
    }
    for index, row in enumerate(report["each"]):
        row["seed"] = config.seed + index
        for name in ("copied_from", "copied_in_any_key_from"):
            row[name] = paths[row[name]] if row[name] >= 0 else None
    if json_output:
        print(json.dumps(report, indent=2))
        return
    print(f"{model.name}, {count} pieces of {seconds:g} s, beside {dataset.path} ({split}):")
    print("\n".join(f"  {line}".rstrip() for line in table(findings, split)))


def _engine_of(model: Model, engine: str) -> str:
    """Return the name of the engine; for ``auto`` the one that it selects."""
    return model.engine(engine).name if engine == "auto" else engine


def _generate(model: Model, config: SamplesConfig, sampling: SamplingConfig) -> list[Performance]:
    """Generate the pieces to judge, and save each as soon as it is done."""
    from midirnn.midifile import write_midi
    from midirnn.sampling.many import generate_many

    if config.save is not None:
        with one_line_errors(config.save, OptionError):
            config.save.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(config.samples)))
    made: list[Performance] = []
    drawn = generate_many(
        model,
        config.samples,
        seconds=config.sample_seconds,
        sampling=sampling,
        seed=config.seed,
        engine=config.engine,
        workers=config.workers,
    )
    for piece in counted_bar("generating", drawn, config.samples):
        made.append(piece)
        if config.save is not None:
            write_midi(piece, config.save / f"sample-{len(made):0{digits}}.mid")
    return made
