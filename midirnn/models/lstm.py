"""The LSTM's loop over time, made to train fast on a CPU.

Gates are in torch.nn.LSTM's order: input, forget, cell, output. It is faster than torch.nn.LSTM
because the input is projected outside (by one product, or by a table with a row per token), all of
dW is one product after the loop, products may run in bf16 while the cell state stays in fp32, and
the pointwise part of a step is one compiled kernel.
"""

from __future__ import annotations

import functools
import platform
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _cell_forward(
    gates: Tensor, projected: Tensor, c: Tensor, activations: Tensor, c_out: Tensor, h_out: Tensor
) -> None:
    """Compute a step: write the gates' activations (B, 4H), c and the output h (B, H)."""
    i, f, g, o = (gates + projected).float().chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c_new = f * c + i * g
    activations.copy_(torch.cat([i, f, g, o], dim=1))
    c_out.copy_(c_new)
    h_out.copy_(o * c_new.tanh())


def _cell_backward(
    dy: Tensor,
    dh: Tensor,
    dc: Tensor,
    activations: Tensor,
    c_before: Tensor,
    c: Tensor,
    dgates: Tensor,
) -> Tensor:
    """Backpropagate a step: write the gates' gradient (B, 4H), return the cell state's."""
    i, f, g, o = activations.float().chunk(4, dim=1)
    tanh_c = c.tanh()
    dh_total = dy.float() + dh.float()
    dc_total = dc + dh_total * o * (1 - tanh_c * tanh_c)
    dgates.copy_(
        torch.cat(
            [
                dc_total * g * i * (1 - i),
                dc_total * c_before * f * (1 - f),
                dc_total * i * (1 - g * g),
                dh_total * tanh_c * o * (1 - o),
            ],
            dim=1,
        )
    )
    return dc_total * f


SMALLEST_COMPILED = 8192
"""Number of gates (B * 4H) from which compiling a step's kernel is worth the time."""


def _kernel(function: Callable[..., Any], gates: int) -> Callable[..., Any]:
    """Return the function as one compiled kernel, or unchanged if the step is small."""
    return _compiled(function) if gates >= SMALLEST_COMPILED else function


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled; unchanged, with a warning, where compiling does not work."""
    works = shutil.which("g++") is not None or shutil.which("clang++") is not None
    made: dict[Any, Callable[..., Any]] = {}

    def run(*arguments: Tensor) -> Any:
        nonlocal works
        if works:
            key = arguments[0].shape, arguments[0].dtype, torch.get_num_threads()
            try:
                if key not in made:
                    made[key] = _compile(function, arguments)
                return made[key](*arguments)
            except Exception as error:  # whatever the compiler's tool chain raises
                works = False
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                _warn_uncompiled(f"compiling failed ({reason})")
        return function(*arguments)

    if not works:
        _warn_uncompiled("there is no C++ compiler")
    return run


def _compile(function: Callable[..., Any], arguments: tuple[Tensor, ...]) -> Callable[..., Any]:
    """Compile the function for tensors like these.

    Without torch.compile's guards, which take longer than the kernel: shapes and types of the
    arguments all follow from those of the first, and nothing else changes.
    """
    from torch._inductor import compile as compile_graph
    from torch.fx.experimental.proxy_tensor import make_fx

    with torch.no_grad():
        copies: list[Any] = [argument.clone() for argument in arguments]
        compiled: Callable[..., Any] = compile_graph(make_fx(function)(*copies), copies)
    return compiled


def _product(weight: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """Return a function that multiplies ``rows`` rows by ``weight.t()``, to be called many times.

    In bf16 the weight is packed into oneDNN's layout once, instead of at every step.
    """
    if weight.dtype == torch.bfloat16 and rows * weight.numel() >= SMALLEST_PACKED and _can_pack():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        linear = torch.ops.mkldnn._linear_pointwise.default
        return lambda x: linear(x, packed, None, "none", [], "")
    transposed = weight.t()
    return lambda x: torch.mm(x, transposed)


SMALLEST_PACKED = 1 << 20
"""Number of multiplications in a product from which packing its weight is worth the time."""


@functools.cache
def _can_pack() -> bool:
    """Return whether oneDNN is available and this processor has products in bf16."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@functools.cache
def is_fast_in_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for products in bf16.

    A processor without them emulates them, at a quarter of the speed of fp32 (on AMD's Zen 3).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return _can_pack()
    return bool(torch.cpu._is_avx512_bf16_supported())  # processors with AMX have them too


def _warn_uncompiled(why: str) -> None:
    warnings.warn(
        f"{why}: the LSTM's pointwise part runs uncompiled, and training about a quarter slower. "
        "Install g++ to speed it up",
        RuntimeWarning,
        stacklevel=3,
    )


class _Recurrence(torch.autograd.Function):
    """The loop over time: inputs in the products' type (fp32 or bf16), the cell state in fp32."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight_hh: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, batch, gates = projected.shape
        hidden, dtype = gates // 4, projected.dtype
        weight = weight_hh.to(dtype)
        cell = _kernel(_cell_forward, batch * gates)
        activations = projected.new_empty(steps, batch, gates)
        cells = projected.new_empty(steps + 1, batch, hidden, dtype=torch.float32)
        outputs = projected.new_empty(steps + 1, batch, hidden)
        cells[0], outputs[0] = c, h
        product = _product(weight, batch)
        for t in range(steps):
            recurrent = product(outputs[t])
            cell(recurrent, projected[t], cells[t], activations[t], cells[t + 1], outputs[t + 1])
        ctx.save_for_backward(weight, activations, cells, outputs)
        return outputs[1:], outputs[-1].float(), cells[-1].clone()

    @staticmethod
    def backward(
        ctx: Any, dy: Tensor, dh_last: Tensor, dc_last: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight, activations, cells, outputs = ctx.saved_tensors
        steps, batch, gates = activations.shape
        cell = _kernel(_cell_backward, batch * gates)
        dgates = torch.empty_like(activations)
        dh = dh_last.to(activations.dtype).contiguous()
        dc = dc_last.contiguous()
        dy = dy.contiguous()
        product = _product(weight.t(), batch)
        for t in range(steps - 1, -1, -1):
            dc = cell(dy[t], dh, dc, activations[t], cells[t], cells[t + 1], dgates[t])
            dh = product(dgates[t])
        flat = dgates.view(steps * batch, gates)
        dweight = flat.t() @ outputs[:-1].reshape(steps * batch, -1)
        return dgates, dweight.float(), dh.float(), dc


def loop(
    projected: Tensor, weight_hh: Tensor, recurrent_bias: Tensor | None, state: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over time on a CPU; see :func:`midirnn.models.layers.loop`."""
    assert recurrent_bias is None
    y, h, c = _Recurrence.apply(  # type: ignore[no-untyped-call]
        projected.contiguous(), weight_hh, *state
    )
    return y, (h, c)
