"""The LSTM's loop in PyTorch, compiled or not, computes what torch.nn.LSTM computes."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from midirnn.models import layers as fast
from midirnn.models import lstm, lstm_choice
from midirnn.models.cells import CELLS
from midirnn.models.layers import RecurrentLayer
from tests.models import layers
from tests.models.layers import USUAL, Sizes, check


@pytest.fixture(autouse=True)
def loop_in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute every layer with this loop, even if another way is faster."""
    monkeypatch.setitem(fast.FAST_LOOPS, "lstm", lstm.loop)
    monkeypatch.delitem(fast.FAST_LAYERS, "lstm")
    monkeypatch.setattr(lstm_choice, "torch_is_faster", lambda *arguments: False)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile every step, however small, and forget the compiled ones afterwards."""
    monkeypatch.setattr(lstm, "SMALLEST_COMPILED", 0)
    lstm._compiled.cache_clear()
    yield
    lstm._compiled.cache_clear()


def ours_and_theirs(sizes: Sizes, read: str = "yhc", *, bf16: bool = False) -> Any:
    """Return the results of both layers with the same weights."""
    return layers.ours_and_theirs("lstm", sizes, read, bf16=bf16)


@pytest.mark.parametrize("sizes", [USUAL, (1, 1, 1, 1), (20, 2, 9, 16)])
@pytest.mark.parametrize("read", ["yhc", "y", "hc", "c"])
def test_its_loop_gives_outputs_states_and_gradients_of_torch(sizes: Sizes, read: str) -> None:
    found, expected = ours_and_theirs(sizes, read)
    assert len(found) == 9
    check(found, expected)


def test_the_cell_state_stays_exact_in_bf16() -> None:
    # An open forget gate and no input: c must not lose what bf16 would round away.
    layer = RecurrentLayer(CELLS["lstm"], 1, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias[2:4] = 50.0
    c = torch.tensor([[1.001, -0.3333]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, (_, c_last) = layer(torch.zeros(30, 1, 1), (torch.zeros(1, 2), c))
    assert torch.equal(c_last, c)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.usefixtures("compiled")
def test_compiled_it_gives_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's compiler warns of itself
        warnings.filterwarnings("error", ".*uncompiled")
        check(*ours_and_theirs((3, 2, 4, 8)))
        check(*ours_and_theirs((3, 2, 4, 8), bf16=True), tolerance=0.05)


@pytest.mark.usefixtures("compiled")
def test_without_a_compiler_it_warns_once_and_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler.*Install g\+\+") as warned:
        check(*ours_and_theirs(USUAL))
    assert len(warned) == 2  # one for each direction
    check(*ours_and_theirs(USUAL))


@pytest.mark.usefixtures("compiled")
def test_where_compiling_fails_it_warns_and_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(function: Any, arguments: Any) -> Callable[..., Any]:
        raise OSError("no Python.h\nand much more")

    monkeypatch.setattr(lstm, "_compile", broken)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    with pytest.warns(RuntimeWarning, match=r"compiling failed \(no Python\.h\)"):
        check(*ours_and_theirs(USUAL))
    check(*ours_and_theirs(USUAL))


@pytest.mark.usefixtures("compiled")
def test_each_size_and_type_is_compiled_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []

    def noted(function: Any, arguments: tuple[Tensor, ...]) -> Any:
        made.append(tuple(arguments[0].shape))
        return function

    monkeypatch.setattr(lstm, "_compile", noted)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    for _ in range(2):
        check(*ours_and_theirs((3, 2, 4, 8)))
        check(*ours_and_theirs((3, 5, 4, 8)))
        check(*ours_and_theirs((3, 2, 4, 8), bf16=True), tolerance=0.05)
    assert made == [(2, 32), (2, 8), (5, 32), (5, 8), (2, 32), (2, 8)]


def test_a_packed_weight_gives_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, x = torch.randn(48, 32).bfloat16(), torch.randn(7, 32).bfloat16()
    expected = x.float() @ weight.float().t()
    for smallest in (0, 1 << 30):
        monkeypatch.setattr(lstm, "SMALLEST_PACKED", smallest)
        for given in (weight, weight.t().contiguous().t()):
            product = lstm._product(given, 7)(x)
            torch.testing.assert_close(product.float(), expected, atol=0.1, rtol=0.01)


def test_small_steps_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "_compiled", lambda function: pytest.fail("compiled"))
    check(*ours_and_theirs(USUAL))


@pytest.mark.parametrize("has_it", [True, False])
@pytest.mark.parametrize(
    ("machine", "asked"),
    [
        ("x86_64", "torch.cpu._is_avx512_bf16_supported"),
        ("AMD64", "torch.cpu._is_avx512_bf16_supported"),
        ("aarch64", "midirnn.models.lstm._can_pack"),
    ],
)
def test_the_processor_is_asked_whether_it_has_bf16(
    monkeypatch: pytest.MonkeyPatch, machine: str, asked: str, has_it: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(asked, lambda: has_it)
    lstm.is_fast_in_bf16.cache_clear()
    try:
        assert lstm.is_fast_in_bf16(torch.device("cpu")) is has_it
    finally:
        lstm.is_fast_in_bf16.cache_clear()
