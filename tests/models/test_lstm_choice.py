"""The fastest way to compute an LSTM layer is measured once, cached, and saved with a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from midirnn.models import lstm, lstm_choice, lstm_native
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel
from midirnn.models.layers import RecurrentLayer, State

MEASURED = lstm_choice._measure


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache folder, and measure layers of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lstm_choice, "_remembered", {})
    monkeypatch.setattr(lstm, "SMALLEST_COMPILED", 0)
    monkeypatch.setattr(lstm_native, "paths", dict)
    monkeypatch.setattr(lstm, "_compiled", lambda function: function)
    return tmp_path / "midirnn" / "lstm-choices.json"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Collect the sizes that are measured; torch's layer is faster with 8 cells."""
    sizes: list[tuple[int, int, int]] = []

    def measure(size: tuple[int, int, int], weights: object, layers: object) -> list[float]:
        sizes.append(size)
        return [2.0, 1.0] if size[2] == 8 else [1.0, 0.99]

    monkeypatch.setattr(lstm_choice, "_measure", measure)
    return sizes


def run(hidden: int = 8, batch: int = 4, steps: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    layer = RecurrentLayer(CELLS["lstm"], 5, hidden)
    state = tuple(torch.zeros(batch, hidden) for _ in range(2))
    y: torch.Tensor = layer(torch.randn(steps, batch, 5), state)[0]
    return y


def test_each_size_is_measured_once(measured: list[tuple[int, int, int]]) -> None:
    for steps in (3, 9):
        run(steps=steps)
        run(hidden=16)
        run(batch=3)  # as 4 are
        run(batch=5)
    assert measured == [(4, 5, 8), (4, 5, 16), (8, 5, 8)]


@pytest.mark.parametrize(("hidden", "by_torch"), [(8, True), (16, False)])
def test_the_faster_one_is_taken_and_torch_s_only_if_it_wins_clearly(
    hidden: int,
    by_torch: bool,
    measured: list[tuple[int, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    layer = RecurrentLayer._by_torch

    def noted(self: RecurrentLayer, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        calls.append(x.shape)
        return layer(self, x, state)

    monkeypatch.setattr(RecurrentLayer, "_by_torch", noted)
    run(hidden)
    assert bool(calls) is by_torch


def test_another_process_finds_it_in_the_cache(
    cache: Path, measured: list[tuple[int, int, int]]
) -> None:
    run()
    lstm_choice._remembered.clear()
    run()
    assert len(measured) == 1
    (name,) = json.loads(cache.read_text())
    assert "batch 4, 5 inputs, 8 cells, float32" in name and torch.__version__ in name


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0"])
def test_a_damaged_cache_is_measured_anew_and_mended(
    content: str, cache: Path, measured: list[tuple[int, int, int]]
) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    run()
    assert len(measured) == 1
    assert len(json.loads(cache.read_text())) == 1


def test_a_resumed_run_chooses_as_before_whatever_the_cache_says(
    cache: Path, measured: list[tuple[int, int, int]]
) -> None:
    run()
    kept = lstm_choice.choices()
    assert list(kept.values()) == [True]
    lstm_choice._remembered.clear()
    cache.write_text(json.dumps(dict.fromkeys(kept, False)))
    lstm_choice.restore(kept)
    run()
    assert lstm_choice.choices() == kept
    assert len(measured) == 1


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("graded", [True, False])
def test_measuring_changes_nothing_else(
    bf16: bool, graded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = RecurrentLayer(CELLS["lstm"], 5, 8)
    x, state = torch.randn(3, 2, 5), tuple(torch.zeros(2, 8) for _ in range(2))
    random = torch.get_rng_state()
    with (
        torch.set_grad_enabled(graded),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16),
    ):
        y, _ = layer(x, state)
    assert len(lstm_choice.choices()) == 1
    assert torch.equal(torch.get_rng_state(), random)
    assert all(weight.grad is None for weight in layer.parameters())
    assert y.requires_grad is graded
    if graded:
        y.float().sum().backward()
        assert all(weight.grad is not None for weight in layer.parameters())


def test_small_steps_are_not_measured(
    measured: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lstm, "SMALLEST_COMPILED", 8192)
    run()
    assert measured == []


def test_both_ways_are_timed_in_turns() -> None:
    order = []

    def layer(name: str) -> lstm_choice.Layer:
        def compute(x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
            order.append(name)
            return x * weight, state

        return compute

    weight = torch.ones(1, requires_grad=True)
    times = MEASURED((2, 3, 4), [weight], (layer("ours"), layer("theirs")))
    assert order == ["ours", "theirs"] * (1 + lstm_choice.ROUNDS)
    assert len(times) == 2 and all(0 < seconds < 10 for seconds in times)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the two ways take, which a test can set; both ways are run once."""
    seconds = [1.0, 1.0]

    def time(ways: Sequence[lstm_choice.Way], weights: list[torch.Tensor]) -> list[float]:
        for way in ways:
            way()
        return seconds

    monkeypatch.setattr(lstm_choice, "_seconds", time)
    return seconds


def first_layer_ways(monkeypatch: pytest.MonkeyPatch, *, graded: bool = True) -> list[str]:
    """Return the ways in which a model ran its first layer; the last computed its logits."""
    ways = []
    for name in ("_first_by_table", "_first_by_embedding"):

        def noted(self: LanguageModel, *given: Any, name: str = name) -> Any:
            ways.append(name)
            return WAYS[name](self, *given)

        monkeypatch.setattr(LanguageModel, name, noted)
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(vocab_size=20, embedding_size=5, hidden_size=8))
    with torch.set_grad_enabled(graded):
        model(torch.randint(20, (3, 7)))
    return ways


WAYS: dict[str, Callable[..., Any]] = {
    "_first_by_table": LanguageModel._first_by_table,
    "_first_by_embedding": LanguageModel._first_by_embedding,
}


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        ((1.0, 0.5), "_first_by_embedding"),
        ((1.0, 0.99), "_first_by_table"),  # not clearly
        ((0.5, 1.0), "_first_by_table"),
    ],
)
def test_the_first_layer_embeds_its_tokens_where_that_beats_its_table(
    seconds: tuple[float, float],
    taken: str,
    timed: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed[:] = seconds
    assert first_layer_ways(monkeypatch) == ["_first_by_table", "_first_by_embedding", taken]
    (name,) = (name for name in lstm_choice.choices() if "7 steps of 21 tokens" in name)
    assert "batch 3" in name and "128 features, 8 cells, float32" in name


def test_without_gradients_the_first_layer_has_its_table(
    timed: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed[:] = 1.0, 0.5
    assert first_layer_ways(monkeypatch, graded=False) == ["_first_by_table"]


def test_both_ways_of_the_first_layer_give_the_same() -> None:
    torch.manual_seed(0)
    config = ModelConfig(vocab_size=20, embedding_size=5, hidden_size=8, held_input=True)
    model = LanguageModel(config).eval()
    (feature,) = config.inputs
    torch.nn.init.normal_(model.get_submodule(feature.layer).weight)
    tokens, held = torch.randint(20, (7, 3)), (torch.rand(7, 3, 128) < 0.1).float()
    weight = model.get_submodule(feature.layer).weight
    state = tuple(torch.randn(3, 8) for _ in range(2))
    results = [way(model, tokens, held, weight, state) for way in WAYS.values()]
    for one, other in zip(*((y, *after) for y, after in results), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frozen", ["", "embedding", "layers"])
def test_frozen_weights_are_measured_without_their_gradients(frozen: str) -> None:
    model = LanguageModel(ModelConfig(vocab_size=20, embedding_size=5, hidden_size=8, num_layers=2))
    model.get_submodule(frozen).requires_grad_(False)
    state = tuple(torch.zeros(2, 3, 8, requires_grad=True) for _ in range(2))
    logits, _ = model(torch.randint(20, (3, 7)), None, state)
    logits.sum().backward()
    assert state[0].grad is not None
    assert len(lstm_choice.choices()) == 3  # two layers, and how the first reads its tokens


def test_a_long_measurement_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    weight = torch.ones(1, requires_grad=True)

    def way() -> tuple[torch.Tensor, State]:
        calls.append(1)
        return weight * 1.0, ()

    monkeypatch.setattr(lstm_choice, "LONGEST_SECONDS", 0.0)
    lstm_choice._seconds([way, way], [weight])
    assert len(calls) == 4  # a first round and one more, for two ways
