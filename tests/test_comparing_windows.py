"""The scripts that compare windows with recurrence, and measure what a state holds of a style."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what imports a script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    return importlib.import_module


def test_all_networks_have_about_as_many_parameters(script: Any) -> None:
    rows = script("compare_windows").networks(388, 60_000)
    assert [row.name for row in rows] == ["lstm", "convolution", "attention"]
    assert all(50_000 < row.parameters <= 60_000 for row in rows)
    assert rows[0].context is None
    assert rows[1].context == 1024
    assert rows[0].state_bytes < rows[1].state_bytes < rows[2].state_bytes


def test_a_step_takes_some_time(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("compare_windows")
    monkeypatch.setattr(module, "STEPS", 6)
    assert module.step_ms(module.networks(388, 30_000)[0]) > 0


def test_how_often_the_middle_lies_between_is_counted(script: Any) -> None:
    def pair(first: float, middle: float, last: float) -> dict[str, Any]:
        names = ("density", "loudness", "register")
        values = {"0.0": first, "0.5": middle, "1.0": last}
        made: dict[str, Any] = {share: dict.fromkeys(names, v) for share, v in values.items()}
        ends = [dict.fromkeys(names, first), dict.fromkeys(names, last)]
        return made | {"primers": ends}

    found = script("measure_style").summary([pair(0, 5, 10), pair(10, 5, 0), pair(1, 9, 2)])
    assert found["density"]["between"] == pytest.approx(2 / 3)
    assert found["density"]["between_far"] == 1.0
    assert found["density"]["way"] == pytest.approx((50 + 50 + 8) / 201)
    assert found["density"]["follows_primer"] == pytest.approx(1.0)
