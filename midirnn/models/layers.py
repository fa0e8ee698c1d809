"""One recurrent layer of any cell in torch, and its loop over time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from midirnn.models import lstm_choice
from midirnn.models.cells import Cell

State = tuple[Tensor, ...]
"""The state of a layer: a tensor (B, H) for each of the cell's states, h first. Always fp32."""

Loop = Callable[[Tensor, Tensor, Tensor | None, State], tuple[Tensor, State]]
"""``(projected, weight_hh, recurrent_bias, state) -> (outputs, state)``; see :func:`loop`."""


class TorchOperations:
    """The functions of a step, in torch."""

    sigmoid = staticmethod(torch.sigmoid)
    tanh = staticmethod(torch.tanh)

    @staticmethod
    def split(x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split the last dimension into equal parts."""
        return x.chunk(parts, dim=-1)


TORCH = TorchOperations()


def loop(
    cell: Cell, projected: Tensor, weight_hh: Tensor, recurrent_bias: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """Run a cell over time: the reference, which autograd differentiates.

    ``projected`` (T, B, G * H) is ``x @ weight_ih.t() + bias``. Its type, fp32 or bf16, is that of
    the recurrent products and of the outputs (T, B, H); the state stays in fp32.
    """
    dtype = projected.dtype
    weight = weight_hh.to(dtype).t()
    outputs = []
    for x_gates in projected.unbind(0):
        h_gates = (state[0].to(dtype) @ weight).float()
        if recurrent_bias is not None:
            h_gates = h_gates + recurrent_bias
        h, state = cell.step(x_gates.float(), h_gates, state, TORCH)
        outputs.append(h)
    return torch.stack(outputs).to(dtype), state


FAST_LOOPS: dict[str, Loop] = {"lstm": lstm_choice.loop}
"""Faster equivalents of :func:`loop` on a CPU, by the cell's name."""

Weights = tuple[Tensor, Tensor, Tensor]

FAST_LAYERS: dict[str, Callable[[Tensor, Weights, State], tuple[Tensor, State]]] = {
    "lstm": lstm_choice.layer
}
"""The same including the input's projection: they take its weights, its bias and ``weight_hh``."""

_TORCH_LAYERS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "rnn": torch.rnn_tanh,
    "gru": torch.gru,
    "lstm": torch.lstm,
}
"""torch's layers, which are cuDNN's on a GPU, by the cell's name."""


def projects_input(cell: Cell, device: torch.device) -> bool:
    """Return whether a layer's input is projected to the gates before its loop runs.

    On a CPU it is. On a GPU torch's layer, if it has the cell, is faster; it projects by itself.
    """
    return device.type == "cpu" or cell.name not in _TORCH_LAYERS


class RecurrentLayer(nn.Module):
    """A recurrent layer of a cell. Owns its weights (see :class:`Cell`) in fp32, and no state."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = cell
        self.weight_ih: nn.Parameter
        self.weight_hh: nn.Parameter
        self.bias: nn.Parameter
        self.recurrent_bias: nn.Parameter | None
        self.register_parameter("recurrent_bias", None)
        for name, shape in cell.weight_shapes(input_size, hidden_size).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw orthogonal recurrent and Xavier input weights, gate by gate; set the biases."""
        gates = self.cell.gates
        for recurrent, inputs in zip(
            self.weight_hh.data.chunk(len(gates)),
            self.weight_ih.data.chunk(len(gates)),
            strict=True,
        ):
            nn.init.orthogonal_(recurrent)
            nn.init.xavier_uniform_(inputs)
        for gate, bias in zip(gates, self.bias.data.chunk(len(gates)), strict=True):
            nn.init.constant_(bias, self.cell.initial_bias.get(gate, 0.0))
        if self.recurrent_bias is not None:
            nn.init.zeros_(self.recurrent_bias)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs (T, B, H) for inputs (T, B, I), and the state after the last step."""
        if projects_input(self.cell, x.device) and not self._torch_is_faster(x):
            return self._by_loop(x, state)
        return self._by_torch(x, state)

    def _torch_is_faster(self, x: Tensor) -> bool:
        """Return whether torch's layer beats the fast loop on this CPU; see lstm_choice."""
        if x.device.type != "cpu" or self.cell.name != "lstm":
            return False
        weights: list[Tensor] = [self.weight_ih, self.weight_hh, self.bias]
        return lstm_choice.torch_is_faster(x, weights, self._by_loop, self._by_torch)

    def _by_loop(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if x.device.type == "cpu" and self.cell.name in FAST_LAYERS:
            weights = self.weight_ih, self.bias, self.weight_hh
            return FAST_LAYERS[self.cell.name](x, weights, state)
        return self.recur(nn.functional.linear(x, self.weight_ih, self.bias), state)

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        """Run the layer on inputs already projected to the gates, bias included: (T, B, G * H)."""
        if projected.device.type == "cpu" and self.cell.name in FAST_LOOPS:
            run = FAST_LOOPS[self.cell.name]
            return run(projected, self.weight_hh, self.recurrent_bias, state)
        return loop(self.cell, projected, self.weight_hh, self.recurrent_bias, state)

    def _by_torch(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run torch's own layer (cuDNN's, where available) in autocast's type."""
        device = x.device.type
        lower = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if lower else x.dtype
        bias = self.recurrent_bias
        weights: list[Tensor] = [self.weight_ih, self.weight_hh, self.bias]
        weights.append(torch.zeros_like(self.bias) if bias is None else bias)
        before: Any = [part[None].to(dtype) for part in state]
        with torch.autocast(device, enabled=False) if lower else nullcontext():
            y, *after = _TORCH_LAYERS[self.cell.name](
                x.to(dtype),
                before if len(before) > 1 else before[0],
                [weight.to(dtype) for weight in weights],
                True,  # has biases
                1,  # layer
                0.0,  # dropout
                self.training,
                False,  # bidirectional
                False,  # batch first
            )
        return y, tuple(part[0].float() for part in after)
