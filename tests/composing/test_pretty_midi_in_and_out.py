"""Composing functions take performances, pretty_midi and paths, and give the same for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest

from midirnn import (
    MidiFileError,
    OptionError,
    Performance,
    Request,
    ScoreError,
    beam_search,
    best_of,
    from_pretty_midi,
    generate,
    generate_form,
    humanize,
    infill,
    likelihood,
    load,
    read_midi,
    render,
    to_pretty_midi,
    vary,
)
from tests.datasets.songs import write_song

MODEL = load("piano-small")
REQUEST = Request(1.0, sampling={"top_p": 0.9}, controls="A minor")  # type: ignore[arg-type]

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "best_of": lambda piece: best_of(MODEL, 2, request=REQUEST, primer=piece)[0],
    "beam_search": lambda piece: beam_search(MODEL, 2, request=REQUEST, primer=piece)[0],
    "generate_form": lambda piece: generate_form(MODEL, "AA", 2.0, REQUEST, piece, engine="numpy"),
    "infill": lambda piece: infill(MODEL, piece, 1.0, 2.0, candidates=2)[0],
}

REFUSING: dict[str, Callable[[Any], Any]] = {
    **FUNCTIONS,
    "generate": lambda piece: generate(MODEL, seconds=1.0, primer=piece),
    "humanize": lambda piece: humanize(piece, amount=0.0),
    "render": render,
}


def ways(folder: Path) -> list[Any]:
    path = write_song(folder / "song.mid", 0)
    piece = read_midi(path)
    return [piece, to_pretty_midi(piece), path, str(path)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_performance_pretty_midi_and_a_path_give_the_same(name: str, tmp_path: Path) -> None:
    first, *others = [FUNCTIONS[name](given) for given in ways(tmp_path)]
    for other in others:
        np.testing.assert_array_equal(other.performance.pitch, first.performance.pitch)
        np.testing.assert_allclose(other.performance.start, first.performance.start, atol=1e-3)
    given_back = first.to_pretty_midi()
    assert isinstance(given_back, pretty_midi.PrettyMIDI)
    assert len(from_pretty_midi(given_back)) == len(first.performance)


def test_what_is_varied_and_measured_may_be_any_of_them(tmp_path: Path) -> None:
    for given in ways(tmp_path):
        assert len(humanize(given, seed=1, amount=0.0))
        varied = vary(MODEL, given, "velocity", 0.5, sampling={"top_p": 0.9}, engine="numpy")
        assert isinstance(varied, Performance)
        assert likelihood(given, MODEL).nats_per_token > 0.0


@pytest.mark.parametrize("name", REFUSING)
def test_anything_else_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is of type int; allowed are a Performance, a pretty_mi"):
        REFUSING[name](4)
    with pytest.raises((MidiFileError, ScoreError), match=r"missing\.mid"):
        REFUSING[name](tmp_path / "missing.mid")
