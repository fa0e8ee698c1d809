"""Training curves: read from what a run wrote, even while it still runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from midirnn.errors import CheckpointError, OptionError
from midirnn.plots import plot_curves
from midirnn.plots.curves import read_runs


def write_run(folder: Path, steps: int = 50, *, validation: bool = True) -> Path:
    """The folder, with the metrics of a run in it."""
    folder.mkdir(parents=True)
    lines = []
    for step in range(1, steps + 1):
        record = {"step": step, "tokens": step * 64, "loss": 2 + 3 / step, "lr": 1e-3 / step}
        lines.append(json.dumps(record | {"tokens_per_second": 5000.0}))
        if validation and step % 10 == 0:
            nats = {"step": step, "tokens": step * 64, "validation_nats_per_token": 2.1 + 3 / step}
            lines.append(json.dumps(nats))
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
def test_one_run_and_several_can_be_drawn(tmp_path: Path, name: str) -> None:
    runs = [write_run(tmp_path / "one"), write_run(tmp_path / "two", validation=False)]
    plot_curves(runs[:1], tmp_path / name, title="One")
    plot_curves(runs, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_the_best_validation_is_written_into_the_legend(tmp_path: Path) -> None:
    plot_curves([write_run(tmp_path / "run")], tmp_path / "a.svg")
    assert "validation, best 2.160" in (tmp_path / "a.svg").read_text()


def test_a_run_that_wrote_a_single_step_shows_it_as_points(tmp_path: Path) -> None:
    points = []
    for steps in (1, 2):
        run = write_run(tmp_path / str(steps), steps=steps, validation=False)
        plot_curves([run], tmp_path / f"{steps}.svg")
        picture = (tmp_path / f"{steps}.svg").read_text()
        points.append(len(re.findall(r"<g clip-path[^>]*>\s*<use", picture)))
    assert points == [3, 0]


def test_a_last_line_that_breaks_off_is_passed_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=5, validation=False)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "tok')
    assert len(read_runs([run])[0].records) == 5


def test_a_run_that_was_resumed_has_each_step_once_and_the_later_one(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=5, validation=False)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "tokens": 256, "loss": 9.0}\n')
    records = read_runs([run])[0].records
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5]
    assert records[3]["loss"] == 9.0


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a" / "run"), write_run(tmp_path / "b" / "run")]
    assert [run.name for run in read_runs(runs)] == [str(run) for run in runs]


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 1, "tokens": 64, "loss": NaN}',
        '{"step": 1, "tokens": 64, "loss": 3.0}',
        '{"step": 1, "tokens": 64, "loss": null}',
        '{"step": 1, "tokens": 64, "validation_nats_per_token": 2.5}',
    ],
)
def test_a_run_of_one_record_can_be_drawn(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    plot_curves([tmp_path], tmp_path / "a.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"step": 1', "is empty"),
        ('nonsense\n{"step": 1, "tokens": 1}\n', "line 1 is not a record"),
        ('[1]\n{"step": 1, "tokens": 1}\n', "line 1 is not a record"),
    ],
)
def test_metrics_that_cannot_be_read_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        plot_curves([tmp_path], tmp_path / "a.png")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no metrics\.jsonl"):
        plot_curves([tmp_path], tmp_path / "a.png")


def test_a_run_that_has_not_logged_yet_is_told_apart_from_a_folder_that_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "last").mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl yet: .* too few steps"):
        plot_curves([tmp_path], tmp_path / "a.png")


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run to draw"):
        plot_curves([], tmp_path / "a.png")


def test_an_unknown_suffix_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.png or \.svg or \.pdf"):
        plot_curves([tmp_path / "nowhere"], tmp_path / "a.jpg")
