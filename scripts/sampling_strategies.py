"""Compare ways to draw the next token: greedy, temperature, top-k, top-p and min-p.

    python3 scripts/sampling_strategies.py MODEL DATASET OUTPUT.png [--samples N] [--tokens T]

For each strategy a model writes N samples of T tokens. The table says how much of them is
repetition (runs of 16 tokens that the sample had before), how much is copied (runs of 16 tokens
of the split 'train' of DATASET), and how likely the model finds them (nats per token at
temperature 1). OUTPUT.png shows the same over the temperature.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from midirnn.datasets import Dataset
from midirnn.engines.load import load
from midirnn.plots.saving import GRID, INK, make_figure, save_figure
from midirnn.sampling.filters import SamplingConfig, probabilities
from midirnn.sampling.sampler import Sampler

RUN = 16
"""Tokens of a run that counts as a repetition or a copy: too many to recur by chance."""

PLAIN = SamplingConfig(top_p=1.0)
TEMPERATURES = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5)
FILTERS = {
    "top-k 5": replace(PLAIN, top_k=5),
    "top-k 20": replace(PLAIN, top_k=20),
    "top-p 0.9": replace(PLAIN, top_p=0.9),
    "top-p 0.95": replace(PLAIN, top_p=0.95),
    "min-p 0.05": replace(PLAIN, min_p=0.05),
    "min-p 0.1": replace(PLAIN, min_p=0.1),
}
Figures = tuple[float, float, float]
"""Repetition, copying (shares), nats per token."""


def runs_of(tokens: np.ndarray) -> list[bytes]:
    """Return all runs of RUN tokens, as bytes."""
    data = np.ascontiguousarray(tokens, np.uint16).tobytes()
    return [data[2 * i : 2 * (i + RUN)] for i in range(len(tokens) - RUN + 1)]


def sample(sampler: Sampler[Any], count: int) -> tuple[np.ndarray, float]:
    """Return new tokens, and their mean negative log-likelihood at temperature 1."""
    sampler.reset()
    tokens, nats = [], 0.0
    for _ in range(count):
        plain = probabilities(sampler.engine.logits(), sampler.mask(), PLAIN)
        tokens.append(sampler.next())
        nats -= float(np.log(max(plain[tokens[-1]], 1e-12)))
    return np.array(tokens), nats / count


def measure(sampler: Sampler[Any], seen: set[bytes], samples: int, tokens: int) -> Figures:
    """Return the mean figures of some samples."""
    rows = []
    for _ in range(samples):
        drawn, nats = sample(sampler, tokens)
        runs = runs_of(drawn)
        repeated = 1.0 - len(set(runs)) / len(runs)
        rows.append((repeated, sum(run in seen for run in runs) / len(runs), nats))
    repetition, copying, nats = np.mean(rows, axis=0).tolist()
    return repetition, copying, nats


def print_row(name: str, figures: Figures) -> None:
    repetition, copying, nats = figures
    print(f"{name:<17} {repetition:10.1%} {copying:8.1%} {nats:16.3f}", flush=True)


def _name_points(axes: Axes, filtered: dict[str, Figures]) -> None:
    """Write the names of the filters beside their points, a line apart at least."""
    low, high = axes.get_ylim()
    gap, height = 0.05 * (high - low), low
    for name, figures in sorted(filtered.items(), key=lambda item: item[1][2]):
        height = max(figures[2], height + gap)
        axes.annotate(
            name,
            (1.0, figures[2]),
            (1.12, height),
            fontsize=6,
            color=INK,
            va="center",
            arrowprops={"arrowstyle": "-", "color": GRID},
        )


def draw(by_temperature: dict[float, Figures], filtered: dict[str, Figures], path: Path) -> None:
    """Draw the figures over the temperature; those of the filters stand at temperature 1."""
    figure = make_figure(9.0, 3.4)
    titles = ("repetition", "copied from the training data", "nats per token")
    for place, title in enumerate(titles):
        axes = figure.add_subplot(1, 3, place + 1)
        scale = 1 if place == 2 else 100
        values = [figures[place] * scale for figures in by_temperature.values()]
        axes.plot(list(by_temperature), values, color="#2a6f97", marker="o", markersize=3)
        axes.scatter(
            [1.0] * len(filtered),
            [figures[place] * scale for figures in filtered.values()],
            s=14,
            color="#c1440e",
        )
        if place == 2:
            _name_points(axes, filtered)
        axes.set_title(title if place == 2 else f"{title}, %", color=INK, fontsize=10)
        axes.set_xlabel("temperature", color=INK)
        axes.grid(color=GRID)
    save_figure(figure, path)
    print(f"{path}: written")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=1000)
    arguments = parser.parse_args()
    model, dataset = load(arguments.model), Dataset.open(arguments.dataset)
    if model.codec != dataset.codec:
        parser.error(f"{arguments.model} and {arguments.dataset} have different codecs")
    if arguments.tokens < RUN:
        parser.error(f"--tokens is {arguments.tokens}; at least {RUN} are needed")
    seen = {run for piece in dataset.pieces("train") for run in runs_of(piece)}
    engine = model.engine()
    size = arguments.samples, arguments.tokens
    print(f"{'strategy':<17} {'repetition':>10} {'copied':>8} {'nats per token':>16}")

    def figures_of(name: str, config: SamplingConfig) -> Figures:
        figures = measure(Sampler(engine, model.codec, config, seed=0), seen, *size)
        print_row(name, figures)
        return figures

    by_temperature = {
        t: figures_of("greedy" if t == 0 else f"temperature {t:g}", replace(PLAIN, temperature=t))
        for t in TEMPERATURES
    }
    filtered = {name: figures_of(name, config) for name, config in FILTERS.items()}
    draw(by_temperature, filtered, arguments.output)


if __name__ == "__main__":
    main()
