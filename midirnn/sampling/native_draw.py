"""The filters of one token in C++ (``draw.cpp``): the same as in numpy, in a fifth of the time."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.native import compiled, compiled_before, lasting_folder

SOURCE = Path(__file__).with_name("draw.cpp")

FLAGS = ("-ffp-contract=off",)
"""Of the compiler. Multiplications and additions are not fused: each processor rounds alike."""


def native_probabilities(
    logits: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    temperature: float,
    top_k: int,
    min_p: float,
    top_p: float,
) -> npt.NDArray[np.float64] | None:
    """Return the probabilities (V,) of the tokens that ``mask`` allows, filtered.

    None where the C++ is not compiled yet.
    """
    library = load_library()
    if library is None:
        return None
    logits, mask = np.ascontiguousarray(logits, np.float32), np.ascontiguousarray(mask)
    p = np.empty(len(mask))
    library.draw_probabilities(
        *(logits.ctypes.data, mask.ctypes.data, len(mask)),
        *(temperature, top_k, min_p, top_p, p.ctypes.data),
    )
    return p


def compile_now() -> None:
    """Compile the C++ if it was not before: for work that is long enough to wait for it."""
    if load_library() is None and lasting_folder() and compiled(SOURCE, FLAGS):
        load_library.cache_clear()


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """Return the C++ if it was compiled before; else that is done meanwhile, for the next time."""
    library = compiled_before(SOURCE, FLAGS)
    if library is not None:
        real, pointer = ctypes.c_double, ctypes.c_void_p
        library.draw_probabilities.restype = None
        library.draw_probabilities.argtypes = [
            pointer, pointer, ctypes.c_int, real, ctypes.c_int64, real, real, pointer,
        ]  # fmt: skip
    return library
