"""``midirnn generate``: many pieces, in processes and batches, resumed; and the best of many."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from midirnn.cli.main import main
from midirnn.cli.pieces import OutputFlags
from midirnn.midifile import read_midi, write_midi
from midirnn.performance import Performance
from tests.datasets.songs import write_song

MODEL = ("--model", "piano-small", "--seconds", "1", "--seed", "7")


def generate(folder: Path, *arguments: str) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    assert main(["generate", "-o", str(folder / "a.mid"), *MODEL, *arguments]) == 0
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.mid"))}


def test_pieces_depend_neither_on_the_workers_nor_on_the_batch(tmp_path: Path) -> None:
    first = generate(tmp_path / "1", "--count", "5", "--batch", "1")
    assert generate(tmp_path / "2", "--count", "5", "--batch", "4") == first
    assert generate(tmp_path / "3", "--count", "5", "--batch", "3", "--workers", "2") == first
    alone = generate(tmp_path / "4", "--count", "2")
    assert generate(tmp_path / "5", "--count", "2", "--workers", "2") == alone


def test_what_exists_is_kept_when_a_set_of_pieces_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = generate(tmp_path / "1", "--count", "3", "--batch", "2")
    (tmp_path / "1" / "a-2.mid").unlink()
    (tmp_path / "1" / "a-3.mid").write_bytes(b"mine")
    again = generate(tmp_path / "1", "--count", "3", "--batch", "2", "--resume")
    assert again == whole | {"a-3.mid": b"mine"}
    assert "2 of 3 files exist and are kept" in capsys.readouterr().err
    many = ("--count", "3", "--batch", "2", "--workers", "2", "--resume")
    assert generate(tmp_path / "1", *many) == again
    assert "3 of 3 files exist and are kept" in capsys.readouterr().err


def test_the_best_of_many_is_written_and_all_measures_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "1", "--best-of", "4", "--key", "C", "--by", "key")
    error = capsys.readouterr().err
    assert "key of 4 candidates: 1.000, 1.000" in error


def test_the_best_of_several_beams_is_written_and_all_measures_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (written,) = generate(tmp_path / "1", "--beam", "3", "--by", "key")
    assert "key of 3 candidates: " in capsys.readouterr().err
    assert generate(tmp_path / "2", "--beam", "3", "--by", "key")[written]


def test_music_comes_in_sections_and_how_alike_they_are_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.mid"
    argv = ["--sections", "ABA", "--section-seconds", "2", "--variation", "0.1"]
    assert (
        main(["generate", "-o", str(target), "--model", "piano-small", "--seed", "1", *argv]) == 0
    )
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line[1] == ":"]
    assert [line.split(",")[0] for line in lines] == ["A: 0 to 2 s", "B: 2 to 4 s", "A: 4 to 6 s"]
    assert lines[2].endswith(" like the first A")
    assert "new notes in 6 s (seed 1)" in printed.out


def test_pieces_in_sections_depend_neither_on_the_workers_nor_on_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", "piano-small", "--seed", "4")
    form = ("--sections", "ABA", "--section-seconds", "2", "--count", "3")
    made: list[dict[str, bytes]] = []
    for name, several in (("1", ["--batch", "1"]), ("2", ["--batch", "2", "--workers", "2"])):
        target = tmp_path / name / "a.mid"
        target.parent.mkdir()
        assert main(["generate", "-o", str(target), *model, *form, *several]) == 0
        made.append({path.name: path.read_bytes() for path in target.parent.glob("*.mid")})
        printed = capsys.readouterr().err
        assert printed.count(" like the first A") == 3
        assert "seed 6, B: 2 to 4 s" in printed
    assert len(made[0]) == 3
    assert made[0] == made[1]


def test_a_set_is_not_resumed_with_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = generate(tmp_path, "--count", "3", "--batch", "2")
    (tmp_path / "a-2.mid").unlink()
    song = write_song(tmp_path / "in" / "song.mid", 0)
    argv = ["generate", "-o", str(tmp_path / "a.mid"), *MODEL, "--count", "3", "--resume"]
    for other, line in (
        (["--batch", "2", "--top-p", "0.8"], "--top-p was 0.95 in the run to resume"),
        (["--batch", "2", "--key", "C"], "--key was not given in the run to resume"),
        (["--batch", "2", "--only-new"], "--only-new was False in the run to resume"),
        (["--batch", "2", "--primer", str(song)], "--primer is another"),
        ([], "--batch was given in the run to resume"),
    ):
        assert main([*argv, *other]) == 1
        assert line in capsys.readouterr().err
    other_model = [*argv[:3], "--model", "piano", *argv[5:], "--batch", "2"]
    assert main(other_model) == 1
    assert "--model is another than in the run to resume" in capsys.readouterr().err
    assert not (tmp_path / "a-2.mid").exists()
    assert generate(tmp_path, "--count", "3", "--batch", "3", "--resume") == whole


def test_resume_without_a_count_does_not_touch_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = generate(tmp_path)
    assert main(["generate", "-o", str(tmp_path / "a.mid"), *MODEL[:5], "8", "--resume"]) == 1
    assert "--resume is for a set of pieces: give its --count" in capsys.readouterr().err
    assert (tmp_path / "a.mid").read_bytes() == whole["a.mid"]


def test_a_set_that_is_complete_is_drawn_when_it_is_resumed(tmp_path: Path) -> None:
    generate(tmp_path, "--count", "2")
    song = write_song(tmp_path / "in" / "song.mid", 0)
    for name, more in (("plain", ()), ("primed", ("--primer", str(song)))):
        generate(tmp_path / name, "--count", "2", *more)
        plot = tmp_path / name / "a.svg"
        generate(tmp_path / name, "--count", "2", "--resume", "--plot", str(plot), *more)
        assert plot.exists()


def test_a_resumed_sets_drawing_ends_the_primer_where_the_first_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []

    def drawn(*_: object, primer_seconds: float, **__: object) -> None:
        ends.append(primer_seconds)

    monkeypatch.setattr("midirnn.plots.plot_piano_roll", drawn)
    song = write_midi_with_a_rest(tmp_path / "in" / "song.mid")
    flags = ("--primer", str(song), "--primer-seconds", "4", "--plot", str(tmp_path / "a.svg"))
    for more in ((), ("--resume",)):
        generate(tmp_path / "out", "--count", "2", *flags, *more)
    assert ends == [4.0, 4.0]


def write_midi_with_a_rest(path: Path) -> Path:
    notes = [(0.0, 1.0, 60, 80), (1.0, 2.0, 64, 80), (5.0, 6.0, 67, 80)]
    write_midi(Performance.from_notes(notes), path)
    return path


def test_a_set_is_not_resumed_with_a_file_whose_contents_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart, curves, measure = (tmp_path / name for name in ("c.txt", "c.csv", "m.py"))
    chart.write_text("C | F")
    curves.write_text("seconds,loudness\n0,60\n1,80\n")
    measure.write_text("def few(piece): return -len(piece)\n")
    drawn = ["--count", "2", "--chords", str(chart), "--curves", str(curves)]
    drawn += ["--best-of", "2", "--by", f"{measure}:few"]
    whole = generate(tmp_path, *drawn)
    assert generate(tmp_path, *drawn, "--resume") == whole
    for flag, file in (("chords", chart), ("curves", curves), ("by", measure)):
        before = file.read_text()
        file.write_text(before.replace("C |", "G |").replace("60", "50").replace("-len", "len"))
        assert file.read_text() != before
        argv = ["generate", "-o", str(tmp_path / "a.mid"), *MODEL, *drawn, "--resume"]
        assert main(argv) == 1
        assert f"the file of --{flag} is another than in the run to resume" in (
            capsys.readouterr().err
        )
        file.write_text(before)
    settings = tmp_path / "a.settings.json"
    old = {k: v for k, v in json.loads(settings.read_text()).items() if not k.startswith("the ")}
    settings.write_text(json.dumps(old))  # as it was written before there were digests
    chart.write_text("G | F")
    assert generate(tmp_path, *drawn, "--resume") == whole


def test_files_of_another_set_are_not_kept_as_those_of_the_set_to_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["generate", "-o", str(tmp_path / "a.mid"), *MODEL[:4]]
    assert main([*argv, "--seed", "1", "--count", "4"]) == 0
    of_another = {path: path.read_bytes() for path in tmp_path.glob("a-[34].mid")}
    assert main([*argv, "--seed", "9", "--count", "2"]) == 0
    capsys.readouterr()
    assert main([*argv, "--seed", "9", "--count", "4", "--resume"]) == 1
    error = capsys.readouterr().err
    assert "a-3.mid is not of the set to resume" in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in of_another} == of_another
    for path in of_another:
        path.unlink()
    assert main([*argv, "--seed", "9", "--count", "4", "--resume"]) == 0
    assert "2 of 4 files exist and are kept" in capsys.readouterr().err
    assert main([*argv, "--seed", "9", "--count", "2"]) == 0  # the same set: all stay known
    assert main([*argv, "--seed", "9", "--count", "4", "--resume"]) == 0
    assert "4 of 4 files exist and are kept" in capsys.readouterr().err


def test_what_an_interrupted_run_did_not_come_to_is_not_kept_as_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["generate", "-o", str(tmp_path / "a.mid"), *MODEL[:4], "--count", "4"]
    assert main([*argv, "--seed", "1"]) == 0
    write = OutputFlags.write

    def interrupted(self: OutputFlags, codec: Any, made: Any, path: Path, seed: int) -> None:
        if path.stem == "a-3":
            raise KeyboardInterrupt
        write(self, codec, made, path, seed)

    monkeypatch.setattr(OutputFlags, "write", interrupted)
    assert main([*argv, "--seed", "9"]) == 130
    monkeypatch.undo()
    assert main([*argv, "--seed", "9", "--resume"]) == 1
    assert "a-3.mid is not of the set" in capsys.readouterr().err
    assert main([*argv, "--seed", "9"]) == 0
    assert main([*argv, "--seed", "9", "--resume"]) == 0
    assert "4 of 4 files exist and are kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["--seconds", "100000"], ["--follow", "7"], ["--tokens", "9"], ["--engine", "none"]],
)
def test_a_run_that_fails_leaves_the_settings_of_the_set_as_they_are(
    tmp_path: Path, wrong: list[str]
) -> None:
    whole = generate(tmp_path, "--count", "2")
    settings = (tmp_path / "a.settings.json").read_bytes()
    argv = ["generate", "-o", str(tmp_path / "a.mid"), "--model", "piano-small"]
    assert main([*argv, "--seed", "5", "--count", "3", *wrong]) == 1
    assert (tmp_path / "a.settings.json").read_bytes() == settings
    assert generate(tmp_path, "--count", "2", "--resume") == whole


def test_a_default_that_is_given_is_the_same_setting_as_one_that_is_not(
    tmp_path: Path,
) -> None:
    drawn = ("--count", "2", "--best-of", "2", "--chords", "C | F")
    whole = generate(tmp_path, *drawn)
    (tmp_path / "a-2.mid").unlink()
    given = ("--by", "likelihood", "--beats-per-bar", "4", "--resume")
    assert generate(tmp_path, *drawn, *given) == whole


def test_without_its_settings_a_set_is_resumed_and_a_line_says_what_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = generate(tmp_path, "--count", "2", "--batch", "2")
    (tmp_path / "a.settings.json").unlink()
    assert generate(tmp_path, "--count", "2", "--batch", "2", "--resume") == whole
    assert "whether the settings are the same is unknown" in capsys.readouterr().err
    (tmp_path / "a.settings.json").write_text("[1")
    many = ["--count", "2", "--resume"]
    assert main(["generate", "-o", str(tmp_path / "a.mid"), *MODEL, *many]) == 1
    assert "holds no settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--count", "3", "--workers", "0"], "--workers is 0"),
        (["--count", "100000000"], "--count is 100000000; allowed are 1 to 1,000,000"),
        (["--count", "3", "--batch", "0"], "--batch is 0; it must be at least 1"),
        (["--batch", "4"], "--batch is for a set of pieces: give its --count"),
        (["--workers", "2", "--batch", "4"], "--workers is for a set of pieces: give its --count"),
        (["--best-of", "0"], "--best-of is 0"),
        (["--beam", "0"], "--beam is 0; it must be at least 1"),
        (["--beam", "4", "--best-of", "2"], "--best-of and --beam exclude one another"),
        (["--beam", "4", "--by", "continuity"], "continuity is nearness to a primer"),
        (["--beam", "2", "--tokens", "9"], "--beam is for music: say how much to generate in sec"),
        (["--beam", "999"], "beam is 999; allowed are 1 to 256"),
        (["--sections", "AABA"], "with --sections give --section-seconds"),
        (["--sections", "AA", "--beam", "2"], "--beam and --sections exclude one another"),
        (["--by", "key"], "--by chooses among candidates: give --best-of or --beam"),
        (["--variation", "0.3"], "--variation is for --sections, which were not given"),
        (["--section-seconds", "20"], "--section-seconds is for --sections, which were not given"),
        (["--beats-per-bar", "4"], "--beats-per-bar is for the bars of --chords"),
        (["--best-of", "2", "--by", "beauty"], "there is no measure 'beauty'"),
        (["--best-of", "2", "--by", "continuity"], "continuity is nearness to a primer"),
        (["--model", "folk", "--best-of", "2"], "--best-of is for music"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    model = MODEL[4:] if "--model" in arguments else MODEL
    assert main(["generate", "-o", str(tmp_path / "a.mid"), *model, *arguments]) == 1
    assert line in capsys.readouterr().err
    assert not list(tmp_path.glob("*.mid"))


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_leaves_whole_files_only_and_what_is_missing_can_be_made(
    tmp_path: Path, workers: str
) -> None:
    many = ["--count", "400", "--batch", "4", "--workers", workers]
    argv = ["generate", "-o", str(tmp_path / "a.mid"), *MODEL, *many]
    process = subprocess.Popen(
        [sys.executable, "-m", "midirnn", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches all processes of a terminal
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "midirnn: interrupted"
    written = sorted(path for path in tmp_path.iterdir() if path.suffix != ".json")
    assert 5 <= len(written) < 400
    for path in written:
        assert path.suffix == ".mid"
        read_midi(path)  # raises if it is not whole


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_does_not_wait_for_long_pieces_of_other_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "midirnn", "generate", "-o", str(tmp_path / "a.mid")]
    command += ["--model", "piano-small", "--seconds", "600", "--count", "4", "--workers", "2"]
    with subprocess.Popen(command, start_new_session=True) as process:
        time.sleep(4.0)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(10.0) == 130


def test_the_second_of_two_runs_with_one_output_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, lock = tmp_path / "a.mid", tmp_path / "a.settings.lock"
    command = [sys.executable, "-m", "midirnn", "generate", "-o", str(target), *MODEL]
    with subprocess.Popen([*command, "--count", "500"], stdout=subprocess.DEVNULL) as first:
        try:
            deadline = time.monotonic() + 60.0
            while not (tmp_path / "a-2.mid").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert lock.exists()
            for more in ([], ["--resume"]):
                argv = ["generate", "-o", str(target), *MODEL, "--count", "500", *more]
                assert main(argv) == 1
                assert "another process is writing the set" in capsys.readouterr().err
        finally:
            first.kill()
    generate(tmp_path, "--count", "3", "--resume")  # the lock of a killed process holds no longer
    assert not lock.exists()


def test_standard_output_takes_one_midi_file_but_several_texts(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (MODEL, ("--model", "folk", "--format", "mid")):
        assert main(["generate", "-o", "-", *arguments, "--count", "2"]) == 1
        printed = capfdbinary.readouterr()
        assert printed.out == b""
        assert b"--count is 2, and standard output takes one MIDI file" in printed.err
    texts = ["--model", "folk", "--tokens", "20", "--seed", "1", "--count", "2"]
    assert main(["generate", "-o", "-", *texts]) == 0
    assert capfdbinary.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_resuming_needs_the_seed_of_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "-o", str(tmp_path / "a.mid"), "--count", "2", "--resume"]) == 1
    assert "give the --seed of the rest" in capsys.readouterr().err
