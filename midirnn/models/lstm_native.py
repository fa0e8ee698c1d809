"""The loop over time of an LSTM layer in C++, for each instruction set: ``lstm_loop.cpp``.

It is compiled when it is first used; without a compiler there are no paths, and
:mod:`midirnn.models.lstm` computes the same in PyTorch.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midirnn import native

SOURCE = Path(__file__).with_name("lstm_loop.cpp")

FLAGS = ("-pthread", "-ffp-contract=fast", "-fno-math-errno")
"""Of the compiler. Multiplications and additions may be fused, as in PyTorch's own products."""


@dataclass(frozen=True)
class LoopPath:
    """The loop for one instruction set that this processor has."""

    name: str
    """plain, avx2, avx512, avx512_bf16 or amx."""
    number: int
    """What the library calls it."""
    dtype: torch.dtype
    """The type of gates, activations and outputs."""


@functools.cache
def paths() -> dict[str, LoopPath]:
    """Return the paths that work here, by their names: the best for each type comes last."""
    library = _library()
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


@functools.cache
def _library() -> ctypes.CDLL | None:
    library = native.compiled(SOURCE, FLAGS)
    if library is not None:
        library.lstm_path_name.restype = ctypes.c_char_p
        library.lstm_forward.argtypes = [ctypes.c_int] * 5 + [ctypes.c_void_p] * 5
        library.lstm_backward.argtypes = [ctypes.c_int] * 5 + [ctypes.c_void_p] * 7
    return library


def _call(function: str, path: LoopPath, activations: Tensor, *tensors: Tensor) -> None:
    """Call a function of the library on contiguous tensors, in as many threads as torch has."""
    library = _library()
    assert library is not None
    assert all(tensor.is_contiguous() for tensor in tensors)
    steps, batch, gates = activations.shape
    failed = getattr(library, function)(
        path.number,
        torch.get_num_threads(),
        steps,
        batch,
        gates // 4,
        *(tensor.data_ptr() for tensor in tensors),
    )
    if failed:
        raise MemoryError("there is not enough memory for a layer's window")


class _NativeRecurrence(torch.autograd.Function):
    """The loop over time. Inputs in the path's type, state in fp32."""

    @staticmethod
    def forward(
        ctx: Any, path: LoopPath, projected: Tensor, weight_hh: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, batch, gates = projected.shape
        hidden = gates // 4
        weight = weight_hh.to(path.dtype).contiguous()
        activations = torch.empty_like(projected)
        cells = projected.new_empty(steps + 1, batch, hidden, dtype=torch.float32)
        outputs = projected.new_empty(steps + 1, batch, hidden)
        cells[0], outputs[0] = c, h
        _call("lstm_forward", path, activations, projected, weight, activations, cells, outputs)
        ctx.path = path
        ctx.save_for_backward(weight, activations, cells, outputs)
        return outputs[1:], outputs[-1].float(), cells[-1].clone()

    @staticmethod
    def backward(
        ctx: Any, dy: Tensor, dh_last: Tensor, dc_last: Tensor
    ) -> tuple[None, Tensor, Tensor, Tensor, Tensor]:
        weight, activations, cells, outputs = ctx.saved_tensors
        steps, batch, gates = activations.shape
        dgates = torch.empty_like(activations)
        dh, dc = (
            last.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
            for last in (dh_last, dc_last)
        )
        dy = dy.to(activations.dtype).contiguous()
        _call(
            "lstm_backward", ctx.path, activations, dy, weight, activations, cells, dgates, dh, dc
        )
        flat = dgates.view(steps * batch, gates)
        dweight = flat.t() @ outputs[:-1].view(steps * batch, gates // 4)
        return None, dgates, dweight.float(), dh, dc


def loop(
    path: LoopPath, projected: Tensor, weight_hh: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over time on a path; see :func:`midirnn.models.layers.loop`."""
    y, h, c = _NativeRecurrence.apply(  # type: ignore[no-untyped-call]
        path, projected.contiguous(), weight_hh, *state
    )
    return y, (h, c)
