"""Each cell computes what torch.nn's layer of that name does, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from midirnn.engines.numpy_cells import NUMPY
from midirnn.errors import CheckpointError
from midirnn.models import layers
from midirnn.models.cells import CELLS, SummedCell, find_cell
from midirnn.models.layers import TORCH, RecurrentLayer
from tests.models.layers import THEIRS, USUAL, Sizes, check, ours_and_theirs

EACH_CELL = pytest.mark.parametrize("cell", CELLS)
SIZES = pytest.mark.parametrize("sizes", [USUAL, (1, 1, 1, 1), (20, 2, 9, 16)])


def test_the_table_has_the_cells_of_torch_by_their_names() -> None:
    assert CELLS.keys() == THEIRS.keys()
    assert all(cell.name == name for name, cell in CELLS.items())


@EACH_CELL
@SIZES
@pytest.mark.parametrize("read", ["yhc", "y", "hc"])
def test_outputs_states_and_all_gradients_are_those_of_torch(
    cell: str, sizes: Sizes, read: str
) -> None:
    found, expected = ours_and_theirs(cell, sizes, read)
    count = len(CELLS[cell].states)
    assert len(found) == 1 + count + 1 + count + (4 if cell == "gru" else 3)
    check(found, expected)


@EACH_CELL
@pytest.mark.parametrize("sizes", [USUAL, (20, 2, 9, 16)])
def test_the_reference_loop_is_the_fast_one(
    cell: str, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "FAST_LOOPS", {})
    monkeypatch.setattr(layers, "FAST_LAYERS", {})
    check(*ours_and_theirs(cell, sizes))


@EACH_CELL
def test_torch_s_layer_stands_in_for_the_loop_where_there_is_no_cpu(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "projects_input", lambda cell, device: False)
    check(*ours_and_theirs(cell, USUAL))


@EACH_CELL
def test_in_bf16_they_are_so_within_its_precision(cell: str) -> None:
    found, expected = ours_and_theirs(cell, (20, 4, 16, 32), bf16=True)
    assert found["y"].dtype == torch.bfloat16
    assert {found[name].dtype for name in found if name != "y"} == {torch.float32}
    check(found, expected, tolerance=0.04)


@EACH_CELL
def test_a_sequence_in_pieces_is_the_sequence(cell: str) -> None:
    layer = RecurrentLayer(CELLS[cell], 5, 4)
    x = torch.randn(7, 3, 5)
    state: tuple[Tensor, ...] = tuple(torch.randn(3, 4) for _ in CELLS[cell].states)
    whole, behind = layer(x, state)
    outputs = []
    for piece in x.split(2):
        y, state = layer(piece, state)
        outputs.append(y)
    assert torch.allclose(torch.cat(outputs), whole, atol=1e-6)
    for part, expected in zip(state, behind, strict=True):
        assert torch.allclose(part, expected, atol=1e-6)


@EACH_CELL
def test_a_step_is_the_same_in_numpy_and_in_torch(cell: str) -> None:
    rng = np.random.default_rng(0)
    draw: Callable[[int], npt.NDArray[np.float32]] = lambda n: rng.standard_normal(  # noqa: E731
        n
    ).astype(np.float32)
    rows = 6 * len(CELLS[cell].gates)
    x_gates, h_gates = draw(rows), draw(rows)
    state = tuple(draw(6) for _ in CELLS[cell].states)
    h, after = CELLS[cell].step(x_gates, h_gates, state, NUMPY)
    in_torch = tuple(map(torch.from_numpy, state))
    gates = torch.from_numpy(x_gates), torch.from_numpy(h_gates)
    expected, behind = CELLS[cell].step(*gates, in_torch, TORCH)
    np.testing.assert_allclose(h, expected, atol=1e-6)
    for part, other in zip(after, behind, strict=True):
        np.testing.assert_allclose(part, other, atol=1e-6)


@EACH_CELL
def test_the_state_starts_with_the_output(cell: str) -> None:
    x_gates = np.linspace(-2, 2, 4 * len(CELLS[cell].gates), dtype=np.float32)
    state = tuple(np.full(4, 0.3, np.float32) for _ in CELLS[cell].states)
    h, after = CELLS[cell].step(x_gates, x_gates, state, NUMPY)
    assert CELLS[cell].states[0] == "h"
    assert len(after) == len(state)
    assert after[0] is h


@EACH_CELL
def test_only_a_cell_whose_recurrent_product_is_gated_has_a_bias_of_its_own(cell: str) -> None:
    kind = CELLS[cell]
    assert kind.has_recurrent_bias is not isinstance(kind, SummedCell)


@EACH_CELL
def test_recurrent_weights_start_orthogonal_and_the_forget_gate_open(cell: str) -> None:
    layer = RecurrentLayer(CELLS[cell], 6, 8)
    gates = CELLS[cell].gates
    for gate, weight, bias in zip(
        gates,
        layer.weight_hh.data.chunk(len(gates)),
        layer.bias.data.chunk(len(gates)),
        strict=True,
    ):
        assert torch.allclose(weight @ weight.t(), torch.eye(8), atol=1e-5)
        assert bias.tolist() == [1.0 if gate == "forget" else 0.0] * 8
    if layer.recurrent_bias is not None:
        assert not layer.recurrent_bias.any()


def test_an_unknown_cell_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CheckpointError) as caught:
        find_cell("qrnn")
    assert str(caught.value) == (
        "there is no cell 'qrnn'; known are rnn, gru, lstm. A model with another cell needs a "
        "newer midirnn"
    )
