"""Codecs: pieces to tokens and back, whole or as a stream.

A new codec is one file here and one line in :data:`CODECS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from midirnn.arrays import BoolArray
from midirnn.codecs.base import (
    Augmentation,
    Codec,
    Constraint,
    CorpusCodec,
    EndsPieces,
    FreeConstraint,
    HoldsNotes,
    Limits,
    NoteStream,
    Recallable,
    Steerable,
    Tokens,
    Translates,
)
from midirnn.codecs.ensemble import EnsembleCodec
from midirnn.codecs.foreign import MidiTokCodec
from midirnn.codecs.pedal import PedalCodec
from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.text import TextCodec
from midirnn.errors import CodecError

Capability = TypeVar("Capability")

CODECS: dict[str, type[Codec[Any]]] = {
    "ensemble": EnsembleCodec,
    "pedal": PedalCodec,
    "performance": PerformanceCodec,
    "text": TextCodec,
}
"""Every codec by name. Created without arguments, a codec has its default settings."""

FOREIGN_CODECS: dict[str, type[Codec[Any]]] = {"miditok": MidiTokCodec}
"""Codecs of other libraries. They use those libraries' grids: a round trip may change a piece."""

FORMATS: dict[str, dict[str, Any]] = {
    "magenta": {"name": "performance", "overlaps": "keep"},
    "miditok": {"name": "miditok"},
}
"""The settings of the codecs that use the token ids of other libraries: note-seq and MidiTok."""

DEFAULT_CODEC = "performance"


def find_codec(name: str) -> type[Codec[Any]]:
    """Return the codec of that name. Raises :class:`CodecError` if there is none."""
    known = CODECS | FOREIGN_CODECS
    if name not in known:
        names = ", ".join([*sorted(CODECS), *sorted(FOREIGN_CODECS)])
        raise CodecError(f"there is no codec {name!r}; known are {names}")
    return known[name]


def codec_from_settings(settings: Mapping[str, Any]) -> Codec[Any]:
    """Return the codec that gave these :meth:`~midirnn.codecs.base.Codec.settings`.

    Raises :class:`CodecError` for a codec or a setting that is not known.
    """
    values = dict(settings)
    name = values.pop("name", None)
    codec = find_codec(name)
    try:
        return codec(**values)
    except TypeError:
        raise CodecError(
            f"the settings of codec {name!r} hold one it does not have: {', '.join(values)}"
        ) from None


def require(
    codec: Codec[Any], capability: type[Capability], purpose: str, missing: str = "notes to play"
) -> Capability:
    """Return the codec if it has the capability that ``purpose`` needs.

    Raises :class:`CodecError` otherwise, and names the codecs that have it.
    """
    if isinstance(codec, capability):
        return codec
    able = [repr(name) for name, known in CODECS.items() if isinstance(known(), capability)]
    hint = f"; {purpose} needs the codec {' or '.join(able)}" if able else ""
    raise CodecError(f"the codec {codec.name!r} has no {missing}{hint}")


def require_playable(codec: Codec[Any], purpose: str) -> PerformanceCodec:
    """Return the codec if it can encode and play notes live.

    Raises :class:`CodecError` otherwise.
    """
    if not isinstance(codec, PerformanceCodec):
        raise CodecError(
            f"the codec {codec.name!r} has no notes to play; {purpose} needs the codec "
            "'pedal' or 'performance'"
        )
    return codec


__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "FOREIGN_CODECS",
    "FORMATS",
    "Augmentation",
    "BoolArray",
    "Codec",
    "Constraint",
    "CorpusCodec",
    "EndsPieces",
    "EnsembleCodec",
    "FreeConstraint",
    "HoldsNotes",
    "Limits",
    "MidiTokCodec",
    "NoteStream",
    "PedalCodec",
    "PerformanceCodec",
    "Recallable",
    "Steerable",
    "TextCodec",
    "Tokens",
    "Translates",
    "codec_from_settings",
    "find_codec",
    "require",
    "require_playable",
]
