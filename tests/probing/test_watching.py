"""The units that are watched: chosen, written beside the weights, and read off a state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs.held import no_notes
from midirnn.engines.load import load
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import CheckpointError, OptionError
from midirnn.probing.tracing import trace
from midirnn.probing.units import find_units
from midirnn.probing.watching import (
    UNITS_FILE,
    WatchedUnit,
    Watcher,
    read_watched,
    watched_of,
    write_watched,
)
from tests.probing.planted import long_song, planted, random_model

UNIT = WatchedUnit("loudness", "h", 1, 3, low=0.2, high=-0.2, correlation=0.9)


def test_a_unit_that_follows_its_signal_on_other_pieces_is_watched() -> None:
    traces = [planted(seed, 1, 3, "loudness") for seed in range(4)]
    watched = {unit.signal: unit for unit in watched_of(traces, find_units(traces))}
    unit = watched["loudness"]
    assert unit.name == "h2[3]"
    assert unit.low > unit.high  # it falls when the loudness rises
    watcher = Watcher([unit], random_model().config)
    louder = np.nanargmax(traces[0].signals["loudness"])
    softer = np.nanargmin(traces[0].signals["loudness"])
    engine = random_model().engine("numpy")
    engine.logits()
    state = engine.snapshot()

    def value(index: int) -> float:
        arrays = tuple(
            array[index] for array in traces[0].states.values()
        )  # (num_layers, H) of each state
        return watcher.values(state.replace(state=arrays))[0]

    assert value(int(softer)) < 0.2
    assert value(int(louder)) > 0.8


def test_units_that_follow_by_chance_are_not_watched() -> None:
    traces = [trace(long_song(seed), random_model()) for seed in range(2)]
    found = {
        signal: [replace(unit, shown=-unit.fitted) for unit in units]
        for signal, units in find_units(traces).items()
    }
    with pytest.raises(OptionError, match="no unit follows anything"):
        watched_of(traces, found)


def test_units_are_written_and_read_back(tmp_path: Path) -> None:
    write_watched(tmp_path, [UNIT])
    assert read_watched(tmp_path, random_model().config) == (UNIT,)
    assert read_watched(tmp_path / "elsewhere", random_model().config) == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read"),
        ('{"format_version": 9, "units": []}', "format version 9 is not known"),
        ('{"format_version": 1, "units": [{"signal": "loudness"}]}', "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / UNITS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_watched(tmp_path, random_model().config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"layer": 2}, {"place": 12}, {"state": "c"}])
def test_units_of_another_model_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_watched(tmp_path, [replace(UNIT, **change)])  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="which the model lacks"):
        read_watched(tmp_path, random_model("gru").config)


def test_looking_computes_no_step() -> None:
    model = random_model()
    engine = NumpyEngine(model.config, model.weights)
    watcher = Watcher([UNIT], model.config)
    engine.feed(60, no_notes())
    assert watcher.values(engine.snapshot()) == ()
    engine.logits()
    (value,) = watcher.values(engine.snapshot())
    assert 0.0 <= value <= 1.0


@pytest.mark.parametrize("name", ["piano", "piano-small"])
def test_the_models_of_the_package_have_units_to_watch(name: str) -> None:
    model = load(name)
    watched = read_watched(model.folder, model.config)
    assert {"loudness", "register", "since onset"} <= {unit.signal for unit in watched}
    assert len({unit.signal for unit in watched}) == len(watched) <= 8
