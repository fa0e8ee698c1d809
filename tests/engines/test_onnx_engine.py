"""The engine in ONNX Runtime steps nearly as the one in numpy does, and keeps nothing hidden."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from midirnn.engines.export import export_onnx
from midirnn.engines.load import Model, load
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.onnx_engine import OnnxEngine
from midirnn.engines.state import EngineState, StateLayout
from midirnn.errors import MissingExtraError, OptionError
from midirnn.midifile import read_midi
from midirnn.models.config import ModelConfig
from midirnn.sampling import generate
from midirnn.sampling.engine_comparison import compare_engines
from tests.engines.stepping import CODEC, CONFIGS, same_state, step_through, trained_weights

onnxruntime = pytest.importorskip("onnxruntime", reason="this is about its engine")

EXAMPLE = Path(__file__).parents[2] / "data" / "examples" / "bach_prelude_bwv846.mid"
SILENCE = np.zeros(128, dtype=bool)
CHORD = np.isin(np.arange(128), [60, 64, 67])


def model_of(config: ModelConfig = CONFIGS[6], seed: int = 0) -> Model:
    return Model("random", Path(), config, CODEC, trained_weights(config, seed), {})


def engine_of(config: ModelConfig = CONFIGS[6], seed: int = 0) -> OnnxEngine:
    return OnnxEngine(config, export_onnx(config, trained_weights(config, seed)))


@pytest.mark.parametrize("name", ["piano", "piano-small"])
def test_real_music_is_as_likely_in_int8(name: str) -> None:
    model, music = load(name), read_midi(EXAMPLE)
    engines = {kind: model.engine(kind) for kind in ("numpy", "onnxruntime")}
    found = compare_engines(engines, model.codec, [model.codec.encode(music)])
    assert found.tokens > 500
    exact, int8 = (found.nats_per_token[kind] for kind in engines)
    assert exact < 3.0
    assert abs(int8 - exact) < 0.01


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_its_logits_are_near_those_of_numpy(config: ModelConfig, seed: int) -> None:
    # Rounding to 1/127 of a block's largest number moves normal weights, and so the sums of a
    # product, by 0.7 % of their spread; rounding the vector does it again: 1 % a product. Over
    # layers and time it grows no further than 3 %, since every step forgets.
    expected = step_through(model_of(config, seed).engine("numpy"), seed=seed)
    found = step_through(engine_of(config, seed), seed=seed)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.std(found - expected) < 0.03 * np.std(expected)
    assert np.abs(found - expected).max() < 0.2 * np.std(expected)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9995


@pytest.mark.parametrize("config", CONFIGS)
def test_in_fp32_its_logits_are_those_of_numpy(config: ModelConfig) -> None:
    weights = trained_weights(config)
    exact = NumpyEngine(config, weights)
    expected = step_through(exact)
    fast = OnnxEngine(config, export_onnx(config, weights, precision="float32"))
    np.testing.assert_allclose(step_through(fast), expected, atol=1e-4)


@pytest.mark.parametrize("config", CONFIGS)
def test_it_goes_no_further_astray_with_time(config: ModelConfig) -> None:
    expected = step_through(model_of(config).engine("numpy"), 3000)
    off = np.abs(step_through(engine_of(config), 3000) - expected).mean(axis=1)
    assert off[-500:].mean() < 1.5 * off[:500].mean()


def test_what_is_held_is_heard_exactly_where_the_state_is_zero() -> None:
    # With h at zero the only products of the first layer are with 0 and 1, which int8 has.
    config = ModelConfig(embedding_size=8, hidden_size=128, num_layers=1)
    weights = trained_weights(config)
    weights["held.weight"] = np.repeat(weights["held.weight"][:, :1], 128, axis=1)
    weights["layers.0.weight_ih"] = np.abs(weights["layers.0.weight_ih"])
    exact, fast = (
        NumpyEngine(config, weights),
        OnnxEngine(config, export_onnx(config, weights)),
    )
    layout = StateLayout.of(config)
    zero = EngineState(layout, layout.zeros(), exact.logits(), exact.snapshot().memories)
    for engine in (exact, fast):
        engine.restore(zero)
        engine.feed(60, CHORD)
    np.testing.assert_allclose(fast.snapshot().state[1], exact.snapshot().state[1], atol=1e-5)


def test_the_same_tokens_give_the_same_logits() -> None:
    engine = engine_of()
    first = step_through(engine)
    engine.reset()
    assert np.array_equal(step_through(engine), first)
    assert np.array_equal(step_through(engine_of()), first)


def test_engines_move_apart() -> None:
    one, other = engine_of(), engine_of()
    before = other.logits().copy()
    step_through(one, 5)
    assert np.array_equal(other.logits(), before)


@pytest.mark.parametrize("config", CONFIGS)
def test_going_back_to_a_snapshot_gives_the_same_again(config: ModelConfig) -> None:
    engine = engine_of(config)
    step_through(engine, 7)
    state = engine.snapshot()
    first = step_through(engine, 20, seed=5)
    engine.restore(state)
    assert same_state(engine.snapshot(), state)
    assert np.array_equal(step_through(engine, 20, seed=5), first)
    other = engine_of(config)
    other.restore(state)
    assert np.array_equal(step_through(other, 20, seed=5), first)


def test_a_snapshot_stays_what_it_was() -> None:
    engine = engine_of()
    step_through(engine, 3)
    state, logits = engine.snapshot(), engine.logits()
    copies = copy.deepcopy((state, logits))
    step_through(engine, 50)
    engine.reset()
    engine.restore(state)
    step_through(engine, 3)
    assert same_state(state, copies[0])
    assert np.array_equal(logits, copies[1])


def test_a_snapshot_outlives_its_engine() -> None:
    engine = engine_of()
    step_through(engine, 3)
    state = engine.snapshot()
    copies = copy.deepcopy(state)
    del engine
    step_through(engine_of(seed=1), 50)
    assert same_state(state, copies)


def test_a_snapshot_can_be_restored_in_the_engine_in_numpy_and_back() -> None:
    fast, exact = engine_of(), model_of().engine("numpy")
    step_through(fast, 30)
    exact.restore(fast.snapshot())
    assert same_state(exact.snapshot(), fast.snapshot())
    for engine in (exact, fast):
        engine.feed(60, CHORD)
    spread = np.std(exact.logits())
    assert np.abs(fast.logits() - exact.logits()).max() < 0.2 * spread
    fast.restore(exact.snapshot())
    assert same_state(exact.snapshot(), fast.snapshot())


def test_held_notes_may_come_as_any_view() -> None:
    one, other = engine_of(), engine_of()
    wide = np.zeros((128, 2), dtype=bool)
    wide[:, 0] = CHORD
    one.feed(60, wide[:, 0])
    other.feed(60, CHORD)
    assert np.array_equal(one.logits(), other.logits())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads by /proc")
def test_it_starts_no_thread() -> None:
    engine_of()
    before = len(list(Path("/proc/self/task").iterdir()))
    step_through(engine_of(ModelConfig(hidden_size=256)), 5)
    assert len(list(Path("/proc/self/task").iterdir())) == before


def test_it_prints_nothing() -> None:
    script = (
        "from tests.engines.test_onnx_engine import engine_of, step_through; "
        "step_through(engine_of(), 3)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestChoosing:
    def test_it_is_taken_where_onnxruntime_is_installed(self) -> None:
        assert isinstance(model_of().engine(), OnnxEngine)
        assert isinstance(model_of().engine("auto"), OnnxEngine)
        assert isinstance(model_of().engine("onnxruntime"), OnnxEngine)
        assert isinstance(model_of().engine("numpy"), NumpyEngine)

    def test_without_onnxruntime_it_is_refused_and_auto_takes_numpy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingExtraError) as caught:
            model_of().engine("onnxruntime")
        assert str(caught.value) == (
            "the engine 'onnxruntime' needs onnxruntime, which is not installed. "
            "Install it with: pip install 'midirnn[fast]'"
        )
        assert isinstance(model_of().engine(), NumpyEngine)

    def test_an_onnxruntime_that_is_too_old_is_refused_and_auto_takes_numpy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(onnxruntime, "__version__", "1.9.0")
        with pytest.raises(OptionError, match=r"onnxruntime is 1\.9\.0; .* 1\.23 or newer"):
            model_of().engine("onnxruntime")
        assert isinstance(model_of().engine(), NumpyEngine)

    @pytest.mark.parametrize("version", ["1.23.0", "1.100.2", "2.0.0rc1", "1.33.0.dev20260101"])
    def test_newer_ones_are_taken(self, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        monkeypatch.setattr(onnxruntime, "__version__", version)
        assert isinstance(model_of().engine("onnxruntime"), OnnxEngine)

    def test_another_name_is_refused_with_those_that_there_are(self) -> None:
        with pytest.raises(OptionError) as caught:
            model_of().engine("torch")
        expected = "there is no engine 'torch'; known are auto, native, numpy, onnxruntime"
        assert str(caught.value) == expected


def test_a_file_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(OptionError, match="onnxruntime cannot run this model here") as caught:
        OnnxEngine(CONFIGS[0], b"nonsense")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_another_model_is_refused_in_one_line() -> None:
    content = export_onnx(CONFIGS[1], trained_weights(CONFIGS[1]))
    with pytest.raises(OptionError, match="onnxruntime cannot run this model here") as caught:
        OnnxEngine(CONFIGS[0], content)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_the_same_seed_and_engine_give_the_same_music(engine: str) -> None:
    one, other = (generate(model_of(), seconds=3.0, seed=4, engine=engine) for _ in range(2))
    assert len(one) > 0
    assert one == other
