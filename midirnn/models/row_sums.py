"""The first layer's projected input: for each token a table row, plus one per nonzero feature.

Nearly all of the features' numbers are 0 (a few notes sound, and a few are recalled), so summing
rows (``row_sums.cpp``) takes a fifth to a half of the time of a matrix product. With AMX, or
without a compiler, a matrix product is used.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from midirnn.models import lstm_native
from midirnn.native import INT, POINTER, Library

LIBRARY = Library(
    Path(__file__).with_name("row_sums.cpp"),
    dict.fromkeys(("sum_rows", "spread_rows"), (None, [POINTER, INT, POINTER, POINTER])),
    flags=("-pthread",),
)

SMALLEST_NATIVE = 1 << 15
"""Number of sums in a window from which the C++ is worth compiling."""


class _Window(ctypes.Structure):
    """The sizes of a window, its tokens and the numbers of its features, as passed to C++."""

    _fields_ = (
        ("threads", ctypes.c_int),
        *((name, ctypes.c_int64) for name in ("places", "columns", "first", "features")),
        ("tokens", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
    )


def row_sums(table: Tensor, tokens: Tensor, features: Tensor) -> Tensor:
    """Return each token's row of the table plus the rows of its features (..., columns).

    The last F rows of ``table`` are multiplied by ``features`` (..., F). The rows before them are
    those of ``tokens`` (...). Raises :class:`IndexError` for a token without a row.
    """
    first = len(table) - features.shape[-1]
    if not _is_for(table, tokens):
        sums = features.to(table.dtype) @ table[first:]
        sums += nn.functional.embedding(tokens, table[:first])  # in place: it is large
        return sums
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < first:
        raise IndexError(f"a token is not one of the {first} that the table has")
    given = table.contiguous(), tokens.contiguous(), features.float().contiguous()
    return _RowSums.apply(*given)  # type: ignore[no-any-return, no-untyped-call]


def _is_for(table: Tensor, tokens: Tensor) -> bool:
    """Return whether to use the C++."""
    if tokens.device.type != "cpu" or tokens.numel() * table.shape[1] < SMALLEST_NATIVE:
        return False
    path = lstm_native.best_path(table.dtype)
    return path is not None and path.name != "amx" and LIBRARY.get() is not None


class _RowSums(torch.autograd.Function):
    """The sums, in C++. Tables are in fp32 or bf16."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, tokens: Tensor, features: Tensor) -> Tensor:
        ctx.save_for_backward(tokens, features)
        ctx.rows = len(table)
        sums = table.new_empty(*tokens.shape, table.shape[1])
        _call("sum_rows", tokens, features, ctx.rows, table, sums)
        return sums

    @staticmethod
    def backward(ctx: Any, dsums: Tensor) -> tuple[Tensor, None, None]:
        tokens, features = ctx.saved_tensors
        dsums = dsums.contiguous()
        dtable = dsums.new_zeros(ctx.rows, dsums.shape[-1], dtype=torch.float32)
        _call("spread_rows", tokens, features, ctx.rows, dsums, dtable)
        return dtable.to(dsums.dtype), None, None


def _call(function: str, tokens: Tensor, features: Tensor, rows: int, *given: Tensor) -> None:
    """Call a function of the library on contiguous tensors, in as many threads as torch has."""
    count = features.shape[-1]
    window = _Window(
        torch.get_num_threads(),
        tokens.numel(),
        given[0].shape[-1],
        rows - count,
        count,
        tokens.data_ptr(),
        features.data_ptr(),
    )
    is_bf16, pointers = given[0].dtype == torch.bfloat16, (tensor.data_ptr() for tensor in given)
    getattr(LIBRARY.get(), function)(ctypes.byref(window), is_bf16, *pointers)
