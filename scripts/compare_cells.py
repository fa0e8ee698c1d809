"""Train each recurrent cell at 1, 2 and 3 layers, with and without residual connections.

    python3 scripts/compare_cells.py DATASET RUNS [--tokens N] [--parameters N] [--picture PNG]

All networks have about as many parameters: the hidden size follows from the cell and the number of
layers. Each is trained with ``midirnn train``, one thread, into a folder of its own; runs that are
there are gone on with or taken as they are, so that the script can be stopped. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from midirnn.datasets import Dataset
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.plots import plot_curves

LAYERS = (1, 2, 3)
EMBEDDING = 32
Size = tuple[int, int]
"""Of a batch: its rows and the tokens of a window."""


def parameters_of(config: ModelConfig) -> int:
    total = 0
    for shape in config.weight_shapes().values():
        count = 1
        for size in shape:
            count *= size
        total += count
    return total


def config_of(cell: str, layers: int, vocab_size: int, parameters: int) -> ModelConfig:
    """Return the widest network of that kind with at most so many parameters."""

    def made(hidden: int) -> ModelConfig:
        return ModelConfig(
            vocab_size=vocab_size,
            cell=cell,
            num_layers=layers,
            hidden_size=hidden,
            embedding_size=EMBEDDING,
            held_input=False,
        )

    hidden = 8
    while parameters_of(made(hidden + 8)) <= parameters:
        hidden += 8
    return made(hidden)


def train(
    dataset: Path, run: Path, config: ModelConfig, residual: bool, tokens: int, size: Size
) -> None:
    """Train one network, or go on with its run."""
    batch, window = size
    steps = tokens // (batch * window)
    if not (run / "last").is_dir():
        resume: list[str] = []
    elif finished(run, steps):
        return
    else:
        resume = ["--resume"]
    command = [
        *(sys.executable, "-m", "midirnn", "train", str(dataset), "-o", str(run), *resume),
        *("--cell", config.cell, "--num-layers", str(config.num_layers)),
        *("--hidden-size", str(config.hidden_size), "--embedding-size", str(EMBEDDING)),
        *("--no-held-input", "--residual" if residual else "--no-residual"),
        *("--batch-size", str(batch), "--window", str(window), "--segment", "1024"),
        *("--tokens", str(tokens), "--warmup-steps", str(min(100, steps // 10))),
        *("--validation-steps", str(steps), "--validation-tokens", "20000"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def lines_of(run: Path) -> list[dict[str, float]]:
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def finished(run: Path, steps: int) -> bool:
    path = run / "metrics.jsonl"
    if not path.is_file():
        return False
    validated = [line["step"] for line in lines_of(run) if "validation_nats_per_token" in line]
    return bool(validated) and validated[-1] >= steps


def figures(run: Path) -> tuple[float, float]:
    """Return nats per token on the validation split, and the median of tokens/s."""
    lines = lines_of(run)
    nats = [
        line["validation_nats_per_token"] for line in lines if "validation_nats_per_token" in line
    ]
    speeds = sorted(line["tokens_per_second"] for line in lines if "tokens_per_second" in line)
    return nats[-1], speeds[len(speeds) // 2] if speeds else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--parameters", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    vocab_size = Dataset.open(arguments.dataset).codec.vocab_size
    print("| cell | layers | residual | hidden | parameters | nats per token | tokens/s |")
    print("|---|---|---|---|---|---|---|")
    runs = []
    size = arguments.batch_size, arguments.window
    for layers in arguments.layers:
        for cell in arguments.cells:
            config = config_of(cell, layers, vocab_size, arguments.parameters)
            # Of one layer there is nothing to connect around.
            for residual in (True, False) if layers > 1 else (False,):
                run = arguments.runs / f"{cell}-{layers}{'-residual' if residual else ''}"
                train(arguments.dataset, run, config, residual, arguments.tokens, size)
                nats, speed = figures(run)
                count = parameters_of(config)
                print(
                    f"| {cell} | {layers} | {'yes' if residual else 'no' if layers > 1 else ''} | "
                    f"{config.hidden_size} | {count:,} | {nats:.3f} | {speed:,.0f} |",
                    flush=True,
                )
                runs.append(run)
    if arguments.picture is not None:
        plot_curves(runs, arguments.picture)
        print(f"\n{arguments.picture}: the curves")


if __name__ == "__main__":
    main()
