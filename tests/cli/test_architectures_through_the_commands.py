"""Models without recurrence are trained, resumed, measured and played by the same commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.midifile import read_midi
from midirnn.training.run import METRICS_FILE
from tests.datasets.songs import write_songs

pytest.importorskip("torch")

SMALL = [
    *("--hidden-size", "16", "--embedding-size", "8", "--num-layers", "3", "--batch-size", "2"),
    *("--window", "16", "--segment", "0", "--warmup-steps", "5", "--no-bf16"),
]
KINDS = {
    "convolution": ["--longest-dilation", "4"],
    "attention": ["--attention-heads", "2", "--span", "8"],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    assert main(["encode", str(write_songs(folder / "midi", 12)), "-o", str(folder / "set")]) == 0
    return folder / "set"


def losses(run: Path) -> list[float]:
    lines = (run / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_learns_goes_on_and_plays(
    kind: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, music = tmp_path / "run", tmp_path / "new.mid"
    flags = ["--architecture", kind, *KINDS[kind], *SMALL]
    assert main(["train", str(dataset), "-o", str(run), *flags, "--tokens", "6400"]) == 0
    found = losses(run)
    assert found[-1] < found[0] - 0.3
    assert main(["train", str(dataset), "-o", str(run), "--resume"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(dataset), "--split", "train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nats_per_token"] < 5.5
    new = ["generate", "--model", str(run), "-o", str(music), "--seconds", "3", "--seed", "1"]
    assert main(new) == 0
    first = music.read_bytes()
    assert len(read_midi(music))
    assert main(new) == 0
    assert music.read_bytes() == first


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--architecture", "convolution", *SMALL, "--tokens", "64"]
    assert main(["train", str(dataset), "-o", str(folder), *flags]) == 0
    return folder


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["export", "RUN", "-o", "model.onnx"], "'convolution' cannot be exported"),
        (["cells", "RUN", "SONG"], "whose state is no row of units"),
        (["train", "SET", "-o", "other", "--architecture", "perceptron"], "allowed are"),
        (["train", "SET", "-o", "other", "--span", "8"], "--span does not belong to"),
        (
            ["train", "SET", "-o", "RUN", "--resume", "--architecture", "attention"],
            "has the architecture 'convolution'",
        ),
        (["generate", "--model", "RUN", "-o", "x.mid", "--engine", "onnxruntime"], "be exported"),
        (["generate", "--model", "RUN", "-o", "x.mid", "--engine", "native"], "engine 'numpy'"),
        (["tune", "SONG", "-o", "tuned", "--model", "RUN"], "recurrent layers can be tuned"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_such_a_model_cannot_do_is_said_in_one_line(
    command: list[str],
    reason: str,
    run: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    songs = dataset.parent / "midi"
    names = {"RUN": run, "SET": dataset, "SONG": songs / "song00.mid"}
    capsys.readouterr()
    assert main([str(names.get(word, word)) for word in command]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert list(tmp_path.iterdir()) == []
