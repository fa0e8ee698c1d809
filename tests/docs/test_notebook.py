"""The notebook on composing runs from its first cell to its last, and shows music."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from midirnn.audio.synthesizer import load_fluidsynth
from midirnn.errors import MidirnnError
from midirnn.performance import Performance
from tests.docs.pages import ROOT

pytest.importorskip("soundfile")
pytest.importorskip("pyloudnorm")
display = pytest.importorskip("IPython.display")
try:
    load_fluidsynth()
except MidirnnError as error:
    pytest.skip(str(error), allow_module_level=True)

NOTEBOOK = ROOT / "docs" / "examples" / "compose.ipynb"


def test_every_cell_runs_and_pictures_and_audio_players_are_shown() -> None:
    names: dict[str, Any] = {}
    shown = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        *statements, last = ast.parse("".join(cell["source"])).body
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), str(NOTEBOOK), "exec"), names)
            shown.append(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names))
        else:
            exec("".join(cell["source"]), names)
    assert sum(isinstance(one, Performance) and "<svg" in one._repr_html_() for one in shown) == 4
    assert sum(isinstance(one, display.Audio) for one in shown) == 2
