"""Worker processes: the same data set with any number of them, whatever becomes of one."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets import SplitShares, encode_files, workers
from midirnn.errors import DatasetError
from midirnn.performance import Performance
from tests.datasets.songs import write_song, write_songs

ALL_TRAIN = SplitShares(validation=0.0, test=0.0)
DEADLY_NOTES = 7


@dataclass(frozen=True)
class DeadlyCodec(PerformanceCodec):
    """Ends its process at a performance of seven notes, as an exhausted memory might."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        if len(performance) == DEADLY_NOTES:
            os._exit(9)
        return super().encode(performance, **options)


@dataclass(frozen=True)
class RaisingCodec(PerformanceCodec):
    """Raises what no codec should."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        raise ZeroDivisionError("a mistake of ours")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files make several chunks, so that processes are started for them."""
    monkeypatch.setattr(workers, "CHUNK", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_one_and_two_workers_and_an_executor_write_the_same_bytes(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 9)
    (songs / "bad.mid").write_bytes(b"MThd")
    one, two = (encode_files([songs], tmp_path / str(n), workers=n) for n in (1, 2))
    with ThreadPoolExecutor(2) as executor:
        encode_files([songs], tmp_path / "threads", executor=executor, workers=2)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "threads")
    assert one.refused == two.refused


def test_a_file_that_kills_its_worker_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 5)
    write_song(songs / "deadly.mid", notes=DEADLY_NOTES)
    report = encode_files(
        [songs], tmp_path / "out", codec=DeadlyCodec(), splits=ALL_TRAIN, workers=2
    )
    assert report.counts["train"].files == 5
    assert [refusal.path for refusal in report.refused] == ["deadly.mid"]
    assert "the process that read it died" in report.refused[0].reason


def test_workers_that_cannot_start_are_an_error(tmp_path: Path) -> None:
    with workers._pool(1) as pool:
        with pytest.raises(BrokenExecutor):
            pool.submit(os._exit, 9).result()
        with pytest.raises(DatasetError, match="worker processes cannot be started"):
            workers._check_start(pool)


def test_a_mistake_of_the_codec_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.mid")
    outcome = workers.encode_file(path, RaisingCodec())
    assert outcome == "cannot be encoded (ZeroDivisionError: a mistake of ours)"


@pytest.mark.skipif(sys.platform == "win32", reason="blocks a signal")
def test_ctrl_c_is_blocked_in_a_worker_from_the_beginning() -> None:
    with workers.WorkerPool(1, _do_nothing) as pool:
        blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT in blocked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def _do_nothing() -> None:
    """Begin a worker without what ``begin_worker`` does."""
