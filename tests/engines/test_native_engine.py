"""The engine in C++ steps nearly as the one in numpy does, alike on every instruction set."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from midirnn import native
from midirnn.engines import native_engine
from midirnn.engines.load import Model, load
from midirnn.engines.native_engine import NativeBatch, NativeEngine, native_library, paths
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import OptionError
from midirnn.midifile import read_midi
from midirnn.models.config import ModelConfig
from midirnn.sampling.engine_comparison import compare_engines
from tests.engines.stepping import CODEC, CONFIGS, same_state, step_through, trained_weights

EXAMPLE = Path(__file__).parents[2] / "data" / "examples" / "bach_prelude_bwv846.mid"
SILENCE = np.zeros(128, dtype=bool)
LSTMS = [config for config in CONFIGS if config.cell == "lstm"]

needs_compiler = pytest.mark.skipif(not native.has_compiler(), reason="there is no C++ compiler")


def engine_of(config: ModelConfig, seed: int = 0, path: str | None = None) -> NativeEngine:
    return NativeEngine(config, trained_weights(config, seed), path)


def known_paths() -> list[str]:
    library = native_library()
    assert library is not None
    return list(paths(library))


@needs_compiler
@pytest.mark.parametrize("config", LSTMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_its_logits_are_near_those_of_numpy(config: ModelConfig, seed: int) -> None:
    # The bounds are those of the other engine with the same weights: see test_onnx_engine.
    expected = step_through(NumpyEngine(config, trained_weights(config, seed)), seed=seed)
    found = step_through(engine_of(config, seed), seed=seed)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.std(found - expected) < 0.03 * np.std(expected)
    assert np.abs(found - expected).max() < 0.2 * np.std(expected)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9995


@needs_compiler
@pytest.mark.parametrize("config", LSTMS)
def test_every_instruction_set_gives_the_same_bits(config: ModelConfig) -> None:
    every = [step_through(engine_of(config, path=path), 100) for path in known_paths()]
    assert every
    for logits in every[1:]:
        np.testing.assert_array_equal(logits, every[0])


@needs_compiler
@pytest.mark.parametrize("name", ["piano", "piano-small"])
def test_real_music_is_as_likely(name: str) -> None:
    model, music = load(name), read_midi(EXAMPLE)
    engines = {kind: model.engine(kind) for kind in ("numpy", "native")}
    found = compare_engines(engines, model.codec, [model.codec.encode(music)])
    assert found.tokens > 500
    exact, int8 = (found.nats_per_token[kind] for kind in engines)
    assert abs(int8 - exact) < 0.01


@needs_compiler
def test_sums_of_the_largest_bytes_do_not_overflow() -> None:
    """Two products of bytes do not fit into the 16 bits that avx2 sums them in, unless one of
    the factors is known not to be negative: neither may reach 128."""
    config = ModelConfig(embedding_size=16, hidden_size=128, num_layers=2)
    weights = {
        name: np.where(w < 0, -8.0, 8.0).astype(np.float32)
        for name, w in trained_weights(config).items()
    }
    every = [step_through(NativeEngine(config, weights, path), 50) for path in known_paths()]
    for logits in every[1:]:
        np.testing.assert_array_equal(logits, every[0])


@needs_compiler
def test_weights_of_zero_give_zeros() -> None:
    config = ModelConfig(embedding_size=5, hidden_size=8, num_layers=1)
    nothing = {name: np.zeros_like(w) for name, w in trained_weights(config).items()}
    assert not step_through(NativeEngine(config, nothing), 5).any()


@needs_compiler
def test_a_state_of_numpy_goes_on_in_it_and_back() -> None:
    config = LSTMS[6]
    exact, fast = NumpyEngine(config, trained_weights(config)), engine_of(config)
    step_through(exact, 40)
    fast.restore(exact.snapshot())
    for engine in (exact, fast):
        engine.feed(64, SILENCE)
    assert np.corrcoef(fast.logits(), exact.logits())[0, 1] > 0.999
    exact.restore(fast.snapshot())
    np.testing.assert_array_equal(exact.logits(), fast.logits())


@needs_compiler
def test_a_step_leaves_the_state_before_it_alone() -> None:
    engine = engine_of(LSTMS[8])
    step_through(engine, 20)
    before = engine.snapshot()
    arrays = [part.copy() for part in before.state]
    engine.feed(60, SILENCE)
    first = engine.logits().copy()
    engine.feed(300, SILENCE)
    engine.logits()
    for kept, part in zip(arrays, before.state, strict=True):
        np.testing.assert_array_equal(part, kept)
    engine.restore(before)
    engine.feed(60, SILENCE)
    np.testing.assert_array_equal(engine.logits(), first)


@needs_compiler
def test_twins_go_their_own_ways_with_the_same_weights() -> None:
    engine = engine_of(LSTMS[1])
    twin = engine.twin()
    assert same_state(engine.snapshot(), twin.snapshot())
    engine.feed(60, SILENCE)
    del engine
    twin.feed(61, SILENCE)
    assert np.isfinite(twin.logits()).all()


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_other_cells_are_refused(cell: str) -> None:
    config = ModelConfig(cell=cell, embedding_size=16, hidden_size=32)
    model = Model("random", Path(), config, CODEC, trained_weights(config), {})
    with pytest.raises(OptionError, match=f"'native' knows LSTMs.*{cell}.*'numpy' instead"):
        model.engine("native")
    assert model.playing_engine() == "auto"


@needs_compiler
@pytest.mark.parametrize("config", [LSTMS[1], LSTMS[6], LSTMS[8], LSTMS[-1]])
@pytest.mark.parametrize("count", [1, 4, 19])
def test_pieces_side_by_side_are_what_each_would_be_alone(config: ModelConfig, count: int) -> None:
    weights = trained_weights(config)
    alone = [NativeEngine(config, weights) for _ in range(count)]
    batches = [NativeBatch(config, weights, path) for path in known_paths()]
    lanes = [[batch.open_lane() for _ in range(count)] for batch in batches]
    rng = np.random.default_rng(0)
    for _ in range(20):
        tokens, held = rng.integers(0, config.vocab_size, count), rng.random((count, 128)) < 0.04
        for engines in (*lanes, alone):
            for engine, token, sounding in zip(engines, tokens.tolist(), held, strict=True):
                engine.feed(token, sounding)
        for lane, engine in zip(itertools.chain(*lanes), itertools.cycle(alone)):
            np.testing.assert_array_equal(lane.logits(), engine.logits())
            for mine, its in zip(lane.snapshot().state, engine.snapshot().state, strict=True):
                np.testing.assert_array_equal(mine, its)


def test_without_a_compiler_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_engine, "native_library", lambda: None)
    with pytest.raises(OptionError, match=r"no C\+\+ compiler that can\. Install g\+\+"):
        engine_of(LSTMS[0])


@needs_compiler
def test_the_first_session_plays_without_it_and_a_later_one_with_it(tmp_path: Path) -> None:
    ask = (
        "from midirnn.engines.load import load; "
        "print(load('piano-small').playing_engine(), load('piano-small').playing_engine('numpy'))"
    )

    def answer() -> str:
        return subprocess.run(
            [sys.executable, "-c", ask],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert answer() == "auto numpy"
    compile_it = "from midirnn.engines.native_engine import native_library; assert native_library()"
    subprocess.run(
        [sys.executable, "-c", compile_it],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
    )
    fast_here = len(known_paths()) > 1
    assert answer() == ("native numpy" if fast_here else "auto numpy")
