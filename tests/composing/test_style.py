"""Music from a mixture of two states: its ends are those of each alone, and it can be told more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midirnn.codecs.style import Style
from midirnn.composing.style import blended, hear, measures_of, style_between
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.requests import Request
from tests.probing.planted import long_song, random_model

MODEL = random_model()


def between(
    a: Performance,
    b: Performance,
    *,
    share: float = 0.5,
    follow: float = 0.0,
    seconds: float = 4.0,
    primer_seconds: float | None = None,
    seed: int = 1,
) -> Performance:
    """Return music from a mixture of the states after two pieces."""
    engine, codec = MODEL.engine("numpy"), MODEL.codec
    heard = [hear(engine, codec, piece, primer_seconds) for piece in (a, b)]
    return blended(engine, codec, *heard, share, follow, Request(seconds), seed).continuation


def test_the_ends_of_a_blend_are_the_continuations_of_each_piece_alone() -> None:
    engine, codec = MODEL.engine("numpy"), MODEL.codec
    a, b = (hear(engine, codec, long_song(seed)) for seed in (0, 1))
    for share, base in ((0.0, a), (1.0, b)):
        mixed = blended(engine, codec, a, b, share, 0.0, Request(3.0), 5).continuation
        alone = blended(engine, codec, base, base, 0.0, 0.0, Request(3.0), 5).continuation
        assert mixed == alone


def test_only_the_new_music_comes_back_and_the_same_seed_gives_the_same() -> None:
    first, again, other = (between(long_song(0), long_song(1), seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.duration <= 4.0 + 1e-6


def test_the_recurrent_state_in_the_middle_is_the_mean() -> None:
    engine = MODEL.engine("numpy")
    a, b = (hear(engine, MODEL.codec, long_song(seed)) for seed in (0, 1))
    from midirnn.engines.state import blend

    mixed = blend(a.state.engine, b.state.engine, 0.25)
    for part, first, second in zip(
        mixed.state, a.state.engine.state, b.state.engine.state, strict=True
    ):
        np.testing.assert_allclose(part, 0.75 * first + 0.25 * second, atol=1e-6)


def test_a_style_between_two_lies_between_them() -> None:
    a = Style({"density": 2.0, "pitch_classes": (1.0, 0.0), "loudness": 40.0})
    b = Style({"density": 4.0, "pitch_classes": (0.0, 1.0)})
    assert style_between(a, b, 0.25).values == {"density": 2.5, "pitch_classes": (0.75, 0.25)}


def test_following_tells_the_model_a_style() -> None:
    model = load("piano-small")
    engine = model.engine("numpy")
    loud = Performance.from_notes((n / 8, n / 8 + 0.1, 72 + n % 5, 110) for n in range(60))
    soft = Performance.from_notes((n / 2, n / 2 + 0.4, 40 + n % 5, 30) for n in range(15))
    a, b = (hear(engine, model.codec, piece) for piece in (loud, soft))
    told = [
        measures_of(blended(engine, model.codec, a, b, share, 1.0, Request(6.0), 1).continuation, 6)
        for share in (0.0, 1.0)
    ]
    assert told[0]["loudness"] > told[1]["loudness"] + 20
    assert told[0]["register"] > told[1]["register"] + 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": 1.5}, "share of the second state is 1.5"),
        ({"follow": 0.5}, "cannot be told a style"),
        ({"seconds": 0.0}, "seconds is 0"),
        ({"primer_seconds": -1.0}, "lasts -1 s"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        between(long_song(0), long_song(1), **change)


def test_a_piece_without_notes_is_refused() -> None:
    with pytest.raises(OptionError, match="nothing to hear"):
        between(long_song(0), Performance())
