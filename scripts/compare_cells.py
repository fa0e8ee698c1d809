"""Train each recurrent cell at 1, 2 and 3 layers, with and without residual connections.

    python3 scripts/compare_cells.py DATASET RUNS [--tokens N] [--parameters N] [--picture PNG]

All networks have about the same number of parameters: the hidden size follows from the cell and the
number of layers. Each is trained with ``midirnn train``, one thread, into a folder of its own. The
script can be stopped: existing runs are resumed, or used as they are if finished. Afterwards the
networks train again for some seconds, one update each in turn: tokens/s are the median of these
updates. Prints a table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from machine import OtherLoad, processor_name
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator
from torch import nn

from midirnn.datasets import Dataset
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.plots.saving import GRID, INK, make_figure, save_figure
from midirnn.training.language_task import make_language_model

EMBEDDING = 32
COLOURS = dict(zip(CELLS, ("#c1440e", "#2a6f97", "#3a7d44"), strict=True))


class Compared(Protocol):
    """A row of a table: a network with a name."""

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> ModelConfig: ...


Size = tuple[int, int]
"""The size of a batch: rows, and tokens per window."""


@dataclass(frozen=True)
class Network:
    """One row of the table."""

    config: ModelConfig

    @property
    def name(self) -> str:
        """The name of its run: ``lstm-1``, ``gru-3``, ``gru-3-residual``."""
        c = self.config
        return f"{c.cell}-{c.num_layers}{'-residual' if c.residual else ''}"

    @property
    def parameters(self) -> int:
        return parameters_of(self.config)


def parameters_of(config: ModelConfig) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in LanguageModel(config).parameters())


def network_of(template: ModelConfig, parameters: int) -> Network:
    """Return the network of that kind whose number of parameters is nearest to ``parameters``."""
    sizes = itertools.count(4, 4)
    made = (Network(replace(template, hidden_size=size)) for size in sizes)
    for smaller, larger in itertools.pairwise(made):
        if larger.parameters >= parameters:
            return min(smaller, larger, key=lambda one: abs(one.parameters - parameters))
    raise AssertionError("parameters grow with the hidden size")


def networks(
    cells: Iterable[str], layers: Iterable[int], vocab_size: int, parameters: int
) -> list[Network]:
    """Return all rows of the table. A single layer has no residual connection."""
    return [
        network_of(
            ModelConfig(
                vocab_size=vocab_size,
                cell=cell,
                num_layers=count,
                residual=residual,
                embedding_size=EMBEDDING,
                held_input=False,
            ),
            parameters,
        )
        for count in layers
        for cell in cells
        for residual in ((False, True) if count > 1 else (False,))
    ]


def train(dataset: Path, run: Path, config: ModelConfig, tokens: int, size: Size) -> None:
    """Train one network, or resume its run."""
    batch, window = size
    steps = tokens // (batch * window)
    if finished(run, steps):
        return
    command = [
        *(sys.executable, "-m", "midirnn", "train", str(dataset), "-o", str(run)),
        *(["--resume"] if (run / "last").is_dir() else []),
        *("--cell", config.cell, "--num-layers", str(config.num_layers)),
        *("--hidden-size", str(config.hidden_size), "--embedding-size", str(EMBEDDING)),
        *("--no-held-input", "--residual" if config.residual else "--no-residual"),
        *("--batch-size", str(batch), "--window", str(window), "--segment", "1024"),
        *("--tokens", str(tokens), "--warmup-steps", str(min(100, steps // 10))),
        *("--validation-steps", str(steps), "--validation-tokens", "100000"),
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if not finished(run, steps):
        sys.exit(f"{run} is not finished: run the same command again to resume it")


def validations(run: Path) -> dict[int, float]:
    """Return the nats per token of each validation of a run, by its step."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        return {}
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    name = "validation_nats_per_token"
    return {record["step"]: record[name] for record in records if name in record}


def finished(run: Path, steps: int) -> bool:
    return max(validations(run), default=-1) >= steps


def speeds(rows: Sequence[Compared], size: Size, rounds: int) -> dict[str, float]:
    """Return the tokens/s of each network: the median over updates, with networks alternating."""
    updates = {row.name: update_of(row.config, size) for row in rows}
    seconds: dict[str, list[float]] = {name: [] for name in updates}
    for update in updates.values():
        update()  # compiles, and warms up
    for _ in range(rounds):
        for name, update in updates.items():
            begun = time.process_time()
            update()
            seconds[name].append(time.process_time() - begun)
    return {name: size[0] * size[1] / statistics.median(s) for name, s in seconds.items()}


def update_of(config: ModelConfig, size: Size) -> Callable[[], None]:
    """Return a function that trains on the same random window: forward, backward, AdamW."""
    model = make_language_model(config)
    tokens = torch.randint(config.vocab_size, size, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    bf16 = is_fast_in_bf16(torch.device("cpu"))

    def update() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(tokens, {})[0]
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def draw(rows: list[Network], nats: dict[str, float], speed: dict[str, float], path: Path) -> None:
    """Draw both figures over the number of layers, with solid lines for residual connections."""
    figure = make_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    for axes, title, values in ((left, "nats per token", nats), (right, "tokens/s", speed)):
        axes.set_title(title, color=INK, fontsize=10)
        axes.set_xlabel("layers", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=GRID)
        for cell in dict.fromkeys(row.config.cell for row in rows):
            draw_cell(axes, cell, rows, values)
    right.set_ylim(bottom=0)
    right.yaxis.set_major_formatter(EngFormatter(sep=" "))
    right.legend(frameon=False, fontsize=8, ncols=2, loc="lower left")
    save_figure(figure, path)
    print(f"{path}: written")


def draw_cell(axes: Axes, cell: str, rows: list[Network], values: dict[str, float]) -> None:
    """Draw a line with residual connections and one without; both begin at one layer."""
    for residual, line in ((True, "-"), (False, "--")):
        shown = [
            (row.config.num_layers, values[row.name])
            for row in rows
            if row.config.cell == cell
            and (row.config.num_layers == 1 or row.config.residual == residual)
        ]  # fmt: skip
        label = cell if residual else f"{cell}, not residual"
        axes.plot(*zip(*shown, strict=True), line, marker="o", color=COLOURS[cell], label=label)


def print_table(rows: list[Network], nats: dict[str, float], speed: dict[str, float]) -> None:
    print("| cell | layers | residual | hidden size | parameters | nats per token | tokens/s |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        c = row.config
        residual = "" if c.num_layers == 1 else "yes" if c.residual else "no"
        print(
            f"| {c.cell} | {c.num_layers} | {residual} | {c.hidden_size} | {row.parameters:,} | "
            f"{nats[row.name]:.3f} | {round(speed[row.name], -2):,.0f} |"
        )


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    vocab_size = Dataset.open(arguments.dataset).codec.vocab_size
    rows = networks(arguments.cells, arguments.layers, vocab_size, arguments.parameters)
    size = arguments.batch_size, arguments.window
    nats = {}
    for row in rows:
        run = arguments.runs / row.name
        train(arguments.dataset, run, row.config, arguments.tokens, size)
        steps_and_nats = validations(run)
        nats[row.name] = steps_and_nats[max(steps_and_nats)]
        print(f"{row.name}: {nats[row.name]:.3f} nats per token", file=sys.stderr, flush=True)
    others = OtherLoad()
    speed = speeds(rows, size, arguments.rounds)
    print_table(rows, nats, speed)
    print(
        f"\ntokens/s: one thread of {processor_name()}, {arguments.rounds} updates of each; "
        f"other processes used {others.cores():.2f} of a core"
    )
    if arguments.picture is not None:
        draw(rows, nats, speed, arguments.picture)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--parameters", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=20, help="updates that are timed")
    parser.add_argument("--picture", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
