"""From MIDI files to a model and back to MIDI files, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.datasets import Dataset
from midirnn.engines import load as engines
from midirnn.engines.adapters import ADAPTER_FILE
from midirnn.midifile import read_midi, write_midi
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.language_model import from_weights
from midirnn.performance import Part, Performance
from midirnn.sampling.joining import NEW_PART
from midirnn.training.evaluate import evaluate
from tests.datasets.songs import write_song, write_songs

Capture = pytest.CaptureFixture[str]


def recipe(**changes: int) -> list[str]:
    """The flags of a run that takes a second."""
    values = {
        "hidden_size": 16,
        "embedding_size": 8,
        "num_layers": 2,
        "tokens": 1280,
        "batch_size": 2,
        "window": 16,
        "validation_steps": 20,
        "transpose": 1,
    }
    flags = (values | changes).items()
    return ["--no-bf16", *(f"--{name.replace('_', '-')}={value}" for name, value in flags)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set (data), a run on it (run) and a primer (primer.mid)."""
    folder = tmp_path_factory.mktemp("place")
    songs = write_songs(folder / "songs", 6)
    table = folder / "splits.csv"
    lines = ["path,split"]
    for path in sorted(songs.rglob("*.mid")):
        split = "validation" if path.stem == "song05" else "train"
        lines.append(f"{path.relative_to(folder)},{split}")
    table.write_text("\n".join(lines))
    write_song(folder / "primer.mid", seed=9)
    data, run = str(folder / "data"), str(folder / "run")
    assert main(["encode", str(folder), "-o", data, "--splits", str(table), "--workers", "1"]) == 0
    assert main(["train", data, "-o", run, *recipe()]) == 0
    return folder


def generate(place: Path, output: Path, *flags: str) -> int:
    argv = ["generate", "-o", str(output), "--model", str(place / "run"), "--seconds", "2"]
    return main([*argv, *flags])


def refused(capsys: Capture, argv: list[str], code: int = 1) -> str:
    """The one line that says why a command line is refused."""
    capsys.readouterr()
    assert main(argv) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == ""
    assert line.startswith("midirnn: error: ")
    return line


class TestTrain:
    def test_a_run_leaves_checkpoints_metrics_and_curves(self, place: Path) -> None:
        names = sorted(path.name for path in (place / "run").iterdir())
        assert names == ["best", "curves.png", "last", "metrics.jsonl"]
        assert (place / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
        lines = (place / "run" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [20, 20, 40, 40]

    def test_it_prints_validations_and_the_end(self, place: Path, capsys: Capture) -> None:
        argv = ["train", str(place / "data"), "-o", str(place / "printed"), *recipe()]
        assert main(argv) == 0
        first, second, end = capsys.readouterr().out.splitlines()
        assert first.startswith("step 20  0.00 M tokens  validation ")
        assert second.startswith("step 40  0.00 M tokens  validation ")
        assert end.startswith("finished at step 40 of 40: ")
        assert end.endswith(f"in {place / 'printed'}")

    def test_without_a_validation_split_it_says_so(self, tmp_path: Path, capsys: Capture) -> None:
        song = write_song(tmp_path / "a.mid")
        data = str(tmp_path / "data")
        shares = ["--validation-share=0", "--test-share=0"]
        assert main(["encode", str(song), "-o", data, "--workers", "1", *shares]) == 0
        argv = ["train", data, "-o", str(tmp_path / "run"), *recipe(tokens=64)]
        assert main(argv) == 0
        assert "tokens, not validated, in " in capsys.readouterr().out.splitlines()[-1]

    def test_flags_are_the_fields_of_model_and_recipe(self, place: Path) -> None:
        checkpoint = read_checkpoint(place / "run" / "last")
        assert (checkpoint.config.hidden_size, checkpoint.config.num_layers) == (16, 2)
        assert checkpoint.info["training"]["tokens"] == 1280
        assert checkpoint.info["training"]["bf16"] is False

    def test_a_data_set_is_no_place_for_a_run(self, place: Path, capsys: Capture) -> None:
        data = str(place / "data")
        line = refused(capsys, ["train", data, "-o", data, *recipe()])
        assert line.endswith("data holds a data set: choose another --output")
        assert not (place / "data" / "last").exists()

    def test_a_run_is_not_written_over(self, place: Path, capsys: Capture) -> None:
        before = (place / "run" / "last" / "model.safetensors").read_bytes()
        line = refused(capsys, ["train", str(place / "data"), "-o", str(place / "run"), *recipe()])
        assert line.endswith("go on with it (--resume) or choose another --output")
        assert (place / "run" / "last" / "model.safetensors").read_bytes() == before

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--resume"], "holds no run to resume"),
            (["--learning-rate", "-1"], "error: --learning-rate is -1.0; allowed are 0 to 10"),
            (["--optimizer", "sgd"], "error: --optimizer is 'sgd'; known are adamw, muon"),
            (["--cell", "qrnn"], "--cell is 'qrnn'; allowed are rnn, gru, lstm"),
            (["--transpose", "50"], "transpose is 50; allowed are 0 to 24"),
            (["--seed", "-1"], "seed is -1; it must be at least 0"),
            (["--style-inputs"], "--style-inputs has no effect without --control-inputs"),
            (["--steered", "0.4"], "--steered has no effect without --control-inputs"),
            (
                ["--muon-learning-rate", "0.01"],
                "--muon-learning-rate has no effect without --optimizer muon",
            ),
            (
                ["--architecture", "attention", "--cell", "gru"],
                "--cell has no effect without --architecture language_model",
            ),
        ],
    )
    def test_flags_that_mean_nothing_are_refused_and_leave_nothing(
        self, place: Path, tmp_path: Path, capsys: Capture, flags: list[str], message: str
    ) -> None:
        argv = ["train", str(place / "data"), "-o", str(tmp_path / "new"), "--window", "64", *flags]
        assert message in refused(capsys, argv)
        assert not (tmp_path / "new").exists()

    def test_other_settings_cannot_be_resumed_with(self, place: Path, capsys: Capture) -> None:
        argv = ["train", str(place / "data"), "-o", str(place / "run"), "--resume"]
        assert "--batch-size = 2, not 3" in refused(capsys, [*argv, *recipe(batch_size=3)])

    @pytest.mark.parametrize(
        "flag", ["--hidden-size=many", "--hiden-size=5", "--tokens", "--vocab-size=388"]
    )
    def test_wrong_usage_has_exit_code_2(self, place: Path, capsys: Capture, flag: str) -> None:
        argv = ["train", str(place / "data"), "-o", str(place / "new"), flag]
        assert refused(capsys, argv, 2).endswith("See: midirnn train --help")

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["none", "-o", "new"], "none does not exist; make one with: midirnn encode"),
            (["data", "-o", "run"], "run holds a run already: go on with it (--resume) or"),
            (["data", "-o", "new", "--resume"], "new holds no run to resume"),
            (["data", "-o", "new", "--start-from=none"], "there is no model 'none'"),
            (["data", "-o", "new", "--start-from=tuned"], "tuned is a tuned model: start from its"),
            (["data", "-o", "primer.mid"], "primer.mid cannot be written (Not a directory)"),
        ],
    )
    def test_what_is_wrong_is_told_before_torch_is_loaded(
        self, place: Path, argv: list[str], message: str
    ) -> None:
        (place / "tuned").mkdir(exist_ok=True)
        (place / "tuned" / ADAPTER_FILE).touch()
        script = (
            "import sys; from midirnn.cli.main import main; "
            f"code = main({['train', *argv]!r}); print(code, 'torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=place, capture_output=True, text=True, timeout=60
        )
        assert message in done.stderr
        assert done.stdout == "1 False\n"

    def test_a_place_that_cannot_be_written_is_told(self, place: Path, capsys: Capture) -> None:
        output = place / "primer.mid" / "run"
        argv = ["train", str(place / "data"), "-o", str(output), *recipe()]
        assert refused(capsys, argv).endswith(f"{output} cannot be written (Not a directory)")


class TestEvaluate:
    def test_in_json_it_prints_what_the_library_finds(self, place: Path, capsys: Capture) -> None:
        assert main(["evaluate", str(place / "run"), str(place / "data"), "--json"]) == 0
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        checkpoint = read_checkpoint(place / "run" / "best")
        pieces = Dataset.open(place / "data").pieces("validation")
        found = evaluate(
            from_weights(checkpoint.config, checkpoint.weights), checkpoint.codec, pieces
        )
        assert report == {
            "model": str(place / "run"),
            "dataset": "data",
            "split": "validation",
            "pieces": 1,
            "mask": True,
            "bf16": False,
            **found.to_dict(),
        }

    def test_in_words_it_prints_the_same_figures(self, place: Path, capsys: Capture) -> None:
        argv = ["evaluate", str(place / "run"), str(place / "data"), "--split", "train"]
        assert main([*argv, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert main(argv) == 0
        text = capsys.readouterr().out
        assert f"on 5 pieces of {place / 'data'} (train):" in text
        for name in ("nats_per_token", "nats_per_note", "nats_per_second"):
            assert f"{name:<16} {report[name]:8.4f}" in text

    def test_without_the_mask_the_surprise_is_greater(self, place: Path, capsys: Capture) -> None:
        found = []
        for flag in ("--mask", "--no-mask"):
            assert main(["evaluate", str(place / "run"), str(place / "data"), "--json", flag]) == 0
            found.append(json.loads(capsys.readouterr().out))
        assert [report["mask"] for report in found] == [True, False]
        assert found[0]["nats_per_token"] < found[1]["nats_per_token"]

    def test_some_pieces_are_picked_evenly(self, place: Path, capsys: Capture) -> None:
        argv = ["evaluate", str(place / "run"), str(place / "data"), "--split", "train", "--json"]
        assert main([*argv, "--pieces", "3"]) == 0
        report = json.loads(capsys.readouterr().out)
        checkpoint = read_checkpoint(place / "run" / "best")
        pieces = Dataset.open(place / "data").pieces("train")
        found = evaluate(
            from_weights(checkpoint.config, checkpoint.weights),
            checkpoint.codec,
            [pieces[index] for index in (0, 1, 3)],
        )
        assert (report["pieces"], len(pieces)) == (3, 5)
        assert report.items() >= found.to_dict().items()

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--split", "exam"], "has no split 'exam'; it has train, validation"),
            (["--threads", "0"], "--threads is 0; it must be at least 1"),
            (["--pieces", "-1"], "--pieces is -1; it must be at least 0"),
        ],
    )
    def test_flags_that_mean_nothing_are_refused(
        self, place: Path, capsys: Capture, flags: list[str], message: str
    ) -> None:
        argv = ["evaluate", str(place / "run"), str(place / "data"), *flags]
        assert message in refused(capsys, argv)

    def test_what_is_not_there_is_told(self, place: Path, capsys: Capture) -> None:
        run, data = str(place / "run"), str(place / "data")
        assert "there is no model 'none'" in refused(capsys, ["evaluate", "none", data])
        assert "is not a data set" in refused(capsys, ["evaluate", run, str(place / "songs")])
        assert "holds no model" in refused(capsys, ["evaluate", str(place / "songs"), data])

    def test_a_data_set_of_another_codec_is_refused(self, place: Path, capsys: Capture) -> None:
        other = str(place / "other")
        song = str(place / "primer.mid")
        flags = ["--steps-per-second", "50", "--workers", "1"]
        assert main(["encode", song, "-o", other, *flags]) == 0
        line = refused(capsys, ["evaluate", str(place / "run"), other])
        assert (
            "have different codecs: both are performance, with another steps_per_second (100 and "
            "50). Encode the data set with the settings of the model"
        ) in line

    def test_a_model_of_another_codec_is_refused_and_both_codecs_are_named(
        self, place: Path, capsys: Capture
    ) -> None:
        line = refused(capsys, ["evaluate", "folk", str(place / "data")])
        assert "different codecs: text and performance. Choose a data set that was made" in line
        assert "{" not in line


class TestGenerate:
    def test_it_writes_a_file_and_says_how_to_make_it_again(
        self, place: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        assert generate(place, tmp_path / "a.mid") == 0
        line = capsys.readouterr().out.strip()
        seed = line.rpartition("(seed ")[2].rstrip(")")
        made = read_midi(tmp_path / "a.mid")
        assert line == f"{tmp_path / 'a.mid'}: {len(made)} new notes in 2 s (seed {seed})"
        assert generate(place, tmp_path / "b.mid", "--seed", seed) == 0
        assert (tmp_path / "b.mid").read_bytes() == (tmp_path / "a.mid").read_bytes()
        assert 0 < made.duration <= 2.001

    def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(
        self, place: Path, tmp_path: Path
    ) -> None:
        primer = ["--primer", str(place / "primer.mid")]
        for name, seed in (("a.mid", "7"), ("b.midi", "7"), ("c.MID", "8")):
            assert generate(place, tmp_path / name, "--seed", seed, *primer) == 0
        a, b, c = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
        assert a == b != c

    def test_a_primer_comes_first(self, place: Path, tmp_path: Path) -> None:
        primer = read_midi(place / "primer.mid").apply_sustain()
        assert generate(place, tmp_path / "a.mid", "--primer", str(place / "primer.mid")) == 0
        made = read_midi(tmp_path / "a.mid")
        assert len(made) > len(primer)
        np.testing.assert_allclose(made.start[: len(primer)], primer.start, atol=0.001)
        assert np.array_equal(made.pitch[: len(primer)], primer.pitch)
        assert primer.duration < made.duration <= primer.duration + 2.02

    def test_several_pieces_get_numbers_and_seeds_one_after_another(
        self, place: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        assert generate(place, tmp_path / "out.mid", "--count", "3", "--seed", "4") == 0
        written = sorted(path.name for path in tmp_path.glob("*.mid"))
        assert written == ["out-1.mid", "out-2.mid", "out-3.mid"]
        lines = capsys.readouterr().out.splitlines()
        assert [line[-8:] for line in lines] == ["(seed 4)", "(seed 5)", "(seed 6)"]
        assert generate(place, tmp_path / "alone.mid", "--seed", "5") == 0
        assert (tmp_path / "alone.mid").read_bytes() == (tmp_path / "out-2.mid").read_bytes()

    def test_a_picture_is_drawn_too(self, place: Path, tmp_path: Path) -> None:
        picture = tmp_path / "a.png"
        primer = ["--primer", str(place / "primer.mid"), "--plot", str(picture)]
        assert generate(place, tmp_path / "a.mid", *primer) == 0
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_knobs_reach_the_sampler(self, place: Path, tmp_path: Path) -> None:
        cold = ["--temperature", "0"]
        for name, seed in (("a.mid", "1"), ("b.mid", "2")):
            assert generate(place, tmp_path / name, "--seed", seed, *cold) == 0
        assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
        assert generate(place, tmp_path / "c.mid", "--max-note-seconds", "0.1") == 0
        made = read_midi(tmp_path / "c.mid")
        assert (made.end - made.start <= 0.102).all()

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--seconds", "0"], "seconds is 0; allowed are above 0, up to 86400"),
            (["--seconds", "nan"], "seconds is nan"),
            (["--count", "0"], "--count is 0; allowed are 1 to 1,000,000"),
            (["--seed", "-1"], "--seed is -1; it must be 0 or more"),
            (["--temperature", "-1"], "temperature is -1.0; allowed are 0 to 10"),
            (["--top-p", "2"], "error: --top-p is 2.0; allowed are 0 to 1"),
            (["--primer", "none.mid"], "none.mid: there is no such file"),
            (["--primer", "."], ".: is a folder, not a MIDI file"),
            (["--engine", "steam"], "there is no engine 'steam'; known are "),
            (["--plot", "roll.txt"], "roll.txt does not say which kind of picture to write"),
        ],
    )
    def test_flags_that_mean_nothing_are_refused_and_leave_nothing(
        self, place: Path, tmp_path: Path, capsys: Capture, flags: list[str], message: str
    ) -> None:
        argv = ["generate", "-o", str(tmp_path / "a.mid"), "--model", str(place / "run"), *flags]
        assert message in refused(capsys, argv)
        assert not list(tmp_path.iterdir())

    def test_a_model_that_is_not_there_is_told(self, tmp_path: Path, capsys: Capture) -> None:
        argv = ["generate", "-o", str(tmp_path / "a.mid"), "--model", "none"]
        assert "there is no model 'none'" in refused(capsys, argv)
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_is_missing_is_made(self, place: Path, tmp_path: Path) -> None:
        assert generate(place, tmp_path / "new" / "folder" / "a.mid") == 0
        assert len(read_midi(tmp_path / "new" / "folder" / "a.mid")) > 0

    @pytest.mark.parametrize(
        ("output", "reason"),
        [
            ("primer.mid/a.mid", "Not a directory"),
            ("run", "it is a folder"),
            ("a.pdf", "its name must end in .abc or .kar or .mid or .midi or .rmi or .txt"),
            ("x" * 300 + ".mid", "File name too long"),
        ],
    )
    def test_a_place_that_cannot_be_written_is_told_before_anything_is_loaded(
        self, place: Path, capsys: Capture, output: str, reason: str
    ) -> None:
        path = place / output
        line = refused(capsys, ["generate", "-o", str(path), "--model", "none"])
        assert line == f"midirnn: error: {path} cannot be written ({reason})"

    def test_so_is_a_picture_that_cannot_be_written(self, place: Path, capsys: Capture) -> None:
        picture = place / "primer.mid" / "a.png"
        argv = ["generate", "-o", str(place / "a.mid"), "--model", "none", "--plot", str(picture)]
        assert f"{picture} cannot be written (Not a directory)" in refused(capsys, argv)

    def test_wrong_usage_has_exit_code_2(self, capsys: Capture) -> None:
        assert "--output requires an argument" in refused(capsys, ["generate"], 2)
        argv = ["generate", "-o", "x.mid", "--temprature", "1"]
        assert "Did you mean --temperature?" in refused(capsys, argv, 2)


class TestPrimerFlags:
    def drums(self, place: Path) -> Path:
        part = Part(channel=9)
        drums = Performance.from_notes([(i / 4, i / 4 + 0.2, 36, 80) for i in range(9)], (), [part])
        write_midi(drums, place / "drums.mid")
        return place / "drums.mid"

    def test_drums_are_left_out_with_a_line_or_used_with_a_flag(
        self, place: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        primer = ["--primer", str(self.drums(place))]
        assert generate(place, tmp_path / "a.mid", *primer, "--seed=1") == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert "all its 9 notes are on channel 10" in line
        assert line.endswith("(use them with --primer-drums)")
        assert generate(place, tmp_path / "b.mid", *primer, "--primer-drums", "--seed=1") == 0
        assert capsys.readouterr().err == ""
        assert (read_midi(tmp_path / "b.mid").pitch == 36).sum() >= 9

    def test_a_passage_is_continued_and_the_new_notes_are_a_track_or_a_file_of_their_own(
        self, place: Path, tmp_path: Path
    ) -> None:
        flags = ["--primer", str(place / "primer.mid"), "--primer-from", "-1.5", "--seed=1"]
        assert generate(place, tmp_path / "both.mid", *flags) == 0
        assert generate(place, tmp_path / "new.mid", *flags, "--only-new") == 0
        both, new = read_midi(tmp_path / "both.mid"), read_midi(tmp_path / "new.mid")
        assert both.parts[-1].name == new.parts[-1].name == NEW_PART
        last = both.select(both.part == len(both.parts) - 1)
        assert last.pitch.tolist() == new.pitch.tolist()
        assert both.duration <= 3.6
        assert new.duration <= 2.1

    def test_a_passage_that_ends_with_a_rest_keeps_its_length(
        self, place: Path, tmp_path: Path
    ) -> None:
        gap = Performance.from_notes([(0.0, 0.5, 60, 80), (4.0, 4.5, 64, 80)])
        write_midi(gap, tmp_path / "gap.mid")
        flags = ["--primer", str(tmp_path / "gap.mid"), "--primer-seconds", "2", "--seed=1"]
        for more in ([], ["--best-of", "2"], ["--count", "2", "--batch", "2"]):
            target = tmp_path / f"a{len(more)}.mid"
            assert generate(place, target, *flags, *more) == 0
            made = read_midi(target if target.exists() else target.with_stem("a4-1"))
            assert made.start[1] >= 1.999
            assert made.duration <= 4.02

    def test_a_flag_without_a_primer_is_refused(self, place: Path, capsys: Capture) -> None:
        for flag in ("--primer-from=3", "--primer-seconds=3", "--primer-drums"):
            line = refused(capsys, ["generate", "-o", "x.mid", "--model", str(place / "run"), flag])
            assert line.endswith("name its file with --primer")

    def test_a_long_primer_is_announced(
        self, place: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("midirnn.cli.primers.LONG_PRIMER", 3)
        assert generate(place, tmp_path / "a.mid", "--primer", str(place / "primer.mid")) == 0
        assert "the model hears " in capsys.readouterr().err


def test_without_any_model_the_message_says_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(engines, "PRETRAINED", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "come with midirnn (none)" in refused(capsys, ["generate", "-o", "a.mid"])
