"""Text and tunes through the commands: encode, train, evaluate, generate; and bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from midirnn.cli.main import main
from midirnn.codecs import TextCodec
from midirnn.datasets import Dataset
from midirnn.midifile import read_midi

RECIPE = [
    *("--embedding-size", "8", "--hidden-size", "16", "--num-layers", "1"),
    *("--batch-size", "2", "--window", "16", "--segment", "64", "--warmup-steps", "2"),
    *("--validation-steps", "40", "--learning-rate", "2e-2", "--no-bf16"),
]
LINE = "Round and round the tune goes, ünd goes.\n"
TUNE = "X:1\nM:6/8\nK:D\n|:d2A AFA|d2e f3:|\n\n"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a text and a tune book, a data set of each, and a run of each."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "text.txt").write_text(LINE * 50, encoding="utf-8")
    (folder / "tunes.abc").write_text(TUNE * 50)
    for name in ("text.txt", "tunes.abc"):
        stem = name.partition(".")[0]
        data, run = str(folder / f"{stem}-data"), str(folder / f"{stem}-run")
        assert main(["encode", "--codec", "text", str(folder / name), "-o", data]) == 0
        assert main(["train", data, "-o", run, *RECIPE, "--tokens", "2560"]) == 0
    yield folder


def test_a_text_is_cut_by_position(place: Path) -> None:
    dataset = Dataset.open(place / "text-data")
    whole = LINE * 50
    assert dataset.codec == TextCodec("".join(sorted(set(LINE))), unit="file")
    parts = [dataset.codec.decode(dataset.pieces(split)[0]) for split in dataset.splits]
    assert "".join(parts) == whole
    assert len(parts[0]) == int(0.9 * len(whole))
    assert dataset.manifest["options"]["splits"]["by"] == "position"


def test_a_tune_book_is_cut_between_its_tunes(place: Path) -> None:
    dataset = Dataset.open(place / "tunes-data")
    assert dataset.codec.settings()["unit"] == "tune"
    assert [count.files for count in dataset.counts.values()] == [45, 3, 2]
    assert {dataset.codec.decode(piece) for piece in dataset.pieces("train")} == {TUNE}
    assert dataset.rows("test")[-1]["path"] == "tunes.abc#50"


def test_filters_of_music_are_refused_for_texts(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", "--codec=text", str(place / "text.txt"), "-o", str(tmp_path / "data")]
    assert main([*argv, "--min-notes", "10"]) == 1
    assert "filters are for music; the codec 'text' reads texts" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_table_gives_whole_texts_their_splits(place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc" * 20)
    (tmp_path / "b.txt").write_text("cab" * 20)
    (tmp_path / "s.csv").write_text("path,split\na.txt,train\nb.txt,validation\n")
    argv = ["encode", "--codec=text", str(tmp_path), "-o", str(tmp_path / "data")]
    assert main([*argv, "--splits", str(tmp_path / "s.csv")]) == 0
    dataset = Dataset.open(tmp_path / "data")
    assert {name: count.tokens for name, count in dataset.counts.items()} == {
        "train": 60,
        "validation": 60,
    }


def test_a_text_goes_to_standard_output_and_nothing_else(
    place: Path, capsys: Capture, tmp_path: Path
) -> None:
    argv = ["generate", "--model", str(place / "text-run"), "--tokens=30", "--seed=1"]
    assert main([*argv, "-o", "-", "--primer-text", r"Round\nand"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Round\nand") and len(out) == 9 + 30
    assert err == "30 new tokens (seed 1)\n"
    assert main([*argv, "-o", str(tmp_path / "a.txt"), "--primer-text", "Round\nand"]) == 0
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == out


def test_tunes_are_written_as_abc_and_as_midi(place: Path, capsys: Capture, tmp_path: Path) -> None:
    argv = ["generate", "--model", str(place / "tunes-run"), "--seed=1", "--temperature=0.01"]
    argv += ["--primer-text", r"X:1\nM:6/8\nK:D\nd2", "--tokens=9"]
    assert main([*argv, "-o", str(tmp_path / "a.mid")]) == 0
    assert main([*argv, "-o", str(tmp_path / "a"), "--format=abc"]) == 0
    assert main([*argv, "-o", str(tmp_path / "b"), "--format=mid"]) == 0
    assert (tmp_path / "a.abc").read_text().startswith("X:1\nM:6/8\nK:D\nd2")
    assert read_midi(tmp_path / "a.mid").pitch[0] == 74
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_without_state_windows_are_read_afresh(
    place: Path, capsys: Capture, tmp_path: Path
) -> None:
    data, run = str(place / "text-data"), str(tmp_path / "run")
    assert main(["train", data, "-o", run, *RECIPE, "--tokens=640", "--stateless"]) == 0
    capsys.readouterr()
    nats = []
    for flags in ([], ["--window=3"], ["--stateless", "--window=3"], ["--stateless"]):
        assert main(["evaluate", run, data, "--json", *flags]) == 0
        nats.append(json.loads(capsys.readouterr().out)["nats_per_token"])
    assert nats[0] == pytest.approx(nats[1], abs=1e-4) == pytest.approx(nats[3], abs=1e-4)
    assert abs(nats[2] - nats[0]) > 1e-3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--primer-text", "Röund"], "line 1, column 2: the character 'ö' does not occur in the"),
        (["--primer-text", "a", "--primer", "text.txt"], "are two primers; choose one"),
        (["--format", "mid", "-o", "a.txt"], "--format is 'mid', and a.txt is named otherwise"),
        (["--format", "wav"], "--format is 'wav'; with this model it can be txt, abc, mid, midi"),
        (["-o", "a.mid"], "no tune in ABC notation: it has no line K:"),
        (["-o", "a.mid"], "write it with -o a.txt to see it, or try another seed"),
        (["--model", "piano-small", "--primer-text", "a"], "--primer-text is for models of text"),
        (["--pitch-temperature", "0.5"], "--pitch-temperature is for music; the codec 'text'"),
        (["--max-rest-seconds", "2"], "--max-rest-seconds is for music"),
        (["--repetition-penalty", "2"], "--repetition-penalty is for music"),
        (["--follow", "0"], "--follow is for music"),
        (["--follow-seconds", "9"], "--follow-seconds is for music"),
        (["--end"], "the codec 'text' has no time, and so no end to come to"),
        (["--primer", "binary.txt"], "binary.txt is a binary file, not text (a null byte in line"),
    ],
)
def test_what_cannot_be_generated_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(place)
    Path("binary.txt").write_bytes(b"MThd\0\0")
    chosen = ["generate", "-o", "-", "--model", "text-run", "--tokens=5"]
    if "-o" in argv:
        del chosen[1:3]
    if "--model" in argv:
        chosen = ["generate", "-o", "-"]
    assert main([*chosen, *argv]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("a.mid").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty: there is nothing to learn from"),
        ("a.txt", b"\0\1\2", "is a binary file, not text"),
        ("a.txt", b"caf\xe9", "is not text in UTF-8 (byte 0xe9 in line 1, column 4); if it is in"),
        (
            "a.abc",
            b"X:1\nK:D\n??\n",
            "can be read; the first, in line 1, is no tune in ABC notation",
        ),
        ("a.abc", b"no tune\n", "holds no tune in ABC notation"),
        ("no.txt", None, "there is no such file or folder"),
    ],
)
def test_what_cannot_be_encoded_is_one_line(
    tmp_path: Path, capsys: Capture, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "data"
    assert main(["encode", "--codec=text", str(tmp_path / name), "-o", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


def test_a_character_that_training_never_saw_is_told_with_its_place(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "a.txt").write_text("abc\n" * 24 + "abé\n", encoding="utf-8")
    argv = ["encode", "--codec=text", str(tmp_path / "a.txt"), "-o", str(tmp_path / "data")]
    assert main(argv) == 0
    told = capsys.readouterr().err
    assert "a.txt: test: line 25, column 3: the character 'é' does not occur" in told
    assert set(Dataset.open(tmp_path / "data").splits) == {"train", "validation"}


def test_one_very_long_line_is_a_text_like_any_other(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.txt").write_text("ab " * 100_000)
    argv = ["encode", "--codec=text", str(tmp_path / "a.txt"), "-o", str(tmp_path / "data")]
    assert main(argv) == 0
    assert Dataset.open(tmp_path / "data").counts["train"].tokens == 270_000


def test_a_window_longer_than_the_text_is_told(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    argv = ["train", str(place / "text-data"), "-o", str(tmp_path / "run"), *RECIPE, "--tokens=640"]
    argv[argv.index("--window") + 1] = "5000"
    assert main(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "window is 5000, and the longest piece for training has 1845 tokens: take" in line
    assert not (tmp_path / "run").exists()
