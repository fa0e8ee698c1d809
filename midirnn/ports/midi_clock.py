"""The messages of MIDI clock, and the position in the song.

Source: MIDI 1.0 Detailed Specification, System Real Time Messages: 24 timing clocks a quarter note;
a song position counts sixteenths, six clocks each. Start and Continue take effect at the clock that
follows them.
"""

from __future__ import annotations

from collections.abc import Sequence

from midirnn.ports.base import Message

SONG_POSITION = 0xF2
CLOCK, START, CONTINUE, STOP = 0xF8, 0xFA, 0xFB, 0xFC

CLOCKS_PER_BEAT = 24
CLOCKS_PER_SIXTEENTH = 6


def song_position(sixteenth: int) -> Message:
    """Return the song position message for that many sixteenths, at most 16,383."""
    low, high = sixteenth % 128, min(sixteenth // 128, 127)
    return (SONG_POSITION, low, high)


def sixteenth_of(message: Sequence[int]) -> int:
    """Return the position of a song position message, in sixteenths."""
    return message[1] + 128 * message[2]


class Song:
    """The song position of a device that is sent a MIDI clock, and whether the song runs.

    After :meth:`rejoin`, a device that was gone is sent the position again.
    """

    def __init__(self) -> None:
        self._runs = False
        self._clocks = 0
        self._rejoins = False

    def rejoin(self) -> None:
        """Note that the device no longer knows the song position."""
        self._rejoins = True

    def go_on(self, message: Message) -> tuple[Message, ...]:
        """Return the messages to send just before a message, which may move the song."""
        sixteenth, within = divmod(self._clocks, CLOCKS_PER_SIXTEENTH)
        if message[0] == CLOCK and self._runs:
            self._clocks += 1
            if self._rejoins and not within:
                self._rejoins = False
                return song_position(sixteenth), (CONTINUE,)
        elif message[0] == START:
            self._clocks, self._runs, self._rejoins = 0, True, False
        elif message[0] == SONG_POSITION:
            self._clocks = sixteenth_of(message) * CLOCKS_PER_SIXTEENTH
        elif message[0] == CONTINUE:
            self._runs = True
        elif message[0] == STOP:
            self._runs = False
        return ()
