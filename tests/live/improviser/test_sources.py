"""Sources: a phrase that comes back, chords to notes, and all of it within the grammar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.live.base.messages import HeardStep
from midirnn.live.improviser.sources import (
    SHIFT_SPREAD,
    ChordSource,
    FreeSource,
    PhraseSource,
    TokenSource,
    Word,
    phrase_words,
)
from midirnn.live.improviser.surprise import entropy
from midirnn.sampling import Sampler
from tests.sampling.mock_engine import MockEngine

CODEC = PerformanceCodec()
ON, OFF, SHIFT, VELOCITY = (
    TokenType.NOTE_ON,
    TokenType.NOTE_OFF,
    TokenType.TIME_SHIFT,
    TokenType.VELOCITY,
)

PHRASE = [
    HeardStep(7, (), ((60, 20),)),
    HeardStep(30, (60,), ((62, 20), (65, 24))),
    HeardStep(280, (62, 65), ()),
]
WORDS: tuple[Word, ...] = (
    (VELOCITY, 20),
    (ON, 60),
    (SHIFT, 23),
    (OFF, 60),
    (ON, 62),
    (VELOCITY, 24),
    (ON, 65),
    (SHIFT, 100),
    (SHIFT, 100),
    (SHIFT, 50),
    (OFF, 62),
    (OFF, 65),
)


def a_sampler(seed: int = 0) -> Sampler:
    return Sampler(MockEngine(CODEC, seed), CODEC, seed=seed)


def play(source: TokenSource, sampler: Sampler, tokens: int) -> list[Word]:
    """What a source gives, each token checked against the grammar."""
    words = []
    for _ in range(tokens):
        allowed = sampler.mask()
        narrowed = source.narrow(allowed, sampler)
        assert not (narrowed & ~allowed).any()
        if not narrowed.any():
            break
        token = sampler.next(narrowed)
        words.append(CODEC.vocabulary.describe(token))
        source = source.after(words[-1])
    return words


def onsets(words: list[Word]) -> list[tuple[int, int]]:
    """(step, pitch) of the note-ons."""
    step, found = 0, []
    for kind, value in words:
        step += value if kind is SHIFT else 0
        if kind is ON:
            found.append((step, value))
    return found


def test_a_phrase_begins_with_its_first_note_and_has_its_rests() -> None:
    assert phrase_words(PHRASE, CODEC) == WORDS


def test_notes_that_the_phrase_did_not_begin_do_not_end_in_it() -> None:
    steps = [HeardStep(3, (40,), ()), *PHRASE, HeardStep(300, (41,), ())]
    assert phrase_words(steps, CODEC) == WORDS


def test_an_empty_phrase_is_silence() -> None:
    assert phrase_words([], CODEC) == ()
    assert play(PhraseSource((), 0.5), a_sampler(), 5) == []


def test_at_threshold_0_the_phrase_comes_back_as_it_was_and_then_it_rests() -> None:
    words = play(PhraseSource(WORDS, 0.0), a_sampler(), len(WORDS) + 3)
    assert words == list(WORDS)


@pytest.mark.parametrize("seed", range(5))
def test_at_a_threshold_nothing_reaches_the_pitches_change_and_the_rhythm_does_about(
    seed: int,
) -> None:
    words = play(PhraseSource(WORDS, 1.1), a_sampler(seed), 40)
    notes = onsets(words)
    assert len(notes) == 3
    assert [pitch for _, pitch in notes] != [60, 62, 65]
    assert 23 / SHIFT_SPREAD <= notes[1][0] <= 23 * SHIFT_SPREAD
    assert notes[2][0] == notes[1][0]
    begun = [value for kind, value in words if kind is ON]
    ended = [value for kind, value in words if kind is OFF]
    assert sorted(begun) == sorted(ended)


def test_what_is_likely_stays_and_what_is_not_is_drawn_anew() -> None:
    sampler = a_sampler()
    sampler.hear([CODEC.vocabulary.token(VELOCITY, 20)])
    ons = CODEC.vocabulary.slice_of(ON)
    p = sampler.distribution(sampler.mask())[ons]
    likely, unlikely = int(p.argmax()), int(p.argmin())
    threshold = float(np.sort(p)[-2] + p.max()) / 2
    for pitch, stays in ((likely, True), (unlikely, False)):
        source = PhraseSource(((ON, pitch),), threshold)
        candidates = np.flatnonzero(source.narrow(sampler.mask(), sampler)[ons])
        assert (candidates.tolist() == [pitch]) == stays
        assert len(candidates) == (1 if stays else 128)


def test_a_note_that_already_sounds_becomes_another() -> None:
    sampler = a_sampler()
    sampler.hear([CODEC.vocabulary.token(ON, 60)])
    words = play(PhraseSource(WORDS[1:4], 0.0), sampler, 3)
    (_, began), _, (_, ended) = words
    assert began == ended != 60


@st.composite
def phrases(draw: st.DrawFn) -> list[HeardStep]:
    """Phrases as a listener tells them."""
    steps, at, sounding = [], 0, dict[int, None]()
    for _ in range(draw(st.integers(0, 15))):
        at += draw(st.integers(1, 250))
        ended = [pitch for pitch in sounding if draw(st.booleans())]
        for pitch in ended:
            del sounding[pitch]
        free = [pitch for pitch in range(58, 66) if pitch not in sounding]
        begun = draw(st.lists(st.sampled_from(free), max_size=3, unique=True)) if free else []
        sounding.update(dict.fromkeys(begun))
        ons = tuple((pitch, draw(st.integers(1, 32))) for pitch in begun)
        steps.append(HeardStep(at, tuple(ended), ons))
    return steps


@settings(max_examples=60)
@given(phrases(), st.floats(0.0, 0.2), st.integers(0, 3))
def test_any_phrase_comes_back_within_the_grammar_with_as_many_notes(
    steps: list[HeardStep], threshold: float, seed: int
) -> None:
    words = phrase_words(steps, CODEC)
    played = play(PhraseSource(words, threshold), a_sampler(seed), len(words) + 20)
    count = sum(kind is ON for kind, _ in words)
    assert sum(kind is ON for kind, _ in played) == count
    if threshold == 0.0:
        assert [pitch for _, pitch in onsets(played)] == [pitch for _, pitch in onsets(list(words))]


def test_a_free_source_takes_all() -> None:
    sampler, source = a_sampler(), FreeSource()
    assert source.narrow(sampler.mask(), sampler) is not None
    assert (source.narrow(sampler.mask(), sampler) == sampler.mask()).all()
    assert source.after((ON, 60)) is source
    assert source.struck([60]) is source
    assert source.ending_with([60]) == set()


def test_a_chord_is_as_many_notes_as_were_asked_for_and_then_rests() -> None:
    source = ChordSource(notes=2).struck([60])
    assert [kind for kind, _ in play(source, a_sampler(), 6)] == [ON, ON]


def test_a_phrase_waits_for_the_first_step_that_is_free_and_loses_nothing() -> None:
    sampler, source = a_sampler(), PhraseSource(WORDS, 0.0)
    shifts = CODEC.vocabulary.slice_of(SHIFT)
    later = np.zeros_like(sampler.mask())
    later[shifts.start + 4 : shifts.stop] = True
    (token,) = np.flatnonzero(source.narrow(later, sampler))
    assert CODEC.vocabulary.describe(int(token)) == (SHIFT, 5)
    sampler.hear([int(token)])
    assert play(source.after((SHIFT, 5)), sampler, 20) == list(WORDS)


def test_without_a_note_of_the_performers_there_is_no_chord() -> None:
    assert play(ChordSource(notes=3), a_sampler(), 2) == []
    source = ChordSource(notes=3)
    assert source.struck([]) is source


def test_a_chord_waits_for_the_first_step_that_is_free() -> None:
    sampler = a_sampler()
    source = ChordSource(notes=1).struck([60])
    later = sampler.mask().copy()
    later[: CODEC.vocabulary.slice_of(SHIFT).start + 4] = False
    later[CODEC.vocabulary.slice_of(SHIFT).stop :] = False
    (token,) = np.flatnonzero(source.narrow(later, sampler))
    assert CODEC.vocabulary.describe(int(token)) == (SHIFT, 5)
    assert source.after((SHIFT, 5)) == source


def test_the_notes_of_a_chord_end_with_the_note_that_was_struck_last_with_them() -> None:
    chord = ChordSource(notes=2).struck([60, 64]).after((ON, 67)).after((ON, 72))
    assert chord.ending_with([60]) == set()
    assert chord.ending_with([64]) == {67, 72}
    again = chord.struck([62]).after((ON, 67))
    assert again.ending_with([64]) == {72}
    assert again.ending_with([62]) == {67}


def test_the_entropy_is_that_of_the_allowed_tokens() -> None:
    logits = np.log(np.array([1.0, 1.0, 2.0, 50.0], np.float32))
    allowed = np.array([True, True, True, False])
    assert entropy(logits, allowed) == pytest.approx(1.5 * np.log(2.0), abs=1e-6)
    assert entropy(np.zeros(388, np.float32), np.ones(388, bool)) == pytest.approx(np.log(388))
    assert entropy(logits, np.zeros(4, bool)) == 0.0
