"""The features of a model in torch: from what windows hold to the numbers that the model reads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from midirnn.codecs.recall import LENGTHS, NUM_MATCHES
from midirnn.features import Feature, Recall
from midirnn.performance import NUM_PITCHES


def recall_numbers(recalled: Tensor) -> Tensor:
    """Return which pitches are recalled, and by which match; (B, T, 128 + 39) from (B, T, 3, 2)."""
    found = (recalled[..., 1] > 0).float()  # (B, T, 3)
    numbers = found.new_zeros((*found.shape[:2], NUM_PITCHES + NUM_MATCHES))
    numbers = numbers.scatter_add(2, recalled[..., 0], found)
    return numbers.scatter_add(2, NUM_PITCHES + _match_number(recalled), found)


NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {Recall.name: recall_numbers}
"""What makes the numbers of a feature from its window, where they are not the window itself."""


def feature_numbers(feature: Feature, window: Tensor) -> Tensor:
    """Return the numbers (B, T, width) that the model reads of a feature."""
    return NUMBERS[feature.name](window) if feature.name in NUMBERS else window


def boosted(logits: Tensor, recalled: Tensor, trust: Tensor) -> Tensor:
    """Return the logits with those of recalled pitches raised by their matches' trust (B, T, 39).

    The ids of the note-ons are the pitches (:func:`midirnn.codecs.recall.check_recallable`).
    """
    found = recalled[..., 1] > 0
    boost = trust.float().gather(2, _match_number(recalled)) * found
    return logits.float().scatter_add(2, recalled[..., 0], boost)


def _match_number(recalled: Tensor) -> Tensor:
    """Return the number of each viewpoint's match: viewpoint by viewpoint, then by length."""
    first = torch.arange(0, NUM_MATCHES, LENGTHS, device=recalled.device)
    return recalled[..., 1] + first  # (B, T, 3)
