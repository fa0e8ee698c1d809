"""The scripts that measure engines run, and report nothing from a busy machine."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.datasets import SplitShares, encode_files
from midirnn.engines.load import load
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.midifile import write_midi
from midirnn.models.checkpoint import write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.native import has_compiler
from midirnn.performance import Performance
from tests.datasets.songs import write_song, write_songs
from tests.engines.stepping import CODEC, CONFIGS, step_through, trained_weights
from tests.jack_fixture import need_jack

SCRIPTS = Path(__file__).parents[1] / "scripts"
SMALL = ("--hidden-size", "16", "--num-layers", "1", "--seconds", "0.05")
SMALL_TRAINING = (
    *("--hidden-size", "16", "--num-layers", "2", "--batch-size", "2", "--window", "8"),
    *("--rounds", "1", "--threads", "1"),
)


def run(script: str, *argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_checkpoint(folder, CONFIGS[1], CODEC, trained_weights(CONFIGS[1]), {})
    return folder


def test_beams_are_measured_beside_samples() -> None:
    example = SCRIPTS.parent / "data" / "examples" / "bach_prelude_bwv846.mid"
    argv = ("--beam", "2", "--seconds", "1", "--seeds", "1", "--model", "piano-small", "--json")
    rows = json.loads(run("compare_beams.py", example, *argv).stdout)
    assert [row["kind"] for row in rows] == [
        "independent samples",
        "stochastic beams",
        "plain beams",
    ]
    assert rows[2]["nats per token"] < rows[0]["nats per token"]


def test_pedalling_is_measured_beside_the_pianists(tmp_path: Path) -> None:
    starts = np.arange(0.0, 80.0, 0.5)
    piece = Performance.from_notes([(at, at + 0.4, 60, 64) for at in starts.tolist()])
    times = np.arange(0.0, 80.0, 1.0)  # down in the first half of every other second
    values = np.where(np.arange(len(times)) % 2, 0, 127).astype(np.uint8)
    none = np.zeros(len(times))
    piece = piece.replace(
        pedal_time=times,
        pedal_value=values,
        pedal_part=none.astype(np.int32),
        pedal_shared=none.astype(bool),
    )
    write_midi(piece, tmp_path / "piece.mid")
    done = run("measure_pedalling.py", tmp_path / "piece.mid", "--top-p", "1")
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert rows[2] == ["pianists", "50%", "0.50", "2.0"]
    assert rows[3][0] == "--top-p 1"
    assert 0 <= int(rows[3][1].rstrip("%")) <= 100


def test_the_cost_of_batches_is_measured_beside_updates(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="it trains")
    songs = write_songs(tmp_path / "songs", 6)
    shares = SplitShares(validation=0.2, test=0.2)
    encode_files([songs], tmp_path / "data", splits=shares, workers=1)
    argv = ("--segments", "1", "--hidden-size", "16", "--num-layers", "1")
    lines = run("measure_batches.py", tmp_path / "data", *argv).stdout.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines[2:5]]
    for _, batch, update, share in rows:
        assert float(batch.removesuffix(" ms")) > 0
        assert float(update.removesuffix(" ms")) >= 0
        assert float(share.rstrip("%")) > 0


def test_returns_are_measured_in_real_and_generated_music() -> None:
    example = SCRIPTS.parent / "data" / "examples" / "bach_prelude_bwv846.mid"
    argv = ("--seconds", "2", "--generate", "1", "--model", "piano-small")
    found, generated = run("measure_returns.py", example, *argv).stdout.splitlines()
    assert "bach_prelude_bwv846.mid: 5 s comes back at" in found
    assert generated.startswith("variation 0.3: second A ")


def test_generating_is_measured_beside_torch() -> None:
    argv = ("--batches", "2", "--seconds", "0.2", "--model", "piano-small", "--json")
    report = json.loads(run("benchmark_generate.py", *argv).stdout)
    (row,) = report["tokens_per_second"]
    assert row["batch"] == 2
    assert row["midirnn"] > 0 and row["torch.nn.LSTM"] > 0


def test_steps_are_timed_with_what_else_was_running() -> None:
    for library in ("onnxruntime", "torch"):
        pytest.importorskip(library, reason="its step is timed")
    done = run("benchmark_step.py", *SMALL, "--anyway", "--json", "--pause-ms", "1")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["absent"].keys() == ({"native"} if not has_compiler() else set())
    timings = {(t["engine"], t["pause_ms"]): t for t in report["timings"]}
    compiled = ("native",) if has_compiler() else ()
    engines = (*compiled, "onnxruntime", "numpy", "torch", "torch-no-onednn")
    assert set(timings) == {(name, pause) for name in engines for pause in (0.0, 1.0)}
    for timing in timings.values():
        assert 0 < timing["p10_ms"] <= timing["median_ms"] <= timing["p90_ms"]
        assert timing["steps"] > 0
    assert report["hidden_size"] == 16
    assert report["terms"] == []
    assert report["other_processes_cores"] >= 0
    assert {"machine", "cores", "versions", "load_average"} <= set(report)


def test_the_steps_of_a_model_are_timed_in_a_table(model: Path) -> None:
    argv = ("--model", model, "--engines", "numpy", "--seconds", "0.05", "--anyway")
    done = run("benchmark_step.py", *argv)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"lstm 3 x 32 ({model}), batch 1, one thread"
    assert [line.split()[0] for line in lines[-2:]] == ["numpy", "numpy"]


def test_what_terms_take_of_a_step_is_timed() -> None:
    argv = (*SMALL, "--term-notes", "30", "--engines", "numpy", "--anyway", "--pause-ms", "1")
    report = json.loads(run("benchmark_step.py", *argv, "--json").stdout)
    ways = ("numpy", "C++") if has_compiler() else ("numpy",)
    timings = {(t["way"], t["pause_ms"]): t for t in report["terms"]}
    assert set(timings) == {(way, pause) for way in ways for pause in (0.0, 1.0)}
    for timing in timings.values():
        assert 0 < timing["median_us"] <= timing["p90_us"] and timing["steps"] > 0
        assert timing["follow_us"] > 0 and timing["add_us"] > 0
    lines = run("benchmark_step.py", *argv).stdout.splitlines()
    assert sum(line.startswith(("numpy", "C++")) for line in lines) == 2 + 2 * len(ways)
    assert any(line.startswith("the structured output's part") for line in lines)


def test_other_cells_are_timed() -> None:
    step = run("benchmark_step.py", *SMALL, "--cell", "gru", "--engines", "numpy", "--anyway")
    assert step.stdout.startswith("gru 1 x 16 (random weights)")
    done = run("benchmark_train.py", *SMALL_TRAINING, "--cell", "rnn", "--anyway", "--json")
    report = json.loads(done.stdout)
    assert report["cell"] == "rnn"
    assert {"midirnn fp32", "nn.RNN fp32"} <= set(report["tokens_per_second"])


def test_training_is_timed_with_what_else_was_running() -> None:
    done = run("benchmark_train.py", *SMALL_TRAINING, "--anyway", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    speeds = report["tokens_per_second"]
    # Those in bf16 are there only where the processor has it.
    exact = {name for name in speeds if not name.endswith("bf16")}
    assert exact == {"midirnn fp32", "loop in PyTorch fp32", "nn.LSTM fp32"}
    assert all(speed > 0 for speed in speeds.values())
    assert (report["hidden_size"], report["batch_size"], report["window"]) == (16, 2, 8)
    assert report["other_processes_cores"] >= 0
    assert {"machine", "cores", "python", "torch", "threads"} <= set(report)


@pytest.fixture(autouse=True)
def scripts_import_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("benchmark_step.py", (*SMALL, "--engines", "numpy")),
        ("benchmark_train.py", SMALL_TRAINING),
    ],
)
@pytest.mark.parametrize("busy", [(0.9,), (0.0, 0.9)])
def test_nothing_is_reported_of_a_busy_machine(
    name: str,
    flags: tuple[str, ...],
    busy: tuple[float, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script: dict[str, Any] = runpy.run_path(str(SCRIPTS / name))
    answers = iter(busy)
    monkeypatch.setattr(script["OtherLoad"], "cores", lambda self: next(answers))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(sys, "argv", [name, *flags])
    assert script["main"]() == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("other processes use 0.90 of a core, over 0.2")


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="reads the processors' time there")
def test_what_it_computes_itself_is_not_another_process() -> None:
    script = runpy.run_path(str(SCRIPTS / "benchmark_step.py"))
    others, idle = script["OtherLoad"](), script["OtherLoad"]()
    idle._own += 0.3  # as if this process had computed that much less of what was computed
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert idle.cores() > others.cores()


@pytest.mark.parametrize("config", CONFIGS)
def test_torch_steps_through_a_model_as_the_engines_do(config: ModelConfig) -> None:
    pytest.importorskip("torch", reason="makes the step")
    script = runpy.run_path(str(SCRIPTS / "torch_step.py"))
    weights = trained_weights(config)
    found = step_through(script["TorchEngine"](config, weights, one_dnn=True), 50)
    expected = step_through(NumpyEngine(config, weights), 50)
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-4)


def test_engines_are_compared_on_a_data_set(tmp_path: Path, model: Path) -> None:
    pytest.importorskip("onnxruntime", reason="compares its engine")
    shares = SplitShares(validation=0.9, test=0.0)
    songs = write_songs(tmp_path / "songs", 6)
    encode_files([songs], tmp_path / "ds", codec=CODEC, splits=shares, workers=1)
    argv = (model, tmp_path / "ds", "--pieces", 2, "--tokens", 30)
    done = run("compare_engines.py", *argv, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    nats = report["nats_per_token"]
    assert report["tokens"] == 60
    assert nats["onnxruntime"] == pytest.approx(nats["numpy"], abs=0.05)
    assert 0 < report["mean_difference"]["onnxruntime"] < 0.1 * report["logit_spread"]
    table = run("compare_engines.py", *argv).stdout.splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["numpy", "onnxruntime"]


def test_encoding_is_timed_beside_what_is_installed(tmp_path: Path) -> None:
    done = run("benchmark_encode.py", write_songs(tmp_path / "songs", 3), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    ours, read_only = report["timings"][:2]
    assert (ours["library"], ours["files"]) == ("midirnn", 3)
    assert read_only["library"].startswith("pretty_midi")
    assert set(report["absent"]) <= {"MidiTok", "note-seq"}
    assert run("benchmark_encode.py", tmp_path / "songs").stdout.count("\n") >= 4
    (tmp_path / "empty").mkdir()
    assert "no MIDI files" in run("benchmark_encode.py", tmp_path / "empty").stderr


def test_the_memory_of_encoding_many_files_is_measured(tmp_path: Path) -> None:
    done = run(
        "measure_encoding_memory.py",
        tmp_path / "many",
        "--files",
        "300",
        "--workers",
        "1",
        "--json",
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["files"], report["refused"]) == (300, 0)
    assert 20 < report["most_megabytes_of_this_process"] <= report["most_megabytes"]
    assert len(list((tmp_path / "many" / "midi").rglob("*.mid"))) == 300


@pytest.mark.parametrize(("count", "flags"), [(3, []), (1, ["--jack"])])
def test_the_style_of_answers_is_measured_beside_the_pianists(
    tmp_path: Path, count: int, flags: list[str]
) -> None:
    if "--jack" in flags:
        need_jack()
    for seed in range(4):
        write_song(tmp_path / "songs" / f"{seed}.mid", seed, notes=200)
    shares = SplitShares(validation=0.0, test=0.99)
    codec = load("piano-small").codec
    encode_files([tmp_path / "songs"], tmp_path / "ds", codec=codec, splits=shares, workers=1)
    argv = ("--count", count, "--seconds", 3, "--model", "piano-small", "--json", *flags)
    done = run("measure_answer_style.py", tmp_path / "ds", *argv)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["performances"], report["unanswered"]) == (count, 0)
    span, distances = report["headline"], report["distances"]
    assert set(distances) == {"pianist", "answers"}
    assert all(0 < of[span]["all"] < 5 for of in distances.values())


def test_players_of_an_ensemble_are_measured_beside_a_performer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script: dict[str, Any] = runpy.run_path(str(SCRIPTS / "measure_ensemble.py"))
    argv = ["", "--model", "piano-small", "--seeds", "1", "--seconds", "8"]
    monkeypatch.setattr(sys, "argv", argv)
    script["main"]()
    first, *others = capsys.readouterr().out.splitlines()
    assert int(re.findall(r"(\d+) %", first)[0]) > 60
    assert [line.partition(":")[0] for line in others] == [
        f"performer at {velocity}" for velocity in (30, 64, 105)
    ]
