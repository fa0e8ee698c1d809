"""Time a step of each engine, sampling included: batch 1, one thread.

    python3 scripts/benchmark_step.py [--model MODEL | --cell lstm --hidden-size 512 --num-layers 3]

Each engine generates music, one token per step, in a tight loop and in one that sleeps between
steps as in live playing, so that the caches are cold. torch.nn's layers run with and without
oneDNN. For a model with terms (--term-notes), the table also shows how much of a step its
structured output takes, in numpy and in C++. If other processes use more than a fifth of a core,
nothing is reported and the exit code is 1, unless --anyway is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import MOST_OTHER_CORES, OtherLoad, installed, processor_name, refuse

from midirnn.codecs import PerformanceCodec
from midirnn.engines.base import StepEngine
from midirnn.engines.load import Model, load
from midirnn.errors import MidirnnError
from midirnn.features import NoteTerms
from midirnn.models.cells import CELLS
from midirnn.models.checkpoint import expected_shapes
from midirnn.models.config import ModelConfig
from midirnn.performance import Performance
from midirnn.sampling import Sampler
from midirnn.terms import TermStep
from midirnn.terms.native_step import NativeStep
from midirnn.terms.scan import native_library

WARM_UP_STEPS = 10
LIBRARIES = ("midirnn", "numpy", "onnxruntime", "torch")


@dataclass(frozen=True)
class Timing:
    """Milliseconds per step, sampling included, with a pause of ``pause_ms`` between steps."""

    engine: str
    pause_ms: float
    steps: int
    p10_ms: float
    median_ms: float
    p90_ms: float


@dataclass(frozen=True)
class TermTiming:
    """How much of a step the structured output takes, in microseconds."""

    way: str
    """numpy or C++."""
    pause_ms: float
    steps: int
    follow_us: float
    """Mean time to process a token: update the notes so far and the indices they determine."""
    add_us: float
    """Mean time to compute the indices that change with time, and to add up the weights."""
    index_us: float | None
    """Mean time of the first of these alone: in numpy, where it can be timed separately."""
    median_us: float
    """Median of the sum of both."""
    p90_us: float


def main() -> int:
    arguments = parse_arguments()
    model = load(arguments.model) if arguments.model else random_model(arguments)
    others = OtherLoad()
    time.sleep(1.0)
    if (before := others.cores()) > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(before)
    others = OtherLoad()
    timings, absent = measure_all(model, arguments)
    of_terms = list(measure_terms(model, arguments))
    about = describe(model, others.cores())
    if about["other_processes_cores"] > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(about["other_processes_cores"])
    if arguments.json:
        about |= {"timings": [asdict(timing) for timing in timings], "absent": absent}
        about |= {"terms": [asdict(timing) for timing in of_terms]}
        print(json.dumps(about, indent=2))
    else:
        print_table(about, timings, absent)
        print_terms(of_terms)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a model's name or folder [random weights]")
    parser.add_argument("--cell", choices=list(CELLS), default="lstm")
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--num-layers", type=int, default=3)
    parser.add_argument("--term-notes", type=int, default=0, help="notes of a structured output")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--pause-ms", type=float, default=10.0, help="of the paced loop")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--anyway", action="store_true", help="report on a busy machine too")
    return parser.parse_args()


def random_model(arguments: argparse.Namespace) -> Model:
    codec = PerformanceCodec()
    config = ModelConfig(
        vocab_size=codec.vocab_size,
        cell=arguments.cell,
        hidden_size=arguments.hidden_size,
        num_layers=arguments.num_layers,
        term_notes=arguments.term_notes,
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    return Model("random weights", Path(), config, codec, weights, {})


def torch_engine(one_dnn: bool) -> Callable[[Model], StepEngine]:
    def make(model: Model) -> StepEngine:
        import torch_step

        return torch_step.TorchEngine(model.config, model.weights, one_dnn=one_dnn)

    return make


ENGINES: dict[str, Callable[[Model], StepEngine]] = {
    "native": lambda model: model.engine("native"),
    "onnxruntime": lambda model: model.engine("onnxruntime"),
    "numpy": lambda model: model.engine("numpy"),
    "torch": torch_engine(one_dnn=True),
    "torch-no-onednn": torch_engine(one_dnn=False),
}


def measure_all(model: Model, arguments: argparse.Namespace) -> tuple[list[Timing], dict[str, str]]:
    """Return the timings, and why engines are missing from them."""
    timings, absent = [], {}
    for name in arguments.engines:
        try:
            engine = ENGINES[name](model)
        except (ImportError, MidirnnError) as error:
            absent[name] = str(error)
            continue
        sampler = Sampler(engine, model.codec, seed=0)
        timings += [
            measure(name, sampler, arguments.seconds, pause_ms)
            for pause_ms in (0.0, arguments.pause_ms)
        ]
    return timings, absent


def measure(name: str, sampler: Sampler[Any], seconds: float, pause_ms: float) -> Timing:
    """Time as many steps as fit into ``seconds``."""
    clock = time.perf_counter
    for _ in range(WARM_UP_STEPS):
        sampler.next()
    end = clock() + seconds
    milliseconds = []
    while (begun := clock()) < end:
        sampler.next()
        milliseconds.append(1e3 * (clock() - begun))
        if pause_ms:
            time.sleep(pause_ms / 1e3)
    p10, median, p90 = np.percentile(milliseconds, [10, 50, 90]).tolist()
    return Timing(name, pause_ms, len(milliseconds), p10, median, p90)


def measure_terms(model: Model, arguments: argparse.Namespace) -> Iterator[TermTiming]:
    """Yield how much of a step the terms take in numpy, and in C++ if there is a compiler."""
    feature = next((f for f in model.config.features if isinstance(f, NoteTerms)), None)
    if feature is None:
        return
    steps: dict[str, Any] = {"numpy": TermStep(feature.terms)}
    if (library := native_library()) is not None:
        steps["C++"] = NativeStep(feature.terms, library)
    tokens = model.codec.encode(music(feature.notes + 500)).tolist()
    for way, step in steps.items():
        for pause_ms in (0.0, arguments.pause_ms):
            times = time_terms(step, feature, tokens, arguments.seconds, pause_ms)
            microseconds = 1e6 * np.array(times)  # (steps, 3)
            median, p90 = np.percentile(microseconds[:, :2].sum(axis=1), [50, 90]).tolist()
            follow, add, index = microseconds.mean(axis=0).tolist()
            apart = index if isinstance(step, TermStep) else None
            yield TermTiming(way, pause_ms, len(times), follow, add, apart, median, p90)


def time_terms(
    step: Any, feature: NoteTerms, tokens: list[int], seconds: float, pause_ms: float
) -> list[tuple[float, float, float]]:
    """Return the seconds that each step takes to follow, to add, and to index once more.

    As many steps as fit. The memory holds all ``feature.notes`` notes. Where the indexing cannot be
    timed separately, the last is about 0.
    """
    weights = np.random.default_rng(0).standard_normal(feature.head_rows).astype(np.float32)
    logits = np.zeros(feature.terms.groups["velocity"].stop, np.float32)
    clock, memory = time.perf_counter, step.start(feature.notes)
    for token in tokens:
        memory = step.follow(memory, token)
    index = step.at_moment if isinstance(step, TermStep) else lambda memory: None
    times: list[tuple[float, float, float]] = []
    end = clock() + seconds
    while (begun := clock()) < end:
        memory = step.follow(memory, tokens[len(times) % len(tokens)])
        followed = clock()
        step.add(logits, weights, memory)
        added = clock()
        index(memory)
        times.append((followed - begun, added - followed, clock() - added))
        if pause_ms:
            time.sleep(pause_ms / 1e3)
    return times


def music(notes: int) -> Performance:
    """Return music to look back on: phrases that recur, with up to eight notes at once."""
    rng = np.random.default_rng(0)
    phrases = rng.integers(45, 80, (20, 12))
    pitches = np.concatenate([phrases[i] for i in rng.integers(0, 20, notes // 12 + 1)])[:notes]
    starts = np.cumsum(rng.choice([0.0, 0.12, 0.25], notes))
    rows = zip(
        starts.tolist(),
        (starts + rng.uniform(0.1, 0.8, notes)).tolist(),
        pitches.tolist(),
        rng.integers(30, 100, notes).tolist(),
        strict=True,
    )
    return Performance.from_notes(rows)


def describe(model: Model, other_cores: float) -> dict[str, Any]:
    """Return the machine, the versions, the model, and what else was running."""
    config = model.config
    return {
        "model": model.name,
        "cell": config.cell,
        "num_layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "machine": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in LIBRARIES},
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "other_processes_cores": round(other_cores, 2),
    }


def print_table(about: dict[str, Any], timings: list[Timing], absent: dict[str, str]) -> None:
    versions = ", ".join(f"{name} {found}" for name, found in about["versions"].items() if found)
    size = f"{about['cell']} {about['num_layers']} x {about['hidden_size']}"
    print(f"{size} ({about['model']}), batch 1, one thread")
    print(f"{about['machine']}, {about['cores']} cores; {about['system']}")
    print(f"Python {about['python']}, {versions}")
    print(f"other processes used {about['other_processes_cores']:.2f} of a core")
    print(f"{'engine':<16} {'loop':<13} {'steps':>6} {'p10 ms':>8} {'median':>8} {'p90':>8}")
    for t in timings:
        loop = f"every {t.pause_ms:g} ms" if t.pause_ms else "tight"
        row = f"{t.engine:<16} {loop:<13} {t.steps:>6}"
        print(f"{row} {t.p10_ms:>8.3f} {t.median_ms:>8.3f} {t.p90_ms:>8.3f}")
    for name, reason in absent.items():
        print(f"{name:<16} absent: {reason}")


def print_terms(timings: list[TermTiming]) -> None:
    if timings:
        print("the structured output's part, in microseconds; follow, add and index are means:")
        columns = f"{'follow':>8} {'add':>8} {'(index)':>8} {'median':>8} {'p90':>8}"
        print(f"{'way':<16} {'loop':<13} {'steps':>6} {columns}")
    for t in timings:
        loop = f"every {t.pause_ms:g} ms" if t.pause_ms else "tight"
        row = f"{t.way:<16} {loop:<13} {t.steps:>6}"
        index = "" if t.index_us is None else f"{t.index_us:.1f}"
        means = f"{t.follow_us:>8.1f} {t.add_us:>8.1f} {index:>8}"
        print(f"{row} {means} {t.median_us:>8.1f} {t.p90_us:>8.1f}")


if __name__ == "__main__":
    sys.exit(main())
