"""A run that is killed at any moment is continued by the next: nothing twice, the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.datasets import encode_files, resume, workers
from midirnn.errors import OptionError
from midirnn.performance import Performance
from tests.datasets.songs import write_song, write_songs

SLOW_NOTES = 7


class StoppedError(Exception):
    """Ends a run in the middle."""


@dataclass(frozen=True)
class SlowCodec(PerformanceCodec):
    """Hangs at a performance of seven notes."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        if len(performance) == SLOW_NOTES:
            time.sleep(60)
        return super().encode(performance, **options)


@dataclass(frozen=True)
class DawdlingCodec(PerformanceCodec):
    """Takes 30 ms for each file."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        time.sleep(0.03)
        return super().encode(performance, **options)


@pytest.fixture(autouse=True)
def every_file_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(workers, "CHUNK", 2)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = write_songs(tmp_path / "songs", 9)
    (folder / "bad.mid").write_bytes(b"MThd")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stop_after(files: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == files:
            raise StoppedError

    return progress


def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are encoded from now on, in this process."""
    names: list[str] = []
    plain = workers.encode_file

    def counting(path: Path, *rest: Any) -> Any:
        names.append(path.name)
        return plain(path, *rest)

    monkeypatch.setattr(workers, "encode_file", counting)
    return names


@pytest.mark.parametrize("stops", [[1], [3], [9], [2, 5, 7]])
@pytest.mark.parametrize("last", [1, 2])
def test_it_goes_on_where_it_was_and_writes_the_same(
    tmp_path: Path, songs: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int], last: int
) -> None:
    encode_files([songs], tmp_path / "whole", workers=1)
    names = encoded(monkeypatch)
    for stop in stops:
        with pytest.raises(StoppedError):
            encode_files([songs], tmp_path / "out", workers=1, progress=stop_after(stop))
        assert not (tmp_path / "out").exists()
    encode_files([songs], tmp_path / "out", workers=last)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    # What was under way when the run ended is done again, and nothing else.
    assert len(names) - len(set(names)) <= len(stops)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs", "whole"]


def test_a_file_that_has_changed_since_is_encoded_again(tmp_path: Path, songs: Path) -> None:
    with pytest.raises(StoppedError):
        encode_files([songs], tmp_path / "out", workers=1, progress=stop_after(6))
    write_song(songs / "song02.mid", seed=77)
    encode_files([songs], tmp_path / "out", workers=1)
    encode_files([songs], tmp_path / "whole", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("changed", [0, 2, 5])
def test_the_files_before_a_changed_one_are_kept_and_no_others(
    tmp_path: Path, songs: Path, monkeypatch: pytest.MonkeyPatch, changed: int
) -> None:
    monkeypatch.setattr(resume, "SAVE_SECONDS", 3600.0)
    monkeypatch.setattr(resume, "SAVE_TOKENS", 300)  # a part of four files, then of three
    names = encoded(monkeypatch)
    with pytest.raises(StoppedError):
        encode_files([songs], tmp_path / "out", workers=1, progress=stop_after(8))
    assert len(list((tmp_path / ".out.partial").glob("0*"))) == 2
    order = list(dict.fromkeys(names))
    write_song(next(songs.rglob(order[changed])), seed=77)
    names.clear()
    with pytest.raises(StoppedError):
        encode_files([songs], tmp_path / "out", workers=1, progress=stop_after(9))
    assert names[0] == order[changed]
    names.clear()
    encode_files([songs], tmp_path / "out", workers=1)
    assert order[changed] not in names
    encode_files([songs], tmp_path / "whole", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_settings_and_damaged_parts_begin_anew(tmp_path: Path, songs: Path) -> None:
    with pytest.raises(StoppedError):
        encode_files([songs], tmp_path / "out", workers=1, progress=stop_after(6))
    for part in (tmp_path / ".out.partial").glob("0*"):
        part.write_bytes(part.read_bytes()[:-1])
    codec = PerformanceCodec(velocity_bins=8)
    encode_files([songs], tmp_path / "whole", workers=1, codec=codec)
    encode_files([songs], tmp_path / "out", workers=1, codec=codec)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_runs_at_once_to_one_place_do_not_share_what_they_keep(
    tmp_path: Path, songs: Path
) -> None:
    codec = PerformanceCodec()
    first, second = (resume.Journal(tmp_path / "out", codec) for _ in range(2))
    paths = sorted(songs.rglob("*.mid"))
    one = first.outcomes(paths, lambda rest: workers.encode_all(rest, codec, workers=1))
    two = second.outcomes(paths, lambda rest: workers.encode_all(rest, codec, workers=1))
    for _ in range(4):
        next(one)
        next(two)
    two.close()
    second.forget()
    assert len(list((tmp_path / ".out.partial").glob("0*"))) == 3
    one.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no such signal")
def test_a_run_killed_from_outside_is_continued(tmp_path: Path, songs: Path) -> None:
    encode_files([songs], tmp_path / "whole", workers=1)
    script = (
        "import os, sys\n"
        "from midirnn.datasets import encode_files, resume\n"
        "resume.SAVE_SECONDS = 0.0\n"
        "kill = lambda done, total: done == 5 and os.kill(os.getpid(), 9)\n"
        "encode_files([sys.argv[1]], sys.argv[2], workers=1, progress=kill)\n"
    )
    command = [sys.executable, "-c", script, str(songs), str(tmp_path / "out")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert len(list((tmp_path / ".out.partial").glob("0*"))) == 4
    encode_files([songs], tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / ".out.partial").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no such signal")
@pytest.mark.parametrize("seed", [1, 2])
def test_runs_killed_at_any_moments_with_any_workers_end_in_the_same_bytes(
    tmp_path: Path, seed: int
) -> None:
    songs = write_songs(tmp_path / "songs", 40)
    encode_files([songs], tmp_path / "whole", workers=1, codec=DawdlingCodec())
    script = (
        "import os, sys, random, threading\n"
        "from midirnn.datasets import encode_files, resume, workers\n"
        "from tests.datasets.test_encode_resume import DawdlingCodec\n"
        "if __name__ == '__main__':\n"
        "    resume.SAVE_SECONDS, workers.CHUNK = 0.0, 2\n"
        "    threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), 9)).start()\n"
        "    encode_files(\n"
        "        [sys.argv[1]], sys.argv[2], workers=int(sys.argv[4]), codec=DawdlingCodec(),\n"
        "        overwrite=True)\n"
        "    os._exit(0)\n"
    )
    (tmp_path / "run.py").write_text(script)
    rng = random.Random(seed)
    for _ in range(4):  # the processes take a while to start, so some are killed before they begin
        arguments = [str(songs), str(tmp_path / "out"), f"{rng.uniform(0.1, 3.0)}"]
        command = [sys.executable, str(tmp_path / "run.py"), *arguments, str(rng.randint(1, 2))]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        ended = subprocess.run(command, env=environment, timeout=120)
        assert ended.returncode in (0, -signal.SIGKILL)
        if ended.returncode == 0:
            break
    else:
        encode_files([songs], tmp_path / "out", workers=2, codec=DawdlingCodec(), overwrite=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / ".out.partial").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
@pytest.mark.parametrize("count", [1, 2])
def test_a_file_that_hangs_is_set_aside_with_the_reason(
    tmp_path: Path, songs: Path, count: int
) -> None:
    write_song(songs / "slow.mid", notes=SLOW_NOTES)
    report = encode_files(
        [songs], tmp_path / "out", codec=SlowCodec(), workers=count, file_seconds=1.0
    )
    assert {
        refusal.path: refusal.reason for refusal in report.refused if "slow" in refusal.path
    } == {"slow.mid": "cannot be encoded (it takes longer than 1 s)"}
    assert sum(count.files for count in report.counts.values()) == 9
    with pytest.raises(OptionError, match="file_seconds is 0"):
        encode_files([songs], tmp_path / "other", file_seconds=0.0)
