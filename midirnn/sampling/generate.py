"""Generate music, or other pieces, with a model: from scratch, or continuing a primer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.codecs import EndsPieces, NoteStream
from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.sampling.arguments import as_controls, as_piece, as_sampling
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.continuation import MAX_SECONDS, Progress, continuing
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW
from midirnn.sampling.generated import Generated
from midirnn.sampling.primer import dropped_drums, read_primer
from midirnn.sampling.requests import DEFAULT_SECONDS, Request
from midirnn.sampling.sampler import Sampler
from midirnn.sampling.together import run_to_end

if TYPE_CHECKING:
    from midirnn.engines.load import Model

__all__ = [
    "DEFAULT_SECONDS",
    "MAX_SECONDS",
    "Generated",
    "continue_piece",
    "generate",
]

MAX_TOKENS = 100_000_000
DEFAULT_TOKENS = 1000
"""The number of new tokens in pieces that have no time."""


def generate(
    model: Model | str | os.PathLike[str] = "piano",
    *,
    seconds: float | None = None,
    tokens: int | None = None,
    primer: Any = None,
    sampling: SamplingConfig | Mapping[str, Any] | None = None,
    controls: Controls | Mapping[str, Any] | str | None = None,
    follow: float = DEFAULT_FOLLOW,
    follow_seconds: float | None = None,
    end: bool = False,
    constraints: Constraints | None = None,
    seed: int | None = None,
    engine: str = "auto",
) -> Any:
    """Return a new piece: the primer, if there is one, followed by the model's continuation.

    ``model`` is a loaded model, the name of one that comes with midirnn, or a folder. The piece is
    of the kind that its codec encodes: a :class:`Performance` with the models that come with
    midirnn. ``primer`` is such a piece, the path of a file (a :class:`~pathlib.Path` where pieces
    are strings), or a ``pretty_midi.PrettyMIDI``. ``sampling`` and ``controls`` may be dictionaries
    of the fields, and ``controls`` also a key or pitch classes as text ("A minor"). The new notes
    of music are in a part of their own, the last one.

    For music, ``seconds`` is the length of what is new (30 by default), ``controls`` set its
    density, loudness and pitch classes, and ``follow``, 0 to 1, how closely it keeps to the style
    of the primer's last seconds where no control says otherwise. With ``follow_seconds`` it
    gradually lets go of that style over this time. The primer's pedal is applied, its tempo map is
    kept, and notes that it still holds at its end are ended by the model. Every note ends by the
    end of the piece. With ``end`` the piece comes to a close there instead of being cut off, and
    its last notes may sound on for some seconds. Every new note keeps to ``constraints``.

    For pieces without time, such as text, ``tokens`` is the number of new tokens (1000 by default);
    a tune in ABC notation may end earlier.

    The same seed gives the same piece with the same ``engine`` (see
    :meth:`~midirnn.engines.load.Model.engine`) on one machine.
    """
    from midirnn.engines.load import as_model

    loaded = as_model(model)
    is_path = isinstance(primer, os.PathLike)
    if is_path or (isinstance(primer, str) and isinstance(loaded.codec, NoteStream)):
        primer = read_primer(loaded.codec, Path(primer))
    primer = as_piece(primer)
    request = Request(
        DEFAULT_SECONDS if seconds is None else seconds,
        as_sampling(sampling),
        as_controls(controls),
        follow,
        follow_seconds,
        end,
        constraints,
    )
    if dropped := dropped_drums(primer):
        warnings.warn(f"the primer: {dropped}", stacklevel=2)
    sampler = Sampler(loaded.engine(engine), loaded.codec, request.sampling, seed=seed)
    return continue_piece(sampler, request, primer, seconds=seconds, tokens=tokens).piece


def continue_piece(
    sampler: Sampler[Any],
    request: Request,
    primer: Any = None,
    *,
    seconds: float | None = None,
    tokens: int | None = None,
    progress: Progress | None = None,
) -> Generated:
    """Reset the sampler and generate the music of a request, or ``tokens`` of other pieces.

    ``seconds`` is the length that was asked for, if any. Raises :class:`OptionError` for seconds of
    a piece without time, or tokens of one with time.
    """
    name = sampler.codec.name
    if isinstance(sampler.codec, NoteStream):
        if tokens is not None:
            raise OptionError(
                f"the codec {name!r} has time: say how much to generate in seconds, not in tokens"
            )
        return run_to_end(continuing(sampler, request, primer, progress=progress))
    if request.constraints is not None:
        request.constraints.check(sampler.codec)
    if request.end:
        raise OptionError(f"the codec {name!r} has no time, and so no end to come to")
    if seconds is not None:
        raise OptionError(
            f"the codec {name!r} has no time: say how much to generate in tokens, not in seconds"
        )
    length = DEFAULT_TOKENS if tokens is None else tokens
    return _continue_tokens(sampler, length, primer, request.controls)


def _continue_tokens(
    sampler: Sampler[Any], tokens: int, primer: Any, controls: Controls | None
) -> Generated:
    """Generate ``tokens`` new tokens after those of the primer, or fewer if the piece ends."""
    if not 0 < tokens <= MAX_TOKENS:
        raise OptionError(f"tokens is {tokens}; allowed are 1 to {MAX_TOKENS}")
    sampler.steer(controls)
    sampler.reset()
    heard = [] if primer is None else sampler.codec.encode(primer).tolist()
    sampler.hear(heard)
    made, codec = list(heard), sampler.codec
    while len(made) < len(heard) + tokens:
        made.append(sampler.next())
        if isinstance(codec, EndsPieces) and codec.ends(made):
            break
    sampler.engine.logits()  # a pending step would hold on to the engine
    return Generated(codec.decode(made), len(made) - len(heard))
