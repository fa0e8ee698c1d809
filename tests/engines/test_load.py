"""Models are found by name, by checkpoint and by run; errors say what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.engines import load as module
from midirnn.engines.load import find_model, load, pretrained_names
from midirnn.errors import CheckpointError
from midirnn.models.checkpoint import CONFIG_FILE, write_checkpoint
from midirnn.models.config import ModelConfig
from tests.models.reference import random_weights

CODEC = PerformanceCodec()
CONFIG = ModelConfig(embedding_size=4, hidden_size=6, num_layers=1)


def write_model(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    write_checkpoint(folder, CONFIG, CODEC, random_weights(CONFIG, seed), {"seed": seed})
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that comes with the models 'harp' and 'piano', and an empty place to work in."""
    pretrained = tmp_path / "pretrained"
    write_model(pretrained / "piano", seed=1)
    write_model(pretrained / "harp", seed=2)
    (pretrained / "notes").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(module, "PRETRAINED", pretrained)
    monkeypatch.chdir(tmp_path / "here")
    return pretrained


def message_of(model: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(model)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.usefixtures("package")
class TestByName:
    def test_the_names_are_those_of_folders_that_hold_a_model(self) -> None:
        assert pretrained_names() == ["harp", "piano"]

    def test_names_can_be_those_of_models_with_one_codec(self, package: Path) -> None:
        config = package / "harp" / CONFIG_FILE
        config.write_text(config.read_text().replace('"performance"', '"text"'))
        assert pretrained_names("performance") == ["piano"]
        assert pretrained_names("text") == ["harp"]

    def test_a_name_is_found_and_piano_is_the_default(self) -> None:
        assert load("harp").info == {"seed": 2}
        assert load().info == {"seed": 1}
        assert load().name == "piano"

    def test_a_folder_of_that_name_comes_first_if_it_holds_a_model(self) -> None:
        Path("harp").mkdir()
        assert load("harp").info == {"seed": 2}
        write_model(Path("harp/best"), seed=3)
        assert load("harp").info == {"seed": 3}

    def test_a_path_is_no_name(self) -> None:
        assert "there is no model 'harp'" in message_of(Path("harp"))

    def test_an_unknown_name_is_told_with_those_that_there_are(self) -> None:
        assert message_of("organ") == (
            "there is no model 'organ': it is neither a folder nor one of those that come with "
            "midirnn (harp, piano)"
        )


@pytest.mark.usefixtures("package")
class TestByFolder:
    def test_a_checkpoint_is_found(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "model", seed=4)
        for model in (folder, str(folder)):
            loaded = load(model)
            assert loaded.folder == folder
            assert loaded.info == {"seed": 4}
            assert (loaded.config, loaded.codec) == (CONFIG, CODEC)

    def test_of_a_run_it_is_the_best_or_else_the_last(self, tmp_path: Path) -> None:
        write_model(tmp_path / "run" / "last", seed=5)
        assert find_model(tmp_path / "run") == tmp_path / "run" / "last"
        write_model(tmp_path / "run" / "best", seed=6)
        assert load(tmp_path / "run").info == {"seed": 6}

    def test_a_folder_without_a_model_is_told_with_the_names_that_there_are(
        self, tmp_path: Path
    ) -> None:
        assert message_of(tmp_path / "here") == (
            f"{tmp_path / 'here'} holds no model (config.json is missing). "
            "Models with midirnn: harp, piano"
        )

    def test_a_file_is_told_to_be_none(self, tmp_path: Path) -> None:
        (tmp_path / "harp.onnx").touch()
        assert message_of(tmp_path / "harp.onnx") == (
            f"{tmp_path / 'harp.onnx'} is a file, and a model is a folder: name the checkpoint or "
            "training run that it came from. Models with midirnn: harp, piano"
        )

    def test_a_damaged_model_is_told_with_its_file(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "model")
        (folder / CONFIG_FILE).write_text("{")
        assert message_of(folder).startswith(f"{folder / CONFIG_FILE} cannot be read (")


def test_where_no_model_comes_with_the_package_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRETRAINED", tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    assert message_of("piano").endswith("come with midirnn (none)")


@pytest.mark.usefixtures("package")
def test_engines_of_a_model_begin_at_the_start_and_move_apart() -> None:
    model = load()
    one, other = model.engine(), model.engine()
    assert one.config == model.config
    assert np.array_equal(one.logits(), other.logits())
    one.feed(60, np.zeros(128, dtype=bool))
    assert not np.array_equal(one.logits(), other.logits())
