from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import Limits, PerformanceCodec, Tokens
from midirnn.codecs.held import held_after, held_rows, no_notes
from midirnn.codecs.performance import GrammarState, PerformanceGrammar, TokenType
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES, Performance
from tests.strategies import performance_codecs, performance_of, performances, token_lists

CODEC = PerformanceCodec()
GRAMMAR = CODEC.constraint()
ON, OFF, SHIFT, VELOCITY, _ = TokenType

Choice = Callable[[npt.NDArray[np.int64], np.random.Generator, PerformanceCodec], int]
"""Takes one of the tokens that may come."""


def token(words: str) -> int:
    """The token of words such as ``note_on 60``."""
    kind, value = words.split()
    return CODEC.vocabulary.token(TokenType(kind), int(value))


def after(*words: str, grammar: PerformanceGrammar = GRAMMAR) -> set[str]:
    """In words, what may come after some tokens, whose own order is not looked at."""
    state = grammar.start()
    for word in words:
        grammar.advance(state, token(word))
    allowed = np.flatnonzero(grammar.mask(state))
    return {" ".join(map(str, CODEC.vocabulary.describe(int(one)))) for one in allowed}


def of_type(words: Iterable[str], kind: TokenType) -> set[int]:
    return {int(word.split()[1]) for word in words if word.startswith(f"{kind} ")}


def fields(state: GrammarState) -> dict[str, object]:
    """All that a state holds, in a form that can be compared."""
    return {
        field.name: value.tolist() if isinstance(value, np.ndarray) else value
        for field in dataclasses.fields(state)
        for value in [getattr(state, field.name)]
    }


def any_token(
    allowed: npt.NDArray[np.int64], generator: np.random.Generator, codec: PerformanceCodec
) -> int:
    return int(generator.choice(allowed))


def any_type(
    allowed: npt.NDArray[np.int64], generator: np.random.Generator, codec: PerformanceCodec
) -> int:
    kinds = codec.vocabulary.type_index[allowed]
    return int(generator.choice(allowed[kinds == generator.choice(np.unique(kinds))]))


def no_note_off_if_it_can_be_helped(
    allowed: npt.NDArray[np.int64], generator: np.random.Generator, codec: PerformanceCodec
) -> int:
    others = allowed[codec.vocabulary.type_index[allowed] != codec.vocabulary.index_of(OFF)]
    return int(generator.choice(others if len(others) else allowed))


def the_longest_shift(
    allowed: npt.NDArray[np.int64], generator: np.random.Generator, codec: PerformanceCodec
) -> int:
    shifts = allowed[codec.vocabulary.type_index[allowed] == codec.vocabulary.index_of(SHIFT)]
    return int(shifts[-1]) if len(shifts) else any_type(allowed, generator, codec)


def walk(
    grammar: PerformanceGrammar,
    choice: Choice,
    seed: int,
    length: int = 120,
    state: GrammarState | None = None,
) -> list[int]:
    """Tokens chosen one by one from what the mask allows, which is never nothing."""
    generator = np.random.default_rng(seed)
    state = state or grammar.start()
    tokens: list[int] = []
    for _ in range(length):
        allowed = np.flatnonzero(grammar.mask(state))
        assert len(allowed), "the mask allows nothing"
        tokens.append(choice(allowed, generator, grammar.layout))
        grammar.advance(state, tokens[-1])
    return tokens


CHOICES = st.sampled_from([any_token, any_type, no_note_off_if_it_can_be_helped, the_longest_shift])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def streams(draw: st.DrawFn, codec: PerformanceCodec = CODEC) -> Tokens:
    """Streams that keep the grammar: of performances and of walks."""
    if draw(st.booleans()):
        return codec.encode(draw(performances(max_notes=30)))
    tokens = walk(codec.constraint(), draw(CHOICES), draw(SEEDS), draw(st.integers(0, 120)))
    return np.array(tokens, np.uint16)


class TestRules:
    def test_in_silence_a_note_a_shift_or_a_velocity_may_come(self) -> None:
        words = after()
        assert len(words) == 128 + 100 + 32
        assert not of_type(words, OFF)

    def test_after_a_velocity_only_a_note_on_may_come(self) -> None:
        assert after("note_on 60", "time_shift 3", "velocity 5") == {
            f"note_on {pitch}" for pitch in range(128) if pitch != 60
        }

    def test_a_sounding_pitch_can_be_ended_but_not_struck(self) -> None:
        words = after("note_on 60", "time_shift 3")
        assert of_type(words, ON) == set(range(128)) - {60}
        assert of_type(words, OFF) == {60}

    def test_after_a_note_on_no_note_off_may_come_before_time_passes(self) -> None:
        assert not of_type(after("note_on 60", "time_shift 3", "note_on 62"), OFF)
        assert of_type(after("note_on 60", "time_shift 3", "note_on 62", "time_shift 1"), OFF)

    def test_note_offs_of_a_step_go_in_the_order_of_their_note_ons(self) -> None:
        held = ("note_on 64", "note_on 60", "note_on 62", "time_shift 3")
        assert of_type(after(*held), OFF) == {60, 62, 64}
        assert of_type(after(*held, "note_off 60"), OFF) == {62}
        assert of_type(after(*held, "note_off 62"), OFF) == set()
        assert of_type(after(*held, "note_off 60", "time_shift 1"), OFF) == {62, 64}

    def test_after_a_shift_another_may_come_only_if_it_was_a_full_one(self) -> None:
        assert not of_type(after("time_shift 99"), SHIFT)
        assert of_type(after("time_shift 100"), SHIFT) == set(range(1, 101))
        assert of_type(after("time_shift 99", "note_on 60"), SHIFT) == set(range(1, 101))

    def test_the_velocity_in_force_is_not_said_again(self) -> None:
        assert 7 not in of_type(after("velocity 7", "note_on 60"), VELOCITY)
        assert 7 in of_type(after("velocity 7", "note_on 60", "velocity 8", "note_on 61"), VELOCITY)

    def test_where_every_pitch_sounds_no_velocity_may_come_since_no_note_could_follow(
        self,
    ) -> None:
        every = [f"note_on {pitch}" for pitch in range(128)]
        assert of_type(after(*every), SHIFT) == set(range(1, 101))
        assert not of_type(after(*every), VELOCITY)
        assert not of_type(after(*every, "time_shift 1"), VELOCITY)
        assert of_type(after(*every, "time_shift 1", "note_off 5"), VELOCITY) == set(range(1, 33))
        masks = GRAMMAR.scan(GRAMMAR.start(), np.arange(128, dtype=np.uint16))
        assert set(np.flatnonzero(masks[-1])) == set(range(256, 356))


class TestStreamsOfTheEncoder:
    @given(performances(max_notes=30, unreleased=True, drums=True), performance_codecs())
    def test_are_accepted(self, performance: Performance, codec: PerformanceCodec) -> None:
        grammar = codec.constraint()
        state = grammar.start()
        grammar.scan(state, codec.encode(performance))
        assert not state.held.any()

    @given(performances(max_notes=30, unreleased=True, drums=True), performance_codecs())
    def test_are_accepted_with_an_open_end(
        self, performance: Performance, codec: PerformanceCodec
    ) -> None:
        grammar = codec.constraint()
        grammar.scan(grammar.start(), codec.encode(performance, open_end=True))

    def test_with_kept_overlaps_are_not(self) -> None:
        codec = PerformanceCodec(overlaps="keep")
        notes = Performance.from_notes([(0.0, 1.0, 60, 64), (0.5, 1.5, 60, 64)])
        with pytest.raises(CodecError, match=r"token 3 \(note_on 60\) breaks the grammar"):
            codec.constraint().scan(codec.constraint().start(), codec.encode(notes))

    @given(performance_codecs(), CHOICES, SEEDS)
    def test_that_say_what_any_walk_says_are_accepted(
        self, codec: PerformanceCodec, choice: Choice, seed: int
    ) -> None:
        grammar = codec.constraint()
        said = codec.decode(walk(grammar, choice, seed))
        again = codec.encode(said)
        grammar.scan(grammar.start(), again)
        assert codec.decode(again) == said


class TestScan:
    @given(st.data(), performance_codecs())
    def test_its_rows_are_the_masks_along_the_stream(
        self, data: st.DataObject, codec: PerformanceCodec
    ) -> None:
        tokens, grammar = data.draw(streams(codec)), codec.constraint()
        masks = grammar.scan(grammar.start(), tokens)
        held = held_rows(codec, no_notes(), tokens)
        assert held.shape == (len(tokens), NUM_PITCHES)
        assert masks.shape == (len(tokens), codec.vocab_size)
        state = grammar.start()
        for row, one in enumerate(tokens.tolist()):
            assert grammar.mask(state)[one]
            grammar.advance(state, one)
            assert np.array_equal(held[row], state.held)
            assert np.array_equal(masks[row], grammar.mask(state))

    @given(streams(), st.lists(st.integers(0, 120), max_size=4))
    def test_in_pieces_it_gives_what_it_gives_for_the_whole(
        self, tokens: Tokens, cuts: list[int]
    ) -> None:
        whole_state, state = GRAMMAR.start(), GRAMMAR.start()
        whole = GRAMMAR.scan(whole_state, tokens)
        pieces = [GRAMMAR.scan(state, piece) for piece in np.split(tokens, sorted(cuts))]
        assert np.array_equal(whole, np.concatenate(pieces))
        assert fields(state) == fields(whole_state)

    @given(streams())
    def test_it_moves_the_state_on(self, tokens: Tokens) -> None:
        scanned, advanced = GRAMMAR.start(), GRAMMAR.start()
        GRAMMAR.scan(scanned, tokens)
        for one in tokens.tolist():
            GRAMMAR.advance(advanced, one)
        assert fields(scanned) == fields(advanced)

    def test_of_no_tokens_it_has_no_rows(self) -> None:
        state = GRAMMAR.start()
        assert GRAMMAR.scan(state, np.empty(0, np.uint16)).shape == (0, 388)
        assert fields(state) == fields(GRAMMAR.start())

    @pytest.mark.parametrize(
        ("words", "position"),
        [
            (["note_off 60"], 0),
            (["note_on 60", "note_on 60"], 1),
            (["note_on 60", "note_off 60"], 1),
            (["velocity 3", "velocity 4"], 1),
            (["velocity 3", "time_shift 4"], 1),
            (["velocity 3", "note_on 60", "velocity 3"], 2),
            (["time_shift 3", "time_shift 100"], 1),
            (["time_shift 100", "time_shift 3", "time_shift 3"], 2),
            (["note_on 60", "time_shift 3", "note_off 61"], 2),
            (["note_on 60", "time_shift 3", "note_off 60", "note_off 60"], 3),
            (["note_on 60", "time_shift 3", "note_on 61", "note_off 60"], 3),
            (["note_on 60", "note_on 62", "time_shift 3", "note_off 62", "note_off 60"], 4),
        ],
    )
    def test_a_broken_stream_is_refused_by_the_token_that_breaks_it(
        self, words: list[str], position: int
    ) -> None:
        state = GRAMMAR.start()
        tokens = np.array([token(word) for word in words], np.uint16)
        with pytest.raises(CodecError) as caught:
            GRAMMAR.scan(state, tokens)
        assert str(caught.value).startswith(f"token {position} ({words[position]}) breaks")
        assert fields(state) == fields(GRAMMAR.start())
        GRAMMAR.scan(state, tokens[:position])
        with pytest.raises(CodecError, match=r"token 0 \("):
            GRAMMAR.scan(state, tokens[position:])

    def test_tokens_outside_the_vocabulary_are_refused(self) -> None:
        with pytest.raises(CodecError, match="token 388 is not in the vocabulary"):
            GRAMMAR.scan(GRAMMAR.start(), np.array([60, 388], np.uint16))

    def test_a_grammar_with_a_limit_does_not_scan(self) -> None:
        for grammar in (CODEC.constraint(Limits(1.0)), CODEC.constraint(Limits(max_sounding=9))):
            with pytest.raises(CodecError, match="for sampling, not for scan"):
                grammar.scan(grammar.start(), np.array([60], np.uint16))


class TestState:
    @given(st.data(), performance_codecs())
    def test_skipping_tokens_is_advancing_over_each(
        self, data: st.DataObject, codec: PerformanceCodec
    ) -> None:
        grammar = codec.constraint()
        skipped, advanced = grammar.start(), grammar.start()
        for _ in range(3):
            tokens = data.draw(token_lists(codec, max_size=30))
            grammar.skip(skipped, np.array(tokens, np.uint16))
            for one in tokens:
                grammar.advance(advanced, one)
            assert fields(skipped) == fields(advanced)

    @given(streams())
    def test_skipping_a_stream_is_scanning_it(self, tokens: Tokens) -> None:
        skipped, scanned = GRAMMAR.start(), GRAMMAR.start()
        GRAMMAR.skip(skipped, tokens)
        GRAMMAR.scan(scanned, tokens)
        assert fields(skipped) == fields(scanned)

    @given(streams())
    def test_it_holds_what_decode_leaves_sounding(self, tokens: Tokens) -> None:
        state = GRAMMAR.start()
        GRAMMAR.skip(state, tokens)
        sounding: set[int] = set()
        for kind, value in map(CODEC.vocabulary.describe, tokens.tolist()):
            if kind is ON:
                sounding.add(value)
            elif kind is OFF:
                sounding.remove(value)
        assert set(np.flatnonzero(state.held)) == set(state.sounding) == sounding
        assert np.array_equal(held_after(CODEC, no_notes(), tokens), state.held)

    def test_a_copy_changes_apart_from_it(self) -> None:
        state = GRAMMAR.start()
        copy = state.copy()
        GRAMMAR.skip(copy, np.array([371, 60, 300]))
        assert fields(state) == fields(GRAMMAR.start())
        assert fields(copy) != fields(state)


class TestLimit:
    @staticmethod
    def longest_notes(tokens: list[int], codec: PerformanceCodec) -> int:
        """The most steps that a note has sounded after any token."""
        step = longest = 0
        begun: dict[int, int] = {}
        for kind, value in map(codec.vocabulary.describe, tokens):
            if kind is SHIFT:
                step += value
            elif kind is ON:
                begun[value] = step
            elif kind is OFF:
                del begun[value]
            longest = max([longest, *(step - start for start in begun.values())])
        return longest

    @given(
        performance_codecs(), st.sampled_from([0.001, 0.05, 0.3, 1.0, 1.7, 60.0]), CHOICES, SEEDS
    )
    def test_no_note_of_any_walk_outlasts_it(
        self, codec: PerformanceCodec, seconds: float, choice: Choice, seed: int
    ) -> None:
        grammar = codec.constraint(Limits(seconds))
        tokens = walk(grammar, choice, seed, length=200)
        assert self.longest_notes(tokens, codec) <= max(1, round(seconds * codec.steps_per_second))
        codec.constraint().scan(codec.constraint().start(), np.array(tokens, np.uint16))

    @given(performance_codecs(), st.sampled_from([None, 0.001, 0.05, 1.0, 60.0]), CHOICES, SEEDS)
    def test_the_longest_shift_and_the_note_that_is_due_are_those_of_the_mask(
        self, codec: PerformanceCodec, seconds: float | None, choice: Choice, seed: int
    ) -> None:
        grammar, state = codec.constraint(Limits(seconds)), codec.constraint().start()
        for one in walk(grammar, choice, seed):
            allowed = list(map(codec.vocabulary.describe, np.flatnonzero(grammar.mask(state))))
            shifts = [value for kind, value in allowed if kind is SHIFT]
            assert grammar.longest_shift(state) == max(shifts, default=0)
            if (due := grammar.due(state)) is not None:
                assert allowed == [(OFF, due)]
            else:
                assert len(allowed) > 1 or allowed[0][0] is not OFF
            grammar.advance(state, one)

    @given(st.integers(1, 6), st.sampled_from([None, 0.05, 1.0]), CHOICES, SEEDS)
    def test_no_more_notes_sound_in_any_walk_than_may(
        self, most: int, seconds: float | None, choice: Choice, seed: int
    ) -> None:
        grammar = CODEC.constraint(Limits(seconds, most))
        tokens = walk(grammar, choice, seed, length=200)
        held = held_rows(CODEC, no_notes(), np.array(tokens, np.uint16))
        assert held.sum(axis=1).max(initial=0) <= most

    def test_as_many_notes_sound_as_may(self) -> None:
        grammar = CODEC.constraint(Limits(max_sounding=3))
        tokens = walk(grammar, no_note_off_if_it_can_be_helped, seed=1, length=100)
        held = held_rows(CODEC, no_notes(), np.array(tokens, np.uint16))
        assert held.sum(axis=1).max() == 3

    @given(streams(), st.integers(1, 3), CHOICES, SEEDS)
    def test_where_too_many_sound_already_none_is_added_until_enough_have_ended(
        self, primer: Tokens, most: int, choice: Choice, seed: int
    ) -> None:
        grammar = CODEC.constraint(Limits(1.0, most))
        state = grammar.start()
        grammar.skip(state, primer)
        if state.last_type == CODEC.vocabulary.index_of(TokenType.VELOCITY):
            return  # the note it announces comes in any case
        allowed = max(most, int(state.held.sum()))
        for one in walk(grammar, choice, seed, length=100, state=state.copy()):
            grammar.advance(state, one)
            assert int(state.held.sum()) <= allowed

    def test_it_is_reached_to_the_step(self) -> None:
        grammar = CODEC.constraint(Limits(0.5))
        tokens = walk(grammar, no_note_off_if_it_can_be_helped, seed=1, length=400)
        assert self.longest_notes(tokens, CODEC) == 50

    def test_every_pitch_can_sound_up_to_it(self) -> None:
        grammar = CODEC.constraint(Limits(0.02))
        state = grammar.start()
        grammar.skip(state, np.arange(128, dtype=np.uint16))
        tokens = walk(grammar, the_longest_shift, seed=1, length=129, state=state)
        assert tokens == [token("time_shift 2"), *range(128, 256)]

    def test_a_note_that_is_due_ends_before_all_else(self) -> None:
        grammar = CODEC.constraint(Limits(0.1))
        first = ("note_on 60", "time_shift 4", "note_on 50", "time_shift 6")
        assert after(*first, grammar=grammar) == {"note_off 60"}
        words = after(*first, "note_off 60", grammar=grammar)
        assert of_type(words, SHIFT) == {1, 2, 3, 4}
        assert of_type(words, OFF) == {50}

    @given(streams(), st.sampled_from([0.01, 0.1, 1.0]), CHOICES, SEEDS)
    def test_notes_that_were_overdue_end_within_a_step(
        self, primer: Tokens, seconds: float, choice: Choice, seed: int
    ) -> None:
        grammar = CODEC.constraint(Limits(seconds))
        state = grammar.start()
        grammar.skip(state, primer)
        limit = round(seconds * 100)
        overdue = {
            pitch: step
            for pitch, step in enumerate(state.onset_step.tolist())
            if step >= 0 and state.step - step > limit
        }
        tokens = walk(grammar, choice, seed, length=300, state=state.copy())
        elapsed = 0
        for kind, value in map(CODEC.vocabulary.describe, tokens):
            if kind is SHIFT:
                elapsed += value
                assert elapsed <= 1 or not overdue
            elif kind is OFF:
                overdue.pop(value, None)

    def test_without_a_limit_a_note_may_sound_for_ever(self) -> None:
        words = after("note_on 60", *["time_shift 100"] * 1000)
        assert of_type(words, SHIFT) == set(range(1, 101))

    def test_an_open_end_can_be_continued(self) -> None:
        performance = performance_of([(0.0, 9.0, 60, 64, 0, True)])
        grammar = CODEC.constraint(Limits(5.0))
        state = grammar.start()
        grammar.skip(state, CODEC.encode(performance, open_end=True))
        tokens = walk(grammar, no_note_off_if_it_can_be_helped, seed=3, length=2000, state=state)
        assert token("note_off 60") in tokens
