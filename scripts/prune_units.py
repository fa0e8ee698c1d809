"""Remove the units that a model's predictions need least, to train the smaller model further.

    python3 scripts/prune_units.py MODEL DATASET TARGET --hidden-size 160

A unit is the same position in all layers, because residual connections add these up. The units
removed are those on which the loss on training pieces depends least, by its derivative. Source: P.
Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference" (2017).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from midirnn.datasets import Dataset
from midirnn.datasets.mixture import Source
from midirnn.engines.load import find_model
from midirnn.errors import CheckpointError, OptionError
from midirnn.files import replacing_folder
from midirnn.models.checkpoint import Weights, expected_shapes, read_checkpoint, write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.training.config import TrainingConfig
from midirnn.training.language_task import LanguageModelTask
from midirnn.training.tasks import make_task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Shapes = Mapping[str, tuple[int, ...]]


def units_kept(weights: Weights, shapes: Shapes, kept: IntArray, width: int) -> Weights:
    """Return weights of the given shapes, with only the units ``kept`` of ``width``."""
    found = dict(weights)
    for name, shape in shapes.items():
        for axis, size in enumerate(weights[name].shape):
            if size != shape[axis]:  # one block of units for each gate
                blocks = np.arange(0, size, width)[:, None]
                found[name] = found[name].take((blocks + kept).ravel(), axis)
    return found


def saliences(task: LanguageModelTask, readers: Sequence[str], batches: int) -> FloatArray:
    """Return how much the loss depends on each unit.

    This is the mean square over batches of the derivative with respect to a factor on the unit,
    which is the sum of weight times gradient over the weights that read the unit: the columns of
    the matrices named ``readers``.
    """
    network = task.model
    total = np.zeros(network.config.hidden_size)
    for _ in range(batches):
        network.zero_grad()
        loss, _ = task.loss(task.next_batch(), bf16=False)
        loss.backward()  # type: ignore[no-untyped-call]
        derivative = np.zeros_like(total)
        for weight in map(network.get_parameter, readers):
            if weight.grad is not None:
                derivative += (weight * weight.grad).sum(dim=0).detach().numpy()
        total += derivative**2
    return total / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--hidden-size", type=int, required=True, help="of the smaller model")
    parser.add_argument("--batches", type=int, default=100, help="to choose by")
    parser.add_argument("--window", type=int, default=128, help="tokens of each row of a batch")
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(find_model(arguments.model))
    if type(checkpoint.config) is not ModelConfig or checkpoint.codec is None:
        parser.error(f"{arguments.model} is no model of recurrent layers and tokens")
    width = checkpoint.config.hidden_size
    if not 1 <= arguments.hidden_size < width:
        parser.error(f"--hidden-size is {arguments.hidden_size}; allowed are 1 to {width - 1}")
    try:
        config = replace(checkpoint.config, hidden_size=arguments.hidden_size)
    except OptionError as error:  # for a tied embedding
        parser.error(str(error))
    shapes = expected_shapes(config)
    pieces = Dataset.open(arguments.dataset).pieces("train")
    source = Source(str(arguments.dataset), pieces, [])
    recipe = TrainingConfig(batch_size=4, window=arguments.window)
    task = make_task(checkpoint.config, recipe, checkpoint.codec, [source])
    assert isinstance(task, LanguageModelTask)
    weights = {name: torch.from_numpy(array) for name, array in checkpoint.weights.items()}
    task.model.load_state_dict(weights)
    readers = [name for name, shape in shapes.items() if shape[1:] != weights[name].shape[1:]]
    found = saliences(task, readers, arguments.batches)
    kept = np.sort(np.argsort(-found)[: arguments.hidden_size])
    with replacing_folder(arguments.target, CheckpointError) as fresh:
        smaller = units_kept(checkpoint.weights, shapes, kept, width)
        write_checkpoint(fresh, config, checkpoint.codec, smaller, checkpoint.info)
    share = found[kept].sum() / found.sum()
    print(f"kept {len(kept)} of {width} units, with {share:.1%} of what the loss depends on")


if __name__ == "__main__":
    main()
