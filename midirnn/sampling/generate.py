"""Generate music, or other pieces, with a model: from nothing, or continuing a primer."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from midirnn.codecs import EndsPieces, NoteStream, require
from midirnn.codecs.base import Message, MessageDecoder
from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.performance import Performance, Tempo
from midirnn.sampling.arguments import as_controls, as_piece, as_sampling
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.constraints.masks import masks_of
from midirnn.sampling.constraints.telling import Telling
from midirnn.sampling.ending import ENDING_SECONDS, LONGEST_RELEASE_SECONDS, Ending
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.following import DEFAULT_FOLLOW, LettingGo, following
from midirnn.sampling.joining import join
from midirnn.sampling.primer import dropped_drums, read_primer
from midirnn.sampling.sampler import Sampler, SamplerState

if TYPE_CHECKING:
    from midirnn.engines.load import Model

MAX_SECONDS = 24 * 3600.0
DEFAULT_SECONDS = 30.0

MAX_TOKENS = 100_000_000
DEFAULT_TOKENS = 1000
"""The number of new tokens in pieces that have no time."""

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with the seconds of music that are done, and of all, the primer's included."""

_HEARD_AT_A_TIME = 500  # tokens, between two calls of a progress


@dataclass(frozen=True)
class Generated:
    """A generated piece.

    ``primer_seconds`` is where in it the primer ends; 0 without one, and in a piece without time.
    """

    piece: Any
    new_tokens: int
    new_seconds: float = 0.0
    primer_seconds: float = 0.0
    log_likelihood: float = 0.0
    """Of the new tokens, in nats, where the sampler measures it; see :class:`Sampler`."""

    @property
    def performance(self) -> Performance:
        """The piece, of a codec whose pieces are performances."""
        assert isinstance(self.piece, Performance)
        return self.piece

    @property
    def continuation(self) -> Performance:
        """The new notes alone, from 0 on: those of the last part."""
        last = len(self.performance.parts) - 1
        new = self.performance.select(self.performance.part == last)
        own = new.control_part == last
        names = ("control_time", "control_number", "control_value")
        pedal = new.pedal_part == last
        pedals = ("pedal_time", "pedal_value", "pedal_shared")
        return new.replace(
            **{name: getattr(new, name)[own] for name in names},
            **{name: getattr(new, name)[pedal] for name in pedals},
            control_part=np.zeros(own.sum(), np.int32),
            pedal_part=np.zeros(pedal.sum(), np.int32),
            part=np.zeros(len(new), np.int32),
            parts=(new.parts[last],),
        ).shift(-self.primer_seconds)

    def summary(self) -> str:
        """Return how much is new, in words."""
        if not isinstance(self.piece, Performance):
            return f"{self.new_tokens} new tokens"
        notes = int((self.piece.start >= self.primer_seconds).sum())
        return f"{notes} new notes in {self.new_seconds:g} s"


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
    """Return a new piece: the primer, if there is one, and what the model continues it with.

    ``model`` is a loaded model, the name of one that comes with midirnn, or a folder; the piece is
    what its codec encodes, with those that come with midirnn a :class:`Performance`. ``primer`` is
    such a piece, or the path of a file (a :class:`~pathlib.Path` where the pieces are strings), or
    a ``pretty_midi.PrettyMIDI``. ``sampling`` and ``controls`` may be dictionaries of the fields,
    and ``controls`` a key or pitch classes as text ("A minor"). The new notes of music are a part
    of their own, the last one.

    Of music ``seconds`` says how much of it is new (30 by default), ``controls`` how dense, how
    loud and in which pitch classes it is, and ``follow``, 0 to 1, how closely it keeps to the style
    of the primer's last seconds where no control says otherwise. With ``follow_seconds`` it lets go
    of that style bit by bit, to be free of it after so long. The primer's pedal is applied, its
    tempo map kept, and notes that it still held at its end are ended by the model. Every note ends,
    at the latest at the end of the piece. With ``end`` the piece comes to a close there instead of
    being cut off, and its last notes may sound on for some seconds. Of pieces without time, such as
    text, ``tokens`` says how many tokens are new (1000 by default); a tune in ABC notation may end
    before. ``constraints`` are kept by every new note of music.

    The same seed gives the same piece with the same ``engine`` (see
    :meth:`~midirnn.engines.load.Model.engine`) on one machine.
    """
    from midirnn.engines.load import load

    loaded = load(model) if isinstance(model, str | os.PathLike) else model
    is_path = isinstance(primer, os.PathLike)
    if is_path or (isinstance(primer, str) and isinstance(loaded.codec, NoteStream)):
        primer = read_primer(loaded.codec, Path(primer))
    primer, sampling, controls = as_piece(primer), as_sampling(sampling), as_controls(controls)
    if dropped := dropped_drums(primer):
        warnings.warn(f"the primer: {dropped}", stacklevel=2)
    sampler = Sampler(loaded.engine(engine), loaded.codec, sampling, seed=seed)
    return continue_piece(
        sampler,
        primer,
        seconds=seconds,
        tokens=tokens,
        controls=controls,
        follow=follow,
        follow_seconds=follow_seconds,
        end=end,
        constraints=constraints,
    ).piece


def continue_piece(
    sampler: Sampler[Any],
    primer: Any = None,
    *,
    seconds: float | None = None,
    tokens: int | None = None,
    controls: Controls | None = None,
    follow: float = DEFAULT_FOLLOW,
    follow_seconds: float | None = None,
    end: bool = False,
    constraints: Constraints | None = None,
    progress: Progress | None = None,
) -> Generated:
    """Generate with a sampler, from its start: ``seconds`` of music, else ``tokens``.

    Raises :class:`OptionError` for seconds of a piece without time, or tokens of one with time.
    """
    name = sampler.codec.name
    if isinstance(sampler.codec, NoteStream):
        if tokens is not None:
            raise OptionError(
                f"the codec {name!r} has time: say how much to generate in seconds, not in tokens"
            )
        length = DEFAULT_SECONDS if seconds is None else seconds
        return continue_primer(
            sampler,
            length,
            primer,
            controls,
            follow,
            follow_seconds=follow_seconds,
            end=end,
            constraints=constraints,
            progress=progress,
        )
    if constraints is not None:
        constraints.check(sampler.codec)
    if end:
        raise OptionError(f"the codec {name!r} has no time, and so no end to come to")
    if seconds is not None:
        raise OptionError(
            f"the codec {name!r} has no time: say how much to generate in tokens, not in seconds"
        )
    return _continue_tokens(sampler, DEFAULT_TOKENS if tokens is None else tokens, primer, controls)


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
    sampler.engine.logits()  # a step that waits would hold on to the engine
    return Generated(codec.decode(made), len(made) - len(heard))


def continue_primer(
    sampler: Sampler[Any],
    seconds: float,
    primer: Performance | None,
    controls: Controls | None = None,
    follow: float = DEFAULT_FOLLOW,
    *,
    follow_seconds: float | None = None,
    end: bool = False,
    constraints: Constraints | None = None,
    progress: Progress | None = None,
) -> Generated:
    """Generate music with a sampler, from its start; see :func:`generate`."""
    return run_to_end(
        continuing(
            sampler,
            seconds,
            primer,
            controls,
            follow,
            follow_seconds=follow_seconds,
            end=end,
            constraints=constraints,
            progress=progress,
        )
    )


def run_to_end(steps: Generator[None, None, T]) -> T:
    """Run something that stops after every token, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            result: T = stopped.value
            return result


def continuing(
    sampler: Sampler[Any],
    seconds: float,
    primer: Performance | None,
    controls: Controls | None = None,
    follow: float = DEFAULT_FOLLOW,
    *,
    follow_seconds: float | None = None,
    end: bool = False,
    constraints: Constraints | None = None,
    progress: Progress | None = None,
    heard_before: list[SamplerState] | None = None,
) -> Generator[None, None, Generated]:
    """Do what :func:`continue_primer` does, and stop after every token, for others to go on.

    ``heard_before`` holds the state of a sampler that has heard the primer, so that it need not be
    heard again; if it is empty, that state is put there.
    """
    rules = constraints or Constraints()
    if rules.exact_seconds is not None:
        seconds = rules.exact_seconds
    if not 0.0 < seconds <= MAX_SECONDS:
        raise OptionError(f"seconds is {seconds:g}; allowed are above 0, up to {MAX_SECONDS:g}")
    codec = require(sampler.codec, NoteStream, "music", "time")
    sampler.steer(controls)
    sampler.reset()
    primer = (Performance() if primer is None else primer).without_drums().apply_sustain()
    # Notes that a track which ends early never released are over; only those that sound at the end
    # of the primer go on.
    at_end = codec.steps(primer.end) == codec.steps(primer.duration)
    primer = primer.replace(unreleased=primer.unreleased & at_end)
    heard, rest_steps = _primer_tokens(codec, primer)
    show = _showing(progress, primer.duration + seconds)
    if heard_before:
        sampler.restore(heard_before[0], restore_rng=False)
    for begin in range(0, 0 if heard_before else len(heard), _HEARD_AT_A_TIME):
        sampler.hear(heard[begin : begin + _HEARD_AT_A_TIME])
        show(primer.duration * begin / len(heard))
    if heard_before == []:
        heard_before.append(sampler.snapshot())
    controls = following(sampler, heard, controls, follow)
    sampler.steer(controls)
    letting_go = LettingGo(sampler, controls, follow_seconds)
    decoder = codec.stream_decoder()
    for token in heard:
        decoder.feed(token)
    heard_steps = int(codec.token_steps[heard].sum())
    # Where the primer ends a little after a step, events of that step wait for its end.
    begin_seconds = max((heard_steps + rest_steps) / codec.steps_per_second, primer.duration)
    end_seconds = begin_seconds + seconds
    decoder.restart_at(heard_steps / codec.steps_per_second)
    if rules.polyphony is not None:
        most = min(rules.polyphony, sampler.config.max_sounding)
        sampler.configure(replace(sampler.config, max_sounding=most))
    sampler.constrain(masks_of(rules, codec, heard_steps + rest_steps, seconds))
    telling = Telling(sampler, rules)
    made = list(heard)
    if rest_steps:
        made.append(_shift_past(sampler, codec, rest_steps))
        decoder.feed(made[-1])
    messages: list[tuple[float, Message]] = []
    while decoder.seconds < end_seconds - (ENDING_SECONDS if end else 0.0):
        letting_go.at(decoder.seconds - begin_seconds)
        telling.at(decoder.seconds - begin_seconds, letting_go.controls)
        made.append(sampler.next())
        messages += decoder.feed(made[-1])
        show(decoder.seconds)
        yield
    if end:
        messages += yield from _end(sampler, letting_go.controls, made, decoder, end_seconds)
        latest = end_seconds
        if rules.exact_seconds is None:
            latest += LONGEST_RELEASE_SECONDS
        end_seconds = min(max(end_seconds, decoder.seconds), latest)
    messages += decoder.finish()
    sampler.engine.logits()  # a step that waits would hold on to the engine
    timed = [(min(max(s, begin_seconds), end_seconds), message) for s, message in messages]
    return Generated(
        _shaped(join(primer, timed), rules, begin_seconds, end_seconds),
        len(made) - len(heard),
        seconds,
        begin_seconds,
        sampler.log_likelihood,
    )


def _shaped(
    piece: Performance, rules: Constraints, begin_seconds: float, end_seconds: float
) -> Performance:
    """Return the piece with the tempo of its chord chart, and with the rest at its exact end."""
    if rules.chords is not None:
        tempos = [tempo for tempo in piece.tempos if tempo.seconds < begin_seconds]
        piece = piece.replace(tempos=(*tempos, Tempo(begin_seconds, rules.chords.tempo)))
    if rules.exact_seconds is not None:  # a file lasts until its last event: the pedal goes up
        last = len(piece.parts) - 1
        piece = piece.replace(
            pedal_time=np.append(piece.pedal_time, end_seconds),
            pedal_value=np.append(piece.pedal_value, np.uint8(0)),
            pedal_part=np.append(piece.pedal_part, np.int32(last)),
            pedal_shared=np.append(piece.pedal_shared, False),
        )
    return piece


def _end(
    sampler: Sampler[Any],
    controls: Controls | None,
    made: list[int],
    decoder: MessageDecoder,
    end_seconds: float,
) -> Generator[None, None, list[tuple[float, Message]]]:
    """Generate music that comes to an end, token by token; return its messages.

    ``made`` are the tokens of the piece so far; those that are drawn are added to them.
    """
    ending, messages = Ending(sampler, controls), []
    latest = end_seconds + LONGEST_RELEASE_SECONDS
    while decoder.seconds < end_seconds or (sampler.sounding and decoder.seconds < latest):
        left = end_seconds - decoder.seconds
        ending.approach(left, made)
        made.append(sampler.next(ending.allowed(left)))
        messages += decoder.feed(made[-1])
        yield
    return messages


def _showing(progress: Progress | None, total: float) -> Callable[[float], None]:
    """Return a function that reports the seconds done, once for each whole second."""
    shown = -1

    def show(seconds: float) -> None:
        nonlocal shown
        if progress is not None and int(seconds) != shown:
            shown = int(seconds)
            progress(min(shown, math.ceil(total)), math.ceil(total))

    return show


def _primer_tokens(codec: NoteStream, primer: Performance) -> tuple[list[int], int]:
    """Return a primer's tokens, and the last steps of a rest at its end, which are left out.

    How long the whole rest becomes is up to the model: see :func:`_shift_past`.
    """
    heard: list[int] = codec.encode(primer, open_end=True).tolist()
    steps = codec.token_steps
    rest = max(0, codec.step(primer.duration) - int(steps[heard].sum()))
    longest = int(steps.max())
    shifts = max(0, rest - 1) // longest
    return heard + [int(steps.argmax())] * shifts, rest - shifts * longest


def _shift_past(sampler: Sampler[Any], codec: NoteStream, steps: int) -> int:
    """Draw the time shift that lasts to the primer's end, which is ``steps`` away, or beyond it.

    A rest is one time shift, which cannot be split at the primer's end.
    """
    allowed = sampler.mask() & (codec.token_steps >= steps)
    if allowed.any():
        return sampler.next(allowed)
    # A note must end before that: it ends as soon as the primer has ended.
    shift = int(np.flatnonzero(codec.token_steps == steps)[0])
    sampler.hear([shift])
    return shift
