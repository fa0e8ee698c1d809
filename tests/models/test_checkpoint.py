"""Checkpoints are read as they were written, and damage is reported in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from midirnn.codecs import PerformanceCodec
from midirnn.errors import CheckpointError
from midirnn.files import replacing_folder
from midirnn.models.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_shapes,
    expected_shapes,
    read_checkpoint,
    write_checkpoint,
)
from midirnn.models.config import ModelConfig
from midirnn.models.language_model import LanguageModel
from tests.models.reference import random_weights

CODEC = PerformanceCodec()
CONFIG = ModelConfig(embedding_size=4, hidden_size=6, num_layers=2)
INFO = {"tokens_seen": 7, "data": ["Flöte", None]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds a checkpoint."""
    path = tmp_path / "model"
    path.mkdir()
    write_checkpoint(path, CONFIG, CODEC, random_weights(CONFIG), INFO)
    return path


def message_of(folder: Path) -> str:
    """Return the error message for a checkpoint that cannot be read: one line."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def change_config(folder: Path, change: Callable[[Any], None]) -> None:
    path = folder / CONFIG_FILE
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_weights(folder: Path, **changes: npt.NDArray[Any] | None) -> None:
    """Replace weights by name (dots as ``__``), or remove them."""
    weights = load_file(folder / WEIGHTS_FILE)
    for key, array in changes.items():
        name = key.replace("__", ".")
        if array is None:
            del weights[name]
        else:
            weights[name] = array
    save_file(weights, folder / WEIGHTS_FILE)


class TestRoundTrip:
    def test_in_fp32_everything_comes_back(self, folder: Path) -> None:
        checkpoint = read_checkpoint(folder)
        assert checkpoint.config == CONFIG
        assert checkpoint.codec == CODEC
        assert checkpoint.info == INFO
        assert checkpoint.weights.keys() == expected_shapes(CONFIG).keys()
        for name, array in random_weights(CONFIG).items():
            assert checkpoint.weights[name].dtype == np.float32
            assert np.array_equal(checkpoint.weights[name], array)

    def test_in_fp16_weights_come_back_rounded_in_fp32(self, tmp_path: Path) -> None:
        weights = random_weights(CONFIG)
        write_checkpoint(tmp_path, CONFIG, CODEC, weights, {}, dtype=np.float16)
        checkpoint = read_checkpoint(tmp_path)
        for name, array in weights.items():
            assert checkpoint.weights[name].dtype == np.float32
            assert np.array_equal(checkpoint.weights[name], array.astype(np.float16))
        assert (tmp_path / WEIGHTS_FILE).stat().st_size < 3 * sum(a.size for a in weights.values())

    def test_arrays_that_are_not_contiguous_come_back_too(self, tmp_path: Path) -> None:
        weights = {name: np.asfortranarray(a) for name, a in random_weights(CONFIG).items()}
        write_checkpoint(tmp_path, CONFIG, CODEC, weights, {})
        read = read_checkpoint(tmp_path).weights
        assert all(np.array_equal(read[name], array) for name, array in weights.items())

    def test_another_codec_comes_back(self, tmp_path: Path) -> None:
        codec = PerformanceCodec(50, 10, 0)
        config = ModelConfig(codec.vocab_size, embedding_size=4, hidden_size=6, num_layers=1)
        write_checkpoint(tmp_path, config, codec, random_weights(config), {})
        assert read_checkpoint(tmp_path).codec == codec

    def test_the_shapes_are_those_of_the_model_in_torch(self) -> None:
        state = LanguageModel(CONFIG).state_dict()
        assert {name: tuple(t.shape) for name, t in state.items()} == expected_shapes(CONFIG)

    def test_who_may_read_it_goes_by_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            with replacing_folder(tmp_path / "model", CheckpointError) as fresh:
                write_checkpoint(fresh, CONFIG, CODEC, random_weights(CONFIG), {})
        finally:
            os.umask(before)
        assert (tmp_path / "model").stat().st_mode & 0o777 == 0o750
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            assert (tmp_path / "model" / file).stat().st_mode & 0o777 == 0o640


class TestDamage:
    def test_a_missing_folder(self, tmp_path: Path) -> None:
        message = message_of(tmp_path / "none")
        assert message == f"{tmp_path / 'none'} holds no model: config.json is missing"

    def test_a_file_instead_of_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert "Not a directory" in message_of(tmp_path / "file")

    def test_missing_weights(self, folder: Path) -> None:
        (folder / WEIGHTS_FILE).unlink()
        assert message_of(folder) == f"{folder} holds no weights: model.safetensors is missing"

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
    def test_weights_that_are_cut_off(self, folder: Path, share: float) -> None:
        path = folder / WEIGHTS_FILE
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        assert message_of(folder).startswith(f"{path} cannot be read (")

    def test_weights_that_are_no_weights(self, folder: Path) -> None:
        (folder / WEIGHTS_FILE).write_bytes(b"\xff" * 100)
        assert "cannot be read (" in message_of(folder)

    @pytest.mark.parametrize(
        "text", ["", "{", "[1, 2]", '"text"', "3", "null", '{"format_version": 1}', "\udcff"]
    )
    def test_a_config_that_is_no_config(self, folder: Path, text: str) -> None:
        (folder / CONFIG_FILE).write_bytes(text.encode(errors="surrogateescape"))
        assert message_of(folder).startswith(f"{folder / CONFIG_FILE} cannot be read (")

    def test_a_config_that_breaks_off(self, folder: Path) -> None:
        path = folder / CONFIG_FILE
        text = path.read_text()
        for length in range(0, len(text) - 2, 7):
            path.write_text(text[:length])
            assert "cannot be read (" in message_of(folder)

    @pytest.mark.parametrize("version", [0, 2, "1", None])
    def test_another_format_version(self, folder: Path, version: object) -> None:
        change_config(folder, lambda content: content.update(format_version=version))
        expected = f"has format version {version}; this midirnn reads 1"
        assert message_of(folder).endswith(expected)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"wings": 2}, "the model config has wings, which this midirnn does not know"),
            ({"hidden_size": 0}, "hidden_size is 0; it must be at least 1"),
            ({"hidden_size": "many"}, ""),
            ({"cell": "qrnn"}, "A model with another cell needs a newer midirnn"),
            ({"vocab_size": 100}, "the model has 100 tokens and its codec 388"),
        ],
    )
    def test_a_field_of_the_model_that_means_nothing(
        self, folder: Path, changes: dict[str, object], message: str
    ) -> None:
        change_config(folder, lambda content: content["model"].update(changes))
        found = message_of(folder)
        assert found.startswith(f"{folder / CONFIG_FILE}: ")
        assert found.endswith(message)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"name": "morse"},
                "there is no codec 'morse'; known are ensemble, pedal, performance",
            ),
            ({"wings": 2}, "the settings of codec 'performance' hold one it does not have"),
            ({"velocity_bins": 1000}, "velocity_bins is 1000; allowed are 0 to 127"),
            ({"velocity_bins": 8}, "the model has 388 tokens and its codec 364"),
        ],
    )
    def test_a_codec_that_is_not_known(
        self, folder: Path, changes: dict[str, object], message: str
    ) -> None:
        change_config(folder, lambda content: content["codec"].update(changes))
        assert message in message_of(folder)

    @pytest.mark.parametrize("part", ["model", "codec"])
    @pytest.mark.parametrize("value", [None, 3, "text", [], ["name"], [[1, 2]]])
    def test_a_part_of_the_config_that_is_of_another_kind(
        self, folder: Path, part: str, value: object
    ) -> None:
        change_config(folder, lambda content: content.update({part: value}))
        assert message_of(folder).startswith(f"{folder / CONFIG_FILE}")

    def test_a_wrong_shape_is_named_on_both_sides(self, folder: Path) -> None:
        change_weights(folder, output__bias=np.zeros((7, 2), np.float32))
        assert message_of(folder) == (
            f"{folder / WEIGHTS_FILE} does not fit its config: output.bias is (7, 2) in the "
            "weights and (388,) by the config"
        )

    def test_another_size_in_the_config_is_named_on_both_sides(self, folder: Path) -> None:
        change_config(folder, lambda content: content["model"].update(hidden_size=5))
        message = message_of(folder)
        assert "layers.0.bias is (24,) in the weights and (20,) by the config" in message

    def test_a_number_instead_of_a_weight(self, folder: Path) -> None:
        change_weights(folder, output__bias=np.zeros((), np.float32))
        assert "output.bias is () in the weights and (388,) by the config" in message_of(folder)

    def test_a_weight_too_few_and_one_too_many(self, folder: Path) -> None:
        change_weights(folder, output__bias=None)
        assert "output.bias is missing in the weights and (388,) by the config" in message_of(
            folder
        )
        change_weights(folder, output__bias=np.zeros(388), extra=np.zeros(3))
        assert "extra is (3,) in the weights and not known by the config" in message_of(folder)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_numbers(self, folder: Path, value: float) -> None:
        bias = np.zeros(24, np.float32)
        bias[3] = value
        change_weights(folder, layers__1__bias=bias)
        assert message_of(folder).endswith("layers.1.bias holds values that are not numbers")

    def test_shapes_can_be_checked_before_anything_is_written(self) -> None:
        check_shapes(random_weights(CONFIG), CONFIG, "these")
        with pytest.raises(CheckpointError, match="these does not fit its config"):
            check_shapes({}, CONFIG, "these")
