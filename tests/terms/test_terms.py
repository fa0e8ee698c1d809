"""The structured output's terms: what they look back on, and three equal implementations."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.recall import recall
from midirnn.features import NoteTerms
from midirnn.models import features
from midirnn.models.features import with_terms
from midirnn.terms import NoteMemory, OutputTerms, StepMemory, TermStep
from midirnn.terms.densities import NUM_DENSITIES
from midirnn.terms.memory import NONE
from midirnn.terms.native_step import NativeStep
from midirnn.terms.scan import (
    NativeScan,
    NumpyScan,
    RecallScan,
    TermScan,
    native_library,
    row_width,
)
from midirnn.terms.table import DENSITY

CODEC = PerformanceCodec()
GROUPS = {
    "note_on": slice(0, 128),
    "note_off": slice(128, 256),
    "time_shift": slice(256, 356),
    "velocity": slice(356, 388),
}
TERMS = OutputTerms(GROUPS)
STEP = TermStep(TERMS)
SIZE = 40
"""The size of the memory: few enough notes that a short stream exceeds it."""


def stream(seed: int, length: int = 300, pitches: int = 9) -> np.ndarray:
    """Return tokens that obey the grammar, with so few pitches that much is repeated."""
    rng = np.random.default_rng(seed)
    grammar = CODEC.constraint()
    state, tokens = grammar.start(), []
    for _ in range(length):
        mask = grammar.mask(state)
        mask[: 60 - pitches // 2] = mask[60 + pitches // 2 + 1 : 128] = False
        mask[256 + 30 : 356] = False
        if not mask[:128].any():  # no note could follow a velocity
            mask[356:] = False
        groups = [s for s in GROUPS.values() if mask[s].any()]
        group = groups[rng.integers(len(groups))]
        token = group.start + int(rng.choice(np.flatnonzero(mask[group])))
        grammar.advance(state, token)
        tokens.append(token)
    return np.array(tokens, np.uint16)


def memories(tokens: np.ndarray, size: int = SIZE) -> list[NoteMemory]:
    found = [NoteMemory.empty(size)]
    for token in tokens.tolist():
        found.append(TERMS.follow(found[-1], token))
    return found


def step_memories(tokens: np.ndarray, size: int = SIZE, step: TermStep = STEP) -> list[StepMemory]:
    found = [step.start(size)]
    for token in tokens.tolist():
        found.append(step.follow(found[-1], token))
    return found


def added_by_step(memory: StepMemory, weights: np.ndarray) -> np.ndarray:
    logits = np.zeros(388, np.float32)
    STEP.add(logits, weights, memory)
    return logits


def added_by_rules(memory: NoteMemory, weights: np.ndarray) -> np.ndarray:
    indices, densities = TERMS.indices([memory])
    logits, column = np.zeros(388), 0
    for term in TERMS.terms:
        group = GROUPS[term.group]
        size = group.stop - group.start
        index = indices[0, column : column + term.layers * size].reshape(term.layers, size)
        column += term.layers * size
        own = np.append(weights[TERMS.slices[term.name]], 0.0)
        logits[group] += own[np.where(index < 0, term.rows, index)].sum(axis=0)
    logits[GROUPS["time_shift"]] += weights[TERMS.slices[DENSITY]] @ densities[0]
    return logits


def split_rows(terms: OutputTerms, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (T, width) and the densities (T, 6, shifts) of rows."""
    densities = np.ascontiguousarray(rows[:, terms.width :]).view(np.float32)
    return rows[:, : terms.width], densities.reshape(len(rows), NUM_DENSITIES, terms.max_shift)


def read(
    scan: TermScan, tokens: np.ndarray, terms: OutputTerms = TERMS
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices and the densities that a scan writes after each token."""
    rows = np.empty((len(tokens), row_width(terms)), np.int16)
    scan.write(tokens, rows)
    return split_rows(terms, rows)


def now(scan: TermScan) -> tuple[np.ndarray, np.ndarray]:
    """Return the same for the present moment."""
    row = np.empty(row_width(TERMS), np.int16)
    scan.write_now(row)
    return split_rows(TERMS, row[None])


class TestTheMemory:
    @given(st.lists(st.integers(55, 62), min_size=1, max_size=90))
    def test_recalls_what_the_match_memory_recalls(self, pitches: list[int]) -> None:
        memory = NoteMemory.empty(SIZE)
        for pitch in pitches:
            memory = memory.after_note_on(pitch).after_note_off(pitch)
            expected = recall(memory.pitches)
            found = [
                (match.pitch, match.length) if match.length else (0, 0)
                for match in memory.recollection.matches
            ]
            assert found == [tuple(row) for row in expected.tolist()]

    def test_keeps_velocities_onsets_and_durations(self) -> None:
        memory = NoteMemory.empty(8)
        memory = memory.after_velocity(20).after_note_on(60).after_shift(30).after_note_on(64)
        memory = memory.after_shift(12).after_note_off(60)
        assert list(memory.pitches) == [60, 64]
        assert list(memory.velocities) == [20, 20]
        assert memory.onsets.tolist() == [0, 30]
        assert memory.durations.tolist() == [42, NONE]
        assert memory.onset[64] == 30 and memory.onset[60] == NONE
        assert memory.released[60] == 42 and memory.released[64] == NONE

    def test_is_not_changed_by_what_follows(self) -> None:
        before = memories(stream(3))[-1]
        kept = [np.array(field).copy() for field in before[:11]]
        before.after_note_on(61).after_note_off(61).after_shift(9)
        assert all(np.array_equal(a, b) for a, b in zip(kept, before[:11], strict=True))

    def test_the_note_foretold_is_the_one_that_followed(self) -> None:
        memory = NoteMemory.empty(SIZE)
        for pitch in (60, 62, 64, 65, 60, 62, 64):
            memory = memory.after_note_on(pitch).after_shift(10).after_note_off(pitch)
        best = memory.recollection.best
        assert (best.pitch, best.length, best.place) == (65, 3, 3)

    def test_contexts_vote_for_what_followed_them(self) -> None:
        memory = NoteMemory.empty(SIZE)
        for pitch in (60, 62, 64, 62, 65, 60, 62):
            memory = memory.after_note_on(pitch).after_note_off(pitch)
        as_they_were = memory.recollection.votes[0]
        assert dict(zip(as_they_were.pitches, as_they_were.lengths, strict=True)) == {64: 2, 65: 1}


@pytest.fixture(scope="module")
def native() -> NativeStep:
    library = native_library()
    if library is None:
        pytest.skip("there is no C++ compiler")
    return NativeStep(TERMS, library)


class TestTheStepInCpp:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from([12, SIZE, 2000]), st.integers(0, 299))
    def test_adds_the_same_bit_for_bit_also_after_it_was_pickled(
        self, native: NativeStep, seed: int, size: int, pickled_at: int
    ) -> None:
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=TERMS.rows).astype(np.float32)
        before = rng.normal(size=388).astype(np.float32)
        memory, same = STEP.start(size), native.start(size)
        for at, token in enumerate(stream(seed).tolist()):
            memory, same = STEP.follow(memory, token), native.follow(same, token)
            if at == pickled_at:
                same = pickle.loads(pickle.dumps(same))
            expected, found = before.copy(), before.copy()
            STEP.add(expected, weights, memory)
            native.add(found, weights, same)
            np.testing.assert_array_equal(found, expected)

    def test_is_not_changed_by_what_follows(self, native: NativeStep) -> None:
        weights = np.ones(TERMS.rows, np.float32)
        memory = native.start(SIZE)
        for token in stream(7).tolist():
            memory = native.follow(memory, token)
        before, after = np.zeros(388, np.float32), np.zeros(388, np.float32)
        native.add(before, weights, memory)
        other = memory
        for token in stream(8).tolist():
            other = native.follow(other, token)
        native.add(after, weights, memory)
        np.testing.assert_array_equal(after, before)

    def test_is_what_an_engine_takes_where_it_is_compiled(self, native: NativeStep) -> None:
        feature = NoteTerms(SIZE, 100, 32)
        assert isinstance(feature.start(), type(native.start(SIZE)))
        weights, logits = np.ones(TERMS.rows, np.float32), np.zeros(388, np.float32)
        feature.add(logits, weights, feature.follow(feature.start(), 60))
        expected = np.zeros(388, np.float32)
        feature.add(expected, weights, feature._step.follow(feature._step.start(SIZE), 60))
        np.testing.assert_array_equal(logits, expected)

    def test_is_taken_as_soon_as_it_is_compiled(
        self, native: NativeStep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("midirnn.terms.scan.compiled_before", lambda source: None)
        native_library.cache_clear()
        feature = NoteTerms(SIZE, 100, 32)
        assert isinstance(feature.start(), StepMemory)
        assert native_library() is not None
        assert isinstance(feature.start(), type(native.start(SIZE)))


class TestTheTerms:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000))
    def test_a_step_adds_what_the_rules_say(self, seed: int) -> None:
        weights = np.random.default_rng(seed).normal(size=TERMS.rows).astype(np.float32)
        for memory in step_memories(stream(seed))[::7]:
            expected = added_by_rules(memory.notes, weights)
            np.testing.assert_allclose(added_by_step(memory, weights), expected, atol=2e-5)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 250))
    def test_a_step_after_a_snapshot_is_the_same_again(self, seed: int, place: int) -> None:
        tokens, other = stream(seed), stream(seed + 1)
        weights = np.random.default_rng(seed).normal(size=TERMS.rows).astype(np.float32)
        memories = step_memories(tokens)
        kept = added_by_step(memories[-1], weights)
        memory = memories[place]
        for token in other.tolist():  # a different continuation, which must leave no trace
            memory = STEP.follow(memory, token)
        memory = pickle.loads(pickle.dumps(memories[place]))
        for token in tokens[place:].tolist():
            memory = STEP.follow(memory, token)
        np.testing.assert_array_equal(added_by_step(memory, weights), kept)

    @pytest.mark.parametrize(("shifts", "bins"), [(30, 0), (30, 1), (400, 5)])
    def test_a_step_fits_other_vocabularies(self, shifts: int, bins: int) -> None:
        codec = PerformanceCodec(max_shift_steps=shifts, velocity_bins=bins)
        step = TermStep(OutputTerms(codec.groups()))
        tokens = codec.encode(codec.decode(codec.encode(CODEC.decode(stream(2)))))
        memory = step_memories(tokens, step=step)[-1]
        logits = np.zeros(codec.vocab_size, np.float32)
        step.add(logits, np.ones(step.terms.rows, np.float32), memory)
        indices, densities = step.terms.indices([memory.notes])
        assert logits.sum() == pytest.approx((indices >= 0).sum() + densities.sum(), rel=1e-4)

    def test_a_term_moves_only_its_group(self) -> None:
        memory = step_memories(stream(5))[-1]
        for term in TERMS.terms:
            weights = np.zeros(TERMS.rows, np.float32)
            weights[TERMS.slices[term.name]] = 1.0
            outside = np.delete(added_by_step(memory, weights), np.r_[GROUPS[term.group]])
            assert not outside.any(), term.name

    def test_all_rows_of_a_term_lie_in_its_run_of_weights(self) -> None:
        indices, _ = TERMS.indices(memories(stream(6, 600)))
        column = 0
        for term in TERMS.terms:
            group = GROUPS[term.group]
            size = term.layers * (group.stop - group.start)
            found = indices[:, column : column + size]
            column += size
            assert found.max() < term.rows and found.min() >= -1, term.name
            assert found.max() >= 0, f"{term.name} never adds anything"
        assert column == TERMS.width


@pytest.mark.skipif(native_library() is None, reason="needs a C++ compiler")
class TestTheScanInCpp:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.integers(3, 60))
    def test_gives_the_numbers_of_the_rules(self, seed: int, size: int) -> None:
        tokens, library = stream(seed), native_library()
        assert library is not None
        native, reference = NativeScan(library, TERMS, size), NumpyScan(TERMS, size)
        for part in np.split(tokens, [0, 7, 8, 150]):
            for mine, expected in zip(read(native, part), read(reference, part), strict=True):
                np.testing.assert_allclose(mine, expected, atol=1e-4)
        for mine, expected in zip(now(native), now(reference), strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-4)

    @pytest.mark.parametrize(("shifts", "bins"), [(30, 0), (30, 1), (7, 5)])
    def test_fits_other_vocabularies(self, shifts: int, bins: int) -> None:
        codec = PerformanceCodec(max_shift_steps=shifts, velocity_bins=bins)
        terms, library = OutputTerms(codec.groups()), native_library()
        assert library is not None
        tokens = codec.encode(codec.decode(codec.encode(CODEC.decode(stream(2)))))
        native, reference = NativeScan(library, terms, SIZE), NumpyScan(terms, SIZE)
        both = read(native, tokens, terms), read(reference, tokens, terms)
        for mine, expected in zip(*both, strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-4)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.integers(3, 60), st.integers(0, 290))
    def test_skipping_is_reading(self, seed: int, size: int, begin: int) -> None:
        tokens, library = stream(seed, pitches=4), native_library()
        assert library is not None
        whole, skipped = (NativeScan(library, TERMS, size) for _ in range(2))
        for scan in (whole, skipped):
            read(scan, tokens[:begin])
        read(whole, tokens[begin:-5])
        skipped.skip(tokens[begin:-5])
        both = read(skipped, tokens[-5:]), read(whole, tokens[-5:])
        for mine, expected in zip(*both, strict=True):
            np.testing.assert_array_equal(mine, expected)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(40, 46), max_size=80), st.integers(1, 50), st.integers(0, 80))
    def test_recalls_what_recall_does(self, pitches: list[int], size: int, begin: int) -> None:
        library = native_library()
        assert library is not None
        scan = RecallScan(library, size)
        scan.skip(np.array(pitches[:begin], np.uint16))
        found = scan.read(np.array(pitches[begin:], np.uint16))
        for matches, end in zip(found, range(begin + 1, len(pitches) + 1), strict=True):
            expected = recall(bytes(pitches[max(0, end - size) : end]))
            for (pitch, length), wanted in zip(matches.tolist(), expected.tolist(), strict=True):
                assert [pitch if length else 0, length] == wanted

    def test_its_gradients_are_those_of_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feature = NoteTerms(SIZE, 100, 32)
        reader, rows = feature.reader(CODEC), np.zeros((60, *feature.window_shape), np.int16)
        tokens = stream(4)[:60]
        reader.open(tokens, 0, len(tokens), None)
        reader.read(rows, tokens, 0)
        window = torch.from_numpy(rows.reshape(3, 20, -1))
        rng = np.random.default_rng(1)
        shapes = ((3, 20, feature.head_rows), (3, 20, 388), (3, 20, 388))
        weights, logits, given = (
            torch.from_numpy(rng.normal(size=shape).astype(np.float32)).requires_grad_()
            for shape in shapes
        )
        found = []
        for library in (native_library(), None):
            monkeypatch.setattr(features, "native_library", lambda: library)  # noqa: B023
            summed = with_terms(logits, feature, weights, window)
            found.append(torch.autograd.grad((summed * given).sum(), [weights, logits]))
        for mine, expected in zip(*found, strict=True):
            torch.testing.assert_close(mine, expected)

    def test_has_the_terms_of_the_table(self) -> None:
        library = native_library()
        assert library is not None
        assert library.term_names().decode().split() == [term.name for term in TERMS.terms]

    @pytest.mark.parametrize(("shifts", "bins"), [(100, 32), (30, 0)])
    def test_adds_what_torch_adds(
        self, shifts: int, bins: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        codec = PerformanceCodec(max_shift_steps=shifts, velocity_bins=bins)
        feature = NoteTerms(SIZE, shifts, bins)
        tokens = codec.encode(codec.decode(codec.encode(CODEC.decode(stream(4)))))[:60]
        reader, rows = feature.reader(codec), np.zeros((61, *feature.window_shape), np.int16)
        reader.open(tokens, 0, len(tokens), None)
        reader.read(rows, tokens, 0)
        rng = np.random.default_rng(1)
        window = torch.from_numpy(rows[:60].reshape(3, 20, -1))
        weights = torch.from_numpy(rng.normal(size=(3, 20, feature.head_rows)).astype(np.float32))
        logits = torch.from_numpy(rng.normal(size=(3, 20, codec.vocab_size)).astype(np.float32))
        natively = with_terms(logits, feature, weights, window)
        monkeypatch.setattr(features, "native_library", lambda: None)
        torch.testing.assert_close(natively, with_terms(logits, feature, weights, window))
