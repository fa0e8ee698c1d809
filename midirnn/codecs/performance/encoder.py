"""The performance encoding as a stream: MIDI messages in, tokens out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.errors import CodecError
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN, SUSTAIN_DOWN
from midirnn.parts import DRUM_CHANNEL

# The order of simultaneous events; pedal events keep the order in which they came.
_PEDAL_DOWN, _PEDAL_UP, _NOTE_ON, _NOTE_OFF = range(4)


@dataclass(eq=False)
class _Note:
    """A note that was struck, and whether it has been released or dropped since."""

    seconds: float
    channel: int
    pitch: int
    velocity: int
    step: int
    released: bool = False
    dropped: bool = False


@dataclass(frozen=True, eq=False)
class _Event:
    """Something heard within the current step."""

    seconds: float
    kind: int
    channel: int
    note: _Note | None = None


class StreamEncoder:
    """Tokens from MIDI messages as they are played.

    Fed every message in order of time, it returns the tokens that
    :meth:`~midirnn.codecs.performance.PerformanceCodec.encode` returns for the recording, pedal
    included. The tokens of a step come when the next step begins, since they are sorted. Owns the
    sounding notes, those that pedals hold, and the current step. Drums (channel 10) are ignored.
    ``velocity_bin`` is in force before the first note (0: none).
    """

    def __init__(self, layout: PerformanceLayout, *, velocity_bin: int = 0) -> None:
        if layout.overlaps != "cut":
            raise CodecError("a stream can only be encoded with overlaps='cut'")
        self.layout = layout
        self._step = 0
        self._last_seconds = 0.0
        self._emitted_step = 0
        self._velocity_bin = velocity_bin
        self._events: list[_Event] = []
        self._open: dict[tuple[int, int], list[_Note]] = {}
        self._sounding: dict[int, _Note] = {}
        self._pedals_down: set[int] = set()
        self._due: list[_Note] = []
        """Notes that end in the step after the one in which they began."""

    @property
    def sounding(self) -> frozenset[int]:
        """The pitches that sound at the end of the last closed step."""
        return frozenset(self._sounding)

    @property
    def has_news(self) -> bool:
        """True if something was heard in the current step, or ends in it."""
        return bool(self._events or self._due)

    def copy(self) -> StreamEncoder:
        """Return an encoder that continues independently of this one.

        Written out because it adds to the time until a model hears a note: copy.deepcopy takes ten
        times as long.
        """
        twins: dict[_Note, _Note] = {}

        def twin(note: _Note) -> _Note:
            if note not in twins:
                twins[note] = _Note(**vars(note))
            return twins[note]

        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        copied._events = [
            _Event(event.seconds, event.kind, event.channel, event.note and twin(event.note))
            for event in self._events
        ]
        copied._open = {key: [twin(note) for note in begun] for key, begun in self._open.items()}
        copied._sounding = {pitch: twin(note) for pitch, note in self._sounding.items()}
        copied._pedals_down = set(self._pedals_down)
        copied._due = [twin(note) for note in self._due]
        return copied

    def feed(self, seconds: float, message: Sequence[int]) -> list[int]:
        """Return the tokens that become final when a message (status, data 1, data 2) is heard.

        Raises :class:`CodecError` if ``seconds`` lies before the message fed last. Messages other
        than notes and the sustain pedal only advance time.
        """
        tokens = self._move(seconds)
        if not message or message[0] & 0x0F == DRUM_CHANNEL:
            return tokens
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == NOTE_ON and message[2]:
            note = _Note(seconds, channel, message[1], message[2], self._step)
            self._open.setdefault((channel, message[1]), []).append(note)
            self._events.append(_Event(seconds, _NOTE_ON, channel, note))
        elif kind in (NOTE_ON, NOTE_OFF):
            self._release(seconds, channel, message[1])
        elif kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            pedal = _PEDAL_DOWN if message[2] >= SUSTAIN_DOWN else _PEDAL_UP
            self._events.append(_Event(seconds, pedal, channel))
        return tokens

    def _release(self, seconds: float, channel: int, pitch: int) -> None:
        """Pair a note-off with the notes it ends, as :func:`midirnn.midifile.pair_notes` does."""
        begun = self._open.pop((channel, pitch), [])
        ended = [note for note in begun if note.seconds < seconds]
        just_begun = [note for note in begun if note.seconds >= seconds]
        for note in ended:
            self._events.append(_Event(seconds, _NOTE_OFF, channel, note))
        if ended and just_begun:
            self._open[channel, pitch] = just_begun
        else:
            for note in just_begun:
                note.dropped = True

    def advance(self, seconds: float) -> list[int]:
        """Return the tokens that become final when ``seconds`` is reached without a message.

        Long rests are encoded as they pass: each longest time shift comes once more time than that
        has passed. (If no note follows, the tokens of the recording, which ends with its last note,
        do not include them.)
        """
        tokens = self._move(seconds)
        most = self.layout.max_shift_steps
        # The last full-length shift waits: the rest may end exactly with it.
        while self._step - self._emitted_step > most:
            tokens.append(self.layout.vocabulary.token(TokenType.TIME_SHIFT, most))
            self._emitted_step += most
        return tokens

    def _move(self, seconds: float) -> list[int]:
        """Move to ``seconds``; return the tokens of the steps that end on the way."""
        if not math.isfinite(seconds) or seconds < self._last_seconds:
            raise CodecError(
                f"a message at {seconds} s cannot follow one at {self._last_seconds} s: "
                "a stream is fed in order of time"
            )
        self._last_seconds = seconds
        step = self.layout.step(seconds)
        tokens: list[int] = []
        if step > self._step:
            tokens += self._close_step()
            self._step += 1
            if self._due and step > self._step:
                tokens += self._close_step()
            self._step = step
        return tokens

    def finish(self) -> list[int]:
        """End all sounding notes, return the tokens still due, and reset.

        Notes that were never released, or that a pedal still holds, end at the last time fed.
        """
        seconds = self._last_seconds
        for begun in self._open.values():
            for note in begun:
                if note.seconds < seconds:
                    self._events.append(_Event(seconds, _NOTE_OFF, note.channel, note))
                else:
                    note.dropped = True
        self._open.clear()
        tokens = self._close_step(ending=True)
        self._step += 1
        tokens += self._close_step()
        self.__init__(self.layout)  # type: ignore[misc]
        return tokens

    def _close_step(self, *, ending: bool = False) -> list[int]:
        """Return the tokens of the current step, with its events in order."""
        offs = {note for note in self._due if self._sounding.get(note.pitch) is note}
        self._due = []
        ons: dict[int, _Note] = {}
        # The sort is stable: pedal events at the same time stay in the order in which they came.
        self._events.sort(key=lambda event: (event.seconds, max(event.kind, _PEDAL_UP)))
        for event in self._events:
            if event.kind == _PEDAL_DOWN:
                self._pedals_down.add(event.channel)
            elif event.kind == _PEDAL_UP:
                self._pedals_down.discard(event.channel)
                self._end_released(event.channel, offs, ons)
            elif event.note is None or event.note.dropped:
                continue
            elif event.kind == _NOTE_ON:
                self._strike(event.note, offs, ons)
            else:
                event.note.released = True
                if event.channel not in self._pedals_down:
                    self._end(event.note, offs, ons)
        self._events = []
        if ending:
            for note in list(self._sounding.values()) + list(ons.values()):
                self._end(note, offs, ons)
        return self._emit(offs, ons)

    def _strike(self, note: _Note, offs: set[_Note], ons: dict[int, _Note]) -> None:
        """Begin a note; an earlier one at its pitch ends. Of two in one step only one is kept."""
        rival = ons.get(note.pitch)
        if rival is not None:
            tie = rival.seconds == note.seconds
            resounds = rival.channel == note.channel and note.channel in self._pedals_down
            if (
                tie
                and not resounds
                and (rival.velocity, -rival.channel)
                > (
                    note.velocity,
                    -note.channel,
                )
            ):
                return
            self._due = [due for due in self._due if due is not rival]
        before = self._sounding.pop(note.pitch, None)
        if before is not None:
            offs.add(before)
        ons[note.pitch] = note

    def _end_released(self, channel: int, offs: set[_Note], ons: dict[int, _Note]) -> None:
        """End the released notes that the pedal of a channel was holding."""
        for note in [*self._sounding.values(), *ons.values()]:
            if note.channel == channel and note.released:
                self._end(note, offs, ons)

    def _end(self, note: _Note, offs: set[_Note], ons: dict[int, _Note]) -> None:
        """End a note if it still sounds; it lasts at least a step."""
        if ons.get(note.pitch) is note:
            if note not in self._due:
                self._due.append(note)
        elif self._sounding.get(note.pitch) is note:
            offs.add(note)

    def _emit(self, offs: set[_Note], ons: dict[int, _Note]) -> list[int]:
        """Return the tokens of a step's note-offs and note-ons, in note-seq's order."""
        if not offs and not ons:
            return []
        token = self.layout.vocabulary.token
        tokens = self._shift_to(self._step)
        for note in sorted(offs, key=lambda note: (note.seconds, note.pitch)):
            if self._sounding.get(note.pitch) is note:
                del self._sounding[note.pitch]
            tokens.append(token(TokenType.NOTE_OFF, note.pitch))
        for note in sorted(ons.values(), key=lambda note: (note.seconds, note.pitch)):
            velocity_bin = self.layout.bin_of(note.velocity)
            if self.layout.velocity_bins and velocity_bin != self._velocity_bin:
                tokens.append(token(TokenType.VELOCITY, velocity_bin))
                self._velocity_bin = velocity_bin
            tokens.append(token(TokenType.NOTE_ON, note.pitch))
            self._sounding[note.pitch] = note
        return tokens

    def _shift_to(self, step: int) -> list[int]:
        """Return the time shifts from the last emitted step to ``step``."""
        gap, most = step - self._emitted_step, self.layout.max_shift_steps
        self._emitted_step = step
        shifts = [most] * ((gap - 1) // most) + [gap - (gap - 1) // most * most] if gap else []
        return [self.layout.vocabulary.token(TokenType.TIME_SHIFT, shift) for shift in shifts]
