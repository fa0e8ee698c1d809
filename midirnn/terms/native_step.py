"""The step of an engine in C++: the same numbers as :mod:`midirnn.terms.stepping`, bit for bit.

In Python a step's terms take about as long as its matrix products, because the weights that these
read push everything else out of the processor's caches. In C++ there is less to push out.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from midirnn.arrays import Float32Array
from midirnn.errors import MidirnnError
from midirnn.terms.densities import DURATION_FADING, INTERVAL_FADING, NUM_DENSITIES, add_densities
from midirnn.terms.scan import native_library
from midirnn.terms.table import DENSITY, OutputTerms


class _Fading(ctypes.Structure):
    """The weights of the last inter-onset times and durations, the newest first."""

    _fields_ = (("intervals", ctypes.c_void_p), ("durations", ctypes.c_void_p))


_FADING = _Fading(INTERVAL_FADING.ctypes.data, DURATION_FADING.ctypes.data)
_FADING_ADDRESS = ctypes.addressof(_FADING)


class Sizes(NamedTuple):
    """What a scan needs to know of the codec, and how many notes it remembers."""

    max_shift: int
    velocity_bins: int
    notes: int


class _Scan:
    """A scan after one of the notes. Owns its memory in C++, whose notes never change."""

    __slots__ = ("_free", "handle", "sizes")

    def __init__(self, library: ctypes.CDLL, handle: int, sizes: Sizes) -> None:
        self.handle = handle
        self.sizes = sizes
        self._free = library.scan_free

    def __del__(self) -> None:
        self._free(self.handle)


class NativeMemory(NamedTuple):
    """The notes so far, the time and the velocity. Immutable; can be pickled."""

    scan: _Scan
    step: int = 0
    velocity_bin: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the scan remembers, not its address."""
        save = loaded_library().scan_save
        room = ctypes.create_string_buffer(save(self.scan.handle, None))
        save(self.scan.handle, ctypes.addressof(room))
        return _restored, (self.scan.sizes, room.raw, self.step, self.velocity_bin)


def loaded_library() -> ctypes.CDLL:
    """Return the compiled ``scan.cpp``, which a memory needs. Raises if there is no compiler."""
    library = native_library()
    if library is None:
        raise MidirnnError(
            "this state was made with compiled code, and here is no compiler: install g++, or "
            "start without the state"
        )
    return library


def _empty(library: ctypes.CDLL, sizes: Sizes) -> _Scan:
    return _Scan(library, library.scan_new(*sizes), sizes)


def _restored(sizes: Sizes, saved: bytes, step: int, velocity_bin: int) -> NativeMemory:
    library = loaded_library()
    scan = _empty(library, sizes)
    library.scan_load(scan.handle, saved)
    return NativeMemory(scan, step, velocity_bin)


class NativeStep:
    """Follows the notes token by token, and adds the terms to the logits. Stateless."""

    def __init__(self, terms: OutputTerms, library: ctypes.CDLL) -> None:
        self.terms = terms
        self._library = library
        self._layers = terms.layer_runs
        self._layers_address = self._layers.ctypes.data
        self._first_shift = terms.groups["time_shift"].start
        self._first_velocity = terms.groups["velocity"].start
        self._shifts = terms.groups["time_shift"]
        self._density = terms.slices[DENSITY]

    def start(self, size: int) -> NativeMemory:
        """Return the memory before the first note, with room for ``size`` notes."""
        sizes = Sizes(self.terms.max_shift, self.terms.velocity_bins, size)
        return NativeMemory(_empty(self._library, sizes))

    def follow(self, memory: NativeMemory, token: int) -> NativeMemory:
        """Return the memory after a token."""
        scan, step, velocity_bin = memory
        if token >= self._first_velocity:
            return NativeMemory(scan, step, token - self._first_velocity + 1)
        if token >= self._first_shift:
            return NativeMemory(scan, step + token - self._first_shift + 1, velocity_bin)
        handle = self._library.scan_after(scan.handle, step, velocity_bin, token)
        return NativeMemory(_Scan(self._library, handle, scan.sizes), step, velocity_bin)

    def add(self, logits: Float32Array, weights: Float32Array, memory: NativeMemory) -> None:
        """Add the terms with these ``weights`` (rows,) to ``logits`` (V,), in place."""
        weights = np.ascontiguousarray(weights, np.float32)
        usual = np.empty((NUM_DENSITIES, self.terms.max_shift), np.float32)
        begun = self._library.scan_add(
            memory.scan.handle,
            memory.step,
            memory.velocity_bin,
            self._layers_address,
            _FADING_ADDRESS,
            weights.ctypes.data,
            logits.ctypes.data,
            usual.ctypes.data,
        )
        if begun:
            add_densities(logits[self._shifts], weights[self._density], usual)
