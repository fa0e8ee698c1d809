"""Which notes sound, tracked from note-ons and note-offs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray
from midirnn.codecs.base import HoldsNotes, Tokens
from midirnn.codecs.native_scan import is_for, scan_held, skip_held
from midirnn.performance import NUM_PITCHES


def no_notes() -> BoolArray:
    """Return all false: no pitch sounds; shape ``(128,)``."""
    return np.zeros(NUM_PITCHES, dtype=bool)


def held_of(state: object) -> BoolArray:
    """Return which pitches sound in the state of a constraint; none if it tracks no notes."""
    held: BoolArray | None = getattr(state, "held", None)
    return no_notes() if held is None else held


def held_after(codec: HoldsNotes, held: BoolArray, tokens: Tokens) -> BoolArray:
    """Return which pitches sound after the tokens if ``held`` (128,) sounded before them."""
    held = held.copy()
    if is_for(len(tokens)):
        skip_held(codec.note_ons, codec.note_offs, held, tokens)
        return held
    change = _changes(codec, tokens)
    notes = np.flatnonzero(change)
    held[_pitches(codec, tokens[notes])] = change[notes] > 0  # the last per pitch counts
    return held


def held_rows(codec: HoldsNotes, held: BoolArray, tokens: Tokens) -> BoolArray:
    """Return which pitches sound after each of the tokens; shape ``(T, 128)``.

    Expects note-ons only of silent pitches and note-offs only of sounding ones, as in the grammar.
    """
    if is_for(len(tokens)):
        return scan_held(codec.note_ons, codec.note_offs, held.copy(), tokens)
    change = _changes(codec, tokens)
    notes = np.flatnonzero(change)
    steps = np.zeros((len(tokens) + 1, NUM_PITCHES), np.int8)
    steps[0] = held
    steps[notes + 1, _pitches(codec, tokens[notes])] = change[notes]
    rows: BoolArray = np.cumsum(steps, axis=0, dtype=np.int8)[1:] > 0
    return rows


def _changes(codec: HoldsNotes, tokens: Tokens) -> npt.NDArray[np.int8]:
    """Return 1 for each note-on, -1 for each note-off, else 0; shape ``(T,)``."""
    ons, offs = codec.note_ons, codec.note_offs
    begins: BoolArray = (tokens >= ons.start) & (tokens < ons.stop)
    ends: BoolArray = (tokens >= offs.start) & (tokens < offs.stop)
    return begins.astype(np.int8) - ends.astype(np.int8)


def _pitches(codec: HoldsNotes, tokens: Tokens) -> npt.NDArray[np.int64]:
    """Return the pitch of each note-on and note-off."""
    ons, offs = codec.note_ons, codec.note_offs
    ids = tokens.astype(np.int64)
    is_on = (ids >= ons.start) & (ids < ons.stop)
    pitches: npt.NDArray[np.int64] = np.where(is_on, ids - ons.start, ids - offs.start)
    return pitches
