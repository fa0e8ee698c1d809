"""Features: what a model reads beside the token.

A new feature is a class in a file of its own, a line in :data:`FEATURES`, and a field in
:class:`~midirnn.models.config.ModelConfig` (which is its flag of ``midirnn train``, too). Models,
checkpoints, windows and engines loop over the table.
"""

from __future__ import annotations

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
"""All features, in the order in which their numbers stand side by side."""


def features_of(settings: Settings) -> tuple[Feature, ...]:
    """Return the features of a model with this config."""
    made = (kind.of(settings) for kind in FEATURES)
    return tuple(feature for feature in made if feature is not None)


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
]
