"""Compare ways to sample the next token: greedy, temperature, top-k, top-p and min-p.

    python3 scripts/sampling_strategies.py MODEL DATASET OUTPUT.png [--samples N] [--tokens T]

For each strategy a model writes N samples of T tokens (a tune may end earlier); greedy writes one,
because all would be the same. The table shows how much of them is repetition (runs of 16 tokens
that the sample had before), how much is copied (runs of 16 tokens of the split 'train' of DATASET),
and how likely they are to the model (nats per token at temperature 1). The last row has the same
for N excerpts of the split 'validation'. OUTPUT.png shows the figures over the temperature.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view

from midirnn.codecs import Codec, EndsPieces
from midirnn.datasets import Dataset
from midirnn.datasets.draws import evenly
from midirnn.engines.load import load
from midirnn.plots.saving import GRID, INK, make_figure, save_figure
from midirnn.sampling.filters import SamplingConfig, probabilities
from midirnn.sampling.sampler import Sampler

RUN = 16
"""Length of a run that counts as a repetition or a copy: too long to recur by chance."""

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
"""Repetition and copying (shares), and nats per token."""

_WEIGHTS = np.random.default_rng(0).integers(0, 2**64, RUN, np.uint64) | np.uint64(1)


def runs_of(tokens: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each run of RUN tokens; shape ``(T - RUN + 1,)``."""
    if len(tokens) < RUN:
        return np.empty(0, np.uint64)
    return sliding_window_view(tokens.astype(np.uint64), RUN) @ _WEIGHTS


def walk(
    sampler: Sampler[Any], count: int, given: Sequence[int] | None = None
) -> tuple[np.ndarray, float]:
    """Return new tokens, or those given, and the sum of their negative log-likelihoods.

    There are at most ``count`` new ones, fewer if a tune ends. The likelihood is at temperature 1,
    with the mask that the model was trained with.
    """
    sampler.reset()
    constraint = sampler.codec.constraint()
    grammar = constraint.start()
    tokens: list[int] = []
    nats = 0.0
    while len(tokens) < count and not (given is None and ended(sampler.codec, tokens)):
        plain = probabilities(sampler.engine.logits(), constraint.mask(grammar), PLAIN)
        if given is None:
            token = sampler.next()
        else:
            sampler.hear([token := given[len(tokens)]])
        tokens.append(token)
        constraint.advance(grammar, token)
        nats -= float(np.log(max(plain[token], 1e-12)))
    return np.array(tokens), nats


def ended(codec: Codec[Any], tokens: Sequence[int]) -> bool:
    return isinstance(codec, EndsPieces) and codec.ends(tokens)


def measure(walks: Iterable[tuple[np.ndarray, float]], seen: np.ndarray) -> Figures:
    """Return the figures of some samples together.

    ``seen`` are the runs of the training data, in order.
    """
    repeated = copied = runs = tokens = 0
    nats = 0.0
    for drawn, of_sample in walks:
        found = runs_of(drawn)
        runs += len(found)
        repeated += len(found) - len(np.unique(found))
        copied += int((seen[np.searchsorted(seen[:-1], found)] == found).sum())
        tokens += len(drawn)
        nats += of_sample
    return repeated / max(runs, 1), copied / max(runs, 1), nats / max(tokens, 1)


def excerpts(pieces: Sequence[np.ndarray], count: int, tokens: int) -> list[np.ndarray]:
    """Return the beginnings of some pieces; for few pieces, excerpts spread over them."""
    if len(pieces) < count:
        pieces = [
            piece[at : at + tokens] for piece in pieces for at in range(0, len(piece), tokens)
        ]
    return [piece[:tokens] for piece in evenly(pieces, count)]


def print_row(name: str, figures: Figures) -> None:
    repetition, copying, nats = figures
    print(f"{name:<17} {repetition:10.1%} {copying:8.1%} {nats:16.3f}", flush=True)


def _name_points(axes: Axes, filtered: dict[str, Figures]) -> None:
    """Write the names of the filters next to their points, at least a line apart."""
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


def draw(
    by_temperature: dict[float, Figures], filtered: dict[str, Figures], real: Figures, path: Path
) -> None:
    """Draw the figures over the temperature; those of the filters are at temperature 1."""
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
        if place < 2:  # at least up to 1 %, so that tiny values do not look large
            axes.set_ylim(bottom=-0.05, top=max(1.0, axes.get_ylim()[1], 1.1 * real[place] * scale))
        axes.axhline(real[place] * scale, color="#3a7d44", linestyle="--", linewidth=1)
        if place == 2:
            axes.text(0.0, real[place], "real", color="#3a7d44", fontsize=7, va="bottom")
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
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model, dataset = load(arguments.model), Dataset.open(arguments.dataset)
    if model.codec != dataset.codec:
        parser.error(f"{arguments.model} and {arguments.dataset} have different codecs")
    if arguments.tokens < RUN:
        parser.error(f"--tokens is {arguments.tokens}; at least {RUN} are needed")
    sampler = Sampler(model.engine(), model.codec, PLAIN, seed=0)
    seen = np.unique(np.concatenate([runs_of(piece) for piece in dataset.pieces("train")]))
    print(f"{'strategy':<17} {'repetition':>10} {'copied':>8} {'nats per token':>16}")

    def figures_of(name: str, config: SamplingConfig) -> Figures:
        sampler.configure(config)
        sampler.rng = np.random.default_rng(arguments.seed)
        count = arguments.samples if config.temperature else 1
        walks = (walk(sampler, arguments.tokens) for _ in range(count))
        print_row(name, figures := measure(walks, seen))
        return figures

    by_temperature = {
        t: figures_of("greedy" if t == 0 else f"temperature {t:g}", replace(PLAIN, temperature=t))
        for t in TEMPERATURES
    }
    filtered = {name: figures_of(name, config) for name, config in FILTERS.items()}
    chosen = excerpts(dataset.pieces("validation"), arguments.samples, arguments.tokens)
    real = measure((walk(sampler, len(tokens), tokens.tolist()) for tokens in chosen), seen)
    print_row("real", real)
    draw(by_temperature, filtered, real, arguments.output)


if __name__ == "__main__":
    main()
