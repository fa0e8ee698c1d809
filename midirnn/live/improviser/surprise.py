"""Entropy of the next token, and surprise of the token that came, in nats."""

from __future__ import annotations

import numpy as np

from midirnn.codecs import BoolArray
from midirnn.engines.state import FloatVector


def entropy(logits: FloatVector, allowed: BoolArray) -> float:
    """Return the entropy of the next token among the allowed ones."""
    values = logits[allowed].astype(np.float64)
    if not len(values):
        return 0.0
    values -= values.max()
    p = np.exp(values)
    total = float(p.sum())
    return float(np.log(total) - (p @ values) / total)


def surprise(logits: FloatVector, possible: BoolArray, chosen: int) -> float:
    """Return -log p of the chosen token, among the possible ones."""
    values = logits.astype(np.float64)
    values[~possible] = -np.inf
    most = values.max()
    return float(most + np.log(np.exp(values - most).sum()) - logits[chosen])
