"""``midirnn evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.errors import OptionError


def evaluate(
    model: Annotated[str, Parameter(name="MODEL", help="A model's name, folder or training run.")],
    dataset: Annotated[Path, Parameter(name="DATASET", help="A folder that encode has made.")],
    *,
    split: Annotated[str, Parameter(help="Which part of the data set.")] = "validation",
    mask: Annotated[
        bool, Parameter(help="Whether the grammar's impossible tokens get no probability.")
    ] = True,
    pieces: Annotated[int, Parameter(help="Only so many pieces, evenly picked; 0 for all.")] = 0,
    threads: Annotated[int, Parameter(help="How many threads compute.")] = 1,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")
    ] = False,
) -> None:
    """Measure how well a model predicts a data set.

    Every piece is read from its start to its end, the state carried all the way. Lower is better.
    """
    import torch

    from midirnn.datasets import Dataset
    from midirnn.engines.load import load
    from midirnn.models.language_model import from_weights
    from midirnn.training.evaluate import evaluate as run_evaluation

    for name, value, low in (("pieces", pieces, 0), ("threads", threads, 1)):
        if value < low:
            raise OptionError(f"--{name} is {value}; it must be at least {low}")
    loaded, opened = load(model), Dataset.open(dataset)
    if loaded.codec != opened.codec:
        raise OptionError(
            f"{model} and {dataset} have other codecs: {loaded.codec.settings()} and "
            f"{opened.codec.settings()}"
        )
    chosen = opened.pieces(split)
    if pieces:
        chosen = chosen[:: max(1, len(chosen) // pieces)][:pieces]
    torch.set_num_threads(threads)
    total = sum(len(piece) for piece in chosen)
    done = 0
    with progress_bar("evaluating") as show:

        def advance(tokens: int) -> None:
            nonlocal done
            done += tokens
            if show is not None:
                show(done, total)

        result = run_evaluation(
            from_weights(loaded.config, loaded.weights),
            loaded.codec,
            chosen,
            use_mask=mask,
            progress=advance,
        )
    report = {"model": model, "split": split, "pieces": len(chosen), **result.to_dict()}
    if json_output:
        print(json.dumps(report, indent=2))
        return
    print(f"{model} on {len(chosen)} pieces of {dataset} ({split}):")
    for name in ("nats_per_token", "nats_per_note", "nats_per_second"):
        print(f"  {name:<16} {report[name]:8.4f}")
    for kind, nats in report["nats_per_token_by_type"].items():
        print(f"    {kind:<14} {nats:8.4f}  ({report['tokens_by_type'][kind]:,} tokens)")
