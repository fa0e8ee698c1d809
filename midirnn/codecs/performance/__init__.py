"""The performance encoding: note-on, note-off, time-shift and velocity tokens.

Source: S. Oore, I. Simon, S. Dieleman, D. Eck and K. Simonyan, "This Time with Feeling: Learning
Expressive Musical Performance" (2018), section 3; ids and ties as in note-seq 0.0.5.

The modules build on one another in this order: ``vocabulary``, ``layout`` (settings, time grid and
velocity bins), ``grammar``, ``encoder`` and ``decoder`` (streams), ``measures``, ``codec``.
"""

from __future__ import annotations

from midirnn.codecs.performance.codec import PerformanceCodec
from midirnn.codecs.performance.decoder import StreamDecoder
from midirnn.codecs.performance.encoder import StreamEncoder
from midirnn.codecs.performance.grammar import GrammarState, PerformanceGrammar
from midirnn.codecs.performance.vocabulary import TokenRange, TokenType, Vocabulary

__all__ = [
    "GrammarState",
    "PerformanceCodec",
    "PerformanceGrammar",
    "StreamDecoder",
    "StreamEncoder",
    "TokenRange",
    "TokenType",
    "Vocabulary",
]
