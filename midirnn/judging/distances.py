"""Compare two sets of pieces by the distances between their pieces.

Source: L.-C. Yang and A. Lerch, "On the evaluation of generative models in music" (Neural Computing
and Applications 32, 2020), section 3.3: distances within a set (intra) and between sets (inter) are
smoothed by Gaussian kernels to densities, which are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midirnn.arrays import Float64Array
from midirnn.errors import OptionError

GRID = 512
"""Points at which densities are compared."""

_BINS = 4 * GRID
_SMALLEST = 1e-100  # densities over a smaller span would overflow
_TAIL = 5.0  # kernel widths that the grid reaches beyond the distances


@dataclass(frozen=True)
class Comparison:
    """One feature of a set of pieces, compared with that of a reference set.

    If the set is like the reference, distances between the two are like those within either:
    overlapping areas are near 1, divergences (nats) near 0. A set that is less varied than the
    reference shows in ``own_overlapping_area``.
    """

    intra_distance: float
    """The mean distance between two pieces of the set: how varied it is."""
    reference_intra_distance: float
    inter_distance: float
    overlapping_area: float
    """Of the densities of distances within the reference and between the sets."""
    kl_divergence: float
    """From the density of distances within the reference to that of those between the sets."""
    own_overlapping_area: float
    """The same with the distances within the set, instead of within the reference."""
    own_kl_divergence: float


def compare(values: Float64Array, reference: Float64Array) -> Comparison:
    """Compare a feature's values (N, D) with those of a reference set (M, D)."""
    if min(len(values), len(reference)) < 2:
        raise OptionError(
            f"sets of {len(values)} and {len(reference)} pieces cannot be compared; "
            "each must hold at least 2"
        )
    own, intra = intra_distances(values), intra_distances(reference)
    inter = inter_distances(values, reference)
    area, divergence = overlap(intra, inter)
    own_area, own_divergence = overlap(own, inter)
    return Comparison(
        intra_distance=float(own.mean()),
        reference_intra_distance=float(intra.mean()),
        inter_distance=float(inter.mean()),
        overlapping_area=area,
        kl_divergence=divergence,
        own_overlapping_area=own_area,
        own_kl_divergence=own_divergence,
    )


def inter_distances(values: Float64Array, others: Float64Array) -> Float64Array:
    """Return the Euclidean distances between the values of two sets; shape ``(N * M,)``."""
    differences = values[:, None, :] - others[None, :, :]  # (N, M, D)
    distances: Float64Array = np.sqrt(np.square(differences).sum(axis=2))
    return distances.ravel()


def intra_distances(values: Float64Array) -> Float64Array:
    """Return the Euclidean distances within a set; shape ``(N * (N - 1) / 2,)``."""
    distances = inter_distances(values, values).reshape(len(values), len(values))
    return distances[np.triu_indices(len(values), 1)]


def overlap(values: Float64Array, others: Float64Array) -> tuple[float, float]:
    """Return the area under both densities, and the divergence between them in nats."""
    low = float(min(values.min(), others.min()))
    high = float(max(values.max(), others.max()))
    span = high - low if high - low > _SMALLEST else 1.0
    # Values that are all the same have zero width; the grid must not step over them.
    widths = [max(kernel_width(v), 4 * span / GRID) for v in (values, others)]
    pad = _TAIL * max(widths)
    grid = np.linspace(low - pad, high + pad, GRID)
    step = float(grid[1] - grid[0])
    p, q = (log_density(v, w, grid) for v, w in zip((values, others), widths, strict=True))
    area = float(np.exp(np.minimum(p, q)).sum()) * step
    divergence = float((np.exp(p) * (p - q)).sum()) * step
    return min(area, 1.0), max(divergence, 0.0)


def kernel_width(values: Float64Array) -> float:
    """Return the standard deviation of the kernels by Scott's rule (D. W. Scott, 1992)."""
    return float(values.std(ddof=1)) * len(values) ** -0.2 if len(values) > 1 else 0.0


def log_density(values: Float64Array, width: float, at: Float64Array) -> Float64Array:
    """Return the log density of ``values`` at the given points, with Gaussian kernels."""
    centres, shares = _binned(values)
    exponents = np.log(shares) - 0.5 * ((at[:, None] - centres) / width) ** 2  # (len(at), bins)
    top = exponents.max(axis=1)  # the densities may underflow, their logarithms do not
    logs: Float64Array = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    logs -= np.log(width * np.sqrt(2 * np.pi))
    return logs


def _binned(values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return values and the share of each; if many, bins that are narrower than any kernel."""
    if len(values) <= _BINS:
        return values, np.full(len(values), 1 / len(values))
    counts, edges = np.histogram(values, _BINS)
    kept = counts > 0
    return ((edges[:-1] + edges[1:]) / 2)[kept], counts[kept] / len(values)
