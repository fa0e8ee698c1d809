"""What the marks of a notated score mean for the loudness and duration of its notes.

Marks have the values that notation programs play them with, because the network has learned from
MIDI files of such programs: dynamics are velocities, a wedge goes evenly from one to the next, an
accent multiplies the velocity of its note, and a staccato dot halves its duration. These velocities
are what the network reads, not how loud a note is played.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

DYNAMICS = {
    "pppp": 10, "ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 126,
    "ffff": 127,
}  # fmt: skip
"""The velocities of dynamics."""

UNMARKED = float(DYNAMICS["mf"])
"""The velocity before the first dynamics."""

STEP = 16.0
"""The velocity by which a wedge changes if no dynamics give its target."""

REACH = 4.0
"""How far after the end of a wedge its target dynamics may be, in quarter notes."""

AT_ONCE = {"fp": ("f", "p"), "sfp": ("f", "p"), "sfpp": ("f", "pp")}
"""Dynamics that change right after the notes that begin there."""

SUDDEN = ("sf", "sfz", "sffz", "fz", "rf", "rfz")
"""Dynamics that are accents of the notes that begin there, and do not affect other notes."""


class Articulation(NamedTuple):
    """What a sign at a note changes."""

    written: float = 1.0
    """Factor of the velocity that the network reads."""
    played: float = 1.0
    """Factor of the velocity that the network chooses, because it hardly reacts to a single louder
    note. Pianists play accented notes about 8 velocities louder than the notes around them."""
    shorter: float = 1.0
    """Factor of the duration that the network reads."""


ACCENT = Articulation(written=1.2, played=1.1)
STRONG_ACCENT = Articulation(written=1.4, played=1.2)

ARTICULATIONS = {
    "accent": ACCENT,
    "strong accent": STRONG_ACCENT,
    "stress": ACCENT,
    "staccato": Articulation(shorter=0.5),
    "spiccato": Articulation(shorter=0.5),
    "staccatissimo": Articulation(shorter=1 / 3),
    "detached legato": Articulation(shorter=2 / 3),
}
"""The signs that change something, by music21's names."""

_RISING, _FALLING = "crescendo", "diminuendo"
_CLOSE = 1e-6
_SUDDENLY = "midirnn_sudden"  # stored with a note of music21 that has an sf
_SOON = 1e-3  # quarter notes: a mark this much later is for the notes after the present ones


@dataclass(frozen=True, order=True)
class Mark:
    """Dynamics from ``onset`` on, in quarter notes."""

    onset: float
    velocity: float


@dataclass(frozen=True, order=True)
class Wedge:
    """A crescendo or diminuendo, in quarter notes."""

    begin: float
    end: float
    rises: bool


class _Slope(NamedTuple):
    """A velocity that goes evenly from one to another, and stays there until the next slope."""

    begin: float
    end: float
    first: float
    last: float

    def at(self, onset: float) -> float:
        if onset >= self.end - _CLOSE:
            return self.last
        return self.first + (self.last - self.first) * (onset - self.begin) / (
            self.end - self.begin
        )


class Loudness:
    """The velocity that results from dynamics and wedges at each time.

    A wedge starts at the velocity in force. It leads to the dynamics at its end, or up to
    :data:`REACH` after it; if there are none, or if they contradict its direction, it changes by
    :data:`STEP`. Dynamics within a wedge divide it.
    """

    def __init__(self, marks: Iterable[Mark], wedges: Iterable[Wedge]) -> None:
        self._marks = sorted(set(marks))
        pieces = sorted({piece for wedge in wedges for piece in self._divided(wedge)})
        self._slopes = [_Slope(-np.inf, -np.inf, UNMARKED, UNMARKED)]
        waiting = list(self._marks)
        for index, piece in enumerate(pieces):
            while waiting and waiting[0].onset <= piece.begin + _CLOSE:
                self._stand(waiting.pop(0))
            limit = pieces[index + 1].begin if index + 1 < len(pieces) else np.inf
            first = self._slopes[-1].at(piece.begin)
            last = self._led_to(piece, first, limit)
            self._slopes.append(_Slope(piece.begin, piece.end, first, last))
        for mark in waiting:
            self._stand(mark)
        self._begins = np.array([slope.begin for slope in self._slopes])

    def at(self, onset: float) -> float:
        """Return the velocity at a time in quarter notes."""
        index = int(np.searchsorted(self._begins, onset + _CLOSE, side="right")) - 1
        return self._slopes[index].at(onset)

    def _stand(self, mark: Mark) -> None:
        self._slopes.append(_Slope(mark.onset, mark.onset, mark.velocity, mark.velocity))

    def _divided(self, wedge: Wedge) -> Iterator[Wedge]:
        """Yield the parts of a wedge between the dynamics within it."""
        inside = [m.onset for m in self._marks if wedge.begin < m.onset < wedge.end]
        for begin, end in itertools.pairwise([wedge.begin, *inside, wedge.end]):
            if end > begin + _CLOSE:
                yield Wedge(begin, end, wedge.rises)

    def _led_to(self, wedge: Wedge, first: float, limit: float) -> float:
        """Return the velocity at the end of a wedge, given the one at its beginning."""
        far = min(wedge.end + REACH, max(limit, wedge.end))
        ahead = (m.velocity for m in self._marks if wedge.end - _CLOSE <= m.onset <= far + _CLOSE)
        target = next(ahead, first)
        if (target > first) if wedge.rises else (target < first):
            return target
        by_itself = first + (STEP if wedge.rises else -STEP)
        return float(np.clip(by_itself, DYNAMICS["pppp"], DYNAMICS["ffff"]))


def articulation_of(element: Any) -> Articulation:
    """Return what the signs at a note or chord of music21 change: the largest of each kind."""
    signs = [ARTICULATIONS[s.name] for s in element.articulations if s.name in ARTICULATIONS]
    if element.hasEditorialInformation and element.editorial.get(_SUDDENLY):
        signs.append(ACCENT)
    every = [Articulation(), *signs]
    return Articulation(
        max(sign.written for sign in every),
        max(sign.played for sign in every),
        min(sign.shorter for sign in every),
    )


def mark_velocities(parts: Sequence[Any]) -> None:
    """Set the velocity of each note of music21's parts from the marks of all parts.

    This is done before repeats are expanded, so that a bar is equally loud each time.
    """
    from music21 import dynamics

    flat = [part.flatten() for part in parts]
    signs = [sign for part in flat for sign in part.getElementsByClass(dynamics.Dynamic)]
    loudness = Loudness([mark for sign in signs for mark in _marks(sign)], _wedges(parts, flat))
    sudden = {float(sign.offset) for sign in signs if sign.value in SUDDEN}
    for element in (element for part in flat for element in part.notes):
        onset = float(element.offset)
        if onset in sudden:
            element.editorial[_SUDDENLY] = True
        velocity = loudness.at(onset) * articulation_of(element).written
        element.volume.velocity = int(np.clip(round(velocity), 1, 127))


def _marks(sign: Any) -> list[Mark]:
    """Return the marks of music21 dynamics; those without a velocity give none."""
    onset = float(sign.offset)
    if sign.value in AT_ONCE:
        now, then = AT_ONCE[sign.value]
        return [Mark(onset, DYNAMICS[now]), Mark(onset + _SOON, DYNAMICS[then])]
    return [Mark(onset, DYNAMICS[sign.value])] if sign.value in DYNAMICS else []


def _wedges(parts: Sequence[Any], flat: Sequence[Any]) -> Iterator[Wedge]:
    """Yield the wedges of some parts: each from the first of its notes to the end of the last."""
    from music21 import dynamics

    spans = {
        id(element): (float(element.offset), float(element.offset + element.quarterLength))
        for part in flat
        for element in part
    }
    for spanner in (
        s for p in parts for s in p.recurse().getElementsByClass(dynamics.DynamicWedge)
    ):
        found = [spans[id(one)] for one in spanner.getSpannedElements() if id(one) in spans]
        if not found or spanner.type not in (_RISING, _FALLING):
            continue
        begin, end = found[0][0], found[-1][1]
        if end > begin + _CLOSE:
            yield Wedge(begin, end, spanner.type == _RISING)
