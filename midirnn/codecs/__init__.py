"""Codecs: performances to tokens and back, whole or as a stream."""

from __future__ import annotations

from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.vocabulary import Tokens, TokenRange, TokenType, Vocabulary

__all__ = ["PerformanceCodec", "TokenRange", "TokenType", "Tokens", "Vocabulary"]
