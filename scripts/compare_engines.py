"""Feed the same music to both engines of a model: nats per token, logits and step times.

    python3 scripts/compare_engines.py MODEL DATASET [--pieces 20] [--tokens 2000] [--json]

The engines alternate, so each one's weights push the other's out of the caches: to measure speed
use scripts/benchmark_step.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from midirnn.datasets import Dataset
from midirnn.datasets.draws import evenly
from midirnn.engines.load import load
from midirnn.sampling.engine_comparison import Comparison, compare_engines

ENGINES = ("numpy", "onnxruntime")


def main() -> None:
    arguments = parse_arguments()
    model = load(arguments.model)
    pieces = Dataset.open(arguments.dataset).pieces(arguments.split)
    chosen = evenly(pieces, arguments.pieces)
    comparison = compare_engines(
        {name: model.engine(name) for name in ENGINES},
        model.codec,
        [piece[: arguments.tokens] for piece in chosen],
    )
    if arguments.json:
        about = {"model": arguments.model, "split": arguments.split, "pieces": len(chosen)}
        print(json.dumps(about | dataclasses.asdict(comparison), indent=2))
    else:
        print(f"{arguments.model} on {len(chosen)} pieces ({arguments.split}):")
        print_table(comparison)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--pieces", type=int, default=20, help="evenly picked")
    parser.add_argument("--tokens", type=int, default=2000, help="at most so many of each piece")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def print_table(comparison: Comparison) -> None:
    print(f"{'engine':<12} {'nats/token':>10} {'step ms':>8} {'mean |d|':>9} {'max |d|':>8}")
    for name in ENGINES:
        mean = comparison.mean_difference.get(name, 0.0)
        largest = comparison.max_difference.get(name, 0.0)
        nats, step = comparison.nats_per_token[name], comparison.step_ms[name]
        print(f"{name:<12} {nats:>10.5f} {step:>8.3f} {mean:>9.4f} {largest:>8.3f}")
    print(f"{comparison.tokens:,} tokens; |d|: of a logit (spread {comparison.logit_spread:.2f})")


if __name__ == "__main__":
    main()
