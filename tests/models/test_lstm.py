"""The LSTM layer does what torch.nn.LSTM does."""

from __future__ import annotations

import functools
import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from midirnn.models import lstm
from midirnn.models.lstm import LSTMLayer

USUAL = (7, 3, 5, 4)
"""T, B, the inputs' size, H"""
SIZES = pytest.mark.parametrize("sizes", [USUAL, (1, 1, 1, 1), (20, 2, 9, 16)])

Results = dict[str, Tensor]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every step is compiled, however small, and nothing is remembered of it."""
    monkeypatch.setattr(lstm, "SMALLEST_COMPILED", 0)
    lstm._compiled.cache_clear()
    yield
    lstm._compiled.cache_clear()


def run(
    layer: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    sizes: tuple[int, int, int, int],
    read: str,
) -> Results:
    """Outputs, and the gradients of the inputs for a random sum of those in ``read``."""
    steps, batch, inputs, hidden = sizes
    generator = torch.Generator().manual_seed(3)
    draw = functools.partial(torch.randn, generator=generator)
    arguments = {
        "x": draw(steps, batch, inputs),
        "h0": draw(batch, hidden),
        "c0": draw(batch, hidden),
    }
    for argument in arguments.values():
        argument.requires_grad_()
    results = dict(zip(("y", "h", "c"), layer(*arguments.values()), strict=True))
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
    sizes: tuple[int, int, int, int], read: str = "yhc", *, bf16: bool = False
) -> tuple[Results, Results]:
    """What both layers give with the same weights, gradients of the weights included."""
    torch.manual_seed(0)
    layer = LSTMLayer(sizes[2], sizes[3])
    theirs = torch.nn.LSTM(sizes[2], sizes[3])
    with torch.no_grad():
        layer.bias.normal_()
        theirs.weight_ih_l0.copy_(layer.weight_ih)
        theirs.weight_hh_l0.copy_(layer.weight_hh)
        theirs.bias_ih_l0.copy_(layer.bias)
        theirs.bias_hh_l0.zero_()

    def reference(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (h_last, c_last) = theirs(x, (h[None], c[None]))
        return y, h_last[0], c_last[0]

    def ours(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return layer(x, h, c)  # type: ignore[no-any-return]

    found, expected = run(ours, sizes, read), run(reference, sizes, read)
    names = (("weight_ih", "weight_ih_l0"), ("weight_hh", "weight_hh_l0"), ("bias", "bias_ih_l0"))
    for mine, other in names:
        found[f"d{mine}"] = getattr(layer, mine).grad
        expected[f"d{mine}"] = getattr(theirs, other).grad
    return found, expected


def check(found: Results, expected: Results, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        difference = (found[name].float() - value).abs().max()
        assert difference <= tolerance * max(1.0, float(value.abs().max())), name


@SIZES
@pytest.mark.parametrize("read", ["yhc", "y", "hc", "c"])
def test_outputs_states_and_all_gradients_are_those_of_torch(
    sizes: tuple[int, int, int, int], read: str
) -> None:
    found, expected = ours_and_theirs(sizes, read)
    assert len(found) == 9
    check(found, expected)


def test_in_bf16_they_are_so_within_its_precision() -> None:
    found, expected = ours_and_theirs((20, 4, 16, 32), bf16=True)
    assert found["y"].dtype == torch.bfloat16
    assert {found[name].dtype for name in found if name != "y"} == {torch.float32}
    check(found, expected, tolerance=0.03)


def test_the_cell_state_stays_exact_in_bf16() -> None:
    # An open forget gate and no input: c must not lose what bf16 would round away.
    layer = LSTMLayer(1, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias[2:4] = 50.0
    c = torch.tensor([[1.001, -0.3333]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, _, c_last = layer(torch.zeros(30, 1, 1), torch.zeros(1, 2), c)
    assert torch.equal(c_last, c)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.usefixtures("compiled")
def test_compiled_it_gives_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's compiler warns of itself
        warnings.filterwarnings("error", ".*uncompiled")
        check(*ours_and_theirs((3, 2, 4, 8)))


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


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.usefixtures("compiled")
def test_each_size_and_type_is_compiled_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []
    compile_kernel = lstm._compile

    def noted(function: Any, arguments: tuple[Tensor, ...]) -> Callable[..., Any]:
        made.append(tuple(arguments[0].shape))
        return compile_kernel(function, arguments)

    monkeypatch.setattr(lstm, "_compile", noted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


def test_a_sequence_in_pieces_is_the_sequence() -> None:
    layer = LSTMLayer(5, 4)
    x, h, c = torch.randn(7, 3, 5), torch.randn(3, 4), torch.randn(3, 4)
    whole, h_whole, c_whole = layer(x, h, c)
    outputs = []
    for piece in x.split(2):
        y, h, c = layer(piece, h, c)
        outputs.append(y)
    assert torch.allclose(torch.cat(outputs), whole, atol=1e-6)
    assert torch.allclose(h, h_whole, atol=1e-6)
    assert torch.allclose(c, c_whole, atol=1e-6)


def test_recurrent_weights_begin_orthogonal_and_the_forget_gate_open() -> None:
    layer = LSTMLayer(6, 8)
    for gate in layer.weight_hh.data.chunk(4):
        assert torch.allclose(gate @ gate.t(), torch.eye(8), atol=1e-5)
    assert layer.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


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
