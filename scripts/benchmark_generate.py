"""Compare how fast many pieces are generated with torch.nn.LSTM and the same sampling.

Tokens per second on one core and, with --workers 2, on two, for a model with random weights (3
layers of 384, 388 tokens, no further inputs) or a named one: in numpy, the default of generate
--count, and with --engine native. The tokens per second of processor time are printed as well,
because they depend less on other programs:

    python scripts/benchmark_generate.py --workers 2
    python scripts/benchmark_generate.py --workers 2 --model piano --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import PerformanceCodec, Sampler, load  # noqa: E402
from midirnn.engines.lanes import LaneBatch  # noqa: E402
from midirnn.engines.native_engine import NativeBatch  # noqa: E402
from midirnn.engines.numpy_batch import NumpyBatch  # noqa: E402
from midirnn.engines.numpy_engine import Weights  # noqa: E402
from midirnn.models.config import ModelConfig  # noqa: E402
from midirnn.sampling.filters import draw_among  # noqa: E402
from midirnn.sampling.native_draw import compile_now  # noqa: E402

LAYERS, HIDDEN = 3, 384
CODEC = PerformanceCodec()


def weights_of(model: str | None) -> tuple[ModelConfig, Weights]:
    """Return a model with random weights, or the named one."""
    if model is not None:
        loaded = load(model)
        return loaded.config, loaded.weights
    from tests.models.reference import random_weights

    config = ModelConfig(
        CODEC.vocab_size, embedding_size=256, hidden_size=HIDDEN, num_layers=LAYERS
    )
    return config, random_weights(config, 0)


def midirnn_rate(model: str | None, batch: int, seconds: float) -> Rate:
    """Return the rates of one process."""
    return _batch_rate(NumpyBatch(*weights_of(model)), batch, seconds)


def native_rate(model: str | None, batch: int, seconds: float) -> Rate:
    """Return the rates of one process with the engine in C++."""
    return _batch_rate(NativeBatch(*weights_of(model)), batch, seconds)


def _batch_rate(group: LaneBatch, batch: int, seconds: float) -> Rate:
    samplers = [Sampler(group.open_lane(), CODEC, seed=seed) for seed in range(batch)]
    return _rate(lambda: [sampler.next() for sampler in samplers], batch, seconds)


def torch_rate(model: str | None, batch: int, seconds: float) -> Rate:
    """Return the rates of torch.nn.LSTM with midirnn's sampling.

    Inputs of the model other than the token are left out.
    """
    import torch

    torch.set_num_threads(1)
    config, _ = weights_of(model)
    embedding = torch.nn.Embedding(config.vocab_size, config.embedding_size)
    lstm = torch.nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers)
    output = torch.nn.Linear(config.hidden_size, config.vocab_size)
    silent: Any = _Silent(config)
    samplers = [Sampler(silent, CODEC, seed=seed) for seed in range(batch)]
    state, tokens = None, torch.zeros((1, batch), dtype=torch.long)

    @torch.inference_mode()
    def step() -> None:
        nonlocal state, tokens
        hidden, state = lstm(embedding(tokens), state)
        logits = output(hidden[0]).numpy()
        drawn = []
        for sampler, row in zip(samplers, logits, strict=True):
            drawn.append(draw_among(row, sampler.mask(), sampler.config, sampler.rng))
            sampler.hear(drawn[-1:])
        tokens = torch.tensor([drawn])

    return _rate(step, batch, seconds)


class _Silent:
    """An engine that computes nothing."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    def __getattr__(self, name: str) -> object:
        return lambda *given: None


Rate = tuple[float, float]
"""Tokens per second, and tokens per second of processor time."""


def _rate(step: Callable[[], object], batch: int, seconds: float) -> Rate:
    """Return the rates of a step of ``batch`` pieces, after a few warm-up steps."""
    for _ in range(3):
        step()
    begin, cpu, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds or steps < 3:
        step()
        steps += 1
    tokens = batch * steps
    return tokens / (time.perf_counter() - begin), tokens / (time.process_time() - cpu)


RATES = {"midirnn": midirnn_rate, "midirnn, native": native_rate, "torch.nn.LSTM": torch_rate}


def _measure(job: tuple[str, str | None, int, float]) -> Rate:
    name, *given = job
    compile_now()
    return RATES[name](*given)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--model", help="name of a model [random weights, 3 x 384]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.workers) as pool:
        for batch in given.batches:
            row: dict[str, float] = {"batch": batch}
            for name in RATES:
                jobs = [(name, given.model, batch, given.seconds)] * given.workers
                wall, cpu = np.sum(pool.map(_measure, jobs, chunksize=1), axis=0).tolist()
                row |= {name: wall, f"{name}, processor time": cpu}
            rows.append(row)
    report = {
        "machine": processor_name(),
        "model": given.model or f"{LAYERS} x {HIDDEN}",
        "workers": given.workers,
        "tokens_per_second": rows,
    }
    if given.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['model']}, {given.workers} processes of one thread; {report['machine']}")
    names = [f"{name}{kind}" for kind in ("", ", processor time") for name in RATES]
    print(f"{'pieces at once':>14}" + "".join(f"{name:>32}" for name in names) + "  (tokens/s)")
    for row in rows:
        print(f"{row['batch']:>14}" + "".join(f"{row[name]:>32,.0f}" for name in names))


if __name__ == "__main__":
    main()
