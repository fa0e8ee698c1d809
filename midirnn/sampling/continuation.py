"""A continuation: music drawn token by token, up to a given length and perhaps with an ending."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from midirnn.codecs import BoolArray, Codec, NoteStream, PedalCodec, require
from midirnn.codecs.base import Message
from midirnn.engines.base import StepEngine
from midirnn.errors import OptionError
from midirnn.performance import Performance, Tempo
from midirnn.sampling.arguments import as_primer
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.constraints.masks import masks_of
from midirnn.sampling.constraints.telling import Telling
from midirnn.sampling.ending import ENDING_SECONDS, LONGEST_RELEASE_SECONDS, Ending
from midirnn.sampling.following import LettingGo, following
from midirnn.sampling.generated import Generated
from midirnn.sampling.joining import join
from midirnn.sampling.keeping import Keeping
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler, SamplerState
from midirnn.sampling.together import Steps

MAX_SECONDS = 24 * 3600.0

Progress = Callable[[int, int], None]
"""Called with the seconds done and the seconds in all, both including the primer."""

_HEARD_AT_A_TIME = 500  # tokens between two progress calls


class Continuation:
    """Music that a sampler continues. Owns its tokens, and the controls as they change over time.

    To draw it, ask which tokens are :meth:`allowed`, have the sampler take one and pass it to
    :meth:`add`, until the music :attr:`is_complete`. ``heard_before`` holds the state of a sampler
    after the primer, which is then not heard again; if it is empty, the state is stored there.
    Raises :class:`OptionError` for a length that is out of range.
    """

    def __init__(
        self,
        sampler: Sampler[Any],
        request: Request,
        primer: Performance | None = None,
        *,
        progress: Progress | None = None,
        heard_before: list[SamplerState] | None = None,
    ) -> None:
        rules = request.constraints or Constraints()
        self._new_seconds = _length(request, rules)
        self.sampler = sampler
        self._codec = codec = require(sampler.codec, NoteStream, "music", "time")
        self._rules, self.ends = rules, request.end
        self._primer = primer = _as_heard(codec, as_primer(primer))
        primer_seconds = max(primer.duration, request.primer_seconds or 0.0)
        heard, rest_steps = _primer_tokens(codec, primer, primer_seconds)
        self._show = _showing(progress, primer_seconds + self._new_seconds)
        sampler.steer(request.controls)
        sampler.reset()
        self._hear(heard, heard_before)
        controls = following(sampler, heard, request.controls, request.follow)
        sampler.steer(controls)
        self._letting_go = LettingGo(controls, request.follow_seconds)
        self._keeping = Keeping(codec, heard)
        self._ending: Ending | None = None
        heard_steps = int(codec.token_steps[heard].sum())
        second = codec.steps_per_second
        # Where the primer ends slightly after a step, events of that step are moved to its end.
        self._begin_seconds = max((heard_steps + rest_steps) / second, primer_seconds)
        self.end_seconds = self._begin_seconds + self._new_seconds
        """Where the music ends, apart from last notes that sound on."""
        self.approach_seconds = ENDING_SECONDS
        """How long before that the approach to an ending begins."""
        self._heard_seconds = heard_steps / second
        self._constrain(heard_steps + rest_steps)
        self._telling = Telling(sampler, rules, controls)
        self.tokens = list(heard)
        """All tokens so far, those of the primer first."""
        self._heard_tokens = len(heard)
        self._new_steps = 0
        if rest_steps:
            self.add(_shift_past(sampler, codec, rest_steps))

    def _constrain(self, origin: int) -> None:
        """Constrain the sampler; the new music begins at step ``origin``."""
        sampler, rules = self.sampler, self._rules
        if rules.polyphony is not None:
            most = min(rules.polyphony, sampler.config.max_sounding)
            sampler.configure(replace(sampler.config, max_sounding=most))
        sampler.constrain(masks_of(rules, self._codec, origin, self._new_seconds))

    def _hear(self, heard: list[int], heard_before: list[SamplerState] | None) -> None:
        """Feed the primer to the sampler, or restore the state after it."""
        if heard_before:
            self.sampler.restore(heard_before[0], restore_rng=False)
            return
        for begin in range(0, len(heard), _HEARD_AT_A_TIME):
            self.sampler.hear(heard[begin : begin + _HEARD_AT_A_TIME])
            self._show(self._primer.duration * begin / len(heard))
        if heard_before is not None:
            heard_before.append(self.sampler.snapshot())

    @property
    def seconds(self) -> float:
        """The time reached, from the start of the primer."""
        return self._heard_seconds + self._new_steps / self._codec.steps_per_second

    @property
    def is_complete(self) -> bool:
        """Whether the music has its length and, with an ending, its last notes had time to end."""
        if self.seconds < self.end_seconds:
            return False
        latest = self.end_seconds + LONGEST_RELEASE_SECONDS
        return not (self.ends and self.seconds < latest and self.sampler.sounding)

    def allowed(self) -> BoolArray | None:
        """Set the controls for the present time, and return which tokens may come next.

        None means all that the sampler allows.
        """
        seconds = self.seconds
        if not self.ends or seconds < self.end_seconds - self.approach_seconds:
            since = seconds - self._begin_seconds
            wanted = self._letting_go.at(since)
            self._telling.at(since, self._keeping.asked(wanted))
            if self.sampler.config.temperature < 1.0:
                self.sampler.longest_rest = self._keeping.longest_rest(wanted)
            return None
        if self._ending is None:
            self.sampler.longest_rest = None
            self._ending = Ending(self.sampler, self._letting_go.controls)
        left = self.end_seconds - seconds
        self._ending.approach(left, self.tokens)
        return self._ending.allowed(left)

    def add(self, token: int) -> None:
        """Add a token that the sampler has taken."""
        self.tokens.append(token)
        self._keeping.add(token)
        self._new_steps += int(self._codec.token_steps[token])
        self._show(self.seconds)

    def copy(self, other: Continuation) -> None:
        """Copy the state of another continuation of the same request, but not its random state."""
        sampler = self.sampler
        sampler.restore(other.sampler.snapshot(), restore_rng=False)
        sampler.log_likelihood = other.sampler.log_likelihood
        sampler.steer(other.sampler.controls)
        self.tokens = other.tokens.copy()
        self._new_steps = other._new_steps
        self._letting_go = copy(other._letting_go)
        self._keeping = other._keeping.copy()
        self._telling = other._telling.moved_to(sampler)
        self._ending = None if other._ending is None else other._ending.moved_to(sampler)

    def result(self) -> Generated:
        """Return the piece; notes that still sound are ended."""
        decoder = self._codec.stream_decoder()
        for token in self.tokens[: self._heard_tokens]:
            decoder.feed(token)
        decoder.restart_at(self._heard_seconds)
        new = self.tokens[self._heard_tokens :]
        messages = [message for token in new for message in decoder.feed(token)]
        messages += decoder.finish()
        self.sampler.engine.logits()  # a pending step would hold on to the engine
        end_seconds = self.end_seconds
        if self.ends:
            release = 0.0 if self._rules.exact_seconds is not None else LONGEST_RELEASE_SECONDS
            end_seconds = min(max(end_seconds, self.seconds), end_seconds + release)
        return Generated(
            self._joined(messages, end_seconds),
            len(new),
            self._new_seconds,
            self._begin_seconds,
            self.sampler.log_likelihood,
        )

    def _joined(self, messages: list[tuple[float, Message]], end_seconds: float) -> Performance:
        """Return the primer and the new music, of which nothing lies beyond the end."""
        begin = self._begin_seconds
        timed = [(min(max(when, begin), end_seconds), message) for when, message in messages]
        return _shaped(join(self._primer, timed), self._rules, begin, end_seconds)


def begin_piece(
    request: Request,
    engine: StepEngine,
    codec: Codec[Any],
    primer: Performance | None,
    *,
    seed: int,
    measures: bool = False,
    heard_before: list[SamplerState] | None = None,
) -> Steps[Generated]:
    """Begin a piece: a generator that yields after every token. See :class:`Continuation`."""
    sampler = Sampler(engine, codec, request.sampling, seed=seed, measures=measures)
    return continuing(sampler, request, primer, heard_before=heard_before)


def continuing(
    sampler: Sampler[Any],
    request: Request,
    primer: Performance | None,
    *,
    progress: Progress | None = None,
    heard_before: list[SamplerState] | None = None,
) -> Steps[Generated]:
    """Draw a continuation token by token; yield after each, so that pieces can be interleaved."""
    piece = Continuation(sampler, request, primer, progress=progress, heard_before=heard_before)
    while not piece.is_complete:
        piece.add(sampler.next(piece.allowed()))
        yield
    return piece.result()


def _length(request: Request, rules: Constraints) -> float:
    """Return the length of the new music. Raise :class:`OptionError` if it is out of range."""
    seconds = request.seconds if rules.exact_seconds is None else rules.exact_seconds
    if not 0.0 < seconds <= MAX_SECONDS:
        raise OptionError(f"seconds is {seconds:g}; allowed are above 0, up to {MAX_SECONDS:g}")
    return seconds


def _as_heard(codec: NoteStream, primer: Performance | None) -> Performance:
    """Return a primer as the model hears it: without drums, and with the pedal applied.

    For a codec that has tokens for the pedal, it is left as it is.
    """
    heard = (Performance() if primer is None else primer).without_drums()
    if not isinstance(codec, PedalCodec):
        heard = heard.apply_sustain()
    # Notes that a track left unreleased when it ended early are over; only those that sound at the
    # end of the primer go on.
    at_end = codec.steps(heard.end) == codec.steps(heard.duration)
    return heard.replace(unreleased=heard.unreleased & at_end)


def _shaped(
    piece: Performance, rules: Constraints, begin_seconds: float, end_seconds: float
) -> Performance:
    """Return the piece with the tempo of its chord chart, lengthened to its exact end."""
    if rules.chords is not None:
        tempos = [tempo for tempo in piece.tempos if tempo.seconds < begin_seconds]
        piece = piece.replace(tempos=(*tempos, Tempo(begin_seconds, rules.chords.tempo)))
    if rules.exact_seconds is not None:  # a file lasts until its last event: here a pedal-up
        last = len(piece.parts) - 1
        piece = piece.replace(
            pedal_time=np.append(piece.pedal_time, end_seconds),
            pedal_value=np.append(piece.pedal_value, np.uint8(0)),
            pedal_part=np.append(piece.pedal_part, np.int32(last)),
            pedal_shared=np.append(piece.pedal_shared, False),
        )
    return piece


def _showing(progress: Progress | None, total: float) -> Callable[[float], None]:
    """Return a function that reports the seconds done, once for each whole second."""
    shown = -1

    def show(seconds: float) -> None:
        nonlocal shown
        if progress is not None and int(seconds) != shown:
            shown = int(seconds)
            progress(min(shown, math.ceil(total)), math.ceil(total))

    return show


def _primer_tokens(codec: NoteStream, primer: Performance, seconds: float) -> tuple[list[int], int]:
    """Return the tokens of a primer, and how many steps of a rest at its end they leave out.

    How long the whole rest becomes is up to the model: see :func:`_shift_past`.
    """
    heard: list[int] = codec.encode(primer, open_end=True).tolist()
    steps = codec.token_steps
    rest = max(0, codec.step(seconds) - int(steps[heard].sum()))
    longest = int(steps.max())
    shifts = max(0, rest - 1) // longest
    return heard + [int(steps.argmax())] * shifts, rest - shifts * longest


def _shift_past(sampler: Sampler[Any], codec: NoteStream, steps: int) -> int:
    """Draw a time shift that reaches the primer's end, ``steps`` away, or goes beyond it.

    The rest is a single time shift, which cannot be split at the primer's end.
    """
    allowed = sampler.mask() & (codec.token_steps >= steps)
    if allowed.any():
        return sampler.next(allowed)
    # A note would have to end before that: it ends as soon as the primer is over.
    shift = int(np.flatnonzero(codec.token_steps == steps)[0])
    sampler.hear([shift])
    return shift
