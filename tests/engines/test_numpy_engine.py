"""The engine in numpy steps as the model in torch does."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from midirnn.codecs import BoolArray, PerformanceCodec, Tokens
from midirnn.codecs.controls import Controls
from midirnn.codecs.held import held_rows, no_notes
from midirnn.codecs.recall import NO_MATCHES, recall, remember
from midirnn.engines.base import CACHED_STEPS, Advance, StepEngine
from midirnn.engines.load import PRETRAINED, load
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.state import EngineState, FloatVector
from midirnn.features import NoteTerms
from midirnn.models.checkpoint import Weights
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel, from_weights
from tests.datasets.songs import song
from tests.engines.stepping import same_state
from tests.models.reference import random_weights

CODEC = PerformanceCodec()
SONG = CODEC.encode(song(5, 60))[:200]

CONFIGS = [
    ModelConfig(embedding_size=8, hidden_size=16, num_layers=1),
    ModelConfig(embedding_size=16, hidden_size=32, num_layers=3),
    ModelConfig(embedding_size=16, hidden_size=32, num_layers=3, residual=False),
    ModelConfig(embedding_size=24, hidden_size=16, num_layers=2, held_input=False),
    ModelConfig(embedding_size=4, hidden_size=40, num_layers=4, residual=False, held_input=False),
    ModelConfig(embedding_size=8, hidden_size=16, num_layers=2, recall_notes=1000),
    ModelConfig(embedding_size=8, hidden_size=16, recall_notes=9, control_inputs=True),
    ModelConfig(embedding_size=8, hidden_size=16, held_input=False, control_inputs=True),
    ModelConfig(embedding_size=8, hidden_size=16, layer_norm=True, recall_notes=9),
    ModelConfig(embedding_size=16, hidden_size=16, tied_embedding=True, recall_notes=9),
    ModelConfig(cell="rnn", embedding_size=8, hidden_size=16, num_layers=2),
    ModelConfig(cell="gru", embedding_size=8, hidden_size=16, recall_notes=9, control_inputs=True),
    ModelConfig(cell="gru", embedding_size=8, hidden_size=16, num_layers=1, held_input=False),
    ModelConfig(embedding_size=8, hidden_size=16, term_notes=50),
    ModelConfig(
        embedding_size=8,
        hidden_size=16,
        recall_notes=9,
        control_inputs=True,
        style_inputs=True,
        term_notes=9,
    ),
]
ASKED = Controls(notes_per_second=9.0, loudness=40.0, pitch_classes=[1, 0] * 6).vector()


def held_after(tokens: Tokens, codec: PerformanceCodec = CODEC) -> BoolArray:
    """What sounds after each token; shape ``(T, 128)``."""
    return held_rows(codec, no_notes(), tokens)


def logits_in_numpy(engine: StepEngine, tokens: Tokens) -> FloatVector:
    """The logits before the first token and after each; shape ``(T + 1, V)``."""
    engine.set_controls(ASKED)
    engine.reset()
    rows = [engine.logits()]
    for token, held in zip(tokens.tolist(), held_after(tokens), strict=True):
        engine.feed(token, held)
        rows.append(engine.logits())
    return np.stack(rows)


def recalled_after(config: ModelConfig, tokens: Tokens) -> npt.NDArray[np.int64]:
    """What is recalled before the first token and after each; shape ``(T + 1, 3, 2)``."""
    history, rows = b"", [NO_MATCHES]
    for token in tokens.tolist():
        if token < 128:
            history = remember(history, token, config.recall_notes)
        rows.append(recall(history))
    return np.stack(rows)


@torch.no_grad()
def logits_in_torch(config: ModelConfig, weights: Weights, tokens: Tokens) -> FloatVector:
    fed = np.concatenate([[config.start_token], tokens.astype(np.int64)])
    held = np.concatenate([np.zeros((1, 128), dtype=bool), held_after(tokens)])
    features = {
        "held": torch.from_numpy(held)[None],
        "recall": torch.from_numpy(recalled_after(config, tokens))[None],
        "controls": torch.from_numpy(ASKED[:28]).expand(1, len(fed), -1),
        "style": torch.from_numpy(ASKED[28:]).expand(1, len(fed), -1),
    }
    for feature in config.features:
        if isinstance(feature, NoteTerms):
            rows = np.zeros((len(fed), *feature.window_shape), feature.window_type)
            reader = feature.reader(CODEC)
            reader.open(tokens, 0, len(tokens), None)
            reader.read(rows, tokens, 0)
            features["terms"] = torch.from_numpy(rows)[None]
    logits, _ = from_weights(config, weights)(torch.from_numpy(fed)[None], features)
    return logits[0].numpy()


def engine_of(config: ModelConfig = CONFIGS[6], seed: int = 0) -> NumpyEngine:
    return NumpyEngine(config, random_weights(config, seed))


@pytest.mark.parametrize("config", CONFIGS)
def test_its_logits_are_those_of_torch_over_200_tokens(config: ModelConfig) -> None:
    weights = random_weights(config, seed=1)
    found = logits_in_numpy(NumpyEngine(config, weights), SONG)
    assert len(SONG) == 200
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits_in_torch(config, weights, SONG), atol=1e-4)


def test_its_logits_are_those_of_torch_with_weights_as_training_begins_with() -> None:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=64, hidden_size=128)
    weights = {n: t.detach().numpy() for n, t in LanguageModel(config).state_dict().items()}
    found = logits_in_numpy(NumpyEngine(config, weights), SONG)
    np.testing.assert_allclose(found, logits_in_torch(config, weights, SONG), atol=1e-4)


@pytest.mark.skipif(
    not (PRETRAINED / "piano" / "config.json").exists(),
    reason="the weights of 'piano' are not in the package",
)
def test_its_logits_are_those_of_torch_with_the_weights_of_piano() -> None:
    model = load("piano")
    found = logits_in_numpy(NumpyEngine(model.config, model.weights), SONG)
    expected = logits_in_torch(model.config, model.weights, SONG)
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_its_weights_are_left_as_they_were() -> None:
    weights = random_weights(CONFIGS[1])
    before = {name: array.copy() for name, array in weights.items()}
    logits_in_numpy(NumpyEngine(CONFIGS[1], weights), SONG[:20])
    assert all(np.array_equal(weights[name], before[name]) for name in weights)


def test_it_begins_at_the_start_of_a_piece_and_comes_back_there() -> None:
    engine = engine_of()
    engine.set_controls(ASKED)
    engine.reset()
    before = engine.logits().copy()
    assert np.array_equal(logits_in_numpy(engine, SONG)[0], before)
    engine.reset()
    assert np.array_equal(engine.logits(), before)


def test_a_snapshot_brings_exactly_the_same_logits_back() -> None:
    engine = engine_of()
    held = held_after(SONG)
    for t in range(100):
        engine.feed(int(SONG[t]), held[t])
    snapshot = engine.snapshot()
    kept = copy.deepcopy(snapshot)

    def rest() -> list[FloatVector]:
        rows = [engine.logits()]
        for t in range(100, 200):
            engine.feed(int(SONG[t]), held[t])
            rows.append(engine.logits())
        return rows

    first = rest()
    for _ in range(2):
        engine.restore(snapshot)
        assert np.array_equal(first, rest())
    assert same_state(snapshot, kept)


def test_a_snapshot_can_be_restored_in_another_engine_with_the_same_weights() -> None:
    one, other = engine_of(), engine_of()
    one.feed(60, held_after(SONG[:1])[0])
    other.restore(one.snapshot())
    one.feed(300, np.zeros(128, dtype=bool))
    other.feed(300, np.zeros(128, dtype=bool))
    assert np.array_equal(one.logits(), other.logits())


class CountingEngine(NumpyEngine):
    """Counts its steps."""

    steps = 0

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        self.steps += 1
        return super()._advance(before, token, features)


class TestAStepThatWaits:
    @pytest.fixture
    def engine(self) -> CountingEngine:
        engine = CountingEngine(CONFIGS[5], random_weights(CONFIGS[5]))
        engine.logits()
        engine.steps = 0
        return engine

    def test_is_made_once_when_somebody_asks_what_follows(self, engine: CountingEngine) -> None:
        engine.feed(60, np.zeros(128, dtype=bool))
        kept = engine.snapshot()
        assert engine.steps == 0
        assert np.array_equal(engine.logits(), kept.logits)
        assert engine.steps == 1

    def test_is_made_by_the_next_at_the_latest(self, engine: CountingEngine) -> None:
        for count, token in enumerate((60, 300, 62)):
            engine.feed(token, np.zeros(128, dtype=bool))
            assert engine.steps == count

    def test_is_not_made_where_the_state_is_left(self, engine: CountingEngine) -> None:
        before = engine.snapshot()
        engine.feed(60, np.zeros(128, dtype=bool))
        engine.restore(before)
        engine.logits()
        assert engine.steps == 0

    @pytest.mark.parametrize("keep", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
    def test_is_made_for_a_copy(
        self, engine: CountingEngine, keep: Callable[[EngineState], EngineState]
    ) -> None:
        engine.feed(60, np.zeros(128, dtype=bool))
        kept = keep(engine.snapshot())
        assert same_state(kept, engine.snapshot())
        assert kept.memories["recall"].history == bytes([60])

    def test_asks_what_was_asked_when_the_token_was_fed(self) -> None:
        config = CONFIGS[6]
        for asked, other in ((ASKED, None), (None, ASKED)):
            engine, expected = (NumpyEngine(config, random_weights(config)) for _ in range(2))
            for one in (engine, expected):
                one.set_controls(asked)
                one.feed(60, np.zeros(128, dtype=bool))
            expected.logits()
            engine.set_controls(other)
            assert np.array_equal(engine.logits(), expected.logits())


class TestAStepThatIsKnown:
    SILENT = np.zeros(128, dtype=bool)

    @pytest.fixture
    def engine(self) -> CountingEngine:
        config = CONFIGS[6]
        engine = CountingEngine(config, random_weights(config))
        engine.feed(60, self.SILENT)
        engine.logits()
        engine.steps = 0
        return engine

    def test_is_not_made_twice(self, engine: CountingEngine) -> None:
        before = engine.snapshot()
        assert engine.precompute(before, 300, self.SILENT)
        assert not engine.precompute(before, 300, self.SILENT)
        assert engine.snapshot() is before
        engine.feed(300, self.SILENT)
        precomputed = engine.logits()
        assert engine.steps == 1
        other = NumpyEngine(engine.config, random_weights(engine.config))
        other.feed(60, self.SILENT)
        other.feed(300, self.SILENT)
        assert np.array_equal(precomputed, other.logits())

    def test_is_known_to_whoever_goes_back_and_takes_the_same_way(
        self, engine: CountingEngine
    ) -> None:
        before = engine.snapshot()
        for _ in range(2):
            engine.restore(before)
            for token in (300, 380, 64):
                engine.feed(token, self.SILENT)
            engine.logits()
        assert engine.steps == 3

    @pytest.mark.parametrize("what", ["state", "token", "held", "controls"])
    def test_is_another_where_anything_is(self, engine: CountingEngine, what: str) -> None:
        before, token, held = engine.snapshot(), 300, self.SILENT
        engine.precompute(before, token, held)
        if what == "state":
            engine.restore(before.replace(logits=before.logits.copy()))
        elif what == "token":
            token = 301
        elif what == "held":
            held = np.arange(128) == 60
        else:
            engine.set_controls(ASKED)
        engine.feed(token, held)
        engine.logits()
        assert engine.steps == 2

    def test_is_forgotten_after_a_while(self, engine: CountingEngine) -> None:
        before = engine.snapshot()
        engine.precompute(before, 300, self.SILENT)
        for token in range(CACHED_STEPS):
            assert engine.precompute(before, 301 + token, self.SILENT)
        assert engine.precompute(before, 300, self.SILENT)


def test_a_snapshot_costs_microseconds() -> None:
    engine = engine_of(ModelConfig(embedding_size=8, hidden_size=256, num_layers=3))

    def seconds() -> float:
        begin = time.perf_counter()
        for _ in range(100):
            engine.restore(engine.snapshot())
        return (time.perf_counter() - begin) / 100

    # What else the machine does may slow one try down, but hardly all of five.
    assert min(seconds() for _ in range(5)) < 20e-6


def test_engines_do_not_hear_one_another() -> None:
    weights = random_weights(CONFIGS[1])
    one, other = NumpyEngine(CONFIGS[1], weights), NumpyEngine(CONFIGS[1], weights)
    before = other.logits().copy()
    one.feed(60, np.zeros(128, dtype=bool))
    assert np.array_equal(other.logits(), before)


def test_it_needs_no_torch() -> None:
    script = (
        "import sys; from midirnn.engines.load import load; import midirnn.sampling; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
