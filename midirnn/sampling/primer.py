"""Primers: the passage of a piece to continue, and its drums, which the model does not hear."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from midirnn.codecs import Codec, NoteStream
from midirnn.errors import OptionError
from midirnn.midifile import read_midi, share_out_channels
from midirnn.performance import Performance


def read_primer(codec: Codec[Any], path: Path) -> Any:
    """Read the piece in a file; music with its drums, so that leaving them out can be reported.

    Raises :class:`OptionError` for music without notes.
    """
    if not isinstance(codec, NoteStream):
        return codec.read(path)
    return with_notes(read_midi(path, drums=True), path)


def with_notes(primer: Performance, path: Path) -> Performance:
    """Return the primer in a file. Raise :class:`OptionError` if it has no notes."""
    if not len(primer):
        raise OptionError(f"{path}: the primer has no notes: there is nothing to go on from")
    return primer


def drums_as_notes(performance: Performance) -> Performance:
    """Return the performance with its drum parts on other channels, so that they are notes."""
    moved = [replace(part, channel=0) if part.is_drum else part for part in performance.parts]
    return performance.replace(parts=tuple(share_out_channels(moved)))


def passage(
    performance: Performance, begin_seconds: float = 0.0, seconds: float | None = None
) -> Performance:
    """Return ``seconds`` of a performance from ``begin_seconds`` on; None for all that follows.

    A negative beginning counts from the end of the performance. Raises :class:`OptionError` for a
    passage that holds no note.
    """
    begin, end = span_of(performance, begin_seconds, seconds)
    length = performance.duration
    cut = performance.slice(begin, end) if (begin, end) != (0.0, length) else performance
    if len(performance) and not len(cut):
        raise OptionError(
            f"no note begins between {begin:g} and {end:.4g} s; the file lasts {length:.4g} s"
        )
    return cut


def span_of(
    performance: Performance, begin_seconds: float, seconds: float | None
) -> tuple[float, float]:
    """Return when a :func:`passage` begins and ends. Raises :class:`OptionError` for no time."""
    if not math.isfinite(begin_seconds):
        raise OptionError(f"the primer begins at {begin_seconds:g} s; allowed are finite numbers")
    if seconds is not None and not 0.0 < seconds < math.inf:
        raise OptionError(f"the primer lasts {seconds:g} s; allowed are finite numbers above 0")
    length = performance.duration
    begin = max(0.0, length + begin_seconds) if begin_seconds < 0 else begin_seconds
    if begin >= length > 0.0:
        raise OptionError(f"the primer begins at {begin:g} s; the file lasts {length:.4g} s")
    return begin, length if seconds is None else min(begin + seconds, length)


def dropped_drums(primer: Any) -> str:
    """Return a sentence on the notes of a primer left out as drums; empty if there are none."""
    if not isinstance(primer, Performance):
        return ""
    dropped = len(primer) - len(primer.without_drums())
    if not dropped:
        return ""
    some = f"all its {dropped:,}" if dropped == len(primer) else f"{dropped:,} of {len(primer):,}"
    return f"{some} notes are on channel 10, which is for drums: the model does not hear them"
