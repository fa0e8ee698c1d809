"""Reading and playing tunes in ABC notation: a subset of standard 2.1, for melodies."""

from __future__ import annotations

from midirnn.abcfile.measuring import Keeping, measure_keeping
from midirnn.abcfile.plain import plain_tune
from midirnn.abcfile.playing import played
from midirnn.abcfile.reading import Tune, parse_tune
from midirnn.performance import Performance


def read_abc(text: str) -> Performance:
    """Return the music of the first tune in a text.

    Raises :class:`CodecError`, with line and column, for a text that is not a tune in ABC notation.
    """
    return played(parse_tune(text))


__all__ = [
    "Keeping",
    "Tune",
    "measure_keeping",
    "parse_tune",
    "plain_tune",
    "played",
    "read_abc",
]
