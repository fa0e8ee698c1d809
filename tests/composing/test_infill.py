"""Infill: what is around a stretch stays, the stretch is new, and the best candidate is first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from midirnn.composing.infill import LONGEST_RING, Infilled, _Frame, infill
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.midifile import read_midi
from midirnn.performance import Part, Performance
from midirnn.sampling.filters import log_likelihood
from midirnn.sampling.generated import Generated

MODEL = load("piano-small")
PIECE = read_midi("data/examples/bach_prelude_bwv846.mid").slice(0.0, 12.0).apply_sustain()
BEGIN, END = 4.0, 6.0


def rows(piece: Performance) -> Counter[tuple[float, float, int, int]]:
    fields = (getattr(piece, name).tolist() for name in ("start", "end", "pitch", "velocity"))
    return Counter(zip(*fields, strict=True))


@pytest.fixture(scope="module")
def made() -> list[Infilled]:
    return infill(MODEL, PIECE, BEGIN, END, candidates=3, seed=1)


@pytest.fixture
def found(made: list[Infilled]) -> list[Performance]:
    return [one.performance for one in made]


def test_the_best_is_the_one_after_which_the_rest_is_most_likely(made: list[Infilled]) -> None:
    nats = [nats_of_the_rest(one.performance) for one in made]
    assert [one.nats for one in made] == pytest.approx(nats, rel=1e-4)
    assert nats == sorted(nats) and len(set(nats)) == 3


def nats_of_the_rest(piece: Performance) -> float:
    """What follows the stretch, heard from the start of the piece by an engine of its own."""
    engine, constraint, codec = MODEL.engine("numpy"), MODEL.codec.constraint(), MODEL.codec
    state, step, nats = constraint.start(), 0, 0.0
    for token in codec.encode(piece).tolist():
        step += int(codec.token_steps[token])
        if step >= END * codec.steps_per_second:
            nats -= log_likelihood(engine.logits(), constraint.mask(state), token)
        constraint.advance(state, token)
        engine.feed(token, state.held)
    return nats


def test_all_notes_but_those_within_the_stretch_are_kept(found: list[Performance]) -> None:
    outside = PIECE.select((PIECE.start < BEGIN) | (PIECE.end > END))
    for piece in found:
        assert rows(outside) <= rows(piece)


def test_new_notes_begin_in_the_stretch_and_strike_no_sounding_key(
    found: list[Performance],
) -> None:
    for piece in found:
        new = rows(piece) - rows(PIECE)
        assert new
        assert all(BEGIN - 0.01 <= start < END for start, *_ in new)
        assert all(end <= END + LONGEST_RING + 0.01 for _, end, *_ in new)
        for pitch in np.unique(piece.pitch):
            same = piece.select(piece.pitch == pitch)
            assert (same.end[:-1] <= same.start[1:] + 0.011).all()


def test_the_candidates_differ_and_the_same_seed_gives_them_again(
    found: list[Performance],
) -> None:
    assert len({tuple(rows(piece)) for piece in found}) > 1
    again = infill(MODEL, PIECE, BEGIN, END, candidates=3, seed=1)
    assert [one.performance for one in again] == found


def test_the_pedal_of_a_model_makes_its_notes_as_long_as_it_holds_them() -> None:
    kept = PIECE.select((PIECE.start < BEGIN) | (PIECE.end > END))
    drawn = Performance(
        start=np.array([0.2, 0.6]),
        end=np.array([0.3, 0.7]),
        pitch=np.array([100, 101], np.uint8),
        velocity=np.array([70, 70], np.uint8),
        part=np.zeros(2, np.int32),
        pedal_time=np.array([0.1, 0.5]),
        pedal_value=np.array([127, 0], np.uint8),
        pedal_part=np.zeros(2, np.int32),
    )
    frame = _Frame(kept, BEGIN, END)
    filled = frame.filled(Generated(drawn.shift(BEGIN), 9, 2.0, frame.origin))
    new = filled.select(filled.pitch >= 100)
    assert new.end.tolist() == pytest.approx([BEGIN + 0.5, BEGIN + 0.7])


def test_new_notes_are_in_the_busiest_part_with_a_pitch() -> None:
    parts = (Part(channel=9), Part(program=1, channel=0), Part(program=2, channel=1))
    busy = PIECE.slice(0.0, 3.0)
    piece = busy.replace(
        parts=parts, part=np.where(np.arange(len(busy)) % 3, 2, 1).astype(np.int32)
    )
    for begin, end in ((0.0, piece.duration), (1.0, 2.0)):
        (made,) = infill(MODEL, piece, begin, end, candidates=1)
        inside = made.performance.start >= begin
        assert made.new_notes
        assert 2 in made.performance.part[inside] and 0 not in made.performance.part


@pytest.mark.parametrize(("channel", "only"), [(9, "only drums"), (0, "no notes")])
def test_a_piece_without_a_pitch_is_refused(channel: int, only: str) -> None:
    notes = [(0.0, 1.0, 36, 100)] if channel == 9 else []
    piece = Performance.from_notes(notes, parts=(Part(channel=channel),))
    with pytest.raises(OptionError, match=f"the piece has {only}"):
        infill(MODEL, piece, 0.0, 1.0)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(OptionError, match="seed is -1; it must be 0 or more"):
        infill(MODEL, PIECE, BEGIN, END, seed=-1)


def test_a_stretch_at_either_end_of_a_piece_can_be_rewritten() -> None:
    for begin, end in ((0.0, 1.0), (PIECE.duration - 1.0, PIECE.duration)):
        (made,) = infill(MODEL, PIECE, begin, end, candidates=1)
        assert len(made.performance)


def test_a_candidate_without_music_before_it_begins_at_once() -> None:
    later = PIECE.shift(5.0)
    for begin in (0.0, 3.0):
        for one in infill(MODEL, later, begin, 7.0, candidates=4, seed=2):
            assert one.new_notes
            assert one.performance.start[0] == pytest.approx(begin)


def test_a_candidate_without_notes_is_only_best_where_there_were_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gap = PIECE.select((PIECE.end < BEGIN) | (PIECE.start > END))
    for piece, is_lost in ((PIECE, True), (gap, False)):
        numbers = iter(range(3))

        def filled(frame: _Frame, made: Generated, numbers: Iterator[int] = numbers) -> Performance:
            return frame.kept if next(numbers) != 1 else noisy(frame.kept)

        monkeypatch.setattr(_Frame, "filled", filled)
        best, *_ = infill(MODEL, piece, BEGIN, END, candidates=3)
        assert bool(best.new_notes) == is_lost


def noisy(piece: Performance) -> Performance:
    """The piece with a cluster that makes what follows unlikely."""
    cluster = Performance.from_notes([(BEGIN + 0.1, END, pitch, 127) for pitch in range(20, 30)])
    fields = ("start", "end", "pitch", "velocity", "part", "unreleased")
    return piece.replace(
        **{n: np.concatenate([getattr(piece, n), getattr(cluster, n)]) for n in fields}
    )


def test_where_nothing_follows_the_best_has_the_fewest_nats_per_token() -> None:
    made = infill(MODEL, PIECE, PIECE.duration - 3.0, PIECE.duration, candidates=4, seed=1)
    means = [one.nats_per_token for one in made]
    assert means == sorted(means) and means[0] > 0.0
    assert [one.nats for one in made] != sorted(one.nats for one in made)


@pytest.mark.parametrize(("begin", "end"), [(-1.0, 2.0), (3.0, 3.0), (5.0, 4.0), (1.0, 100.0)])
def test_a_stretch_that_is_not_in_the_piece_is_refused(begin: float, end: float) -> None:
    with pytest.raises(OptionError, match=f"the stretch is {begin:g} to {end:g} s"):
        infill(MODEL, PIECE, begin, end)
