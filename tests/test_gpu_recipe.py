"""scripts/recipes/gpu: the whole way at toy size, on the CPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.cli.main import main
from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.codecs.style import NUM_STYLE_INPUTS
from midirnn.datasets.mixture import Source
from midirnn.datasets.windows import Inputs, Stream, empty_batch
from midirnn.errors import CheckpointError, DatasetError
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.performance import Performance
from midirnn.training.config import TrainingConfig
from tests.datasets.made import write_pieces
from tests.training.tiny import VALIDATION

SCRIPTS = Path(__file__).parents[1] / "scripts" / "recipes" / "gpu"
PACKAGE = "package_weights"
CODEC = PerformanceCodec()
CONFIG = ModelConfig(
    embedding_size=8,
    hidden_size=8,
    num_layers=2,
    recall_notes=2048,
    term_notes=64,
    control_inputs=True,
    style_inputs=True,
)


@pytest.fixture(autouse=True, scope="module")
def scripts() -> Iterator[None]:
    """The recipe's modules can be imported, as when its scripts run."""
    folders = [str(SCRIPTS), str(SCRIPTS.parents[1])]
    sys.path[:0] = folders
    yield
    for folder in folders:
        sys.path.remove(folder)
    for name in (*("device", "pack", "packing", "returning", "train", "unpack_run"), PACKAGE):
        sys.modules.pop(name, None)


def script(name: str) -> ModuleType:
    return __import__(name)


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    code: int = script(name).main()
    return code


def music(seed: int, notes: int = 150) -> Tokens:
    """Chords, held notes and repeated patterns, somewhere on the keyboard."""
    rng = np.random.default_rng(seed)
    starts = np.sort(np.round(rng.random(notes) * notes * 0.15, 1))
    pitches = 50 + rng.integers(0, 12, notes) + 10 * (seed % 3)
    return CODEC.encode(
        Performance.from_notes(
            (start, start + float(rng.choice([0.1, 0.5, 4.0])), int(pitch), int(velocity))
            for start, pitch, velocity in zip(
                starts.tolist(), pitches, rng.integers(30, 100, notes), strict=True
            )
        )
    )


PIECES = [music(seed) for seed in range(5)]


class TestPack:
    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.integers(0, 60), min_size=1, max_size=5))
    def test_pieces_come_back_from_columns(self, sizes: list[int]) -> None:
        packing = script("packing")
        pieces = [music(n, size) for n, size in enumerate(sizes)]
        back = packing.from_columns(packing.to_columns(pieces, CODEC), CODEC)
        assert [piece.tolist() for piece in back] == [piece.tolist() for piece in pieces]

    def test_a_pack_holds_what_the_data_sets_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_pieces(tmp_path / "a", PIECES[:3], VALIDATION)
        write_pieces(tmp_path / "b", PIECES[3:])
        sets = tmp_path / "a", f"{tmp_path / 'b'}:0.5"
        assert run(monkeypatch, "pack", tmp_path / "pack", *sets) == 0
        tokens = sum(map(len, [*PIECES, *VALIDATION]))
        assert f"{tokens:,} tokens" in capsys.readouterr().out
        codec, (first, second) = script("packing").read_pack(tmp_path / "pack")
        assert codec == CODEC
        assert (first.name, second.name, second.weight) == ("a", "b", 0.5)
        assert [p.tolist() for p in first.train] == [p.tolist() for p in PIECES[:3]]
        assert [p.tolist() for p in first.validation] == [p.tolist() for p in VALIDATION]
        assert not second.validation

    def test_a_pack_has_two_files_for_each_data_set_and_a_list(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_pieces(tmp_path / "a", PIECES[:3], VALIDATION)
        assert run(monkeypatch, "pack", tmp_path / "pack", tmp_path / "a") == 0
        names = {path.name for path in (tmp_path / "pack").iterdir()}
        assert names == {"0-train.xz", "0-validation.xz", "pack.json"}

    def test_a_pack_that_would_be_too_large_is_not_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_pieces(tmp_path / "a", PIECES[:3], VALIDATION)
        small = tmp_path / "pack", tmp_path / "a", "--megabytes=0.0005"
        assert run(monkeypatch, "pack", *small) == 1
        captured = capsys.readouterr()
        assert "at most 0.0005 MB are allowed" in captured.err and captured.out == ""
        assert not (tmp_path / "pack").exists()

    def test_a_folder_without_a_pack_is_refused_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="holds no pack that can be read"):
            script("packing").read_pack(tmp_path)


def on_host(piece: Tokens, begin: int, stop: int, window: int, config: ModelConfig) -> Any:
    """The windows of a segment, as the trainer for the CPU makes them."""
    stream = Stream(CODEC, window, Inputs(config.start_token, config.features))
    shown = {"controls": [True] * 3, "style": [True] * 7}
    stream.open(piece, begin, stop, shown)
    while not stream.is_done:
        batch = empty_batch(1, window, CODEC.vocab_size, config.features)
        stream.read(batch, 0)
        yield batch


class TestWindows:
    @pytest.mark.parametrize("transpose", [0, 5])
    def test_they_are_those_of_the_trainer_for_the_cpu(self, transpose: int) -> None:
        import torch

        device = script("device")
        recipe = TrainingConfig(
            batch_size=4, window=16, segment=60, transpose=transpose, steered=1.0, seed=3
        )
        cpu = torch.device("cpu")
        windows = device.DeviceWindows([Source("a", PIECES)], CODEC, CONFIG, recipe, cpu)
        windows._choose = lambda rng: np.ones(NUM_STYLE_INPUTS, np.float32)
        expected: list[Any] = [None] * 4
        begins, shifts = set(), set()
        for _ in range(80):
            batch = next(windows)
            for row in range(4):
                if batch.reset[row]:
                    piece = device._moved(PIECES[windows.piece[row]], windows.shift[row])
                    begin = int(windows.position[row] - batch.valid[row].sum())
                    begins.add(begin == 0), shifts.add(int(windows.shift[row]))
                    stop = int(windows.stop[row])
                    expected[row] = on_host(piece, begin, stop, 16, CONFIG)
                host = next(expected[row])
                valid = host.valid[0]
                for name in ("inputs", "targets", "mask"):
                    found = getattr(batch, name)[row].numpy()[valid]
                    np.testing.assert_array_equal(found, getattr(host, name)[0][valid], name)
                np.testing.assert_array_equal(batch.valid[row].numpy(), valid)
                for name, window in host.features.items():
                    found = batch.features[name][row].numpy()[valid]
                    exact = window[0][valid]
                    if name == "recall":
                        exact = exact * (exact[..., 1:] > 0)
                    np.testing.assert_allclose(found, exact, atol=5e-3, err_msg=name)
        assert begins == {True, False}
        assert (shifts != {0}) is bool(transpose)

    def test_restored_windows_go_on_identically(self) -> None:
        import torch

        device, cpu = script("device"), torch.device("cpu")
        recipe = TrainingConfig(batch_size=3, window=16, segment=60, transpose=2)
        sources = [Source("a", PIECES)]
        first, second = (
            device.DeviceWindows(sources, CODEC, CONFIG, recipe, cpu) for _ in range(2)
        )
        for _ in range(6):
            next(first)
        second.restore(json.loads(json.dumps(first.state())))
        for _ in range(6):
            one, two = next(first), next(second)
            for name in ("inputs", "targets", "mask", "valid", "reset"):
                assert torch.equal(getattr(one, name), getattr(two, name))
            for name, window in one.features.items():
                assert torch.equal(window, two.features[name])


SIZES = [
    "--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--streams=4", "--window=16",
    "--segment=64", "--warmup-steps=2", "--validation-steps=10", "--validation-tokens=200",
]  # fmt: skip


class TestTheWholeWay:
    def test_pack_train_return_go_on_decay_package_and_generate(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        returning = script("returning")
        monkeypatch.setattr(returning, "MOST_BYTES", 20_000)  # so that files come in parts
        write_pieces(tmp_path / "songs", PIECES, VALIDATION)
        pack, out = tmp_path / "pack", tmp_path / "out"
        assert run(monkeypatch, "pack", pack, tmp_path / "songs") == 0
        constant = [*SIZES, "--decay-start=1", "--term-notes=64"]
        assert run(monkeypatch, "train", pack, out, "--minutes=0.02", *constant) == 0
        files = [path for path in out.rglob("*") if path.is_file()]
        assert max(path.stat().st_size for path in files) <= 22_000
        assert len(list(out.glob("weights-*.safetensors"))) > 1
        first = json.loads((out / "config.json").read_text())["info"]

        more = tmp_path / "more"
        assert (
            run(monkeypatch, "train", pack, more, "--minutes=0.04", "--from", out, *constant) == 0
        )
        assert json.loads((more / "config.json").read_text())["info"]["step"] > first["step"]

        end = tmp_path / "end"
        decay = ["--minutes=0.02", "--decay", "--from", more, *constant]
        assert run(monkeypatch, "train", pack, end, *decay) == 0
        folder = tmp_path / "run"
        assert run(monkeypatch, "unpack_run", end, folder) == 0
        best = read_checkpoint(folder / "best")
        assert best.config.hidden_size == 8
        assert best.info["started_from"]["tokens_seen"] > first["tokens_seen"]
        package = tmp_path / "package"
        self.package(folder, tmp_path / "songs", package, monkeypatch, capsys)
        shipped = read_checkpoint(package)
        assert shipped.info["evaluation"]["validation"]["dataset"] == "songs"
        assert shipped.info["tokens_seen"] == best.info["tokens_seen"]
        music = str(tmp_path / "new.mid")
        flags = ["--model", str(package), "--seconds", "1", "--engine", "numpy"]
        assert main(["generate", "-o", music, *flags]) == 0
        assert Path(music).stat().st_size > 0

    def package(
        self,
        run_folder: Path,
        songs: Path,
        package: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Evaluate a run, and package it, as the recipe's page says."""
        capsys.readouterr()
        flags = ["--split", "validation", "--json"]
        assert main(["evaluate", str(run_folder), str(songs), *flags]) == 0
        report = package.with_name("validation.json")
        report.write_text(capsys.readouterr().out)
        monkeypatch.setattr(
            sys, "argv", ["x", str(run_folder), str(package), "--evaluations", str(report)]
        )
        script(PACKAGE).main()

    def test_what_does_not_come_back_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="holds no state to go on from"):
            script("returning").join_state(tmp_path, tmp_path / "run")
