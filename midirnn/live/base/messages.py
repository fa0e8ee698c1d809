"""Messages between the process that owns the ports and the one that owns the model.

Plain data, all of it frozen. The port process sends requests, the model process replies. What the
model does depends only on its :class:`ModelSettings` and the sequence of requests, not on a clock
or on random numbers of its own, so a log of both can be replayed bit for bit.

Steps are those of the codec (10 ms); step 0 is at ``start_seconds`` of the session's clock.
Messages of the ports carry seconds of that clock, ``time.monotonic``. On Linux, macOS and Windows
it counts from the computer's start, and is the same in each process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from midirnn.codecs.controls import Controls
from midirnn.ports.base import Message
from midirnn.sampling.filters import SamplingConfig

LEFT_OUT = {"left_out_of_logs": True}
"""Metadata of fields that logs omit if they have their default, so that older versions can read
the logs."""


@dataclass(frozen=True)
class ModelSettings:
    """Settings that a model process starts from. ``channel`` counts from 0.

    With ``keep_warm`` the model makes warm-up steps while there is music, which keeps the
    processor's caches warm: see ``midirnn.live.model_process.warmth``. ``blend`` is the share of a
    tuned model; the rest is its base. A ``tunable`` model can be tuned while it plays
    (:class:`TakeUp`).
    """

    model: str
    engine: str = "auto"
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    seed: int = 0
    start_seconds: float = 0.0
    channel: int = 0
    keep_warm: bool = False
    blend: float = 1.0
    tunable: bool = False


@dataclass(frozen=True)
class HeardStep:
    """The notes that the performer ended and began in one step.

    ``note_ons`` are (pitch, velocity bin) in the order of the encoding. While a step lasts it may
    be sent again with more in it, and then replaces the earlier version. For a codec with pedal
    tokens, ``pedal`` holds the pedal's movements (0: up, 1: down), which come first in the step,
    and notes last as long as their keys are held. Otherwise the pedal lengthens the notes.
    """

    step: int
    note_offs: tuple[int, ...]
    note_ons: tuple[tuple[int, int], ...]
    pedal: tuple[int, ...] = field(default=(), metadata=LEFT_OUT)


@dataclass(frozen=True)
class PlannedEvent:
    """A message to send at that clock time. Numbers increase by one from event to event."""

    number: int
    seconds: float
    message: Message


@dataclass(frozen=True)
class Delivery:
    """How the model's plan is played from a certain time on.

    ``rate`` is musical seconds per second; ``balance`` is the factor on the model's velocities.
    """

    rate: float = 1.0
    balance: float = 1.0


# Requests, in the order in which a session makes them.


@dataclass(frozen=True)
class Rewind:
    """Go back to what has sounded: event ``after`` was sent last (-1: none was).

    What is planned from now on belongs to plan number ``plan``, and its events are numbered from
    ``after + 1``. The random generator is seeded again, from the seed and the plan's number.
    """

    plan: int
    after: int


@dataclass(frozen=True)
class Hear:
    """Hear what the performer did. Answered by :class:`Heard`."""

    steps: tuple[HeardStep, ...]


@dataclass(frozen=True)
class Release:
    """End the model's sounding notes in that step."""

    step: int


@dataclass(frozen=True)
class Rest:
    """Rest until that step. Answered by :class:`Heard` if notes end because of it."""

    step: int


@dataclass(frozen=True)
class Begin:
    """Play from that step on, from a ``source``: "model", "phrase", "chord" or "ensemble".

    See ``midirnn.live.improviser.sources``. The source "phrase" is what was heard since
    ``phrase_step``; without that step, as in logs of older versions, since the last ``Begin`` or
    the first note after it. With ``at_once`` the first note comes in exactly that
    step, which may be in the future. The music ends at ``until_step``, if that is given, and no
    note begins from ``last_sound_step`` on. (Without that step, as in logs of older versions, few
    begin in the last second.) An ensemble has ``players`` besides the performer; the model
    ``network`` conducts it. With ``keeps`` the model's notes are measured, and kept to the style of
    the controls (:mod:`midirnn.sampling.keeping`); logs of older versions do not have it.
    """

    step: int
    source: str = "model"
    at_once: bool = False
    echo_threshold: float = 0.0
    chord_notes: int = 1
    until_step: int | None = None
    players: int = 3
    network: str = "ensemble"
    keeps: bool = field(default=False, metadata=LEFT_OUT)
    last_sound_step: int | None = field(default=None, metadata=LEFT_OUT)
    phrase_step: int | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Close:
    """End the music at that step, and begin no note from ``last_sound_step`` on.

    It replaces the steps of :class:`Begin` when the tempo has changed. Send :class:`Rewind` first.
    """

    until_step: int
    last_sound_step: int


@dataclass(frozen=True)
class Plan:
    """Sample events until the plan reaches ``until_step``, with at most ``tokens`` tokens.

    As long as there has been no note since the last :class:`Rewind` or :class:`Begin`, it goes on
    until ``first_until_step``, so that the model's next note is known early. Nothing is planned
    before ``earliest_step``. Events up to number ``sent`` have been sent. ``thinning`` above 0
    makes the music cheaper to compute: see ``midirnn.live.recovery.overload``. Answered by one or
    more :class:`Planned`.
    """

    sent: int
    earliest_step: int
    until_step: int
    tokens: int
    thinning: int = 0
    first_until_step: int = 0


@dataclass(frozen=True)
class Pace:
    """The ``least`` and ``most`` notes per second that the model begins; None for no limit."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Knobs:
    """Sample like this from now on. Send :class:`Rewind` first to change what is planned already.

    ``controls`` are the model's control inputs, by default none; a model that was trained without
    them ignores them. Notes are from pitch ``lowest`` to ``highest``, both included, and begin at
    that ``pace``. With ``waits_for_key`` the model waits while all of these keys are held; without,
    as in logs of older versions, it may begin others then. ``blend`` is the share of a tuned model;
    the rest is its base.
    """

    sampling: SamplingConfig
    controls: Controls = field(default_factory=Controls)
    lowest: int = 0
    highest: int = 127
    pace: Pace = Pace()
    blend: float = 1.0
    waits_for_key: bool = field(default=False, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Reset:
    """Forget everything heard and played. Send :class:`Release` first."""


@dataclass(frozen=True)
class Store:
    """Store the model's present state under a name."""

    name: str


@dataclass(frozen=True)
class Recall:
    """Load the state stored under a name, if there is one. Sounding notes do not change."""

    name: str


@dataclass(frozen=True)
class Blend:
    """Load a weighted sum of stored states; ``parts`` are (name, weight)."""

    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Fetch:
    """Return the state stored under a name. Answered by :class:`Fetched`."""

    name: str


@dataclass(frozen=True)
class Provide:
    """Store this state, text of ``midirnn.engines.state_text``, under a name."""

    name: str
    state: str


@dataclass(frozen=True)
class Prepare:
    """Begin to load the tuned model in that folder, for :class:`TakeUp`."""

    folder: str


@dataclass(frozen=True)
class TakeUp:
    """Go on with the tuned model in that folder; None for the initial model.

    The base must be the same. For a model that is ``tunable``: see :class:`ModelSettings`.
    """

    folder: str | None


@dataclass(frozen=True)
class Save:
    """Return the whole state, for a model process that takes over. Answered by :class:`Saved`."""


@dataclass(frozen=True)
class Adopt:
    """Go on from the state in a :class:`Saved`."""

    state: bytes


Request: TypeAlias = (
    Rewind
    | Hear
    | Release
    | Rest
    | Begin
    | Close
    | Plan
    | Knobs
    | Reset
    | Store
    | Recall
    | Blend
    | Fetch
    | Provide
    | Prepare
    | TakeUp
    | Save
    | Adopt
)

STATE_CHANGES = (Store, Recall, Blend, Provide, Reset, TakeUp)
"""Requests after which a model process that takes over needs more than the steps heard."""


# Replies.


@dataclass(frozen=True)
class Planned:
    """Events of plan number ``plan``, in order; with them the plan reaches ``seconds``.

    ``tokens`` is the number of tokens sampled for the request so far. With ``done`` it is complete.
    With events, ``entropy`` is that of the last token, in nats, and ``units`` are the values of the
    watched units when that token was sampled (:mod:`midirnn.probing.watching`).
    """

    plan: int
    events: tuple[PlannedEvent, ...]
    seconds: float
    tokens: int
    done: bool
    entropy: float | None = None
    units: tuple[float, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Surprise:
    """How improbable a heard pitch was to the model: -log p in nats when the note began."""

    step: int
    pitch: int
    nats: float


@dataclass(frozen=True)
class Heard:
    """The reply to what was heard: the model's pitches that end because of it, and its surprise.

    With ``lifts_pedal`` the model's pedal goes up because of it. ``units`` are the latest values of
    the watched units.
    """

    ended: tuple[int, ...] = ()
    surprises: tuple[Surprise, ...] = ()
    units: tuple[float, ...] = field(default=(), compare=False)
    lifts_pedal: bool = field(default=False, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Saved:
    """The whole state of the model after the request."""

    state: bytes


@dataclass(frozen=True)
class Fetched:
    """A state stored under a name, as text."""

    name: str
    state: str


@dataclass(frozen=True)
class Failed:
    """The model failed with this error. There are no further replies."""

    error: Exception


Reply: TypeAlias = Planned | Heard | Saved | Fetched | Failed
