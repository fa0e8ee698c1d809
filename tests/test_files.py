"""Files, folders and processors: whole or not at all, and reasons in one line."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from midirnn import files
from midirnn.errors import CheckpointError, DatasetError
from midirnn.files import (
    find_folder,
    one_line_errors,
    put_in_place,
    reason_of,
    recover_folder,
    remove_folder,
    replacing_file,
    replacing_folder,
    usable_processors,
    write_file,
)

FULL = OSError(errno.ENOSPC, "of a library's own words")


class TestReasons:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (FULL, os.strerror(errno.ENOSPC)),
            (OSError("its name holds a null byte"), "its name holds a null byte"),
            (KeyError("codec"), "codec is missing"),
            (KeyError(), "KeyError"),
            (ValueError("\n  two  \n lines"), "two lines"),
            (ValueError("first line\n" + "a listing\n" * 30), "first line"),
            (ValueError(), "ValueError"),
            (MemoryError(), "MemoryError"),
        ],
    )
    def test_a_reason_is_one_line_and_never_empty(self, error: Exception, reason: str) -> None:
        assert reason_of(error) == reason

    def test_an_error_of_the_system_names_the_path_and_the_reason(self) -> None:
        with pytest.raises(DatasetError) as caught, one_line_errors("out", DatasetError):
            raise FULL
        assert str(caught.value) == f"out cannot be written ({os.strerror(errno.ENOSPC)})"
        assert caught.value.__cause__ is FULL

    def test_what_failed_can_be_said(self) -> None:
        with (
            pytest.raises(DatasetError, match=r"^in cannot be read \("),
            one_line_errors("in", DatasetError, "cannot be read"),
        ):
            raise FULL

    def test_a_mistake_of_ours_goes_through(self) -> None:
        with pytest.raises(ZeroDivisionError), one_line_errors("out", DatasetError):
            _ = 1 / 0


class TestReplacingAFile:
    @pytest.mark.parametrize("content", [b"\0\xff\r\n", "Stra\u00dfe\n", b""])
    def test_it_holds_what_was_written(self, tmp_path: Path, content: bytes | str) -> None:
        path = tmp_path / "deep" / "file"
        for _ in range(2):
            write_file(path, content)
            assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
            assert list(path.parent.iterdir()) == [path]

    def test_a_name_of_full_length_can_be_written(self, tmp_path: Path) -> None:
        write_file(tmp_path / ("x" * 255), b"content")

    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), FULL])
    def test_an_exception_leaves_the_old_file_and_no_other(
        self, tmp_path: Path, error: BaseException
    ) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"old")

        def break_off() -> None:
            with replacing_file(path) as file:
                file.write(b"half")
                raise error

        with pytest.raises(type(error)):
            break_off()
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_who_may_read_it_goes_by_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write_file(tmp_path / "file", b"content")
        finally:
            os.umask(before)
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


class TestReplacingAFolder:
    @staticmethod
    def fill(folder: Path, content: str) -> None:
        with replacing_folder(folder, CheckpointError) as fresh:
            (fresh / "file").write_text(content)

    @staticmethod
    def check(folder: Path, content: str) -> None:
        """The folder holds this, and nothing stands beside it."""
        assert [path.name for path in folder.iterdir()] == ["file"]
        assert (folder / "file").read_text() == content
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def test_it_makes_and_replaces(self, tmp_path: Path) -> None:
        folder = tmp_path / "deep" / "folder"
        self.fill(folder, "old")
        self.check(folder, "old")
        self.fill(folder, "new")
        self.check(folder, "new")

    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
    def test_an_exception_leaves_the_old_folder_and_no_other(
        self, tmp_path: Path, error: BaseException
    ) -> None:
        folder = tmp_path / "folder"
        self.fill(folder, "old")

        def break_off() -> None:
            with replacing_folder(folder, CheckpointError) as fresh:
                (fresh / "file").write_text("half")
                raise error

        with pytest.raises(type(error)):
            break_off()
        self.check(folder, "old")

    def test_an_exception_where_there_was_no_folder_leaves_none(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ZeroDivisionError),
            replacing_folder(tmp_path / "folder", CheckpointError),
        ):
            _ = 1 / 0
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("where", ["write", "fsync", "rename", "second rename"])
    def test_a_full_disk_is_told_in_one_line_and_leaves_the_old_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        folder = tmp_path / "folder"
        self.fill(folder, "old")
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        renames = iter([where == "rename", where == "second rename", False])
        rename = Path.rename

        def fail(*_: object) -> None:
            raise full

        def rename_or_fail(path: Path, target: Path) -> Path:
            if next(renames):
                fail()
            return rename(path, target)

        if where == "fsync":
            monkeypatch.setattr(os, "fsync", fail)
        monkeypatch.setattr(Path, "rename", rename_or_fail)
        with (
            pytest.raises(CheckpointError, match=r"folder cannot be written \(No space left"),
            replacing_folder(folder, CheckpointError) as fresh,
        ):
            (fresh / "file").write_text("new")
            if where == "write":
                fail()
        self.check(folder, "old")

    def test_a_place_where_nothing_can_be_made_is_told_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CheckpointError, match=r"cannot be written \(Not a directory\)"):
            self.fill(tmp_path / "file" / "folder", "new")

    def test_what_a_killed_process_left_is_put_right(self, tmp_path: Path) -> None:
        # Killed between the two renames, the old folder is aside and the new one not in place.
        folder = tmp_path / "folder"
        self.fill(tmp_path / ".folder.old", "old")
        self.fill(tmp_path / ".folder.new", "half")
        recover_folder(folder)
        assert (folder / "file").read_text() == "old"
        recover_folder(folder)
        self.fill(folder, "new")
        self.check(folder, "new")

    def test_what_is_whole_is_not_touched_by_recovery(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        self.fill(folder, "new")
        self.fill(tmp_path / ".folder.old", "old")
        recover_folder(folder)
        assert (folder / "file").read_text() == "new"
        self.fill(folder, "newer")
        self.check(folder, "newer")

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_a_link_is_replaced_and_what_it_leads_to_is_kept(self, tmp_path: Path) -> None:
        self.fill(tmp_path / "elsewhere", "kept")
        folder = tmp_path / "folder"
        folder.symlink_to(tmp_path / "elsewhere")
        for content in ("one", "two", "three"):
            self.fill(tmp_path / "fresh", content)
            put_in_place(tmp_path / "fresh", folder)
            assert (folder / "file").read_text() == content
        assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "folder"]
        assert (tmp_path / "elsewhere" / "file").read_text() == "kept"

    def test_removing_removes_what_a_killed_process_left_too(self, tmp_path: Path) -> None:
        for name in ("folder", ".folder.old", ".folder.new", "other"):
            self.fill(tmp_path / name, "content")
        remove_folder(tmp_path / "folder")
        remove_folder(tmp_path / "folder")
        assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_name_means_the_first_folder_that_holds_the_file(tmp_path: Path) -> None:
    empty, second, third = (tmp_path / name for name in ("empty", "second", "third"))
    empty.mkdir()
    for folder in (second, third):
        write_file(folder / "config.json", "{}")
    assert find_folder([tmp_path / "none", empty, second, third], "config.json") == second
    assert find_folder([tmp_path / "none", empty], "config.json") is None


class TestProcessors:
    @staticmethod
    def count(monkeypatch: pytest.MonkeyPatch, folder: Path, groups: dict[str, str]) -> int:
        """The count where eight processors are there and the control groups have these files."""
        for name, content in groups.items():
            write_file(folder / name, content)
        monkeypatch.setattr(files, "_OWN_CGROUPS", folder / "own")
        monkeypatch.setattr(files, "_CGROUPS", folder)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
        return usable_processors()

    @pytest.mark.parametrize(
        ("groups", "count"),
        [
            ({}, 8),
            ({"own": "0::/\n", "cpu.max": "max 100000\n"}, 8),
            ({"own": "0::/\n", "cpu.max": "300000 100000\n"}, 3),
            ({"own": "0::/\n", "cpu.max": "150000 100000\n"}, 1),
            ({"own": "0::/\n", "cpu.max": "50000 100000\n"}, 1),
            ({"own": "0::/\n", "cpu.max": "1600000 100000\n"}, 8),
            # The stricter of a group and the groups above it counts.
            ({"own": "0::/a/b\n", "a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
            # In a container the path is one of the machine outside.
            ({"own": "0::/machine/its/path\n", "cpu.max": "200000 100000"}, 2),
            (
                {
                    "own": "4:memory:/x\n3:cpu,cpuacct:/x\n",
                    "cpu,cpuacct/x/cpu.cfs_quota_us": "400000\n",
                    "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
                },
                4,
            ),
            (
                {
                    "own": "1:cpu:/\n0::/\n",
                    "cpu/cpu.cfs_quota_us": "-1\n",
                    "cpu/cpu.cfs_period_us": "100000\n",
                },
                8,
            ),
            ({"own": "nonsense\n0::\n", "cpu.max": "nonsense"}, 8),
        ],
    )
    def test_a_quota_limits_what_is_used(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        groups: dict[str, str],
        count: int,
    ) -> None:
        assert self.count(monkeypatch, tmp_path, groups) == count

    def test_here_there_is_at_least_one(self) -> None:
        assert 1 <= usable_processors() <= (os.cpu_count() or 1)
