"""Compares a recurrent layer with the one in torch.nn, with the same weights."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from midirnn.models.cells import CELLS
from midirnn.models.layers import RecurrentLayer

Results = dict[str, Tensor]
Sizes = tuple[int, int, int, int]
"""T, B, the size of the inputs, H."""

USUAL: Sizes = (7, 3, 5, 4)

THEIRS: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}

Layer = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]


def run(layer: Layer, states: tuple[str, ...], sizes: Sizes, read: str) -> Results:
    """Return outputs, and gradients of the inputs for a random sum of the outputs in ``read``."""
    steps, batch, inputs, hidden = sizes
    generator = torch.Generator().manual_seed(3)
    draw = functools.partial(torch.randn, generator=generator)
    arguments = {"x": draw(steps, batch, inputs)}
    arguments |= {f"{name}0": draw(batch, hidden) for name in states}
    for argument in arguments.values():
        argument.requires_grad_()
    x, *state = arguments.values()
    y, after = layer(x, tuple(state))
    results = {"y": y} | dict(zip(states, after, strict=True))
    loss = torch.zeros(())
    for name, value in results.items():
        weight = draw(*value.shape)
        if name in read:
            loss = loss + (value.float() * weight).sum()
    loss.backward()
    gradients = {f"d{name}": value.grad for name, value in arguments.items()}
    outputs = {name: value.detach() for name, value in results.items()}
    return outputs | {name: value for name, value in gradients.items() if value is not None}


def ours_and_theirs(
    cell: str, sizes: Sizes, read: str = "yhc", *, bf16: bool = False
) -> tuple[Results, Results]:
    """Return the results of both layers with the same weights, including the weights' gradients."""
    torch.manual_seed(0)
    layer = RecurrentLayer(CELLS[cell], sizes[2], sizes[3])
    theirs = THEIRS[cell](sizes[2], sizes[3])
    names = {"weight_ih": "weight_ih_l0", "weight_hh": "weight_hh_l0", "bias": "bias_ih_l0"}
    if layer.recurrent_bias is not None:
        names["recurrent_bias"] = "bias_hh_l0"
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        for mine, other in names.items():
            if "bias" in mine:
                getattr(layer, mine).normal_()
            getattr(theirs, other).copy_(getattr(layer, mine))

    def reference(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        given = tuple(part[None] for part in state)
        y, after = theirs(x, given if len(given) > 1 else given[0])
        return y, tuple(part[0] for part in (after if len(given) > 1 else (after,)))

    def ours(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return layer(x, state)  # type: ignore[no-any-return]

    states = layer.cell.states
    found, expected = run(ours, states, sizes, read), run(reference, states, sizes, read)
    for mine, other in names.items():
        found[f"d{mine}"] = getattr(layer, mine).grad
        expected[f"d{mine}"] = getattr(theirs, other).grad
    return found, expected


def check(found: Results, expected: Results, tolerance: float = 1e-5) -> None:
    """Fail if a result is off by more than the tolerance."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        difference = (found[name].float() - value).abs().max()
        assert difference <= tolerance * max(1.0, float(value.abs().max())), name
