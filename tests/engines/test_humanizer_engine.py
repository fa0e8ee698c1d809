"""A network that plays scores, without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midirnn import CheckpointError, load
from midirnn.engines.humanizer import HumanizerEngine, load_humanizer
from midirnn.models.checkpoint import write_checkpoint
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.scores import traits_of
from midirnn.scores.quantities import HISTORY, QUANTITIES, history_of
from tests.scores.examples import melody

SMALL = HumanizerConfig(embedding_size=12, encoder_size=8, encoder_layers=2, decoder_size=10)


def random_weights(config: HumanizerConfig, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }


def engine_of(config: HumanizerConfig = SMALL) -> HumanizerEngine:
    return HumanizerEngine(config, random_weights(config), {})


@pytest.mark.parametrize("aligned", [True, False])
def test_numpy_and_torch_give_the_same_probabilities(aligned: bool) -> None:
    torch = pytest.importorskip("torch")
    from midirnn.models.humanizer import Humanizer

    config = replace(SMALL, aligned=aligned)
    model = Humanizer(config).eval()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == config.weight_shapes()
    weights = random_weights(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    traits = traits_of(melody())
    seen = []

    def choose(quantity: object, probabilities: np.ndarray) -> float:
        seen.append(probabilities)
        return 1.0

    HumanizerEngine(config, weights, {}).play(melody(), choose)
    history = np.zeros((len(traits), HISTORY), np.float32)
    history[1:] = history_of(np.ones(len(QUANTITIES), np.float32))
    with torch.no_grad():
        logits = model(torch.from_numpy(traits)[:, None], torch.from_numpy(history)[:, None])
    of_first_notes = melody().firsts
    wanted = [
        torch.softmax(of_quantity[note, 0], -1).numpy()
        for note in range(len(traits))
        for quantity, of_quantity in zip(QUANTITIES, logits, strict=True)
        if not quantity.of_chord or note in of_first_notes
    ]
    assert len(seen) == len(wanted)
    for ours, theirs in zip(seen, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_chord_has_one_tempo_and_one_pedal() -> None:
    calls = [0]

    def choose(quantity: object, probabilities: np.ndarray) -> float:
        calls[0] += 1
        return float(calls[0])

    played = engine_of().play(melody(), choose)
    assert (len(played.tempo), len(played.velocity)) == (6, 8)
    assert len(set(played.tempo)) == 6


def test_what_is_expected_depends_on_notes_before_and_after() -> None:
    engine, traits = engine_of(), traits_of(melody())
    changed = traits.copy()
    changed[4] += 1
    differs = np.abs(engine.means(traits) - engine.means(changed)).max(axis=1) > 1e-6
    assert differs.all()


def test_a_model_of_another_kind_is_refused_with_both_names(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SMALL, None, random_weights(SMALL), {})
    assert load_humanizer(tmp_path).config == SMALL
    with pytest.raises(CheckpointError, match="'humanizer'; only models of 'language_model'"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="'language_model'; scores are played by models"):
        load_humanizer("piano-small")


def test_a_config_with_other_traits_is_refused() -> None:
    with pytest.raises(CheckpointError, match="train it again"):
        HumanizerConfig.from_dict(SMALL.to_dict() | {"traits": ["pitch"]})
    with pytest.raises(CheckpointError, match="wings"):
        HumanizerConfig.from_dict(SMALL.to_dict() | {"wings": 2})
