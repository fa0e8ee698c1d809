"""A Dask cluster of two workers: whatever becomes of them, nothing is lost and nothing twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from midirnn import OptionError, SplitShares, encode_files
from midirnn.cli.main import main
from midirnn.datasets import workers
from midirnn.datasets.cluster import dask_executor
from tests.datasets.slow_codecs import DEADLY_NOTES, HANGING_NOTES, TroubledCodec
from tests.datasets.songs import write_song, write_songs

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="the system has no process groups"),
    # Its client leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parents[2]
ALL_TRAIN = SplitShares(0.0, 0.0)
START_SECONDS = 60.0


@dataclass
class Cluster:
    """A scheduler and its workers, each a process with a process group of its own."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, program: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        }
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        with log:
            self.processes.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, env=environment, start_new_session=True
                )
            )

    def kill(self, number: int) -> None:
        """Kill the processes of a worker, and the one that would start it again."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[number].pid, signal.SIGKILL)
        self.processes[number].wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    known = tmp_path / "scheduler.json"
    arguments = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(known)]
    try:
        cluster.start("dask_scheduler", *arguments)
        end = time.monotonic() + START_SECONDS
        while not cluster.address:
            assert time.monotonic() < end, (tmp_path / "0.log").read_text()
            time.sleep(0.05)
            with contextlib.suppress(OSError, ValueError):
                cluster.address = json.loads(known.read_text())["address"]
        for number in range(2):
            place = str(tmp_path / f"worker{number}")
            cluster.start(
                "dask_worker", cluster.address, "--nthreads", "1", "--local-directory", place
            )
        yield cluster
    finally:
        for number in reversed(range(len(cluster.processes))):
            cluster.kill(number)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHUNK", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_worker_that_is_killed_and_files_that_kill_leave_the_same_bytes(
    tmp_path: Path, cluster: Cluster
) -> None:
    songs = write_songs(tmp_path / "songs", 60)
    codec = TroubledCodec()
    options: dict[str, Any] = {"codec": codec, "splits": ALL_TRAIN, "file_seconds": 2.0}
    write_song(songs / "hangs.mid", notes=HANGING_NOTES)
    encode_files([songs], tmp_path / "here", workers=1, **options)
    write_song(songs / "deadly.mid", notes=DEADLY_NOTES)

    def kill_one(done: int, total: int) -> None:
        if done == 20:
            cluster.kill(2)

    with dask_executor(cluster.address) as (executor, _):
        report = encode_files(
            [songs], tmp_path / "there", executor=executor, workers=2, progress=kill_one, **options
        )
    assert report.counts["train"].files == 60
    assert {refusal.path: refusal.reason for refusal in report.refused} == {
        "deadly.mid": workers.DIED,
        "hangs.mid": "cannot be encoded (it takes longer than 2 s)",
    }
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert here["train.parquet"] == there["train.parquet"]


def test_the_command_line_reaches_the_cluster(
    tmp_path: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = write_songs(tmp_path / "songs", 6)
    for out, flags in (("there", ["--dask", cluster.address]), ("here", ["--workers", "1"])):
        assert main(["encode", str(songs), "-o", str(tmp_path / out), *flags]) == 0
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    argv = ["encode", str(songs), "-o", str(tmp_path / "out"), "--dask", "x", "--workers", "2"]
    assert main(argv) == 1
    assert "give --workers or --dask" in capsys.readouterr().err


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midirnn.datasets.cluster.CONNECT_SECONDS", 1)
    with (
        pytest.raises(OptionError, match="no Dask scheduler answers at tcp:"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1", "localhost", "tcp://localhost:x", "no://x:1"]
)
def test_an_address_that_no_scheduler_can_have_is_refused_before_a_client_is_made(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed.Client", None)
    with (
        pytest.raises(OptionError, match=f"'{address}' is not the address of a Dask scheduler"),
        dask_executor(address),
    ):
        pass
