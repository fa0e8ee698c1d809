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
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

Layers = tuple[tuple[tuple[str, ...], ...], ...]

LAYERS: Layers = (
    (("errors",), ("lazy",), ("arrays",), ("pitch_names",), ("wording",)),
    (("files", "locks"), ("native",), ("sketch",), ("head_start",), ("note_arrays",), ("parts",)),
    (("midievents",),),
    (("performance", "sustain"),),
    (("midifile",), ("ports",), ("abcfile",)),
    (("codecs",), ("audio",), ("scores",)),
    (("terms",),),
    (("features",),),
    (("datasets",), ("models",)),
    (("engines",),),
    (("training",), ("sampling",), ("judging",)),
    (("probing",),),
    (("pretrained",), ("ensemble",)),
    (("live",), ("plots",), ("composing",)),
    (("web",),),
    (("cli",),),
)
"""A module imports from its own package or from a layer above it. Two in one bracket count as one
package."""

SUBLAYERS: dict[str, Layers] = {
    "codecs": (
        (("style",), ("passages",)),
        (("base",),),
        (("native_scan",),),
        (("controls",), ("held",)),
        (("performance",),),
    ),
    "live": (
        (("base",),),
        (("timing",),),
        (("input",),),
        (("output",),),
        (("modes",),),
        (("improviser",),),
        (("model_process",),),
        (("recovery",),),
        (("controls",),),
        (("recording",),),
        (("view",),),
        (("osc",),),
    ),
}
"""The same within a package. Its other modules come last, and may import from all of these."""

ABOVE_ALL = ("__init__", "__main__")
"""Modules of the package itself that gather the others."""


@dataclass(frozen=True)
class Import:
    """An import statement.

    ``targets`` are what it may mean: a module, or one of the modules in a package. ``at_once`` says
    whether it runs when the module is imported.
    """

    targets: tuple[str, ...]
    line: int
    at_once: bool


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports_of(source: str, module: str) -> list[Import]:
    """Return all imports of a module, in functions and for type checking too."""
    return list(_walk(ast.parse(source), module, at_once=True))


def _walk(node: ast.AST, module: str, *, at_once: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import((alias.name,), node.lineno, at_once) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = module.split(".")[: -node.level] if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        names = tuple(f"{origin}.{alias.name}" for alias in node.names)
        yield Import((origin, *names), node.lineno, at_once)
    elif isinstance(node, ast.If) and is_type_checking(node.test):
        for part in node.body:
            yield from _walk(part, module, at_once=False)
        for part in node.orelse:
            yield from _walk(part, module, at_once=at_once)
    else:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, module, at_once=at_once and not later)


def module_name(path: Path) -> str:
    """Return the dotted name of a file; a package's own file is ``package.__init__``."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


IMPORTS = {
    module_name(path): imports_of(source, module_name(path)) for path, source in SOURCES.items()
}


def layer_of(name: str, layers: Layers) -> int:
    """Return the number of the layer that has a package; the last if none has."""
    found = [number for number, layer in enumerate(layers) for group in layer if name in group]
    return found[0] if found else len(layers)


def are_one(name: str, other: str, layers: Layers) -> bool:
    """Return whether two names are of one package."""
    return name == other or any({name, other} <= set(g) for layer in layers for g in layer)


def is_wrong(here: str, there: str, layers: Layers) -> bool:
    """Return whether the one package must not import from the other."""
    return not are_one(here, there, layers) and layer_of(there, layers) >= layer_of(here, layers)


def wrong_way(imports: list[Import], module: str) -> list[str]:
    """Return the imports of a module that go against the order of the layers."""
    _, here, *below = module.split(".")
    if here in ABOVE_ALL:
        return []
    if layer_of(here, LAYERS) == len(LAYERS):
        return [f"{module} is in no layer"]
    return [
        f"{module}:{found.line} imports {found.targets[0]}"
        for found in imports
        if any(_goes_wrong(target.split("."), here, below) for target in _parts(found))
    ]


def _parts(found: Import) -> list[str]:
    """Return what an import takes from this package: of midirnn itself the names, not the whole."""
    if found.targets[0] == "midirnn" and len(found.targets) > 1:
        return [t for t in found.targets[1:] if not t.split(".")[1].startswith("__")]
    return [t for t in found.targets[:1] if t.split(".")[0] == "midirnn"]


def _goes_wrong(target: list[str], here: str, below: list[str]) -> bool:
    there, *there_below = target[1:] or [""]
    if there != here:
        return is_wrong(here, there, LAYERS)
    layers = SUBLAYERS.get(here)
    if layers is None or not there_below:
        return False
    inside, there_inside = below[0], there_below[0]
    return layer_of(inside, layers) < len(layers) and is_wrong(inside, there_inside, layers)


def test_imports_point_one_way() -> None:
    assert len(IMPORTS) > 100
    assert [fault for module in IMPORTS for fault in wrong_way(IMPORTS[module], module)] == []


def test_every_layer_is_there() -> None:
    names = {path.stem for path in PACKAGE.iterdir()}
    assert {name for layer in LAYERS for group in layer for name in group} - names == set()
    for package, layers in SUBLAYERS.items():
        names = {path.stem for path in (PACKAGE / package).iterdir()}
        assert {name for layer in layers for group in layer for name in group} - names == set()


def imported_modules(module: str) -> set[str]:
    """Return the modules of this package that a module imports; of a package its own file."""
    found = set()
    for one in IMPORTS[module]:
        named = [t for t in one.targets if t in IMPORTS or f"{t}.__init__" in IMPORTS]
        for target in named[1:] or named:
            found.add(target if target in IMPORTS else f"{target}.__init__")
    return found - {module}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that import one another in a circle; none if there are none."""
    left = dict(graph)
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle({module: imported_modules(module) for module in IMPORTS}) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("midirnn.errors", "import midirnn.codecs"),
        ("midirnn.ports.base", "from midirnn.midifile import read_midi"),
        ("midirnn.midifile", "from midirnn import codecs"),
        ("midirnn.midifile", "def f():\n    import midirnn.codecs.recall"),
        ("midirnn.codecs.recall", "from ..models import config"),
        ("midirnn.codecs.__init__", "from .. import models"),
        ("midirnn.models.lstm", "from midirnn.datasets.windows import Batch"),
        ("midirnn.models.lstm", "from midirnn import Sampler"),
        ("midirnn.models.lstm", "import midirnn"),
        ("midirnn.live.modes.duet", "class A:\n    from midirnn.plots import roll"),
        (
            "midirnn.errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import midirnn.cli",
        ),
        ("midirnn.codecs.base", "from midirnn.codecs.performance import PerformanceCodec"),
        ("midirnn.live.timing.tempo", "def f():\n    from midirnn.live.output import ledger"),
        ("midirnn.live.modes.duet", "from midirnn.live.session import Session"),
        ("midirnn.live.view.display", "from ..rig import build"),
        ("midirnn.attic", "import os"),
    ],
)
def test_an_import_the_other_way_is_found(module: str, source: str) -> None:
    assert len(wrong_way(imports_of(source, module), module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("midirnn.midifile", "from midirnn.midievents import parse_midi"),
        ("midirnn.codecs.recall", "from .base import Tokens\nfrom ..errors import CodecError"),
        ("midirnn.codecs.__init__", "from . import recall\nfrom .recall import Matches"),
        ("midirnn.codecs.performance.codec", "from midirnn.codecs.controls import Controls"),
        ("midirnn.live.loop", "def f():\n    from midirnn.sampling import Sampler"),
        ("midirnn.live.view.display", "from midirnn.live.base.messages import Plan"),
        ("midirnn.live.session", "from midirnn.live.view import display"),
        ("midirnn.cli.main", "from midirnn import __version__, codecs"),
        ("midirnn.__init__", "from midirnn.cli import main"),
    ],
)
def test_an_import_the_right_way_is_not(module: str, source: str) -> None:
    assert wrong_way(imports_of(source, module), module) == []


def imported_in(library: str, *, at_once: bool) -> list[tuple[str, str]]:
    """Return (package, place) of every import of a library; with ``at_once`` those at the top."""
    return [
        (module.split(".")[1], f"{module}:{found.line}")
        for module, imports in IMPORTS.items()
        for found in imports
        if found.targets[0].split(".")[0] == library and (found.at_once or not at_once)
    ]


def test_torch_is_imported_at_the_top_only_where_models_are_made_and_trained() -> None:
    found = imported_in("torch", at_once=True)
    assert [place for package, place in found if package not in ("models", "training")] == []


@pytest.mark.parametrize(
    "name", ["engines.load", "sampling", "judging", "live", "midifile", "datasets"]
)
def test_what_plays_loads_no_torch(name: str) -> None:
    program = f"import sys, midirnn.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_matplotlib_is_imported_only_where_plots_are_made() -> None:
    found = imported_in("matplotlib", at_once=False)
    assert [place for package, place in found if package != "plots"] == []


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
