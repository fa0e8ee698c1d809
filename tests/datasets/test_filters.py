"""Filters leave out pieces, and parts of them, and count what they leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midirnn import (
    DatasetError,
    OptionError,
    Part,
    Performance,
    PieceFilter,
    SplitShares,
    encode_files,
    write_midi,
)
from midirnn.cli.main import main
from midirnn.datasets import Dataset
from tests.datasets.songs import write_song

ALL_TRAIN = SplitShares(0.0, 0.0)
BAND = Performance(
    start=[0.0, 1.0, 2.0, 3.0],
    end=[1.0, 2.0, 3.0, 4.0],
    pitch=[60, 62, 64, 65],
    velocity=[64] * 4,
    part=[0, 1, 2, 0],
    parts=(Part(0, 0), Part(40, 1), Part(4, 2)),
)  # type: ignore[arg-type]  # lists become arrays


def reason(piece: Performance, **limits: object) -> str:
    chosen = PieceFilter(**limits)  # type: ignore[arg-type]
    return chosen.reason_against(chosen.parts_of(piece))


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({}, ""),
        ({"min_seconds": 4.0, "max_seconds": 4.0, "min_notes": 4, "max_density": 1.0}, ""),
        ({"min_seconds": 5.0}, "too short (4.0 s, below 5)"),
        ({"max_seconds": 3.5}, "too long (4.0 s, above 3.5)"),
        ({"min_notes": 5}, "too few notes (4, below 5)"),
        ({"min_density": 2.0}, "too sparse (1.00 notes per second, below 2)"),
        ({"max_density": 0.5}, "too dense (1.00 notes per second, above 0.5)"),
        ({"programs": (7,)}, "no such parts"),
        ({"piano_only": True, "channels": (2,)}, "no such parts"),
        ({"programs": (0,), "min_notes": 3}, "too few notes (2, below 3)"),
        ({"without_drums": True}, ""),
    ],
)
def test_the_first_limit_that_is_broken_is_the_reason(limits: dict[str, object], why: str) -> None:
    assert reason(BAND, **limits) == (why and f"is filtered out: {why}")


@pytest.mark.parametrize(
    ("limits", "pitches"),
    [
        ({}, [60, 62, 64, 65]),
        ({"piano_only": True}, [60, 64, 65]),
        ({"programs": (40, 4)}, [62, 64]),
        ({"channels": (1,)}, [60, 65]),
        ({"programs": (0, 40), "channels": (2, 3)}, [62]),
    ],
)
def test_parts_are_chosen_by_program_and_channel(
    limits: dict[str, object], pitches: list[int]
) -> None:
    chosen = PieceFilter(**limits).parts_of(BAND)  # type: ignore[arg-type]
    assert chosen.pitch.tolist() == pitches


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_seconds": -1.0}, "min_seconds is -1.0; at least 0 is needed"),
        ({"min_density": float("nan")}, "min_density is nan"),
        ({"min_seconds": 9.0, "max_seconds": 3.0}, "min_seconds is 9, above max_seconds"),
        ({"programs": (128,)}, "programs has 128; allowed are 0 to 127"),
        ({"channels": (0,)}, "channels has 0; allowed are 1 to 16"),
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PieceFilter(**limits)  # type: ignore[arg-type]


def test_a_data_set_counts_what_each_filter_left_out(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    for notes in (3, 4, 24, 30, 40):
        write_song(songs / f"{notes}.mid", seed=notes, notes=notes)
    drums = BAND.replace(parts=(Part(0, 0), Part(0, 9), Part(4, 2)))
    write_midi(drums, songs / "drums.mid")
    limits = PieceFilter(min_notes=10, max_seconds=6.5, without_drums=True)
    report = encode_files([songs], tmp_path / "out", splits=ALL_TRAIN, filter=limits)
    assert report.counts["train"].files == 2
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["refused_by_kind"] == {"too few notes": 2, "too long": 1, "with drums": 1}
    assert manifest["options"]["filter"] == {
        "max_seconds": 6.5,
        "min_notes": 10,
        "without_drums": True,
    }
    assert "refused: 4 files (2 too few notes, 1 too long, 1 with drums)" in str(report)


def test_the_flags_of_encode_reach_the_filter(tmp_path: Path) -> None:
    write_midi(BAND, tmp_path / "songs" / "band.mid")
    argv = ["encode", str(tmp_path / "songs"), "-o", str(tmp_path / "out"), "--min-seconds", "1"]
    assert main([*argv, "--programs", "40", "--programs", "4", "--channels", "2"]) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.codec.decode(dataset.pieces("train")[0]).pitch.tolist() == [62]


def test_that_filters_leave_nothing_is_told_with_how_many_they_left_out(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"MThd\0\0")
    for seed in range(2):
        write_song(tmp_path / "songs" / f"b{seed}.mid", seed)
    told = (
        r"none of 3 files can be used \(2 too short, 1 .*; the filters leave out 2\)\. "
        r"The first: .*a\.mid: "
    )
    with pytest.raises(DatasetError, match=told):
        encode_files(
            [tmp_path / "songs"], tmp_path / "data", filter=PieceFilter(min_seconds=1000), workers=1
        )
