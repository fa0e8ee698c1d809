"""No file ends a run, whatever it does; the report says how many were set aside for each reason."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn import OptionError, SplitShares, encode_files
from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets import workers
from midirnn.datasets.report import KINDS, count_kinds, kind_of
from midirnn.datasets.sources import Refusal
from midirnn.performance import Performance
from tests.datasets.slow_codecs import HANGING_NOTES, TroubledCodec
from tests.datasets.songs import write_song, write_songs

ALL_TRAIN = SplitShares(0.0, 0.0)
GREEDY_NOTES = 9


class GreedyCodec(PerformanceCodec):
    """Wants 10 GB for a performance of nine notes."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        if len(performance) == GREEDY_NOTES:
            np.zeros(10_000_000_000, np.uint8).sum()
        return super().encode(performance, **options)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHUNK", 2)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
@pytest.mark.parametrize("count", [1, 2])
def test_a_file_that_wants_10_gb_is_set_aside(tmp_path: Path, count: int) -> None:
    songs = write_songs(tmp_path / "songs", 6)
    write_song(songs / "greedy.mid", notes=GREEDY_NOTES)
    report = encode_files(
        [songs],
        tmp_path / "out",
        codec=GreedyCodec(),
        splits=ALL_TRAIN,
        workers=count,
        file_gigabytes=2.0,
    )
    assert report.counts["train"].files == 6
    assert [(refusal.path, refusal.reason) for refusal in report.refused] == [
        ("greedy.mid", "cannot be encoded (it needs more than 2 GB of memory)")
    ]
    with pytest.raises(OptionError, match="file_gigabytes is 0; allowed are above 0"):
        encode_files([songs], tmp_path / "other", file_gigabytes=0.0)


def test_a_file_that_hangs_in_a_thread_is_set_aside_too(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 3)
    write_song(songs / "hangs.mid", notes=HANGING_NOTES)
    with ThreadPoolExecutor(2) as executor:
        report = encode_files(
            [songs],
            tmp_path / "out",
            codec=TroubledCodec(),
            splits=ALL_TRAIN,
            executor=executor,
            workers=2,
            file_seconds=1.5,
        )
    assert count_kinds(report.refused) == {"too slow": 1}
    assert report.counts["train"].files == 3


def test_what_vanishes_leads_nowhere_or_is_locked_is_counted_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = write_songs(tmp_path / "songs", 8)
    (songs / "locked").mkdir()
    write_song(songs / "locked" / "unseen.mid")
    (songs / "nowhere.mid").symlink_to(tmp_path / "nothing")
    (songs / "circle.mid").symlink_to(songs / "circle.mid")
    (songs / "empty.mid").write_bytes(b"")
    (songs / "letter.mid").write_bytes(b"Dear reader")
    scandir = os.scandir

    def locked(path: Any) -> Iterator[os.DirEntry[str]]:
        if os.fsdecode(path if not isinstance(path, int) else b"").endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def remove_one(done: int, total: int) -> None:
        (songs / "song06.mid").unlink(missing_ok=True)

    monkeypatch.setattr(os, "scandir", locked)
    report = encode_files(
        [songs], tmp_path / "out", splits=ALL_TRAIN, workers=1, progress=remove_one
    )
    monkeypatch.undo()
    expected = {
        "cannot be read": 3,
        "folders that cannot be listed": 1,
        "empty": 1,
        "not MIDI": 1,
    }
    assert count_kinds(report.refused) == expected
    assert report.counts["train"].files == 7
    assert (
        json.loads((tmp_path / "out" / "dataset.json").read_text())["refused_by_kind"] == expected
    )
    (line,) = (line for line in report.remarks() if line.startswith("refused:"))
    assert line.startswith("refused: 6 files (3 cannot be read, 1 folder that cannot be listed")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("is cut off: a chunk of 13 bytes has 7 (track 0)", "cut off"),
        ("has MIDI file format 7; known are 0, 1 and 2", "damaged"),
        ("lasts 30 hours, over 24: it is damaged", "damaged"),
        (workers.DIED, "ended their process"),
        ("cannot be encoded (ZeroDivisionError: a mistake)", "errors of the codec"),
        ("is filtered out: too dense (9.00 notes per second, above 5)", "too dense"),
        ("cannot be opened (a reason of its own)", "other"),
    ],
)
def test_each_reason_has_a_kind(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


def test_kinds_are_listed_with_the_most_first() -> None:
    refused = [Refusal("x", f"{begin} ...") for begin, kind in KINDS if kind == "damaged"]
    assert list(count_kinds([Refusal("y", "is empty"), *refused]).items()) == [
        ("damaged", len(refused)),
        ("empty", 1),
    ]
