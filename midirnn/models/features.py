"""The features of a model in torch: from what windows hold to the numbers that the model reads."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CDLL
from functools import partial
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.codecs.recall import LENGTHS, NUM_MATCHES
from midirnn.features import Feature, NoteTerms, Recall
from midirnn.performance import NUM_PITCHES
from midirnn.terms.scan import add_terms, native_library
from midirnn.terms.table import DENSITY, OutputTerms


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


def with_feature(logits: Tensor, feature: Feature, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits (B, T, V) with what a feature's weights (B, T, head_rows) add to them."""
    if isinstance(feature, NoteTerms):
        return with_terms(logits, feature, weights, window)
    return boosted(logits, window, weights)


def with_terms(logits: Tensor, feature: NoteTerms, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits with the weights that the terms' indices, in the window, name."""
    terms = feature.terms
    weights = weights.float()
    given = window[..., terms.width :].contiguous().view(torch.float32)
    given = given.reshape(*given.shape[:2], -1, feature.shifts)  # (B, T, 6, shifts)
    of_densities = weights[..., terms.slices[DENSITY]].unsqueeze(2) @ given
    library = None if window.is_cuda else native_library()
    add = partial(_added_natively, library) if library else _added
    logits = add(logits.float(), terms, weights, window)
    before, after = _around(logits, terms.groups["time_shift"])
    return logits + nn.functional.pad(of_densities.squeeze(2), (before, after))


def _around(logits: Tensor, tokens: slice) -> tuple[int, int]:
    """Return how many logits stand before and after those of a group."""
    return tokens.start, logits.shape[2] - tokens.stop


def _added(logits: Tensor, terms: OutputTerms, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits with the weights that the indices name: the reference, differentiable."""
    nothing = weights.new_zeros((*weights.shape[:2], 1))
    index = window[..., : terms.width].long()
    first = torch.from_numpy(terms.first_rows).to(index.device)  # (width,)
    index = torch.where(index < 0, terms.rows, index + first)
    added = torch.cat([weights, nothing], dim=2).gather(2, index)
    parts, column = [], 0
    for group, layers in terms.layers.items():
        size = terms.size_of(group)
        run = added[..., column : column + layers * size]
        parts.append(run.reshape(*run.shape[:2], layers, size).sum(dim=2))
        column += layers * size
    return logits + torch.cat(parts, dim=2)


def _added_natively(
    library: CDLL, logits: Tensor, terms: OutputTerms, weights: Tensor, window: Tensor
) -> Tensor:
    """Return the same, by C++ that makes nothing in between."""
    return _NativeTerms.apply(library, logits, terms, weights, window)  # type: ignore[no-any-return, no-untyped-call]


class _NativeTerms(torch.autograd.Function):
    """The sum of logits (B, T, V) and what weights (B, T, rows) give by the indices in windows."""

    @staticmethod
    def forward(
        ctx: Any,
        library: CDLL,
        logits: Tensor,
        terms: OutputTerms,
        weights: Tensor,
        window: Tensor,
    ) -> Tensor:
        ctx.library, ctx.terms, ctx.rows = library, terms, weights.shape[2]
        ctx.save_for_backward(window)
        summed = logits.clone(memory_format=torch.contiguous_format)
        add_terms(library, terms, _rows(window), _rows(weights), _rows(summed))
        return summed

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[None, Tensor, None, Tensor, None]:
        (window,) = ctx.saved_tensors
        dweights = dlogits.new_zeros((*dlogits.shape[:2], ctx.rows))
        given = _rows(window), _rows(dweights), _rows(dlogits)
        add_terms(ctx.library, ctx.terms, *given, backward=True)
        return None, dlogits, None, dweights, None


def _rows(tensor: Tensor) -> npt.NDArray[Any]:
    """Return (B, T, ...) as contiguous rows (B * T, ...): a view of what is contiguous already."""
    array: npt.NDArray[Any] = tensor.detach().contiguous().flatten(0, 1).numpy()
    return array


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
