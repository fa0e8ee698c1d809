"""The loss of a language model."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from midirnn.datasets.windows import Batch
from midirnn.models.language_model import LanguageModel, State, masked_logits


def token_losses(
    model: LanguageModel, batch: Batch, state: State, *, bf16: bool, use_mask: bool = True
) -> tuple[Tensor, Tensor, State]:
    """Return the losses (B, T) of a batch's targets, which of them are valid, and the next state.

    The loss is the negative log-likelihood.

    Rows that begin another piece start from a zero state.
    """
    device = next(model.parameters()).device
    keep = _on(device, ~batch.reset)[None, :, None]
    with torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else nullcontext():
        logits, after = model(
            _on(device, batch.inputs),
            {name: _on(device, window) for name, window in batch.features.items()},
            tuple(part * keep for part in state),
        )
    if use_mask:
        logits = masked_logits(logits, _on(device, batch.mask))
    losses = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1),
        _on(device, batch.targets).flatten(),
        reduction="none",
    )
    return losses.view(batch.targets.shape), _on(device, batch.valid), after


def _on(device: torch.device, array: npt.NDArray[Any] | Tensor) -> Tensor:
    """Return the array on a device; copies to a GPU are asynchronous."""
    if isinstance(array, Tensor):  # already there
        return array
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
