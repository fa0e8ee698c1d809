"""The scripts that encode well-known data sets, each on a few files laid out as those are."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn import Dataset, Part, Performance, write_midi
from tests.datasets.songs import song, write_song, write_songs

SCRIPTS = Path(__file__).parents[1] / "scripts"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SPLITS = str(SHARED / "splits.csv")


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def encode(script: str, folder: Path, output: Path, *flags: str) -> Dataset:
    """Return the data set that a script makes; it says what is in it."""
    ended = run(script, folder, "-o", output, *flags)
    assert ended.returncode == 0, ended.stderr
    assert "train" in ended.stdout
    return Dataset.open(output)


def paths(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [row["path"] for row in dataset.rows(split)] for split in dataset.splits}


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_folder_in_two_processes_under_the_settings_given(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 40)
    (songs / "bad.mid").write_bytes(b"MThd")
    dataset = encode(
        "encode_folder.py", songs, tmp_path / "out", "--velocity-bins", "8", "--workers", "2"
    )
    assert sum(count.files for count in dataset.counts.values()) == 40
    assert dataset.codec.settings()["velocity_bins"] == 8


def test_maestro_has_the_splits_of_its_publisher(tmp_path: Path) -> None:
    folder = tmp_path / "maestro"
    names = {"2004/a.midi": "train", "2004/b.midi": "validation", "2018/c.midi": "test"}
    for seed, name in enumerate(names):
        write_song(folder / name, seed)
    rows = [{"midi_filename": name, "split": split} for name, split in names.items()]
    write_table(folder / "maestro-v3.0.0.csv", rows)
    found = paths(encode("encode_maestro.py", folder, tmp_path / "out"))
    assert found == {split: [name] for name, split in names.items()}


def test_maestro_without_its_table_is_an_error_of_one_line(tmp_path: Path) -> None:
    ended = run("encode_maestro.py", write_songs(tmp_path / "songs", 1), "-o", tmp_path / "out")
    assert ended.returncode == 1
    assert "holds no maestro-v*.csv" in ended.stderr
    assert ended.stderr.count("\n") == 1


def asap_row(title: str, path: str, maestro: str = "") -> dict[str, str]:
    return {
        "composer": "Bach",
        "title": title,
        "midi_performance": path,
        "maestro_midi_performance": maestro,
    }


def test_asap_keeps_all_performances_of_a_work_in_one_split(tmp_path: Path) -> None:
    folder = tmp_path / "asap"
    rows = []
    for work in range(846, 858):
        for kind in ("Prelude", "Fugue"):
            for player in ("A", "B"):
                path = f"Bach/{kind}/bwv_{work}/{player}.mid"
                write_song(folder / path, seed=len(rows))
                maestro = "{maestro}/x.midi" if player == "B" else ""
                rows.append(asap_row(f"{kind}_bwv_{work}", path, maestro))
        write_song(folder / f"Bach/Fugue/bwv_{work}/midi_score.mid", seed=work)
    write_table(folder / "metadata.csv", rows)
    found = paths(encode("encode_asap.py", folder, tmp_path / "all"))
    assert sum(map(len, found.values())) == 48
    assert len(found) == 3
    works = {split: {path.split("/")[2] for path in names} for split, names in found.items()}
    assert sum(map(len, works.values())) == 12
    own = paths(encode("encode_asap.py", folder, tmp_path / "own", "--without-maestro"))
    assert {path[-5:] for names in own.values() for path in names} == {"A.mid"}


def test_of_lakh_the_piano_parts_are_encoded(tmp_path: Path) -> None:
    folder = tmp_path / "lmd_full"
    band = Performance.from_notes([(0, 1, 60, 64), (0, 1, 72, 64), (0, 1, 40, 64)]).replace(
        part=[2, 0, 1],  # of the pitches 40, 60 and 72
        parts=(Part(0, 0), Part(73, 1), Part(0, 9)),
    )
    folder.mkdir()
    write_midi(band, folder / "band.mid")
    write_midi(song().replace(parts=(Part(73, 0),)), folder / "flute.mid")
    for seed in range(3):
        write_song(folder / f"{seed}.mid", seed)
    dataset = encode("encode_lakh.py", folder, tmp_path / "out")
    assert sum(map(len, paths(dataset).values())) == 4
    (split,) = (name for name, names in paths(dataset).items() if "band.mid" in names)
    tokens = dataset.pieces(split)[paths(dataset)[split].index("band.mid")]
    assert list(dataset.codec.decode(tokens).pitch) == [60]
    refused = (tmp_path / "out" / "refused.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in refused] == ["flute.mid"]


@pytest.mark.skipif(not (SHARED / "splits.csv").is_file(), reason="needs the data sets themselves")
@pytest.mark.skipif(
    "MIDIRNN_EVERY_FILE" not in os.environ, reason="takes minutes; MIDIRNN_EVERY_FILE is not set"
)
@pytest.mark.parametrize(
    ("script", "folder", "flags", "files"),
    [
        (
            "encode_maestro.py",
            "performances/maestro",
            ["--splits", str(SHARED / "splits.csv")],
            1226,
        ),
        ("encode_asap.py", "scores_and_performances/asap", [], 1021),
        ("encode_lakh.py", "pop909", [], 909),
        ("encode_folder.py", "ensemble", [], 504),
    ],
)
def test_each_encodes_the_whole_of_a_data_set(
    tmp_path: Path, script: str, folder: str, flags: list[str], files: int
) -> None:
    dataset = encode(script, SHARED / folder, tmp_path / "out", *flags)
    assert sum(count.files for count in dataset.counts.values()) == files
