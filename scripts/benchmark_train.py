"""Compare the training speed of midirnn's layers with torch.nn's, in one run.

    python3 scripts/benchmark_train.py [--cell lstm] [--hidden-size 512 --num-layers 3] [--json]

Each model is trained on random windows: forward, backward and update. The figure is the best of
several steps, with the models alternating, so that a change of the machine's speed affects all
alike. An LSTM is also trained by its loop in PyTorch, which is used when there is no compiler. With
--cpu-time the processor time is measured, which other processes disturb less (with one thread).
bf16 is left out if the processor has no instructions for it. If other processes use more than a
fifth of a core, nothing is reported and the exit code is 1, unless --anyway is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from machine import MOST_OTHER_CORES, OtherLoad, installed, processor_name, refuse
from torch import Tensor, nn

from midirnn.models import layers, lstm, lstm_choice
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.training.memory import keep_freed_memory

Step = Callable[[], None]

LAYERS: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class Stack(nn.Module):
    """The same model with torch.nn's layers, residual connections included."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        layer = LAYERS[config.cell]
        self.embedding = nn.Embedding(config.vocab_size + 1, config.embedding_size)
        self.held = nn.Linear(128, config.embedding_size, bias=False)
        self.layers = nn.ModuleList(
            layer(config.layer_input_size(index), config.hidden_size)
            for index in range(config.num_layers)
        )
        self.output = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, tokens: Tensor, held: Tensor) -> Tensor:
        x = self.embedding(tokens.t()) + self.held(held.transpose(0, 1).float())
        for index, layer in enumerate(self.layers):
            y, _ = layer(x)
            x = x + y if index else y
        logits: Tensor = self.output(x)
        return logits.transpose(0, 1)


class Ours(nn.Module):
    """midirnn's model, from the start of a piece."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = LanguageModel(config)

    def forward(self, tokens: Tensor, held: Tensor) -> Tensor:
        logits: Tensor = self.model(tokens, {"held": held})[0]
        return logits


class LoopInPyTorch(Ours):
    """midirnn's model with the loop over time in PyTorch, as without a compiler."""

    def forward(self, tokens: Tensor, held: Tensor) -> Tensor:
        with loop_in_pytorch():
            return super().forward(tokens, held)


@contextmanager
def loop_in_pytorch() -> Iterator[None]:
    loop, layer = layers.FAST_LOOPS["lstm"], layers.FAST_LAYERS.pop("lstm")
    choices = lstm_choice.torch_is_faster, lstm_choice.embedding_is_faster
    layers.FAST_LOOPS["lstm"] = lstm.loop
    lstm_choice.torch_is_faster = lambda *arguments: False
    lstm_choice.embedding_is_faster = lambda *arguments: False
    try:
        yield
    finally:
        layers.FAST_LOOPS["lstm"], layers.FAST_LAYERS["lstm"] = loop, layer
        lstm_choice.torch_is_faster, lstm_choice.embedding_is_faster = choices


Make = Callable[[ModelConfig], nn.Module]


def models_of(cell: str) -> dict[str, tuple[Make, bool]]:
    """Return the models to train, and whether their matrices are multiplied in bf16."""
    theirs = f"nn.{LAYERS[cell].__name__}"
    in_pytorch: dict[str, tuple[Make, bool]] = {
        "loop in PyTorch bf16": (LoopInPyTorch, True),
        "loop in PyTorch fp32": (LoopInPyTorch, False),
    }
    return {
        "midirnn bf16": (Ours, True),
        "midirnn fp32": (Ours, False),
        **(in_pytorch if cell == "lstm" else {}),
        f"{theirs} autocast bf16": (Stack, True),
        f"{theirs} fp32": (Stack, False),
    }


def training_step(model: nn.Module, bf16: bool, arguments: argparse.Namespace) -> Step:
    """Return a function that performs one update, always on the same random windows."""
    generator = torch.Generator().manual_seed(0)
    shape = (arguments.batch_size, arguments.window)
    tokens = torch.randint(388, shape, generator=generator)
    held = torch.rand((*shape, 128), generator=generator) < 0.04
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(tokens, held)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as midirnn train does
    config = ModelConfig(
        cell=arguments.cell, hidden_size=arguments.hidden_size, num_layers=arguments.num_layers
    )
    others = OtherLoad()
    time.sleep(1.0)
    if (before := others.cores()) > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(before)
    has_bf16 = is_fast_in_bf16(torch.device("cpu"))
    steps = {
        name: training_step(make(config), bf16, arguments)
        for name, (make, bf16) in models_of(config.cell).items()
        if has_bf16 or not bf16
    }
    for step in steps.values():
        step()  # compiles, and warms up
    others = OtherLoad()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            begun = clock()
            step()
            best[name] = min(best[name], clock() - begun)
    if (during := others.cores()) > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(during)
    tokens = arguments.batch_size * arguments.window
    report = {
        "machine": processor_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": installed("torch"),
        "threads": arguments.threads,
        "clock": "process" if arguments.cpu_time else "wall",
        "cell": arguments.cell,
        "hidden_size": arguments.hidden_size,
        "num_layers": arguments.num_layers,
        "batch_size": arguments.batch_size,
        "window": arguments.window,
        "other_processes_cores": round(during, 2),
        "tokens_per_second": {name: round(tokens / seconds) for name, seconds in best.items()},
    }
    print_report(report, as_json=arguments.json)
    return 0


def print_report(report: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report, indent=2))
        return
    speeds = report.pop("tokens_per_second")
    assert isinstance(speeds, dict)
    theirs = speeds[f"nn.{LAYERS[str(report['cell'])].__name__} fp32"]
    print(", ".join(f"{name} {value}" for name, value in report.items()))
    for name, speed in speeds.items():
        print(f"{name:<24} {speed:>8,} tokens/s  {speed / theirs:.2f} x")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cell", choices=list(LAYERS), default="lstm")
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--num-layers", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true", help="count the process's own seconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--anyway", action="store_true", help="report on a busy machine too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
