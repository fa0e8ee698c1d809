"""The sampling filters in C++ (``draw.cpp``): the same as in numpy, in a fifth of the time."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.native import INT, POINTER, Library, compiled, lasting_folder

SOURCE = Path(__file__).with_name("draw.cpp")

FLAGS = ("-ffp-contract=off",)
"""Compiler flags. Without fused multiply-add, all processors round alike."""

LIBRARY = Library(
    SOURCE,
    {
        "draw_probabilities": (None, [POINTER, POINTER, INT, POINTER, POINTER]),
        "draw_token": (INT, [POINTER, POINTER, INT, POINTER, ctypes.c_double]),
    },
    flags=FLAGS,
    wait=False,
)

Logits = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Knobs(ctypes.Structure):
    """The settings that the C++ supports."""

    _fields_ = (
        ("temperature", ctypes.c_double),
        ("top_k", ctypes.c_int64),
        ("min_p", ctypes.c_double),
        ("top_p", ctypes.c_double),
    )


@functools.lru_cache
def _address_of(temperature: float, top_k: int, min_p: float, top_p: float) -> tuple[int, Knobs]:
    """Return the address of the settings, and the settings, which must be kept alive."""
    knobs = Knobs(temperature, top_k, min_p, top_p)
    return ctypes.addressof(knobs), knobs


def native_probabilities(
    logits: Logits, mask: Mask, knobs: tuple[float, int, float, float]
) -> npt.NDArray[np.float64] | None:
    """Return the probabilities (V,) of the tokens that ``mask`` allows, filtered.

    ``knobs`` are temperature, top-k, min-p and top-p. None where the C++ is not compiled yet.
    """
    library = LIBRARY.get()
    if library is None:
        return None
    p, (address, _) = np.empty(len(mask)), _address_of(*knobs)
    library.draw_probabilities(*_copied(logits, mask), len(mask), address, p.ctypes.data)
    return p


def native_draw(
    logits: Logits,
    mask: Mask,
    knobs: tuple[float, int, float, float],
    rng: np.random.Generator,
) -> int | None:
    """Draw a token id from :func:`native_probabilities`, with one uniform random number."""
    library = LIBRARY.get()
    if library is None:
        return None
    address, _ = _address_of(*knobs)
    token: int = library.draw_token(*_copied(logits, mask), len(mask), address, rng.random())
    return token


def _copied(logits: Logits, mask: Mask) -> tuple[bytes, bytes]:
    """Return copies for the C++: making them is faster than looking up addresses."""
    return logits.astype(np.float32, copy=False).tobytes(), mask.tobytes()


def compile_now() -> None:
    """Compile the C++ if necessary, for work long enough to be worth the wait."""
    if LIBRARY.get() is None and lasting_folder() and compiled(SOURCE, FLAGS):
        LIBRARY.get.cache_clear()
