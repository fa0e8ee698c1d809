"""Each feature is the same in windows, step by step and in torch, and asks the codec for it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import CONTROLS, Controls
from midirnn.codecs.held import held_rows, no_notes
from midirnn.datasets.windows import Inputs, Stream, empty_batch
from midirnn.engines.export import export_onnx
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.onnx_engine import OnnxEngine
from midirnn.errors import CodecError
from midirnn.features import (
    FEATURES,
    ControlInputs,
    Feature,
    HeldNotes,
    Recall,
    StyleInputs,
    features_of,
)
from midirnn.features.measured import held_places
from midirnn.models.checkpoint import read_checkpoint, write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.models.features import feature_numbers
from midirnn.models.language_model import LanguageModel
from tests.codecs.characters import CharacterCodec
from tests.datasets.songs import song
from tests.models.reference import random_weights

CODEC = PerformanceCodec()
SONG = CODEC.encode(song(5, 60))[:120]
ALL = ModelConfig(
    embedding_size=8, hidden_size=16, num_layers=1, recall_notes=20, control_inputs=True
)
SHOWN = [True] * len(CONTROLS)
EACH = pytest.mark.parametrize("feature", features_of(ALL), ids=lambda feature: feature.name)


def window_of(feature: Feature, window: int) -> npt.NDArray[Any]:
    """What windows hold of a feature for each token of the song, read from its start."""
    stream = Stream(CODEC, window, Inputs(CODEC.vocab_size, (feature,)))
    stream.open(SONG, choices={feature.name: SHOWN})
    parts = []
    while not stream.is_done:
        batch = empty_batch(1, window, CODEC.vocab_size, (feature,))
        stream.read(batch, 0)
        parts.append(batch.features[feature.name][0, batch.valid[0]])
    return np.concatenate(parts)


def given_at(position: int) -> dict[str, npt.NDArray[Any]]:
    """What an engine is told at a position: what sounds, and the controls of the piece."""
    held = held_rows(CODEC, no_notes(), SONG)[position - 1] if position else no_notes()
    (place,) = held_places(CODEC, SONG, position, position + 1)
    return {"held": held, "controls": CODEC.measure_controls(SONG, place, place + 1)[0]}


def test_names_and_layers_stand_once() -> None:
    assert len({kind.name for kind in FEATURES}) == len({kind.layer for kind in FEATURES})
    assert len({kind.name for kind in FEATURES}) == len(FEATURES)


@EACH
@pytest.mark.parametrize("window", [1, 7, 200])
def test_windows_hold_what_an_engine_computes_step_by_step(feature: Feature, window: int) -> None:
    numbers = feature_numbers(feature, torch.from_numpy(window_of(feature, window))[None])[0]
    assert numbers.shape == (len(SONG), feature.width)
    memory = feature.start()
    for position, token in enumerate(SONG.tolist()):
        found = feature.inputs(memory, given_at(position))
        np.testing.assert_array_equal(numbers[position], np.asarray(found, np.float32))
        memory = feature.follow(memory, token)


@EACH
def test_a_window_that_starts_in_the_middle_knows_what_was_before(feature: Feature) -> None:
    whole = window_of(feature, 200)
    stream = Stream(CODEC, 200, Inputs(CODEC.vocab_size, (feature,)))
    stream.open(SONG, 50, choices={feature.name: SHOWN})
    batch = empty_batch(1, 200, CODEC.vocab_size, (feature,))
    stream.read(batch, 0)
    rows = batch.features[feature.name][0, batch.valid[0]]
    np.testing.assert_array_equal(rows, whole[50:])


@EACH
def test_a_model_has_the_weights_of_its_features_and_no_others(feature: Feature) -> None:
    fields = {"held": "held_input", "recall": "recall_notes", "controls": "control_inputs"}
    without = dataclasses.replace(ALL, **{fields[feature.name]: 0})
    assert f"{feature.layer}.weight" in dict(LanguageModel(ALL).named_parameters())
    assert f"{feature.layer}.weight" not in dict(LanguageModel(without).named_parameters())
    assert feature.name not in {kept.name for kept in without.features}
    assert without.weight_shapes().keys() == LanguageModel(without).state_dict().keys()


@EACH
def test_a_codec_that_lacks_what_it_needs_is_refused_in_one_line(feature: Feature) -> None:
    with pytest.raises(CodecError) as caught:
        feature.check(CharacterCodec())
    assert len(str(caught.value).splitlines()) == 1
    assert feature.check(CODEC) is None


def test_a_model_of_a_codec_without_notes_has_no_features() -> None:
    codec = CharacterCodec()
    config = ModelConfig().for_codec(codec)
    assert (config.vocab_size, config.features) == (codec.vocab_size, ())
    for changes in ({"recall_notes": 8}, {"control_inputs": True}):
        with pytest.raises(CodecError):
            dataclasses.replace(ModelConfig(), **changes).for_codec(codec)


def test_a_checkpoint_of_old_without_held_notes_may_have_their_weights(tmp_path: Path) -> None:
    config = dataclasses.replace(ALL, held_input=False)
    weights = random_weights(config)
    old = weights | {"held.weight": np.ones((8, 128), np.float32)}
    write_checkpoint(tmp_path, config, CODEC, old, {})
    assert read_checkpoint(tmp_path).weights.keys() == weights.keys()


@dataclass(frozen=True)
class Parity(Feature):
    """A feature of a few lines: whether an even number of tokens came before."""

    name = "parity"
    layer = "parity"
    width = 1
    window_shape = (1,)
    window_type = np.float32

    @classmethod
    def of(cls, settings: Any) -> Parity:
        return cls()

    def check(self, codec: Any) -> None:
        """Any codec will do."""

    def reader(self, codec: Any) -> Any:
        class Reader:
            def open(self, tokens: Any, position: int, stop: int, choice: Any) -> None: ...

            def read(self, rows: Any, inputs: Any, begin: int) -> None:
                rows[:, 0] = (np.arange(len(rows)) + begin) % 2

        return Reader()

    def start(self) -> int:
        return -1  # the start token is a token too

    def follow(self, memory: int, token: int) -> int:
        return memory + 1

    def inputs(self, memory: int, given: Any) -> npt.NDArray[np.float32]:
        return np.array([memory % 2], np.float32)


def test_a_new_feature_goes_through_model_windows_and_both_engines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("midirnn.features.FEATURES", (*FEATURES, Parity))
    assert [feature.name for feature in ALL.features] == ["held", "recall", "controls", "parity"]
    weights = random_weights(ALL)
    assert weights["parity.weight"].shape == (8, 1)
    stream = Stream(CODEC, len(SONG), Inputs(ALL.start_token, ALL.features))
    stream.open(SONG)
    batch = empty_batch(1, len(SONG), CODEC.vocab_size, ALL.features)
    stream.read(batch, 0)
    model = LanguageModel(ALL)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    features = {name: torch.from_numpy(window) for name, window in batch.features.items()}
    with torch.no_grad():
        expected = model(torch.from_numpy(batch.inputs), features)[0][0].numpy()
    held = held_rows(CODEC, no_notes(), SONG)
    fast = OnnxEngine(ALL, export_onnx(ALL, weights, precision="float32"))
    for engine in (NumpyEngine(ALL, weights), fast):
        for position, token in enumerate(SONG.tolist()):
            np.testing.assert_allclose(engine.logits(), expected[position], atol=1e-4)
            engine.feed(token, held[position])


def test_controls_that_are_set_are_what_the_feature_reads() -> None:
    asked = Controls(notes_per_second=9.0).vector()
    read = [
        feature.inputs(None, {"controls": asked}) for feature in (ControlInputs(), StyleInputs())
    ]
    assert np.array_equal(np.concatenate(read), asked)
    assert HeldNotes().start() is None
    assert Recall(4).follow(Recall(4).start(), 300) is Recall(4).start()
