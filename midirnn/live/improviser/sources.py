"""Sources of what the model plays: free sampling, a varied phrase, or chords to notes.

A source narrows down which tokens may be sampled next. It is frozen, so that a snapshot can hold
it: each token gives a new source for the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.performance import TokenType
from midirnn.live.base.messages import Begin, HeardStep
from midirnn.sampling import Sampler

Word: TypeAlias = tuple[TokenType, int]
"""A token's type and value."""

_EXACT = (TokenType.NOTE_OFF, TokenType.PEDAL)
"""Token types that are never replaced by another token of their type."""

SHIFT_SPREAD = 2
"""A time shift that is resampled is at most this many times shorter or longer."""


class TokenSource(Protocol):
    """Decides which of the allowed tokens may be sampled.

    ``pedals`` is True if its music uses the pedal, with a codec that has tokens for it.
    """

    pedals: ClassVar[bool]

    def narrow(self, allowed: BoolArray, sampler: Sampler[PerformanceCodec]) -> BoolArray:
        """Return which ``allowed`` tokens (V,) the source takes; all False while it rests.

        A rest lasts until the performer plays. For a rest of known length it takes time shifts.
        """
        ...

    def after(self, word: Word) -> TokenSource:
        """Return the source after that word was sampled."""
        ...

    def struck(self, pitches: Sequence[int]) -> TokenSource:
        """Return the source after the performer has struck these pitches."""
        ...

    def ending_with(self, pitches: Iterable[int]) -> set[int]:
        """Return the model's notes that end because these notes of the performer have ended."""
        ...

    def hear(
        self, step: int, note_offs: Sequence[int], note_ons: Sequence[tuple[int, int]]
    ) -> TokenSource:
        """Return the source after the performer has ended and begun these notes in that step."""
        ...

    def at(self, now: int, step: int) -> TokenSource:
        """Return the source for a token after ``step``; anything before ``now`` is final."""
        ...

    def asked(self, controls: Controls) -> Controls:
        """Return the controls to give to the model, from those that the knobs ask for."""
        ...

    def seat_of(self, pitch: int) -> int:
        """Return which of the model's players played a pitch last; 0 if there is only one."""
        ...


@dataclass(frozen=True)
class FreeSource:
    """Takes everything: the model plays freely."""

    pedals: ClassVar[bool] = True

    def narrow(self, allowed: BoolArray, sampler: Sampler[PerformanceCodec]) -> BoolArray:
        """Return all that is allowed."""
        return allowed

    def after(self, word: Word) -> TokenSource:
        """Return the source itself."""
        return self

    def struck(self, pitches: Sequence[int]) -> TokenSource:
        """Return the source itself."""
        return self

    def ending_with(self, pitches: Iterable[int]) -> set[int]:
        """Return no notes."""
        return set()

    def hear(
        self, step: int, note_offs: Sequence[int], note_ons: Sequence[tuple[int, int]]
    ) -> TokenSource:
        """Return the source itself."""
        return self

    def at(self, now: int, step: int) -> TokenSource:
        """Return the source itself."""
        return self

    def asked(self, controls: Controls) -> Controls:
        """Return the controls."""
        return controls

    def seat_of(self, pitch: int) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class PhraseSource(FreeSource):
    """A phrase repeated word for word, with improbable words resampled among those of their type.

    A word is kept if its probability among the allowed tokens of its type is at least
    ``threshold``. A resampled time shift stays within a factor of ``SHIFT_SPREAD``; a note-off ends
    the note that replaced its own. Words that are not allowed are left out. After the phrase the
    source rests.
    """

    words: tuple[Word, ...]
    threshold: float
    position: int = 0
    became: tuple[tuple[int, int], ...] = ()
    """(pitch in the phrase, pitch played) of the sounding notes."""

    def narrow(self, allowed: BoolArray, sampler: Sampler[PerformanceCodec]) -> BoolArray:
        """Return the phrase's next token, or those that may replace it."""
        shifts = sampler.codec.vocabulary.slice_of(TokenType.TIME_SHIFT)
        left = range(self.position, len(self.words))
        if left and not self._shifts_next and allowed[shifts].sum() == allowed.sum():
            return _shortest_shift(allowed, sampler.codec)
        for position in left:
            candidates = self._candidates(self._word(position), allowed, sampler)
            if candidates.any():
                return candidates
        return np.zeros_like(allowed)

    def after(self, word: Word) -> PhraseSource:
        """Return the source past the word that this one replaced: the next of its type."""
        if word[0] is TokenType.TIME_SHIFT and not self._shifts_next:
            return self  # only a time shift was allowed
        for position in range(self.position, len(self.words)):
            kind, value = self.words[position]
            is_another = kind in _EXACT and self._word(position) != word
            if kind is not word[0] or is_another:
                continue
            became = self.became
            if kind is TokenType.NOTE_ON:
                became = (*became, (value, word[1]))
            elif kind is TokenType.NOTE_OFF:
                became = tuple(pair for pair in became if pair != (value, word[1]))
            return replace(self, position=position + 1, became=became)
        return self

    @property
    def _shifts_next(self) -> bool:
        next_words = self.words[self.position : self.position + 1]
        return [kind for kind, _ in next_words] == [TokenType.TIME_SHIFT]

    def _word(self, position: int) -> Word:
        """Return a word of the phrase as it was played."""
        kind, value = self.words[position]
        if kind is TokenType.NOTE_OFF:
            return kind, dict(self.became).get(value, value)
        return kind, value

    def _candidates(
        self, word: Word, allowed: BoolArray, sampler: Sampler[PerformanceCodec]
    ) -> BoolArray:
        """Return the tokens that may replace a word now; all False if none may."""
        kind, value = word
        vocabulary = sampler.codec.vocabulary
        token = vocabulary.token(kind, value)
        same_kind = np.zeros_like(allowed)
        same_kind[vocabulary.slice_of(kind)] = allowed[vocabulary.slice_of(kind)]
        only = np.zeros_like(allowed)
        if kind in _EXACT or not same_kind.any():
            only[token] = same_kind[token]
            return only
        if kind is TokenType.VELOCITY and sampler.grammar_state.velocity_bin == value:
            return only
        if kind is TokenType.TIME_SHIFT:
            same_kind = _near(same_kind, sampler.codec, value)
        # The longest shift is part of a longer rest, and always kept.
        rests = kind is TokenType.TIME_SHIFT and value == sampler.codec.max_shift_steps
        if same_kind[token] and (rests or _share(sampler, same_kind, token) >= self.threshold):
            only[token] = True
            return only
        return same_kind


@dataclass(frozen=True)
class ChordSource(FreeSource):
    """Chords to the performer's notes: up to ``notes`` right after each onset; else it rests.

    They are sampled from the model at the performer's velocity. They end when the performer's note
    does; if several were struck together, the last one in the order of the encoding.
    """

    notes: int
    left: int = 0
    onset: tuple[int, ...] = ()
    belongs: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(pitch of the model, pitches of the performer that it sounds with)"""

    def struck(self, pitches: Sequence[int]) -> ChordSource:
        """Return the source, ready for a chord to these pitches."""
        return replace(self, left=self.notes, onset=tuple(pitches)) if pitches else self

    def narrow(self, allowed: BoolArray, sampler: Sampler[PerformanceCodec]) -> BoolArray:
        """Return the note-ons of a chord that is due, or the shortest time shift before it."""
        kept = np.zeros_like(allowed)
        if not self.left:
            return kept
        ons = sampler.codec.vocabulary.slice_of(TokenType.NOTE_ON)
        kept[ons] = allowed[ons]
        return kept if kept.any() else _shortest_shift(allowed, sampler.codec)

    def after(self, word: Word) -> ChordSource:
        """Return the source, with one note fewer to come if that was a note-on."""
        if word[0] is not TokenType.NOTE_ON:
            return self
        belongs = (*(pair for pair in self.belongs if pair[0] != word[1]), (word[1], self.onset))
        return replace(self, left=max(self.left - 1, 0), belongs=belongs)

    def ending_with(self, pitches: Iterable[int]) -> set[int]:
        """Return the model's notes whose last note of the performer has ended."""
        ended = set(pitches)
        return {pitch for pitch, with_ in self.belongs if with_ and with_[-1] in ended}


def make_source(
    begin: Begin, phrase: Sequence[HeardStep], codec: PerformanceCodec, *, seed: int = 0
) -> TokenSource:
    """Return the source that ``begin`` asks for; ``phrase`` is what was heard last."""
    if begin.source == "phrase":
        return PhraseSource(phrase_words(phrase, codec), begin.echo_threshold)
    if begin.source == "chord":
        last = phrase[-1].note_ons if phrase else ()
        return ChordSource(begin.chord_notes).struck([pitch for pitch, _ in last])
    if begin.source == "ensemble":
        return _ensemble(begin, phrase, codec, seed)
    return FreeSource()


def _ensemble(
    begin: Begin, phrase: Sequence[HeardStep], codec: PerformanceCodec, seed: int
) -> TokenSource:
    """Return the source for several players, which has heard the phrase."""
    from midirnn.ensemble import EnsembleSource, Seats, load_network

    source = EnsembleSource.begin(
        load_network(begin.network),
        Seats(begin.players),
        seed=seed,
        steps_per_second=codec.steps_per_second,
        step=begin.step,
    )
    for heard in phrase:
        source = source.hear(heard.step, heard.note_offs, heard.note_ons)
    return source


def phrase_words(steps: Sequence[HeardStep], codec: PerformanceCodec) -> tuple[Word, ...]:
    """Return the tokens of a phrase as (type, value), from its first note or pedal on.

    The first word is never a time shift.
    """
    words: list[Word] = []
    sounding: set[int] = set()
    last_step, velocity_bin = None, 0
    for step in steps:
        offs = [pitch for pitch in step.note_offs if pitch in sounding]
        if not offs and not step.note_ons and not step.pedal:
            continue
        if last_step is not None:
            words += _shifts(step.step - last_step, codec.max_shift_steps)
        last_step = step.step
        words += [(TokenType.PEDAL, value) for value in step.pedal]
        words += [(TokenType.NOTE_OFF, pitch) for pitch in offs]
        sounding.difference_update(offs)
        for pitch, used_bin in step.note_ons:
            if codec.velocity_bins and used_bin != velocity_bin:
                words.append((TokenType.VELOCITY, used_bin))
                velocity_bin = used_bin
            words.append((TokenType.NOTE_ON, pitch))
            sounding.add(pitch)
    return tuple(words)


def _shifts(steps: int, most: int) -> list[Word]:
    full, rest = divmod(steps, most)
    values = [most] * full + [rest] * bool(rest)
    return [(TokenType.TIME_SHIFT, value) for value in values]


def _shortest_shift(allowed: BoolArray, codec: PerformanceCodec) -> BoolArray:
    """Return a mask of the shortest allowed time shift; all False if there is none."""
    shifts = codec.vocabulary.slice_of(TokenType.TIME_SHIFT)
    kept = np.zeros_like(allowed)
    kept[shifts.start + np.flatnonzero(allowed[shifts])[:1]] = True
    return kept


def _near(shifts: BoolArray, codec: PerformanceCodec, value: int) -> BoolArray:
    """Return a mask of the time shifts about as long as ``value``, or of the nearest one."""
    start = codec.vocabulary.slice_of(TokenType.TIME_SHIFT).start
    values = np.flatnonzero(shifts) - start + 1
    close = values[(values * SHIFT_SPREAD >= value) & (values <= value * SHIFT_SPREAD)]
    if not len(close):
        close = values[np.abs(values - value).argmin()][None]
    kept = np.zeros_like(shifts)
    kept[start + close - 1] = True
    return kept


def _share(sampler: Sampler[PerformanceCodec], candidates: BoolArray, token: int) -> float:
    """Return the probability of a token among the candidates, at temperature 1."""
    logits = sampler.engine.logits().astype(np.float64)
    logits[~candidates] = -np.inf
    p = np.exp(logits - logits.max())
    return float(p[token] / p.sum())
