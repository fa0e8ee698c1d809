"""The recurrent state of an engine as text, for files and logs: nothing in it is unpickled."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from typing import Any

import numpy as np

from midirnn.engines.state import EngineState
from midirnn.errors import OptionError


def state_to_text(state: EngineState) -> str:
    """Return the recurrent state and the next logits as text (base64 of an ``.npz`` file)."""
    arrays: dict[str, Any] = {f"state_{number}": part for number, part in enumerate(state.state)}
    buffer = io.BytesIO()
    np.savez(buffer, logits=state.logits, **arrays)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def state_from_text(text: str, like: EngineState) -> EngineState:
    """Return the state in a text; the memories of features are those of ``like``.

    Raises :class:`OptionError` if the text holds no state, or one of another model.
    """
    try:
        with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as file:
            arrays = [np.asarray(file[f"state_{number}"]) for number in range(len(file.files) - 1)]
            logits = np.asarray(file["logits"])
    except (binascii.Error, ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
        raise OptionError("a stored state of the model cannot be read: store it again") from None
    found = [part.shape for part in arrays], logits.shape
    fits = [part.shape for part in like.state], like.logits.shape
    values = [*arrays, logits]
    if found != fits or not all(part.dtype == np.float32 for part in values):
        raise OptionError(f"a stored state is of another model: it has {found}, this one {fits}")
    if not all(np.isfinite(part).all() for part in arrays) or np.isnan(logits).any():
        raise OptionError("a stored state of the model holds values that are not numbers")
    return like.replace(state=tuple(arrays), logits=logits)
