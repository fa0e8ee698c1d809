"""Each path of the loop in C++ gives the same results as torch.nn.LSTM."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from midirnn import native
from midirnn.models import layers as fast
from midirnn.models import lstm, lstm_choice, lstm_native
from midirnn.models.cells import CELLS
from midirnn.models.layers import RecurrentLayer
from midirnn.models.lstm_native import LoopPath
from tests.models.layers import USUAL, Sizes, check, ours_and_theirs

pytestmark = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")

KNOWN = ("plain", "avx2", "avx512", "avx512_bf16", "amx")

State = tuple[Tensor, ...]


@pytest.fixture(scope="module", autouse=True)
def uncompiled_reference() -> Iterator[None]:
    """Keep the loop in PyTorch, the reference, from compiling its steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm, "SMALLEST_COMPILED", 1 << 40)
        yield


@pytest.fixture(params=KNOWN)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LoopPath:
    """Return a path that this processor has, and make layers of any size take it."""
    found = lstm_native.paths().get(request.param)
    if found is None:
        pytest.skip(f"this processor has no {request.param}")
    take(found, monkeypatch)
    return found


def take(path: LoopPath, monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(projected: Tensor, weight: Tensor, bias: None, state: State) -> tuple[Tensor, State]:
        return lstm_native.loop(path, projected, weight, state)

    def layer(
        x: Tensor, weights: tuple[Tensor, Tensor, Tensor], state: State
    ) -> tuple[Tensor, State]:
        return lstm_native.layer(path, x, weights, state)

    monkeypatch.setitem(fast.FAST_LOOPS, "lstm", loop)
    monkeypatch.setitem(fast.FAST_LAYERS, "lstm", layer)
    monkeypatch.setattr(lstm_choice, "torch_is_faster", lambda *arguments: False)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def is_bf16(path: LoopPath) -> bool:
    return path.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 1), (33, 47), (64, 96), (280, 256), (40, 31)])
def test_a_matrix_is_turned_for_amx(shape: tuple[int, int]) -> None:
    path = lstm_native.paths().get("amx")
    if path is None:
        pytest.skip("this processor has no AMX")
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    turned = lstm_native._turned(matrix, path)
    assert torch.equal(turned, matrix.t())
    product = (turned @ matrix).float()
    assert torch.allclose(product, matrix.float().t() @ matrix.float(), rtol=0.02, atol=0.5)


def test_there_is_a_path_for_every_processor() -> None:
    found = lstm_native.paths()
    assert "plain" in found
    assert list(found) == [name for name in KNOWN if name in found]
    best = lstm_native.best_path(torch.float32)
    assert best is not None and best.dtype == torch.float32
    assert lstm_native.best_path(torch.float64) is None


@pytest.mark.parametrize(
    "sizes",
    [
        USUAL,
        (1, 1, 1, 1),
        (5, 16, 8, 32),  # whole tiles
        (3, 17, 9, 33),  # a row and a cell more
        (2, 33, 4, 100),
        (40, 7, 3, 64),
    ],
)
@pytest.mark.parametrize("read", ["yhc", "y", "hc", "c"])
def test_outputs_states_and_gradients_are_those_of_torch(
    path: LoopPath, sizes: Sizes, read: str
) -> None:
    found, expected = ours_and_theirs("lstm", sizes, read, bf16=is_bf16(path))
    assert len(found) == 9
    check(found, expected, tolerance=0.05 if is_bf16(path) else 1e-5)


def results(path: LoopPath | None, arguments: list[Tensor]) -> list[Tensor]:
    """Return outputs and gradients of a path, or of the loop in PyTorch."""
    projected, weight, *state = [a.detach().clone().requires_grad_() for a in arguments]
    if path is None:
        y, after = lstm.loop(projected, weight, None, tuple(state))
    else:
        y, after = lstm_native.loop(path, projected, weight, tuple(state))
    steps = torch.arange(y.numel()).view(y.shape)
    ((y.float() * (steps * 0.7).sin()).sum() + after[0].sum() - after[1].sum()).backward()
    gradients = [a.grad for a in (projected, weight, *state)]
    return [*(x.detach() for x in (y, *after)), *(g for g in gradients if g is not None)]


def random_arguments(sizes: tuple[int, int, int], seed: int, dtype: torch.dtype) -> list[Tensor]:
    """Return gates, a weight and a state, which is 0 in some rows, as at the start of a piece."""
    steps, batch, hidden = sizes
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand((batch, 1), generator=generator) < 0.5
    shapes = (steps, batch, 4 * hidden), (4 * hidden, hidden), (batch, hidden), (batch, hidden)
    projected, weight, h, c = (torch.randn(shape, generator=generator) for shape in shapes)
    return [projected.to(dtype), weight / hidden**0.5, h.tanh() * keep, c * keep]


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 70)), st.integers(0, 1 << 30)
)
@example((2, 16, 128), 0)
@example((2, 31, 65), 0)
def test_every_path_gives_what_the_loop_in_pytorch_gives(
    sizes: tuple[int, int, int], seed: int
) -> None:
    for path in lstm_native.paths().values():
        arguments = random_arguments(sizes, seed, path.dtype)
        tolerance = 0.03 if is_bf16(path) else 1e-5
        pairs = zip(results(path, arguments), results(None, arguments), strict=True)
        for found, expected in pairs:
            assert found.shape == expected.shape and found.dtype == expected.dtype
            most = tolerance * max(1.0, float(expected.abs().max()))
            assert float((found - expected).float().abs().max()) <= most, path.name


def test_the_paths_in_bf16_are_as_exact_as_the_loop_in_pytorch() -> None:
    arguments = random_arguments((64, 16, 96), 0, torch.bfloat16)
    exact = results(None, [argument.float() for argument in arguments])

    def error(path: LoopPath | None) -> float:
        pairs = zip(results(path, arguments), exact, strict=True)
        return sum(float((x.float() - y).norm() / y.norm()) for x, y in pairs)

    for path in filter(is_bf16, lstm_native.paths().values()):
        assert error(path) < 1.1 * error(None), path.name


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.usefixtures("threads")
def test_threads_share_the_rows_and_change_no_bit(path: LoopPath, count: int) -> None:
    arguments = random_arguments((3, 37, 48), 1, path.dtype)
    torch.set_num_threads(1)
    alone = results(path, arguments)[:3]
    torch.set_num_threads(count)
    assert all(map(torch.equal, alone, results(path, arguments)[:3]))


def test_several_threads_may_call_it_at_once(path: LoopPath) -> None:
    arguments = random_arguments((3, 20, 48), 2, path.dtype)
    with torch.no_grad(), ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(lstm_native.loop, path, arguments[0], arguments[1], tuple(arguments[2:]))
            for _ in range(16)
        ]
        first, *others = [call.result()[0] for call in calls]
    assert all(torch.equal(first, other) for other in others)


def test_the_cell_state_stays_exact(path: LoopPath) -> None:
    # An open forget gate and no input: c must not lose what bf16 would round away.
    layer = RecurrentLayer(CELLS["lstm"], 1, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias[2:4] = 50.0
    c = torch.tensor([[1.001, -0.3333]])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16(path)):
        _, (_, c_last) = layer(torch.zeros(30, 1, 1), (torch.zeros(1, 2), c))
    torch.testing.assert_close(c_last, c, atol=1e-6, rtol=0)


@pytest.mark.parametrize("gate", [100.0, -100.0, 1e30, -1e30, float("inf"), -float("inf")])
def test_huge_gates_saturate(path: LoopPath, gate: float) -> None:
    arguments = random_arguments((2, 3, 20), 3, path.dtype)
    arguments[0].fill_(gate)
    for found, expected in zip(results(path, arguments), results(None, arguments), strict=True):
        torch.testing.assert_close(found.float(), expected.float(), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("row", [0, 5, 19])
def test_what_is_not_a_number_stays_none_and_stays_in_its_row(path: LoopPath, row: int) -> None:
    arguments = random_arguments((3, 20, 40), 4, path.dtype)
    arguments[0][0, row] = float("nan")
    y = results(path, arguments)[0]
    assert y[:, row].isnan().all()
    assert y.isnan().sum() == y[:, row].numel()


def test_without_a_compiler_there_are_no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm_native.LIBRARY.get.cache_clear(), lstm_native.paths.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    try:
        assert lstm_native.paths() == {}
        assert lstm_native.best_path(torch.float32) is None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = ours_and_theirs("lstm", USUAL)
        check(*found)
    finally:
        lstm_native.LIBRARY.get.cache_clear(), lstm_native.paths.cache_clear()
