"""A run's folder belongs to one training at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.errors import CheckpointError
from midirnn.training.folder import BEST, LAST, holds_run, lock_of
from tests.training.tiny import metrics, recipe, trainer

HOLD = """
import sys
from pathlib import Path
from midirnn.training.folder import lock_of
lock = lock_of(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestLock:
    def test_one_has_it_until_it_gives_it_up_and_nothing_is_left(self, tmp_path: Path) -> None:
        one, other = lock_of(tmp_path), lock_of(tmp_path)
        one.acquire()
        one.acquire()
        for _ in range(2):
            with pytest.raises(CheckpointError, match="another process is training into"):
                other.acquire()
        one.release()
        one.release()
        assert names(tmp_path) == set()
        other.acquire()
        with pytest.raises(CheckpointError, match="wait until it ends, or choose another --output"):
            one.acquire()
        other.release()

    def test_a_process_that_is_killed_leaves_none(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(CheckpointError):
                lock_of(tmp_path).acquire()
            process.kill()
        assert names(tmp_path) == {".lock"}
        lock = lock_of(tmp_path)
        lock.acquire()
        lock.release()
        assert names(tmp_path) == set()

    def test_a_lock_that_was_removed_meanwhile_is_not_taken_for_one(self, tmp_path: Path) -> None:
        one, other = lock_of(tmp_path), lock_of(tmp_path)
        one.acquire()
        (tmp_path / ".lock").unlink()  # as its owner does at the end, while another opens it
        other.acquire()
        assert names(tmp_path) == {".lock"}
        other.release()


class TestTwoTrainings:
    def test_the_second_is_refused_and_changes_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        first, second = trainer(folder), trainer(folder)
        refusals: list[str] = []

        def meanwhile() -> bool:
            if first.progress.step in (3, 15):
                before = names(folder)
                for action in (second.run, second.resume):
                    with pytest.raises(CheckpointError) as caught:
                        action()
                    refusals.append(str(caught.value))
                assert names(folder) == before
            return False

        first.run(meanwhile)
        assert len(refusals) == 4
        assert set(refusals) == {
            f"another process is training into {folder}: wait until it ends, or choose "
            "another --output"
        }
        assert second.progress.step == 0
        trainer(tmp_path / "alone").run()
        assert metrics(folder) == metrics(tmp_path / "alone")

    def test_one_after_the_other_is_fine_after_an_error_too(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        made = trainer(folder)
        made.run(lambda: made.progress.step >= 3)
        with pytest.raises(CheckpointError, match="was made with seed = 0, not 1"):
            trainer(folder, recipe(seed=1)).resume()
        resumed = trainer(folder)
        resumed.resume()
        resumed.run()
        assert ".lock" not in names(folder)

    def test_a_folder_of_which_another_replaces_the_checkpoint_holds_a_run(
        self, tmp_path: Path
    ) -> None:
        assert not holds_run(tmp_path)
        (tmp_path / f".{LAST}.old").mkdir()
        assert holds_run(tmp_path)
        assert names(tmp_path) == {f".{LAST}.old"}

    def test_a_run_begun_anew_leaves_no_best_checkpoint_of_the_one_before(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "run"
        trainer(folder, recipe(7)).run()
        shutil.rmtree(folder / LAST)  # as if it had been killed before it saved that
        shutil.copytree(folder / BEST, folder / ".best.old")
        shutil.copytree(folder / BEST, folder / ".best.new")
        trainer(folder, recipe(5, seed=1), validation=[]).run()
        assert sorted(path.name for path in folder.iterdir()) == [LAST, "metrics.jsonl"]
