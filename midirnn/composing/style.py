"""Continue from a mixture of two states: between the style of one piece and that of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from midirnn.codecs import Codec, NoteStream, Steerable, require
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.engines.base import StepEngine
from midirnn.engines.state import blend
from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.sampling.continuation import continuing
from midirnn.sampling.following import HEARD_SECONDS
from midirnn.sampling.generated import Generated
from midirnn.sampling.primer import passage
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler, SamplerState
from midirnn.sampling.together import run_to_end


@dataclass(frozen=True)
class HeardPrimer:
    """A primer, and the state of a sampler after it."""

    primer: Performance
    state: SamplerState
    style: Style | None
    """The style of its last seconds, if the codec can measure one."""


def check_share(share: float, name: str = "the share of the second state") -> None:
    """Raise :class:`OptionError` for a share outside 0 to 1; ``name`` is what the user calls it."""
    if not 0.0 <= share <= 1.0:
        raise OptionError(f"{name} is {share:g}; allowed are 0 to 1")


def hear(
    engine: StepEngine, codec: Codec[Any], piece: Performance, primer_seconds: float | None = None
) -> HeardPrimer:
    """Feed a piece to the model, from its start. Raise :class:`OptionError` without notes."""
    stream = require(codec, NoteStream, "a mixture of styles", "notes")
    primer = passage(piece.without_drums().apply_sustain(), 0.0, primer_seconds)
    if not len(primer):
        raise OptionError("there is nothing to hear: the piece has no notes")
    tokens = stream.encode(primer, open_end=True)
    sampler = Sampler(engine, codec)
    sampler.hear(tokens.tolist())
    style = codec.recent_style(tokens, HEARD_SECONDS) if isinstance(codec, Steerable) else None
    return HeardPrimer(primer, sampler.snapshot(), style)


def blended(
    engine: StepEngine,
    codec: Codec[Any],
    a: HeardPrimer,
    b: HeardPrimer,
    share: float,
    follow: float,
    request: Request,
    seed: int | None,
) -> Generated:
    """Return a continuation from a mixture of two states.

    The state after ``b`` has a ``share`` from 0 to 1 of the mixture, that after ``a`` the rest. The
    primer, and the notes that still sound, are those of the state with the larger share. With
    ``follow`` above 0 the model's controls also ask for the style between the two, that closely
    (:class:`~midirnn.Controls`); at 0 all comes from the state. Raises :class:`OptionError` for
    what is not allowed.
    """
    check_share(share)
    base = b if share > 0.5 else a
    mixed = replace(base.state, engine=blend(a.state.engine, b.state.engine, share))
    controls = request.controls
    if follow:
        if not engine.config.control_inputs:
            raise OptionError(
                "follow is above 0, and this model cannot be told a style: it was trained without "
                "--control-inputs"
            )
        if a.style is not None and b.style is not None:
            between = style_between(a.style, b.style, share)
            controls = replace(controls or Controls(), style=between, follow=follow)
    sampler = Sampler(engine, codec, request.sampling, seed=seed)
    asked = replace(request, controls=controls, follow=0.0)
    return run_to_end(continuing(sampler, asked, base.primer, heard_before=[mixed]))


def style_between(a: Style, b: Style, share: float) -> Style:
    """Return the style with traits between those of two; at a share of 0 the first."""
    values: dict[str, float | tuple[float, ...]] = {}
    for name in a.values.keys() & b.values.keys():
        first, second = np.asarray(a.values[name]), np.asarray(b.values[name])
        mixed = (1.0 - share) * first + share * second
        values[name] = float(mixed) if mixed.ndim == 0 else tuple(mixed.tolist())
    return Style(values)


MEASURES = ("density", "loudness", "register")


def measures_of(piece: Performance, seconds: float) -> dict[str, float]:
    """Return the notes per second, mean velocity and mean pitch of music of this length."""
    count = len(piece)
    return {
        "density": count / max(seconds, 1e-9),
        "loudness": float(piece.velocity.mean()) if count else float("nan"),
        "register": float(piece.pitch.mean()) if count else float("nan"),
    }
