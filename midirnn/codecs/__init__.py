"""Codecs: performances to tokens and back, whole or as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.vocabulary import TokenRange, Tokens, TokenType, Vocabulary
from midirnn.errors import CodecError

CODECS = {"performance": PerformanceCodec}
"""Every codec by its name."""


def codec_from_settings(settings: Mapping[str, Any]) -> PerformanceCodec:
    """The codec that gave these :meth:`~PerformanceCodec.settings`.

    Raises :class:`CodecError` for a codec or a setting that is not known.
    """
    values = dict(settings)
    name = values.pop("name", None)
    if name not in CODECS:
        raise CodecError(f"there is no codec {name!r}; known are {', '.join(sorted(CODECS))}")
    try:
        return CODECS[name](**values)
    except TypeError:
        raise CodecError(
            f"the settings of codec {name!r} hold one it does not have: {', '.join(values)}"
        ) from None


__all__ = [
    "CODECS",
    "PerformanceCodec",
    "TokenRange",
    "TokenType",
    "Tokens",
    "Vocabulary",
    "codec_from_settings",
]
