"""Measure the cost of preparing training batches, compared with the updates that use them.

    python3 scripts/measure_batches.py DATASET [--segments 3]

For an LSTM of 3 x 384 in `midirnn train`, with more and more inputs: the processor time of
preparing a batch of 16 pieces of 128 tokens, and of an update with it (loss, gradients, AdamW), on
one thread; means over ``--segments`` segments of each piece (16 updates each), and the ratio of the
two. One batch in 16 opens all the pieces, and costs several times as much as the others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from machine import OtherLoad, processor_name

from midirnn.datasets.mixture import Mixture
from midirnn.files import usable_processors
from midirnn.models.config import ModelConfig
from midirnn.models.lstm import is_fast_in_bf16
from midirnn.training.config import TrainingConfig
from midirnn.training.memory import keep_freed_memory
from midirnn.training.optimizers import make_optimizers
from midirnn.training.tasks import make_task

WINDOW, SEGMENT = 128, 2048

WARM_UP = 3
"""Number of updates that are not counted, in which C++ is compiled and memory is allocated."""

HEARD = {"recall_notes": 2048, "control_inputs": True, "style_inputs": True}
READS: dict[str, Mapping[str, Any]] = {
    "notes held": {},
    "and what it recalls, controls and style": HEARD,
    "and has a structured output": {**HEARD, "term_notes": 2048},
}


def measure(
    mixture: Mixture, size: Mapping[str, Any], reads: Mapping[str, Any], updates: int
) -> tuple[float, float]:
    """Return the processor seconds of a batch, and of an update with it."""
    codec = mixture.datasets[0].codec
    # With a compute thread per processor, batches are prepared in this thread and can be timed.
    recipe = TrainingConfig(
        batch_size=16, window=WINDOW, segment=SEGMENT, threads=usable_processors()
    )
    config = ModelConfig(**size, **reads).for_codec(codec)
    sources = mixture.sources()
    for source in sources:
        for _ in source.train:  # from the disk, which happens once per training run
            pass
    task = make_task(config, recipe, codec, sources)
    torch.set_num_threads(1)
    keep_freed_memory()  # as midirnn train does
    (optimizer,) = make_optimizers(task.model, recipe)
    bf16 = is_fast_in_bf16(torch.device("cpu"))
    batches, steps = [], []
    for _ in range(WARM_UP + updates):
        begun = time.process_time()
        batch = task.next_batch()
        ready = time.process_time()
        torch.autograd.backward(task.loss(batch, bf16=bf16)[0])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        batches.append(ready - begun)
        steps.append(time.process_time() - ready)
    return statistics.mean(batches[WARM_UP:]), statistics.mean(steps[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--segments", type=int, default=3, help="of each piece, that are timed")
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--num-layers", type=int, default=3)
    arguments = parser.parse_args()
    mixture = Mixture.open([arguments.dataset])
    size = {"hidden_size": arguments.hidden_size, "num_layers": arguments.num_layers}
    others = OtherLoad()
    print("| the model reads | a batch | an update | share |")
    print("|---|---|---|---|")
    for name, reads in READS.items():
        batch, update = measure(mixture, size, reads, arguments.segments * SEGMENT // WINDOW)
        print(f"| {name} | {1e3 * batch:.1f} ms | {1e3 * update:.0f} ms | {batch / update:.1%} |")
    print(f"\n{processor_name()}; other processes used {others.cores():.2f} of a core")


if __name__ == "__main__":
    main()
