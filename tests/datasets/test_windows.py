"""Windows of tokens: everything is read once, in order, with the grammar's rows beside it."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import Augmentation, BoolArray, PerformanceCodec, Tokens
from midirnn.codecs.controls import CONTROLS
from midirnn.codecs.recall import Matches, recall
from midirnn.datasets.ahead import WindowsAhead
from midirnn.datasets.windows import (
    Batch,
    Draw,
    EvaluationWindows,
    Inputs,
    TrainingWindows,
    empty_batch,
)
from midirnn.errors import CodecError, DatasetError
from midirnn.features import ControlInputs, HeldNotes, Recall
from midirnn.features.measured import held_places
from tests.datasets.songs import song
from tests.strategies import performances

CODEC = PerformanceCodec()
GRAMMAR = CODEC.constraint()
START = CODEC.vocab_size
RECALL_NOTES = 10
INPUTS = Inputs(START, (HeldNotes(), Recall(RECALL_NOTES), ControlInputs()))
SONGS = [CODEC.encode(song(seed, notes)) for seed, notes in enumerate((3, 30, 60, 8))]

PIECES = st.lists(performances(max_notes=12, max_pedals=2).map(CODEC.encode), max_size=5)
SIZES = {"batch_size": st.integers(1, 4), "window": st.integers(1, 9)}


@functools.lru_cache(maxsize=100)
def token_by_token(piece: bytes) -> tuple[BoolArray, BoolArray]:
    """What is held and what may come before each token of a piece."""
    tokens = np.frombuffer(piece, np.uint16)
    state = GRAMMAR.start()
    held, mask = [], []
    for token in tokens.tolist():
        held.append(state.held)
        mask.append(GRAMMAR.mask(state))
        GRAMMAR.advance(state, token)
    return np.array(held).reshape(-1, 128), np.array(mask).reshape(-1, CODEC.vocab_size)


@functools.lru_cache(maxsize=100)
def recalled_token_by_token(piece: bytes) -> Matches:
    """What is recalled before each token of a piece."""
    tokens = np.frombuffer(piece, np.uint16)
    rows = []
    for position in range(len(tokens)):
        before = tokens[:position]
        rows.append(recall(before[before < 128][-RECALL_NOTES:].astype(np.uint8).tobytes()))
    return np.array(rows).reshape(-1, 3, 2)


def check_row(batch: Batch, row: int, piece: Tokens, begin: int, count: int) -> None:
    """A row reads ``count`` tokens of a piece from ``begin`` on, and nothing after them."""
    held, mask = token_by_token(piece.tobytes())
    inputs = np.concatenate([[START], piece[:-1]])
    part = slice(begin, begin + count)
    assert batch.valid[row].tolist() == [True] * count + [False] * (len(batch.valid[row]) - count)
    assert np.array_equal(batch.targets[row, :count], piece[part])
    assert np.array_equal(batch.inputs[row, :count], inputs[part])
    assert np.array_equal(batch.features["held"][row, :count], held[part])
    assert np.array_equal(batch.mask[row, :count], mask[part])
    recalled = recalled_token_by_token(piece.tobytes())[part]
    assert np.array_equal(batch.features["recall"][row, :count], recalled)


def training(
    draw: Draw,
    *,
    seed: int = 0,
    batch_size: int = 3,
    window: int = 8,
    segment: int | None = 20,
    rows: range | None = None,
    steered: float = 0.5,
) -> TrainingWindows:
    return TrainingWindows(
        draw,
        CODEC,
        rows=rows or range(batch_size),
        window=window,
        segment=segment,
        inputs=INPUTS,
        seed=seed,
        steered=steered,
    )


def any_of(pieces: Sequence[Tokens]) -> Draw:
    return lambda rng: pieces[int(rng.integers(len(pieces)))]


def arrays(batch: Batch) -> dict[str, np.ndarray[tuple[int, ...], Any]]:
    """All arrays of a batch by name, those of the features too."""
    fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(Batch)}
    features = fields.pop("features")
    return fields | features


def same(batch: Batch, other: Batch) -> bool:
    theirs = arrays(other)
    return all(np.array_equal(array, theirs[name]) for name, array in arrays(batch).items())


class TestEvaluationWindows:
    @staticmethod
    def read(batches: Iterable[Batch]) -> list[list[tuple[Batch, int]]]:
        """The windows (batch and row) of each piece, in order."""
        pieces: list[list[tuple[Batch, int]]] = []
        of_row: dict[int, list[tuple[Batch, int]]] = {}
        for batch in batches:
            for row in np.flatnonzero(batch.valid.any(axis=1)).tolist():
                if batch.reset[row]:
                    of_row[row] = []
                    pieces.append(of_row[row])
                of_row[row].append((batch, row))
        return pieces

    @given(pieces=PIECES, **SIZES)
    def test_every_token_of_every_piece_is_a_target_once(
        self, pieces: list[Tokens], batch_size: int, window: int
    ) -> None:
        batches = list(EvaluationWindows(pieces, CODEC, batch_size, window, INPUTS))
        read = [
            tuple(int(t) for batch, row in windows for t in batch.targets[row, batch.valid[row]])
            for windows in self.read(batches)
        ]
        assert Counter(read) == Counter(tuple(p.tolist()) for p in pieces if len(p))
        assert sum(int(batch.valid.sum()) for batch in batches) == sum(map(len, pieces))

    @given(pieces=PIECES, **SIZES)
    def test_the_rows_are_those_of_the_grammar_token_by_token(
        self, pieces: list[Tokens], batch_size: int, window: int
    ) -> None:
        by_content = {tuple(piece.tolist()): piece for piece in pieces}
        batches = EvaluationWindows(pieces, CODEC, batch_size, window, INPUTS)
        for windows in self.read(batches):
            counts = [int(batch.valid[row].sum()) for batch, row in windows]
            read = [t for b, row in windows for t in b.targets[row, b.valid[row]].tolist()]
            begin = 0
            for (batch, row), count in zip(windows, counts, strict=True):
                check_row(batch, row, by_content[tuple(read)], begin, count)
                assert batch.reset[row] == (begin == 0)
                begin += count

    def test_all_windows_but_a_pieces_last_are_full(self) -> None:
        for windows in self.read(EvaluationWindows(SONGS, CODEC, 2, 16, INPUTS)):
            counts = [int(batch.valid[row].sum()) for batch, row in windows]
            assert counts[:-1] == [16] * (len(counts) - 1)

    def test_there_may_be_fewer_pieces_than_rows_or_none(self) -> None:
        (batch,) = EvaluationWindows([SONGS[0]], CODEC, 4, 50, INPUTS)
        assert batch.valid.any(axis=1).tolist() == [True, False, False, False]
        assert not list(EvaluationWindows([], CODEC, 2, 8, INPUTS))
        assert not list(EvaluationWindows([np.empty(0, np.uint16)], CODEC, 2, 8, INPUTS))

    def test_tokens_that_break_the_grammar_are_refused(self) -> None:
        broken = np.array([128 + 60, 60], np.uint16)
        with pytest.raises(CodecError, match="breaks the grammar"):
            next(EvaluationWindows([broken], CODEC, 1, 8, INPUTS))


class TestTrainingWindows:
    @pytest.mark.parametrize("segment", [None, 1, 7, 20, 1000])
    @pytest.mark.parametrize("window", [1, 2, 16])
    def test_a_row_continues_the_one_before_it_unless_it_begins_another_piece(
        self, segment: int | None, window: int
    ) -> None:
        windows = training(any_of(SONGS), window=window, segment=segment)
        behind: list[tuple[Tokens, int] | None] = [None] * 3
        for _ in range(40):
            batch = next(windows)
            for row, stream in enumerate(windows.streams):
                count = int(batch.valid[row].sum())
                begin = stream.position - count
                assert count > 0
                check_row(batch, row, stream.tokens, begin, count)
                last = behind[row]
                if not batch.reset[row]:
                    assert last is not None
                    assert stream.tokens is last[0]
                    assert begin == last[1]
                elif segment is None:
                    assert begin == 0
                behind[row] = (stream.tokens, stream.position)

    def test_a_row_begins_another_piece_only_when_its_segment_is_read(self) -> None:
        windows = training(any_of(SONGS), window=7, segment=20)
        read = [0, 0, 0]
        lengths = []
        for _ in range(60):
            batch = next(windows)
            for row in range(3):
                if batch.reset[row]:
                    lengths.append(read[row])
                    read[row] = 0
                read[row] += int(batch.valid[row].sum())
        # The three first are those of the start; the shortest song is shorter than a segment.
        assert set(lengths[3:]) == {20, len(SONGS[0])}

    def test_segments_begin_anywhere_and_often_where_the_piece_does(self) -> None:
        windows = training(lambda rng: SONGS[2], batch_size=1, window=20, segment=20)
        begins = []
        for _ in range(1200):
            next(windows)
            begins.append(windows.streams[0].position - 20)
        assert 10 <= begins.count(0) <= 60
        assert len(set(begins)) > 100
        assert max(begins) > len(SONGS[2]) - 40

    @pytest.mark.parametrize("batches", [0, 1, 5, 6])
    def test_restored_windows_go_on_identically(self, batches: int) -> None:
        augmentation = Augmentation(transpose=3, stretch=0.05)

        def draw(rng: np.random.Generator) -> Tokens:
            return CODEC.augment(SONGS[int(rng.integers(len(SONGS)))], augmentation, rng)

        windows, other = training(draw, seed=1), training(draw, seed=2)
        for _ in range(batches):
            next(windows)
            next(other)
        state = copy.deepcopy(windows.state())
        expected = [next(windows) for _ in range(12)]
        other.restore(state)
        assert all(same(next(other), batch) for batch in expected)

    @pytest.mark.parametrize("batches", [0, 1, 5])
    def test_prepared_ahead_they_are_the_same_and_go_on_identically(self, batches: int) -> None:
        plain, ahead = training(any_of(SONGS)), WindowsAhead(training(any_of(SONGS)))
        assert all(same(next(ahead), next(plain)) for _ in range(batches))
        state, other = copy.deepcopy(ahead.state()), WindowsAhead(training(any_of(SONGS), seed=2))
        next(other)
        other.restore(state)
        assert all(same(next(other), next(plain)) for _ in range(6))

    def test_what_goes_wrong_in_the_thread_is_raised_where_the_batch_is_wanted(self) -> None:
        def fail(rng: np.random.Generator) -> Tokens:
            raise DatasetError("train.parquet is damaged")

        with pytest.raises(DatasetError, match=r"train\.parquet is damaged"):
            next(WindowsAhead(training(fail)))

    def test_other_random_generators_decide_the_pieces_that_follow(self) -> None:
        plain, ahead = training(any_of(SONGS)), WindowsAhead(training(any_of(SONGS)))
        for windows in (plain, ahead):
            next(windows)
            windows.restore_randomness(training(any_of(SONGS), seed=5).state())
        assert all(same(next(ahead), next(plain)) for _ in range(12))

    def test_the_seed_decides_what_is_read(self) -> None:
        one, again, other = (training(any_of(SONGS), seed=seed) for seed in (1, 1, 2))
        batches = [(next(one), next(again), next(other)) for _ in range(5)]
        assert all(same(a, b) for a, b, _ in batches)
        assert not all(same(a, c) for a, _, c in batches)

    @pytest.mark.parametrize("seed", range(3))
    def test_every_target_is_allowed_by_its_mask_under_augmentation_too(self, seed: int) -> None:
        augmentation = Augmentation(transpose=6, stretch=0.1)
        windows = training(
            lambda rng: CODEC.augment(any_of(SONGS)(rng), augmentation, rng), seed=seed, window=16
        )
        for _ in range(20):
            batch = next(windows)
            allowed = np.take_along_axis(batch.mask, batch.targets[..., None], axis=2)[..., 0]
            assert allowed[batch.valid].all()

    def test_rows_apart_are_the_rows_together(self) -> None:
        together = training(any_of(SONGS), batch_size=5)
        parts = [training(any_of(SONGS), rows=rows) for rows in (range(2), range(2, 5))]
        for _ in range(20):
            whole, pieces = next(together), [next(part) for part in parts]
            for name, array in arrays(whole).items():
                joined = np.concatenate([arrays(piece)[name] for piece in pieces])
                assert np.array_equal(array, joined)

    def test_controls_are_shown_as_measured_or_not_at_all(self) -> None:
        windows = training(any_of(SONGS), window=8, steered=0.7)
        seen = set()
        for _ in range(60):
            batch = next(windows)
            for row, stream in enumerate(windows.streams):
                count = int(batch.valid[row].sum())
                part = slice(stream.position - count, stream.position)
                places = held_places(CODEC, stream.tokens, part.start, part.stop)
                measured = CODEC.measure_controls(stream.tokens, 0, part.stop)[places]
                choice = stream.choices["controls"] or [False] * len(CONTROLS)
                for control, shown in zip(CONTROLS, choice, strict=True):
                    expected = measured[:, control] if shown else 0.0
                    assert np.array_equal(
                        batch.features["controls"][row, :count, control],
                        expected * np.ones_like(measured[:, control]),
                    )
                seen.add(tuple(choice))
        assert len(seen) == 8  # every combination, none among them

    def test_without_steering_no_control_is_shown(self) -> None:
        windows = training(any_of(SONGS), steered=0.0)
        assert not any(next(windows).features["controls"].any() for _ in range(30))

    def test_a_piece_without_tokens_is_drawn_again(self) -> None:
        pieces = iter([np.empty(0, np.uint16), np.empty(0, np.uint16), SONGS[0]])
        windows = training(lambda rng: next(pieces), batch_size=1, window=8)
        assert next(windows).targets[0].tolist() == SONGS[0][:8].tolist()


def test_an_empty_batch_has_no_valid_token_and_allows_every_one() -> None:
    batch = empty_batch(2, 3, 388, [HeldNotes()])
    assert not batch.valid.any()
    assert batch.mask.all()
    assert batch.features["held"].shape == (2, 3, 128)
    assert batch.features.keys() == {"held"}
