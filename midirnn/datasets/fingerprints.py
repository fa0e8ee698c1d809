"""Fingerprints of pieces: which are the same performance, and which the same composition.

A fingerprint has two MinHash signatures (Broder, 1997). The share of places in which two signatures
agree estimates the share of n-grams that their pieces have in common (their Jaccard index).

For a composition the n-grams are the pitches of consecutive notes, sorted: most of these are the
same for every pianist and at every tempo. For a performance they are pitches with velocities, which
no two performances share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Codec, Tokens
from midirnn.datasets.onefile import Recovers
from midirnn.errors import CodecError, MissingExtraError
from midirnn.performance import Performance

COMPOSITION_NOTES, COMPOSITION_HASHES = 7, 512
PERFORMANCE_NOTES, PERFORMANCE_HASHES = 4, 64
"""The number of notes in an n-gram, and of hashes in a signature."""

Hashes = npt.NDArray[np.uint32]

Pairs = npt.NDArray[np.int64]
"""Pairs of pieces by their indices; shape ``(pairs, 2)``."""

_HALF = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class FingerprintCodec:
    """Encodes a performance as its fingerprint, so that the encoder's workers can compute it.

    Files are read by the codec ``reader``. Fingerprints cannot be decoded.
    """

    reader: Codec[Any]

    def settings(self) -> dict[str, Any]:
        """Return the settings that identify the codec, for JSON."""
        return {"name": "fingerprint", "reader": self.reader.settings()}

    def read(self, path: Path) -> Performance:
        """Read a performance."""
        return _as_performance(self.reader.read(path), self.reader)

    def recover(self, path: Path) -> Performance:
        """Read the intact part of a damaged file; a warning says what is lost."""
        if isinstance(self.reader, Recovers):
            return _as_performance(self.reader.recover(path), self.reader)
        return self.read(path)

    def encode(self, performance: Performance) -> Tokens:
        """Return the fingerprint; empty for a performance without notes."""
        if not len(performance):
            return np.empty(0, np.uint16)
        return fingerprint(performance).view(np.uint16)


def _as_performance(piece: Any, reader: Codec[Any]) -> Performance:
    if isinstance(piece, Performance):
        return piece
    raise CodecError(f"the codec {reader.name!r} has no notes to compare pieces by")


def fingerprint(performance: Performance) -> Hashes:
    """Return the numbers of n-grams, then the signatures, of the composition and the performance.

    Shape ``(2 + COMPOSITION_HASHES + PERFORMANCE_HASHES,)``.
    """
    pitch = performance.pitch.astype(np.uint64)
    windows = _windows(pitch, COMPOSITION_NOTES)
    composition = _distinct(np.sort(windows, axis=1))
    struck = pitch << np.uint64(7) | performance.velocity.astype(np.uint64)
    played = _distinct(_windows(struck, PERFORMANCE_NOTES))
    counts = np.array([len(composition), len(played)], np.uint32)
    signatures = (
        _signature(composition, COMPOSITION_HASHES),
        _signature(played, PERFORMANCE_HASHES),
    )
    return np.concatenate([counts, *signatures])


def _windows(values: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """Return all runs of ``length`` values; shape ``(N, length)``."""
    if len(values) < length:
        return np.empty((0, length), np.uint64)
    return np.lib.stride_tricks.sliding_window_view(values, length)


def _distinct(ngrams: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the distinct n-grams, each as a number of 32 bits."""
    hashed = np.zeros(len(ngrams), np.uint64)
    for column in ngrams.T:  # the finalizer of SplitMix64 (Steele et al., 2014), column by column
        hashed = (hashed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        hashed = (hashed ^ hashed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        hashed ^= hashed >> np.uint64(27)
    return np.unique(hashed & _HALF)


def min_hash() -> Any:
    """Return datasketch's MinHash. Raises :class:`MissingExtraError` if it is not installed."""
    try:
        from datasketch import MinHash
    except ImportError:
        raise MissingExtraError("datasketch", "clean", "finding similar pieces") from None
    return MinHash


def _signature(ngrams: npt.NDArray[np.uint64], size: int) -> Hashes:
    """Return the MinHash signature of n-grams."""
    sketch = min_hash()(num_perm=size, seed=1, hashfunc=int, scheme="affine32")
    if len(ngrams):
        sketch.update_batch(ngrams.tolist())
    return np.asarray(sketch.hashvalues, np.uint32)


@dataclass(frozen=True)
class Signatures:
    """The signatures of pieces, all of one kind."""

    hashes: Hashes
    """Shape ``(pieces, hashes)``."""
    counts: npt.NDArray[np.int64]
    """How many n-grams each piece has; shape ``(pieces,)``."""

    @classmethod
    def of(cls, fingerprints: Sequence[Tokens]) -> tuple[Signatures, Signatures]:
        """Return the composition signatures and the performance signatures."""
        size = 2 + COMPOSITION_HASHES + PERFORMANCE_HASHES
        rows = np.array([row.view(np.uint32) for row in fingerprints], np.uint32).reshape(-1, size)
        counts = rows[:, :2].astype(np.int64)
        split = 2 + COMPOSITION_HASHES
        return cls(rows[:, 2:split], counts[:, 0]), cls(rows[:, split:], counts[:, 1])

    def shared(self, pairs: Pairs) -> _Shared:
        """Return what pairs of pieces have in common."""
        jaccard = np.empty(len(pairs))
        for begin in range(0, len(pairs), 100_000):
            first, second = pairs[begin : begin + 100_000].T
            agree = self.hashes[first] == self.hashes[second]
            jaccard[begin : begin + len(first)] = agree.mean(axis=1)
        sizes = self.counts[pairs[:, 0]], self.counts[pairs[:, 1]]
        ngrams = jaccard / (1.0 + jaccard) * (sizes[0] + sizes[1])
        return _Shared(jaccard, ngrams, ngrams / np.maximum(1, np.minimum(*sizes)))

    def candidates(self, rows: int) -> Pairs:
        """Return pairs of pieces that agree in ``rows`` neighbouring places of their signatures.

        This is locality-sensitive hashing (Leskovec et al., "Mining of Massive Datasets", 3.4).
        The bands are sorted one after another, which needs no index in memory. Among many equal
        pieces each is paired with its neighbour and with the first.
        """
        pairs = [np.empty((0, 2), np.int64)]
        filled = np.flatnonzero(self.counts)
        for begin in range(0, self.hashes.shape[1] - rows + 1, rows):
            band = self.hashes[filled, begin : begin + rows].astype(np.uint64)
            key = band[:, 0]
            for column in band.T[1:]:
                key = key << np.uint64(32) | column
            order = np.argsort(key, kind="stable")
            same = key[order][1:] == key[order][:-1]
            place = np.arange(len(order))
            starts = np.append(True, ~same)
            first = np.maximum.accumulate(np.where(starts, place, 0))
            here = np.flatnonzero(np.append(False, same))
            found = filled[order]
            pairs += [
                np.stack([found[other], found[here]], axis=1) for other in (first[here], here - 1)
            ]
        return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


@dataclass(frozen=True)
class _Shared:
    """Estimates of what pairs of pieces have in common; shape ``(pairs,)`` each."""

    jaccard: npt.NDArray[np.float64]
    """The n-grams that both have, as a share of those that either has."""
    ngrams: npt.NDArray[np.float64]
    """The number of n-grams that both have."""
    contained: npt.NDArray[np.float64]
    """The same, as a share of those of the shorter piece."""
