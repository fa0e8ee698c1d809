"""Compare recurrent layers with convolutions and attention at equal numbers of parameters.

    python3 scripts/compare_windows.py DATASET RUNS [--tokens N] [--parameters N] [--no-training]

Each network is trained with ``midirnn train``, one thread, into a folder of its own, on the same
data with the same recipe. The script can be stopped: existing runs are resumed, or used as they are
if finished. Afterwards the networks train for some seconds, one update each in turn, and take some
steps in numpy, as in the live loop. Prints a table.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from compare_cells import EMBEDDING, Size, finished, speeds, validations
from machine import OtherLoad, processor_name

from midirnn.codecs.held import no_notes
from midirnn.datasets import Dataset
from midirnn.engines.state import layout_of
from midirnn.engines.windowed_engine import make_numpy_engine
from midirnn.models.config import ModelConfig
from midirnn.models.windowed_config import AttentionConfig, ConvolutionConfig
from midirnn.training.language_task import make_language_model

STEPS = 600
"""Number of timed steps, of which the median is taken, once the window is full."""


@dataclass(frozen=True)
class Network:
    """One row of the table: a kind of network, and the steps in which its width grows."""

    name: str
    config: ModelConfig
    by: int = 4

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(weight.numel() for weight in make_language_model(self.config).parameters())

    @property
    def context(self) -> int | None:
        """The largest number of tokens that it sees back; None for no limit."""
        return getattr(self.config, "context", None)

    @property
    def state_bytes(self) -> int:
        return sum(array.nbytes for array in layout_of(self.config).zeros())


def networks(vocab_size: int, parameters: int) -> list[Network]:
    """Return the rows, each as wide as the number of parameters allows."""
    shared = {"vocab_size": vocab_size, "embedding_size": EMBEDDING, "held_input": False}
    kinds = [
        Network("lstm", ModelConfig(num_layers=2, hidden_size=8, **shared)),  # type: ignore[arg-type]
        Network("convolution", ConvolutionConfig(num_layers=10, hidden_size=8, **shared)),  # type: ignore[arg-type]
        Network("attention", AttentionConfig(num_layers=3, hidden_size=8, **shared)),  # type: ignore[arg-type]
    ]
    return [fitted(kind, parameters) for kind in kinds]


def fitted(kind: Network, parameters: int) -> Network:
    """Return the widest network of that kind with at most ``parameters`` parameters."""
    wider = kind
    while wider.parameters <= parameters:
        kind = wider
        size = kind.config.hidden_size + kind.by
        wider = replace(kind, config=replace(kind.config, hidden_size=size))
    return kind


def train(dataset: Path, run: Path, network: Network, tokens: int, size: Size) -> None:
    """Train one network, or resume its run."""
    batch, window = size
    steps = tokens // (batch * window)
    if finished(run, steps):
        return
    config = network.config
    command = [
        *(sys.executable, "-m", "midirnn", "train", str(dataset), "-o", str(run)),
        *(["--resume"] if (run / "last").is_dir() else []),
        *("--architecture", config.architecture, "--num-layers", str(config.num_layers)),
        *("--hidden-size", str(config.hidden_size), "--embedding-size", str(EMBEDDING)),
        *("--no-held-input", "--batch-size", str(batch), "--window", str(window)),
        *("--segment", "1024", "--tokens", str(tokens), "--threads", "1"),
        *("--warmup-steps", str(min(100, steps // 10)), "--validation-steps", str(steps)),
        *("--validation-tokens", "100000"),
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if not finished(run, steps):
        sys.exit(f"{run} is not finished: run the same command again to resume it")


def step_ms(network: Network) -> float:
    """Return the processor time of a step in numpy, once the network's window is full."""
    model = make_language_model(network.config)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    engine = make_numpy_engine(network.config, weights)
    tokens = np.random.default_rng(0).integers(0, network.config.vocab_size, STEPS).tolist()
    seconds = []
    for token in tokens:
        begun = time.process_time()
        engine.feed(token, no_notes())
        engine.logits()
        seconds.append(time.process_time() - begun)
    return 1e3 * statistics.median(seconds[STEPS // 2 :])


def print_table(rows: list[Network], nats: dict[str, float], speed: dict[str, float]) -> None:
    print(
        "| network | layers | size | parameters | sees back | nats per token | tokens/s | "
        "a step | state |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        c = row.config
        sees = "no limit" if row.context is None else f"{row.context:,}"
        loss = f"{nats[row.name]:.3f}" if row.name in nats else ""
        print(
            f"| {row.name} | {c.num_layers} | {c.hidden_size} | {row.parameters:,} | {sees} | "
            f"{loss} | {round(speed[row.name], -2):,.0f} | {step_ms(row):.3f} ms | "
            f"{row.state_bytes / 1024:,.1f} KB |"
        )


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    rows = networks(Dataset.open(arguments.dataset).codec.vocab_size, arguments.parameters)
    size = arguments.batch_size, arguments.window
    nats = {}
    for row in rows:
        run = arguments.runs / row.name
        if arguments.training:
            train(arguments.dataset, run, row, arguments.tokens, size)
        if found := validations(run):
            nats[row.name] = found[max(found)]
    others = OtherLoad()
    speed = speeds(rows, size, arguments.rounds)
    print_table(rows, nats, speed)
    print(
        f"\ntokens/s: one thread of {processor_name()}, {arguments.rounds} updates of each; a step "
        f"in numpy; other processes used {others.cores():.2f} of a core"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--parameters", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20, help="updates that are timed")
    parser.add_argument(
        "--no-training", dest="training", action="store_false", help="only measure speed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
