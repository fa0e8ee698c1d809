"""The loop over time of an LSTM layer in C++, for each instruction set: ``lstm_loop.cpp``.

It is compiled on first use. Without a compiler there are no paths, and :mod:`midirnn.models.lstm`
computes the same in PyTorch.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from midirnn.native import INT, POINTER, Library

FLAGS = ("-pthread", "-ffp-contract=fast", "-fno-math-errno")
"""Compiler flags. Multiplications and additions may be fused, as in PyTorch's own products."""

LIBRARY = Library(
    Path(__file__).with_name("lstm_loop.cpp"),
    {
        "lstm_path_name": (ctypes.c_char_p, [INT]),
        "lstm_forward": (INT, [*([INT] * 5), *([POINTER] * 6)]),
        "lstm_backward": (INT, [*([INT] * 5), *([POINTER] * 8)]),
        "lstm_transpose": (None, [INT, INT, POINTER, POINTER, INT]),
    },
    flags=FLAGS,
)


@dataclass(frozen=True)
class LoopPath:
    """The loop for one instruction set that this processor has."""

    name: str
    """plain, avx2, avx512, avx512_bf16 or amx."""
    number: int
    """Its index in the library."""
    dtype: torch.dtype
    """The type of gates, activations and outputs."""


@functools.cache
def paths() -> dict[str, LoopPath]:
    """Return the paths that work here, by their names: the best for each type comes last."""
    library = LIBRARY.get()
    if library is None:
        return {}
    return {
        path.name: path
        for path in (
            LoopPath(
                library.lstm_path_name(number).decode(),
                number,
                torch.bfloat16 if library.lstm_path_is_bf16(number) else torch.float32,
            )
            for number in range(library.lstm_path_count())
            if library.lstm_path_works(number)
        )
    }


def best_path(dtype: torch.dtype) -> LoopPath | None:
    """Return the best path for numbers of that type; None if there is none."""
    return next((path for path in reversed(paths().values()) if path.dtype == dtype), None)


def _call(function: str, path: LoopPath, activations: Tensor, *tensors: Tensor | None) -> None:
    """Call a function of the library on contiguous tensors, in as many threads as torch has."""
    library = LIBRARY.get()
    assert library is not None
    assert all(tensor is None or tensor.is_contiguous() for tensor in tensors)
    steps, batch, gates = activations.shape
    failed = getattr(library, function)(
        path.number,
        torch.get_num_threads(),
        steps,
        batch,
        gates // 4,
        *(None if tensor is None else tensor.data_ptr() for tensor in tensors),
    )
    if failed:
        raise MemoryError("there is not enough memory for a layer's window")


def _turned(matrix: Tensor, path: LoopPath) -> Tensor:
    """Return the transpose (columns, rows) of a matrix, for products that sum over its rows.

    For AMX it is a copy, with which torch's products take half the time; otherwise it is a view.
    """
    if path.name != "amx":
        return matrix.t()
    library = LIBRARY.get()
    assert library is not None and matrix.is_contiguous()
    rows, columns = matrix.shape
    # Rows that are a power of two apart would all share the same few cache lines.
    turned = matrix.new_empty(columns, rows + _APART)
    library.lstm_transpose(rows, columns, matrix.data_ptr(), turned.data_ptr(), rows + _APART)
    return turned[:, :rows]


_APART = 32
"""Numbers of padding after each row of a transposed matrix: a cache line."""


def _forward(
    ctx: Any,
    path: LoopPath,
    projected: Tensor,
    activations: Tensor,
    weight_hh: Tensor,
    state: tuple[Tensor, Tensor],
    bias: Tensor | None = None,
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """Run the loop; return outputs and last state, and what the backward pass needs.

    ``activations`` is written, and may be ``projected`` itself if that is no longer needed.
    ``bias`` (4H, fp32) is given if ``projected`` does not include it.
    """
    steps, batch, gates = projected.shape
    hidden = gates // 4
    weight = weight_hh.to(path.dtype).contiguous()
    cells = projected.new_empty(steps + 1, batch, hidden, dtype=torch.float32)
    outputs = projected.new_empty(steps + 1, batch, hidden)
    outputs[0], cells[0] = state
    given = activations, projected, weight, bias, activations, cells, outputs
    _call("lstm_forward", path, *given)
    ctx.path = path
    last = outputs[-1].float(), cells[-1].clone()
    return (outputs[1:], *last), (weight, activations, cells, outputs)


def _backward(
    ctx: Any, saved: tuple[Tensor, ...], dy: Tensor, dh_last: Tensor, dc_last: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Run the loop backwards: only once per forward pass, since it overwrites what that saved.

    Returns the gradients of gates, weight and state, the gates' transposed, and their sums (4H).
    """
    if ctx.path is None:
        raise RuntimeError("an LSTM layer's gradients can be computed only once (retain_graph)")
    path, ctx.path = ctx.path, None
    weight, activations, cells, outputs = saved
    steps, batch, gates = activations.shape
    dgates = activations
    dh, dc = (
        last.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        for last in (dh_last, dc_last)
    )
    dy = dy.to(activations.dtype).contiguous()
    sums = dh.new_zeros(batch, gates)
    given = activations, dy, weight, activations, cells, dgates, dh, dc, sums
    _call("lstm_backward", path, *given)
    turned = _turned(dgates.view(steps * batch, gates), path)  # (4H, T * B)
    dweight = turned @ outputs[:-1].view(steps * batch, gates // 4)
    return dgates, dweight.float(), dh, dc, turned, sums.sum(0)


class _NativeRecurrence(torch.autograd.Function):
    """The loop over time. Inputs in the path's type, state in fp32."""

    @staticmethod
    def forward(
        ctx: Any, path: LoopPath, projected: Tensor, weight_hh: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        activations = torch.empty_like(projected)
        results, saved = _forward(ctx, path, projected, activations, weight_hh, (h, c))
        ctx.save_for_backward(*saved)
        return results

    @staticmethod
    def backward(
        ctx: Any, dy: Tensor, dh_last: Tensor, dc_last: Tensor
    ) -> tuple[None, Tensor, Tensor, Tensor, Tensor]:
        *gradients, _, _ = _backward(ctx, ctx.saved_tensors, dy, dh_last, dc_last)
        return None, *gradients  # type: ignore[return-value]


class _NativeLayer(torch.autograd.Function):
    """The input's projection and the loop: in the backward pass both weights share a transpose."""

    @staticmethod
    def forward(
        ctx: Any,
        path: LoopPath,
        x: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        weight_hh: Tensor,
        h: Tensor,
        c: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = x.to(path.dtype).contiguous(), weight_ih.to(path.dtype)
        # The loop adds the bias: a product in bf16 takes half as long again with one.
        with torch.autocast("cpu", enabled=False):
            projected = nn.functional.linear(x, weight)
        state, bias = (h, c), bias.float().contiguous()
        results, saved = _forward(ctx, path, projected, projected, weight_hh, state, bias)
        ctx.save_for_backward(x, weight, *saved)
        return results

    @staticmethod
    def backward(
        ctx: Any, dy: Tensor, dh_last: Tensor, dc_last: Tensor
    ) -> tuple[None, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        x, weight, *saved = ctx.saved_tensors
        dgates, dweight, dh, dc, turned, dbias = _backward(ctx, tuple(saved), dy, dh_last, dc_last)
        dx = (dgates.flatten(0, 1) @ weight).view(x.shape)
        dweight_ih = (turned @ x.flatten(0, 1)).float()
        return None, dx, dweight_ih, dbias, dweight, dh, dc


def loop(
    path: LoopPath, projected: Tensor, weight_hh: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over time on a path; see :func:`midirnn.models.layers.loop`."""
    y, h, c = _NativeRecurrence.apply(  # type: ignore[no-untyped-call]
        path, projected.contiguous(), weight_hh, *state
    )
    return y, (h, c)


def layer(
    path: LoopPath,
    x: Tensor,
    weights: tuple[Tensor, Tensor, Tensor],
    state: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer over inputs (T, B, I) on a path; see :func:`midirnn.models.lstm_choice.layer`."""
    y, h, c = _NativeLayer.apply(path, x, *weights, *state)  # type: ignore[no-untyped-call]
    return y, (h, c)
