"""C++ that is compiled at first use."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from midirnn import native

needs_a_compiler = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")

SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
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
