"""What stands at the output is a whole data set or what was there before."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from midirnn.datasets import Dataset, SplitShares, encode_files, writer
from midirnn.datasets.writer import DatasetWriter
from midirnn.errors import DatasetError
from tests.datasets.made import write_pieces
from tests.datasets.songs import write_song, write_songs

ALL_TRAIN = SplitShares(validation=0.0, test=0.0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_an_existing_data_set_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 2)
    encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    before = contents(tmp_path / "out")
    write_song(songs / "new.mid", seed=50)
    with pytest.raises(DatasetError, match="exists; replace it with --overwrite or choose another"):
        encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    assert contents(tmp_path / "out") == before
    report = encode_files([songs], tmp_path / "out", splits=ALL_TRAIN, overwrite=True)
    assert report.counts["train"].files == 3
    assert Dataset.open(tmp_path / "out").counts["train"].files == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs"]


def test_what_is_no_data_set_is_never_replaced(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 2)
    for output in (songs, write_song(tmp_path / "file.mid")):
        with pytest.raises(DatasetError, match="exists and is not a data set"):
            encode_files([songs], output, overwrite=True)
    assert len(list(songs.rglob("*.mid"))) == 2


def test_the_folder_that_one_is_in_is_named_with_a_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = write_songs(tmp_path / "songs", 1)
    monkeypatch.chdir(songs)
    with pytest.raises(DatasetError, match=r"^\. exists and is not a data set"):
        encode_files([songs], ".", overwrite=True)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    encode_files([songs], ".")
    assert Dataset.open(tmp_path / "out").splits


def test_what_is_left_of_a_replaced_data_set_is_not_brought_back(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 1)
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "train.parquet").write_bytes(b"")
    encode_files([songs], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs"]


def test_an_empty_folder_may_be_filled_and_missing_ones_are_made(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 1)
    (tmp_path / "empty").mkdir()
    for output in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        encode_files([songs], output)
        assert Dataset.open(output).splits


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_breaks_off_keeps_the_old_data_set_and_leaves_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    songs = write_songs(tmp_path / "songs", 2)
    encode_files([songs], tmp_path / "out")
    before = contents(tmp_path / "out")

    def break_off(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        encode_files([songs], tmp_path / "out", overwrite=True, progress=break_off)
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    write_songs(tmp_path / "songs", 3)
    script = """
import sys, time
from midirnn.datasets import encode_files
def stop(done, total):
    print("begun", flush=True)
    time.sleep(60)
encode_files(["songs"], "out", progress=stop)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.kill()
    assert not (tmp_path / "out").exists()
    encode_files([tmp_path / "songs"], tmp_path / "out")
    assert Dataset.open(tmp_path / "out").splits
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs"]


@pytest.mark.skipif(find_spec("fcntl") is None, reason="the system has no such locks")
def test_only_what_no_run_is_using_is_removed_beside_the_output(tmp_path: Path) -> None:
    for name in (".out.0123abcd", ".out.0123abc", ".other.0123abcd", ".out.0123abcd.txt"):
        (tmp_path / name).mkdir()
    with DatasetWriter(tmp_path / "out"):
        (used,) = tmp_path.glob(".out.????????")
        assert used.name != ".out.0123abcd"
        with DatasetWriter(tmp_path / "out"):
            assert used.exists()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".other.0123abcd", ".out.0123abc", ".out.0123abcd.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_data_set_that_another_run_has_finished_meanwhile_is_kept_unless_it_may_be_replaced(
    tmp_path: Path, overwrite: bool
) -> None:
    songs = write_songs(tmp_path / "songs", 2)

    def finish_another(done: int, total: int) -> None:
        if done == total:
            write_pieces(tmp_path / "out", [np.arange(9, dtype=np.uint16)])

    refused = pytest.raises(DatasetError, match="exists; replace it with --overwrite")
    with nullcontext() if overwrite else refused:
        encode_files(
            [songs],
            tmp_path / "out",
            splits=ALL_TRAIN,
            overwrite=overwrite,
            progress=finish_another,
        )
    assert Dataset.open(tmp_path / "out").counts["train"].files == 1 + overwrite


def test_a_data_set_that_a_killed_run_had_set_aside_is_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = write_songs(tmp_path / "songs", 2)
    encode_files([songs], tmp_path / "out")
    before = contents(tmp_path / "out")
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if target == tmp_path / "out":  # the second of two renames
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)
        encode_files([songs], tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DatasetError, match="exists; replace it with --overwrite"):
        encode_files([songs], tmp_path / "out")
    assert contents(tmp_path / "out") == before
    encode_files([songs], tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "songs"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    write_songs(tmp_path / "songs", 30)
    script = """
import resource
from midirnn.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
raise SystemExit(main(["encode", "songs", "-o", "out", "--workers", "1"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "midirnn: error: out cannot be written (File too large)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]


def test_row_groups_are_closed_as_tokens_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    songs = write_songs(tmp_path / "songs", 6)
    encode_files([songs], tmp_path / "one", splits=ALL_TRAIN)
    monkeypatch.setattr(writer, "TOKENS_PER_ROW_GROUP", 150)
    encode_files([songs], tmp_path / "many", splits=ALL_TRAIN)
    with pq.ParquetFile(tmp_path / "many" / "train.parquet") as file:
        assert file.num_row_groups > 2
    one, many = (Dataset.open(tmp_path / name).pieces("train") for name in ("one", "many"))
    assert [piece.tolist() for piece in one] == [piece.tolist() for piece in many]
