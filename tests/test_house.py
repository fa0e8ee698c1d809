"""The layout of the package: which module may import which, and what it shows to the world."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import midirnn

PACKAGE = Path(midirnn.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

ROOMS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("errors",),),
    (("files",), ("native",)),
    (("performance",),),
    (("midievents", "midifile"), ("ports",)),
    (("codecs",),),
    (("terms",),),
    (("features",),),
    (("datasets",), ("models",)),
    (("engines",),),
    (("training",), ("sampling",), ("judging",)),
    (("pretrained",),),
    (("live",), ("plots",)),
    (("cli",),),
)
"""Lines of rooms: a module imports from its own room or from a line above it."""

ABOVE_ALL = ("__init__", "__main__")
"""Modules of the package itself that gather the others."""

LINE_OF = {name: line for line, rooms in enumerate(ROOMS) for room in rooms for name in room}
ROOM_OF = {name: room for rooms in ROOMS for room in rooms for name in room}


@dataclass(frozen=True)
class Import:
    """An import statement: what it names, where it stands, whether it runs with the module."""

    target: str
    line: int
    at_once: bool


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports_of(source: str, module: str) -> list[Import]:
    """The imports of a module (``midirnn.codecs.grammar``) but those for type checking."""
    return list(_walk(ast.parse(source), module, at_once=True))


def _walk(node: ast.AST, module: str, *, at_once: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, at_once) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = module.split(".")[: -node.level] if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        # What is imported from the package itself may be a room.
        from_the_top = [f"midirnn.{alias.name}" for alias in node.names]
        for target in from_the_top if origin == "midirnn" else [origin]:
            yield Import(target, node.lineno, at_once)
    elif isinstance(node, ast.If) and is_type_checking(node.test):
        for otherwise in node.orelse:
            yield from _walk(otherwise, module, at_once=at_once)
    else:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, module, at_once=at_once and not later)


def module_name(path: Path) -> str:
    """The dotted name of a file; a package's own file is ``package.__init__``."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def wrong_way(source: str, module: str) -> list[str]:
    """Imports of a module that go against the order of the rooms."""
    here = module.split(".")[1]
    if here in ABOVE_ALL:
        return []
    if here not in LINE_OF:
        return [f"{module} has no place in the order of the rooms"]
    faults = []
    for found in imports_of(source, module):
        root, *rest = found.target.split(".")
        if root != "midirnn" or (rest and rest[0].startswith("__")):
            continue
        there = rest[0] if rest else ""
        if there not in ROOM_OF[here] and LINE_OF.get(there, len(ROOMS)) >= LINE_OF[here]:
            faults.append(f"{module}:{found.line} imports {found.target}")
    return faults


def test_imports_point_one_way() -> None:
    assert len(MODULES) > 10
    assert [
        fault
        for path in MODULES
        for fault in wrong_way(path.read_text(encoding="utf-8"), module_name(path))
    ] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("midirnn.errors", "import midirnn.codecs"),
        ("midirnn.ports.base", "from midirnn.midifile import read_midi"),
        ("midirnn.midifile", "from midirnn import codecs"),
        ("midirnn.midifile", "def f():\n    import midirnn.codecs.grammar"),
        ("midirnn.codecs.grammar", "from ..models import config"),
        ("midirnn.codecs.__init__", "from .. import models"),
        ("midirnn.models.lstm", "from midirnn.datasets.windows import Batch"),
        ("midirnn.models.lstm", "from midirnn import Sampler"),
        ("midirnn.models.lstm", "import midirnn"),
        ("midirnn.live.modes.duet", "class A:\n    from midirnn.plots import roll"),
        ("midirnn.attic", "import os"),
    ],
)
def test_an_import_the_other_way_is_found(module: str, source: str) -> None:
    assert len(wrong_way(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("midirnn.midifile", "from midirnn.midievents import parse_midi"),
        (
            "midirnn.codecs.grammar",
            "from .vocabulary import Tokens\nfrom ..errors import CodecError",
        ),
        ("midirnn.codecs.__init__", "from . import grammar\nfrom .grammar import GrammarState"),
        (
            "midirnn.errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import midirnn.cli",
        ),
        ("midirnn.live.loop", "def f():\n    from midirnn.sampling import Sampler"),
        ("midirnn.cli.main", "from midirnn import __version__, codecs"),
        ("midirnn.__init__", "from midirnn.cli import main"),
    ],
)
def test_an_import_the_right_way_is_not(module: str, source: str) -> None:
    assert wrong_way(source, module) == []


def imported_in(library: str, *, at_once: bool) -> list[tuple[str, str]]:
    """(room, place) of every import of a library; with ``at_once`` of those that run at once."""
    return [
        (module_name(path).split(".")[1], f"{module_name(path)}:{found.line}")
        for path in MODULES
        for found in imports_of(path.read_text(encoding="utf-8"), module_name(path))
        if found.target.split(".")[0] == library and (found.at_once or not at_once)
    ]


def test_torch_is_imported_at_the_top_only_where_models_are_made_and_trained() -> None:
    found = imported_in("torch", at_once=True)
    assert [place for room, place in found if room not in ("models", "training")] == []


@pytest.mark.parametrize(
    "name", ["engines.load", "sampling", "judging", "live", "midifile", "datasets"]
)
def test_what_plays_loads_no_torch(name: str) -> None:
    program = f"import sys, midirnn.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_matplotlib_is_imported_only_where_plots_are_made() -> None:
    found = imported_in("matplotlib", at_once=False)
    assert [place for room, place in found if room != "plots"] == []


def public_names(module: types.ModuleType) -> list[str]:
    if not hasattr(module, "__all__"):
        pytest.skip(f"{module.__name__} has no __all__")
    return list(module.__all__)


def test_public_names_are_sorted_and_stand_once() -> None:
    names = public_names(midirnn)
    assert names == sorted(set(names))


def test_every_public_name_is_there_and_listed() -> None:
    names = public_names(midirnn)
    assert [name for name in names if not hasattr(midirnn, name)] == []
    assert set(names) <= set(dir(midirnn))


def test_nothing_public_is_left_out() -> None:
    names = public_names(midirnn)
    defined = {
        name
        for name, value in vars(midirnn).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("midirnn")
    }
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If) and is_type_checking(block.test)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    errors = importlib.import_module("midirnn.errors")
    raised = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert sorted((defined | raised | typed) - set(names)) == []
