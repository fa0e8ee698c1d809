"""Features: what a model reads in addition to the token.

A new feature is a class in a file of its own, a line in :data:`FEATURES`, and a field in
:class:`~midirnn.models.config.ModelConfig` (which also becomes a flag of ``midirnn train``).
Models, checkpoints, windows and engines loop over the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midirnn.codecs import Codec
from midirnn.features.base import Feature, Given, Reader, Settings
from midirnn.features.controls import ControlInputs
from midirnn.features.held_notes import HeldNotes
from midirnn.features.recall import Recall
from midirnn.features.style import StyleInputs
from midirnn.features.terms import NoteTerms

FEATURES: tuple[type[Feature], ...] = (
    HeldNotes,
    Recall,
    ControlInputs,
    StyleInputs,
    NoteTerms,
)
"""All features, in the order of their inputs to the model."""


def features_of(settings: Settings) -> tuple[Feature, ...]:
    """Return the features of a model with this config."""
    made = (kind.of(settings) for kind in FEATURES)
    return tuple(feature for feature in made if feature is not None)


def readers_of(features: Sequence[Feature], codec: Codec[Any]) -> dict[str, Reader]:
    """Return a reader of each feature, by name, in the order in which they must read."""
    readers: dict[str, Reader] = {}
    for feature in reversed(features):  # the terms, which come last, find the matches as well
        readers[feature.name] = feature.reader_beside(readers) or feature.reader(codec)
    return readers


__all__ = [
    "FEATURES",
    "ControlInputs",
    "Feature",
    "Given",
    "HeldNotes",
    "NoteTerms",
    "Reader",
    "Recall",
    "Settings",
    "StyleInputs",
    "features_of",
    "readers_of",
]
