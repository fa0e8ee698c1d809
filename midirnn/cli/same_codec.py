"""The check that a data set has the tokens that a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.codecs import Codec
    from midirnn.datasets import Dataset
    from midirnn.engines.load import Model

_LONGEST_VALUE = 20
"""Characters of a setting that is printed; of longer ones, such as alphabets, only the name is."""


def check_same_codec(model: Model, dataset: Dataset) -> None:
    """Raise :class:`OptionError` if the codec of a data set is not that of a model."""
    read, held = model.codec, dataset.codec
    if read == held:
        return
    where = f"{model.name} and {dataset.path} have different codecs"
    if read.name != held.name:
        raise OptionError(
            f"{where}: {read.name} and {held.name}. Choose a data set that was made with midirnn "
            f"encode --codec {read.name}, or a model of the codec {held.name}"
        )
    raise OptionError(
        f"{where}: both are {read.name}, with another {_differences(read, held)}. Encode the data "
        f"set with the settings of the model, which midirnn info {model.name} prints"
    )


def _differences(read: Codec[Any], held: Codec[Any]) -> str:
    """Return the settings in which two codecs of one name differ, with short values."""
    pairs = {name: (value, held.settings()[name]) for name, value in read.settings().items()}
    return " and ".join(
        f"{name} ({first} and {second})"
        if max(len(str(first)), len(str(second))) <= _LONGEST_VALUE
        else name
        for name, (first, second) in pairs.items()
        if first != second
    )
