"""Measure the baselines of ensemble networks: frequencies and first-order Markov chains.

    python3 scripts/recipes/ensemble_baselines.py DATASET --split test

DATASET is made by `midirnn encode --codec ensemble` with joint tokens. Each baseline is fitted to
the train split, with the smoothing that is best on the validation split. All figures are negative
log-likelihoods in nats per second of all players together:

- uniform: all states are equally likely;
- frequencies: each state as often as in the train split, regardless of what was before;
- stay: the same state again with a fixed probability, otherwise by the frequencies;
- chain: a first-order Markov chain, smoothed towards the frequencies for rare states;
- chain of each player: an independent chain for each player.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.codecs import EnsembleCodec
from midirnn.codecs.ensemble import GESTURES
from midirnn.datasets import Dataset

States = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

SMOOTHINGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.dataset)
    codec = dataset.codec
    if not isinstance(codec, EnsembleCodec) or not codec.joint:
        parser.error(f"{arguments.dataset} does not hold joint tokens of the codec 'ensemble'")
    train, validation, test = (
        [piece.astype(np.int64) for piece in dataset.pieces(split)]
        for split in ("train", "validation", arguments.split)
    )
    print(f"uniform             {np.log(codec.vocab_size):.3f}")
    for name, fit in (("frequencies", frequencies), ("stay", stay), ("chain", chain)):
        print(f"{name:19} {best(fit, codec.vocab_size, train, validation, test):.3f}")
    own = [
        [codec.to_gestures(piece)[:, player] for piece in train + validation + test]
        for player in range(codec.players)
    ]
    a, b = len(train), len(train) + len(validation)
    total = sum(best(chain, len(GESTURES), one[:a], one[a:b], one[b:]) for one in own)
    print(f"chain of each player {total:.3f}")


Model = Callable[[States], float]
"""A function that returns the negative log-likelihood of a piece in nats."""


def best(
    fit: Callable[[Sequence[States], int, float], Model],
    size: int,
    train: Sequence[States],
    validation: Sequence[States],
    test: Sequence[States],
) -> float:
    """Return nats per second on the test pieces, with the smoothing that validates best."""
    models = [fit(train, size, smoothing) for smoothing in SMOOTHINGS]
    chosen = min(models, key=lambda model: nats(model, validation))
    return nats(chosen, test)


def nats(model: Model, pieces: Sequence[States]) -> float:
    return sum(map(model, pieces)) / sum(map(len, pieces))


def shares(train: Sequence[States], size: int, smoothing: float) -> Array:
    """Return the frequencies of the states, with additive smoothing."""
    counts = np.bincount(np.concatenate(train), minlength=size) + smoothing / size
    of_all: Array = counts / counts.sum()
    return of_all


def frequencies(train: Sequence[States], size: int, smoothing: float) -> Model:
    surprise = -np.log(shares(train, size, smoothing * size))
    return lambda piece: float(surprise[piece].sum())


def stay(train: Sequence[States], size: int, smoothing: float) -> Model:
    base = shares(train, size, size)
    pairs = np.concatenate([np.stack([p[:-1], p[1:]]) for p in train], axis=1)
    staying = float((pairs[0] == pairs[1]).mean()) / (1 + smoothing / 100)

    def model(piece: States) -> float:
        likelihood = (1 - staying) * base[piece]
        likelihood[1:] += staying * (piece[1:] == piece[:-1])
        return float(-np.log(likelihood).sum())

    return model


def chain(train: Sequence[States], size: int, smoothing: float) -> Model:
    base = shares(train, size, size)
    counts: dict[tuple[int, int], int] = {}
    for piece in train:
        for pair in pairwise(piece.tolist()):
            counts[pair] = counts.get(pair, 0) + 1
    totals = np.bincount(np.concatenate([piece[:-1] for piece in train]), minlength=size)

    def model(piece: States) -> float:
        seen = np.array([counts.get(pair, 0) for pair in pairwise(piece.tolist())])
        before, after = piece[:-1], piece[1:]
        likelihood = (seen + smoothing * base[after]) / (totals[before] + smoothing)
        return float(-np.log(likelihood).sum() - np.log(base[piece[:1]]).sum())

    return model


if __name__ == "__main__":
    main()
