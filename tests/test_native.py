"""C++ that is compiled at first use."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midirnn import native

needs_a_compiler = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")

LIMIT_SECONDS = 60.0

SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native._compile_apart.cache_clear()
    path = tmp_path / "answer.cpp"
    path.write_text(SOURCE)
    return path


@needs_a_compiler
def test_a_source_is_compiled_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: runs.append(a) or run(*a, **k))
    for _ in range(2):
        library = native.compiled(source)
        assert library is not None and library.answer() == 42
    assert len(runs) == 1


@needs_a_compiler
def test_a_changed_source_is_compiled_again(source: Path) -> None:
    native.compiled(source)
    source.write_text(SOURCE.replace("42", "43"))
    library = native.compiled(source)
    assert library is not None and library.answer() == 43


@needs_a_compiler
def test_a_source_that_does_not_compile_gives_none_and_leaves_nothing(source: Path) -> None:
    source.write_text("this is no C++")
    assert native.compiled(source) is None
    assert list((source.parent / "cache" / "midirnn").iterdir()) == []


@needs_a_compiler
def test_a_cache_folder_that_cannot_be_made_is_done_without(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(source.parent / "file"))
    library = native.compiled(source)
    assert library is not None and library.answer() == 42


def test_without_a_compiler_there_is_none(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert native.compiled(source) is None
    assert not native.has_compiler()


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def path_of(source: Path) -> Path:
    """Where the library will be, in a cache folder that is there."""
    compiler, folder = native._compiler(), native.lasting_folder()
    assert compiler is not None
    assert folder is not None
    return folder / native._library_name(source, compiler, ())


@needs_a_compiler
def test_who_cannot_wait_gets_it_the_next_time(source: Path) -> None:
    assert native.compiled_before(source) is None
    path = path_of(source)
    wait_for(lambda: path.exists() and not path.with_suffix(".compiling").exists())
    library = native.compiled_before(source)
    assert library is not None and library.answer() == 42


@needs_a_compiler
def test_only_one_process_compiles_it(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_of(source).with_suffix(".compiling").touch()
    monkeypatch.setattr(subprocess, "Popen", None)  # which would fail
    assert native.compiled_before(source) is None


@needs_a_compiler
def test_what_a_killed_process_began_to_compile_is_begun_again(source: Path) -> None:
    claim = path_of(source).with_suffix(".compiling")
    claim.touch()
    long_ago = time.time() - 2 * native.COMPILE_SECONDS
    os.utime(claim, (long_ago, long_ago))
    assert native.compiled_before(source) is None
    wait_for(path_of(source).exists)


@needs_a_compiler
def test_nothing_is_compiled_for_the_next_time_where_nothing_is_kept(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(source.parent / "file"))
    monkeypatch.setattr(subprocess, "Popen", None)  # which would fail
    assert native.compiled_before(source) is None
