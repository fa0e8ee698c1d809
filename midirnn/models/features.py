"""The features of a model in torch: what the model reads of a window and adds to the logits."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CDLL, byref
from typing import Any

import torch
from torch import Tensor, nn

from midirnn.codecs.recall import LENGTHS, NUM_MATCHES
from midirnn.features import Feature, NoteTerms, Recall
from midirnn.performance import NUM_PITCHES
from midirnn.terms.scan import Layers, native_library
from midirnn.terms.table import DENSITY, OutputTerms


def recall_numbers(recalled: Tensor) -> Tensor:
    """Return flags of recalled pitches and of their matches: (B, T, 128 + 39) of (B, T, 3, 2)."""
    found = (recalled[..., 1] > 0).float()  # (B, T, 3)
    numbers = found.new_zeros((*found.shape[:2], NUM_PITCHES + NUM_MATCHES))
    numbers = numbers.scatter_add(2, recalled[..., 0], found)
    return numbers.scatter_add(2, NUM_PITCHES + _match_number(recalled), found)


NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {Recall.name: recall_numbers}
"""Functions that turn a feature's window into numbers, where the window itself is not read."""


def feature_numbers(feature: Feature, window: Tensor) -> Tensor:
    """Return the numbers (B, T, width) that the model reads of a feature."""
    return NUMBERS[feature.name](window) if feature.name in NUMBERS else window


def with_feature(logits: Tensor, feature: Feature, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits (B, T, V) with what a feature's weights (B, T, head_rows) add to them."""
    if isinstance(feature, NoteTerms):
        return with_terms(logits, feature, weights, window)
    return boosted(logits, window, weights)


def with_terms(logits: Tensor, feature: NoteTerms, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits plus the weights that the window's indices select, and its densities."""
    terms = feature.terms
    library = None if window.is_cuda else native_library()
    if library:
        return _NativeTerms.apply(library, logits, terms, weights, window)  # type: ignore[no-any-return, no-untyped-call]
    weights = weights.float()
    given = window[..., terms.width :].contiguous().view(torch.float32)
    given = given.reshape(*given.shape[:2], -1, feature.shifts)  # (B, T, 6, shifts)
    of_densities = weights[..., terms.slices[DENSITY]].unsqueeze(2) @ given
    logits = _added(logits.float(), terms, weights, window)
    before, after = _around(logits, terms.groups["time_shift"])
    return logits + nn.functional.pad(of_densities.squeeze(2), (before, after))


def _around(logits: Tensor, tokens: slice) -> tuple[int, int]:
    """Return how many logits come before and after those of a group."""
    return tokens.start, logits.shape[2] - tokens.stop


def _added(logits: Tensor, terms: OutputTerms, weights: Tensor, window: Tensor) -> Tensor:
    """Return the logits plus the weights that the indices select: the differentiable reference."""
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


class _NativeTerms(torch.autograd.Function):
    """The same of logits (B, T, V) and weights (B, T, rows), in C++ without temporary tensors."""

    @staticmethod
    def forward(
        ctx: Any,
        library: CDLL,
        logits: Tensor,
        terms: OutputTerms,
        weights: Tensor,
        window: Tensor,
    ) -> Tensor:
        if weights.dtype != torch.bfloat16:
            weights = weights.float()
        summed = logits.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        weights, window = weights.contiguous(), window.contiguous()
        ctx.library, ctx.terms = library, terms
        ctx.logits, ctx.weights = logits.new_empty(0), weights.new_empty((0, weights.shape[2]))
        ctx.save_for_backward(window)
        _call(library.add_terms, terms, weights, window, weights, summed)
        return summed

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[None, Tensor, None, Tensor, None]:
        (window,) = ctx.saved_tensors
        dlogits = dlogits.contiguous()
        dweights = ctx.weights.new_empty((*dlogits.shape[:2], ctx.weights.shape[1]))
        _call(ctx.library.term_gradients, ctx.terms, dweights, window, dweights, dlogits)
        return None, dlogits.to(ctx.logits.dtype), None, dweights, None


def _call(
    function: Callable[..., None],
    terms: OutputTerms,
    weights: Tensor,
    window: Tensor,
    *tensors: Tensor,
) -> None:
    """Call a function of ``scan.cpp`` on rows (B, T, ...) of contiguous tensors."""
    rows = weights.shape[0] * weights.shape[1]
    is_short = weights.dtype == torch.bfloat16
    layers = byref(Layers.of(terms))
    pointers = [tensor.data_ptr() for tensor in (window, *tensors)]
    function(layers, rows, weights.shape[2], is_short, *pointers)


def boosted(logits: Tensor, recalled: Tensor, trust: Tensor) -> Tensor:
    """Return the logits with those of recalled pitches raised by their matches' trust (B, T, 39).

    The ids of the note-ons are the pitches (:func:`midirnn.codecs.recall.check_recallable`).
    """
    found = recalled[..., 1] > 0
    boost = trust.float().gather(2, _match_number(recalled)) * found
    return logits.float().scatter_add(2, recalled[..., 0], boost)


def _match_number(recalled: Tensor) -> Tensor:
    """Return the index of each viewpoint's match, ordered by viewpoint and then by length."""
    first = torch.arange(0, NUM_MATCHES, LENGTHS, device=recalled.device)
    return recalled[..., 1] + first  # (B, T, 3)
