"""The settings of the performance encoding: its vocabulary, time grid and velocity bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.codecs.performance.vocabulary import TokenRange, TokenType, Vocabulary
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES

OVERLAPS = ("cut", "keep")

DEFAULT_VELOCITY = 100
"""The velocity, before binning, of notes that no velocity token precedes."""

MAX_VELOCITY = 127


@dataclass(frozen=True)
class PerformanceLayout:
    """The settings of the performance encoding; 388 tokens by default.

    ``steps_per_second`` is the time grid, ``max_shift_steps`` the longest time shift in its steps,
    ``velocity_bins`` the number of distinct velocities (0: no velocity tokens). ``overlaps`` says
    what happens when a pitch is struck while it sounds: ``"cut"`` ends the first note there, so
    that a pitch sounds once at a time; ``"keep"`` writes a second note-on, as note-seq does.
    """

    steps_per_second: int = 100
    max_shift_steps: int = 100
    velocity_bins: int = 32
    overlaps: str = "cut"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("steps_per_second", 1, 10_000),
            ("max_shift_steps", 1, 10_000),
            ("velocity_bins", 0, MAX_VELOCITY),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise CodecError(f"{name} is {value!r}; allowed are {low} to {high}")
        if self.overlaps not in OVERLAPS:
            raise CodecError(f"overlaps is {self.overlaps!r}; allowed are {', '.join(OVERLAPS)}")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens, in note-seq's order."""
        return Vocabulary(
            (
                TokenRange(TokenType.NOTE_ON, 0, NUM_PITCHES),
                TokenRange(TokenType.NOTE_OFF, 0, NUM_PITCHES),
                TokenRange(TokenType.TIME_SHIFT, 1, self.max_shift_steps),
                TokenRange(TokenType.VELOCITY, 1, self.velocity_bins),
            )
        )

    @property
    def vocab_size(self) -> int:
        """The number of tokens (V)."""
        return self.vocabulary.size

    @property
    def note_ons(self) -> slice:
        """The ids of note-ons, in the order of their pitches."""
        return self.vocabulary.slice_of(TokenType.NOTE_ON)

    @property
    def note_offs(self) -> slice:
        """The ids of note-offs, in the order of their pitches."""
        return self.vocabulary.slice_of(TokenType.NOTE_OFF)

    @cached_property
    def token_steps(self) -> npt.NDArray[np.int64]:
        """The number of steps by which each token advances time; shape ``(V,)``."""
        steps = np.zeros(self.vocab_size, np.int64)
        shifts = self.vocabulary.slice_of(TokenType.TIME_SHIFT)
        steps[shifts] = self.vocabulary.values[shifts]
        return steps

    @cached_property
    def token_velocities(self) -> npt.NDArray[np.int64]:
        """The MIDI velocity that each token sets; 0 for tokens that set none; shape ``(V,)``."""
        velocities = np.zeros(self.vocab_size, np.int64)
        bins = self.vocabulary.slice_of(TokenType.VELOCITY)
        velocities[bins] = self.bin_velocity(self.vocabulary.values[bins])
        return velocities

    @property
    def first_velocity(self) -> int:
        """The MIDI velocity of notes before the first token that sets one."""
        return int(self.bin_velocity(self.default_bin))

    def steps(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the steps of the grid nearest to ``seconds``; halves are rounded up."""
        return (np.asarray(seconds, np.float64) * self.steps_per_second + 0.5).astype(np.int64)

    def step(self, seconds: float) -> int:
        """Return the step nearest to one time, ten times as fast as :meth:`steps`."""
        return int(seconds * self.steps_per_second + 0.5)

    @property
    def _bin_size(self) -> int:
        return -(-MAX_VELOCITY // self.velocity_bins) if self.velocity_bins else MAX_VELOCITY

    def velocity_bin(self, velocity: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the bin (from 1) of each MIDI velocity 1 to 127."""
        return (np.asarray(velocity).astype(np.int64) - 1) // self._bin_size + 1

    def bin_of(self, velocity: int) -> int:
        """Return the bin of one velocity, eight times as fast as :meth:`velocity_bin`."""
        return (velocity - 1) // self._bin_size + 1

    def bin_velocity(self, velocity_bin: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the MIDI velocity of each bin: its lowest; the default if there are no bins."""
        if not self.velocity_bins:
            return np.full(np.shape(velocity_bin), DEFAULT_VELOCITY, np.int64)
        lowest = (np.asarray(velocity_bin, np.int64) - 1) * self._bin_size + 1
        return np.minimum(lowest, MAX_VELOCITY)

    @property
    def default_bin(self) -> int:
        """The bin of notes that no velocity token precedes."""
        return int(self.velocity_bin(DEFAULT_VELOCITY))
