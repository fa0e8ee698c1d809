"""Leave terms out of a structured output, to find out what they contribute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from midirnn.errors import OptionError
from midirnn.features import NoteTerms
from midirnn.models.language_model import LanguageModel


def leave_out_terms(model: LanguageModel, names: str) -> None:
    """Keep the weights of these terms, whose names are separated by commas, at 0 from now on.

    They get no gradient, and are set to 0 again whenever weights are loaded. The model is otherwise
    unchanged, so engines and checkpoints need not know. Raises :class:`OptionError` for a name that
    is not one of the model's terms.
    """
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if not asked:
        return
    slices = _slices(model)
    for name in asked:
        if name not in slices:
            raise OptionError(f"there is no term {name!r}; known are {', '.join(slices)}")
    head = model.get_submodule(NoteTerms.head)
    assert isinstance(head, nn.Linear)
    kept = torch.ones_like(head.bias)
    for name in asked:
        kept[slices[name]] = 0
    for parameter in head.parameters():
        parameter.register_hook(lambda gradient: _rows(kept, gradient))  # type: ignore[no-untyped-call]

    def clear(*_: Any) -> None:
        for parameter in head.parameters():
            parameter.data = _rows(kept, parameter.data)

    clear()
    head.register_load_state_dict_post_hook(clear)  # type: ignore[no-untyped-call]


def _slices(model: LanguageModel) -> dict[str, slice]:
    """Return the slice of each term's weights in the terms head."""
    for feature in model.config.features:
        if isinstance(feature, NoteTerms):
            return feature.terms.slices
    raise OptionError("terms can only be left out of a model that has them: set term_notes, too")


def _rows(kept: Tensor, weights: Tensor) -> Tensor:
    """Return the weights (rows, ...), with 0 in the rows that are not kept."""
    return weights * kept.view(-1, *[1] * (weights.ndim - 1))
