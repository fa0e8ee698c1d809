"""Other keys and tempos: a performance drawn afresh each time it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.vocabulary import Tokens
from midirnn.errors import OptionError


@dataclass(frozen=True)
class Augmentation:
    """Transposition by up to ``transpose`` semitones, stretching by up to a share ``stretch``.

    Performance RNN uses 3 (in its "less" variant) or 6 semitones and 0.05.
    """

    transpose: int = 0
    stretch: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.transpose <= 24:
            raise OptionError(f"transpose is {self.transpose}; allowed are 0 to 24 semitones")
        if not 0.0 <= self.stretch < 1.0:
            raise OptionError(f"stretch is {self.stretch}; allowed are 0 up to, not with, 1")

    def __bool__(self) -> bool:
        return bool(self.transpose or self.stretch)

    def apply(self, tokens: Tokens, codec: PerformanceCodec, rng: np.random.Generator) -> Tokens:
        """The tokens of the same piece in a drawn key and tempo.

        A transposition that would leave the piano's keys is drawn again within what fits.
        """
        if not self:
            return tokens
        performance = codec.decode(tokens)
        if not len(performance):
            return tokens
        down = min(self.transpose, max(0, int(performance.pitch.min()) - 21))
        up = min(self.transpose, max(0, 108 - int(performance.pitch.max())))
        semitones = int(rng.integers(-down, up + 1))
        factor = float(rng.uniform(1.0 - self.stretch, 1.0 + self.stretch))
        return codec.encode(performance.transpose(semitones).stretch(factor))
