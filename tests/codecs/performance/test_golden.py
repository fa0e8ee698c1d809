"""Tokens that must not change: derived by hand, and written by note-seq."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.midifile import read_midi
from midirnn.performance import Performance

SHARED = Path(__file__).parents[4] / "shared"
GOLDEN_FILES = sorted((SHARED / "golden").glob("*.json.gz"))

Notes = list[tuple[float, float, int, int]]
Pedals = list[tuple[float, int]]

# Ids: note-on 0, note-off 128, time shift 255 + steps, velocity 355 + bin.
BY_HAND: dict[str, tuple[Notes, Pedals, list[int]]] = {
    "one note": (
        [(0.0, 0.5, 60, 64)],
        [],
        [371, 60, 305, 188],
    ),
    "the lowest and the highest": (
        [(0.0, 1.0, 0, 1), (0.0, 1.0, 127, 127)],
        [],
        [356, 0, 387, 127, 355, 128, 255],
    ),
    "a chord and a note within it": (
        [(0.0, 1.0, 60, 64), (0.0, 0.5, 64, 61), (0.5, 1.0, 67, 80)],
        [],
        [371, 60, 64, 305, 192, 375, 67, 305, 188, 195],
    ),
    "a rest of more than a second": (
        [(2.5, 4.5, 60, 64)],
        [],
        [355, 355, 305, 371, 60, 355, 355, 188],
    ),
    "halves of a step and a note shorter than one": (
        [(0.005, 0.0051, 60, 64), (0.125, 0.134, 60, 64)],
        [],
        [256, 371, 60, 256, 188, 266, 60, 256, 188],
    ),
    "a trill under the pedal": (
        [(0.0, 0.1, 60, 64), (0.2, 0.3, 62, 64), (0.4, 0.5, 60, 64)],
        [(0.05, 127), (1.0, 0)],
        [371, 60, 275, 62, 275, 188, 60, 315, 190, 188],
    ),
}


@pytest.mark.parametrize("overlaps", ["cut", "keep"])
@pytest.mark.parametrize("case", BY_HAND)
def test_tokens_derived_by_hand_are_written(case: str, overlaps: str) -> None:
    notes, pedals, tokens = BY_HAND[case]
    codec = PerformanceCodec(overlaps=overlaps)
    assert codec.encode(Performance.from_notes(notes, pedals)).tolist() == tokens


def test_notes_that_overlap_are_written_as_the_setting_says() -> None:
    notes = Performance.from_notes([(0.0, 1.0, 60, 64), (0.5, 1.5, 60, 64)])
    assert PerformanceCodec().encode(notes).tolist() == [371, 60, 305, 188, 60, 355, 188]
    keep = PerformanceCodec(overlaps="keep")
    assert keep.encode(notes).tolist() == [371, 60, 305, 60, 305, 188, 305, 188]


def test_a_pedal_up_and_down_at_once_is_down_but_up_for_note_seq() -> None:
    notes = Performance.from_notes(
        [(0.0, 0.1, 60, 64), (0.5, 0.6, 62, 64)], [(0.0, 127), (0.5, 0), (0.5, 127), (1.0, 0)]
    )
    assert PerformanceCodec().encode(notes).tolist() == [371, 60, 305, 188, 62, 305, 190]
    keep = PerformanceCodec(overlaps="keep")
    assert keep.encode(notes).tolist() == [371, 60, 305, 188, 62, 265, 190]


@pytest.fixture(scope="module", params=GOLDEN_FILES, ids=lambda path: path.name[:-8][-60:])
def recording(request: pytest.FixtureRequest) -> tuple[Performance, list[int]]:
    """A real performance and the tokens that note-seq writes for it."""
    golden = json.loads(gzip.decompress(request.param.read_bytes()))
    path = SHARED / "data" / golden["path"]
    if not path.exists():
        pytest.skip(f"the data set that holds {golden['path']} is not here")
    return read_midi(path), golden["tokens"]


@pytest.mark.skipif(not GOLDEN_FILES, reason="the tokens that note-seq wrote are not here")
class TestRealPerformances:
    def test_have_note_seqs_tokens(self, recording: tuple[Performance, list[int]]) -> None:
        performance, tokens = recording
        assert PerformanceCodec(overlaps="keep").encode(performance).tolist() == tokens

    def test_keep_the_grammar_and_what_they_say(
        self, recording: tuple[Performance, list[int]]
    ) -> None:
        codec = PerformanceCodec()
        tokens = codec.encode(recording[0])
        state = codec.constraint().start()
        for piece in np.split(tokens, range(4096, len(tokens), 4096)):
            codec.constraint().scan(state, piece)
        assert not state.held.any()
        said = codec.decode(tokens)
        assert codec.decode(codec.encode(said)) == said
