"""A codec is one file and one line in CODECS: every command then works with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from midirnn import Sampler, generate
from midirnn.cli.main import main
from midirnn.codecs import CODECS
from midirnn.datasets import Dataset
from midirnn.engines.load import load
from midirnn.engines.onnx_engine import OnnxEngine
from tests.codecs import characters
from tests.codecs.characters import CharacterCodec

LINES = 60
RECIPE = [
    *("--embedding-size", "8", "--hidden-size", "16", "--num-layers", "2"),
    *("--batch-size", "2", "--window", "16", "--segment", "64", "--warmup-steps", "2"),
    *("--validation-steps", "5", "--validation-tokens", "200", "--no-bf16"),
]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def one_line_in_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "characters", CharacterCodec)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with texts, a data set of them, and a run that was resumed."""
    folder = tmp_path_factory.mktemp("characters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CODECS, "characters", CharacterCodec)
        (folder / "texts").mkdir()
        for number in range(24):
            text = f"once more, the tune {chr(97 + number)} goes round and round.\n" * 3
            (folder / "texts" / f"{number:02}.txt").write_text(text)
        (folder / "texts" / "bad.txt").write_text("Ünknown")
        argv = ["encode", str(folder / "texts"), "-o", str(folder / "data"), "--workers=1"]
        shares = ["--validation-share=0.2", "--test-share=0.2"]
        assert main([*argv, "--codec", "characters", *shares]) == 0
        train = ["train", str(folder / "data"), "-o", str(folder / "run"), *RECIPE]
        assert main([*train, "--tokens", "320", "--checkpoint-minutes", "0"]) == 0
        yield folder


def test_the_codec_fits_on_a_page() -> None:
    lines = Path(characters.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES


def test_encode_makes_a_data_set_and_says_what_it_could_not_use(place: Path) -> None:
    dataset = Dataset.open(place / "data")
    assert dataset.codec == CharacterCodec()
    assert sum(count.files for count in dataset.counts.values()) == 24
    assert {"train", "validation", "test"} == set(dataset.splits)
    pieces = [dataset.codec.decode(piece) for piece in dataset.pieces("train")]
    assert all(piece.startswith("once more, the ") for piece in pieces)
    (refused,) = (place / "data" / "refused.jsonl").read_text().splitlines()
    assert json.loads(refused)["reason"] == "the character 'Ü' is not in the alphabet"


def test_encode_prints_no_notes_where_there_are_none(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    argv = ["encode", str(place / "texts"), "-o", str(tmp_path / "data"), "--codec=characters"]
    assert main([*argv, "--workers=1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["split", "files", "tokens"]


def test_settings_of_the_codec_are_flags_too(place: Path, tmp_path: Path, capsys: Capture) -> None:
    argv = ["encode", str(place / "texts"), "-o", str(tmp_path / "data"), "--codec=characters"]
    alphabet = "\n abcdefghijklmnopqrstuvwxyz,.Ü"
    assert main([*argv, "--workers=1", "--codec-setting", f"alphabet={alphabet}"]) == 0
    assert Dataset.open(tmp_path / "data").codec == CharacterCodec(alphabet)
    capsys.readouterr()
    assert main([*argv, "--steps-per-second", "50"]) == 1
    assert capsys.readouterr().err == (
        "midirnn: error: the codec 'characters' has no setting 'steps_per_second'; "
        "its settings: alphabet\n"
    )


def test_the_model_has_as_many_tokens_as_the_codec(place: Path) -> None:
    model = load(place / "run")
    assert model.config.vocab_size == CharacterCodec().vocab_size == 30
    assert model.codec == CharacterCodec()


def test_a_run_is_resumed_and_gives_what_it_gives_in_one_go(place: Path, tmp_path: Path) -> None:
    argv = ["train", str(place / "data"), "-o", str(tmp_path / "parts"), *RECIPE]
    whole = ["train", str(place / "data"), "-o", str(tmp_path / "whole"), *RECIPE]
    tokens = ["--tokens", "640", "--patience", "1"]
    assert main([*argv, *tokens]) == 0  # stops early: nothing gets better that fast
    assert main([*argv, *tokens[:2], "--patience", "0", "--resume"]) == 0
    assert main([*whole, *tokens[:2]]) == 0
    parts, one = load(tmp_path / "parts" / "last"), load(tmp_path / "whole" / "last")
    for name, weight in one.weights.items():
        assert np.array_equal(parts.weights[name], weight), name


def test_training_logs_the_loss_of_each_group(place: Path) -> None:
    lines = (place / "run" / "metrics.jsonl").read_text().splitlines()
    validations = [line for line in map(json.loads, lines) if "nats_letter" in line]
    assert {"nats_space", "nats_letter", "nats_mark"} <= set(validations[-1])


def test_evaluate_goes_by_the_groups_of_the_codec(place: Path, capsys: Capture) -> None:
    assert (
        main(["evaluate", str(place / "run"), str(place / "data"), "--split=test", "--json"]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    counts = report["tokens_by_type"]
    assert set(counts) == {"space", "letter", "mark"}
    assert sum(counts.values()) == report["tokens"] > 0
    assert 0 < report["nats_per_token"] < 1.1 * np.log(30)
    assert "nats_per_note" not in report and "seconds" not in report


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_generate_continues_a_text_with_both_engines(
    place: Path, tmp_path: Path, capsys: Capture, engine: str
) -> None:
    primer = place / "texts" / "00.txt"
    argv = ["generate", "--model", str(place / "run"), "--engine", engine, "--primer", str(primer)]
    for name in ("a.txt", "b.txt"):
        assert main([*argv, "-o", str(tmp_path / name), "--tokens", "40", "--seed", "7"]) == 0
    assert "a.txt: 40 new tokens (seed 7)" in capsys.readouterr().out
    text = (tmp_path / "a.txt").read_text()
    assert text.startswith(primer.read_text())
    assert len(text) == len(primer.read_text()) + 40
    assert (tmp_path / "b.txt").read_text() == text


def test_from_python_it_is_the_same(place: Path, tmp_path: Path) -> None:
    argv = ["generate", "--model", str(place / "run"), "--engine=numpy", "--seed=3"]
    assert main([*argv, "-o", str(tmp_path / "a.txt"), "--tokens=20"]) == 0
    text = generate(place / "run", tokens=20, seed=3, engine="numpy")
    assert (tmp_path / "a.txt").read_text() == text
    longer = generate(place / "run", primer="once more", tokens=9, seed=3, engine="numpy")
    assert longer.startswith("once more")
    path = place / "texts" / "00.txt"
    assert generate(place / "run", primer=path, tokens=1, seed=0).startswith(path.read_text())


def test_the_engines_agree(place: Path) -> None:
    model = load(place / "run")
    samplers = [Sampler(model.engine(kind), model.codec) for kind in ("numpy", "onnxruntime")]
    for token in CharacterCodec().encode("once more, the tune").tolist():
        for sampler in samplers:
            sampler.hear([token])
        exact, fast = (sampler.engine.logits() for sampler in samplers)
        assert np.abs(exact - fast).max() < 0.1 * float(exact.std())


def test_export_writes_a_file_that_is_checked_with_the_data_set(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "model.onnx"
    argv = ["export", str(place / "run"), "-o", str(path), "--check", str(place / "data")]
    assert main(argv) == 0
    assert "nats per token" in capsys.readouterr().out
    model = load(place / "run")
    assert OnnxEngine(model.config, path.read_bytes()).logits().shape == (30,)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["generate", "-o", "a.txt", "--seconds=3"], "the codec 'characters' has no time: say how"),
        (["generate", "-o", "a.mid"], "a.mid cannot be written (its name must end in .txt)"),
        (["generate", "-o", "a.txt", "--tokens=0"], "tokens is 0; allowed are 1 to 100000000"),
        (["generate", "-o", "a.txt", "--primer=no.txt"], "no.txt cannot be read (No such file"),
        (
            ["generate", "-o", "a.txt", "--plot=a.png"],
            "has no notes to draw; --plot needs the codec",
        ),
        (
            ["generate", "-o", "a.txt", "--loudness=9"],
            "--loudness is for music; the codec 'characters'",
        ),
    ],
)
def test_what_it_cannot_do_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(place)
    assert main([*argv, "--model", str(place / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (place / "a.txt").exists()


def test_what_needs_notes_names_the_codec_that_has_them(place: Path, capsys: Capture) -> None:
    needs = "the codec 'characters' has no {}; {} needs the codec 'pedal' or 'performance'"
    train = ["train", str(place / "data"), "-o", str(place / "other"), *RECIPE, "--tokens=64"]
    for argv, missing, what in (
        (["live", "--virtual", "--model", str(place / "run")], "notes to play", "midirnn live"),
        (
            ["evaluate", str(place / "run"), str(place / "data"), "--samples=2"],
            "notes to play",
            "--samples",
        ),
        ([*train, "--recall-notes=8"], "note-ons to recall", "a model with --recall-notes"),
        ([*train, "--control-inputs"], "controls to measure", "a model with --control-inputs"),
    ):
        assert main(argv) == 1
        line = f"midirnn: error: {needs.format(missing, what)}\n"
        assert capsys.readouterr().err == line


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_data_set_of_another_codec_is_refused(
    place: Path, tmp_path: Path, capsys: Capture, command: str
) -> None:
    argv = {
        "evaluate": ["evaluate", "piano-small", str(place / "data")],
        "export": [
            *("export", "piano-small", "-o", str(tmp_path / "a.onnx")),
            *("--check", str(place / "data")),
        ],
    }
    assert main(argv[command]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "have different codecs" in line
