"""Play live: a model that listens to a performer and plays along, on time.

A port's thread hands each message to the listener. The interplay, in the main thread, passes it on
to the mode and the model. The planner, in the model process, samples the model's notes ahead of
time. The scheduler, in a thread of its own, sends each event when it is due, and the ledger makes
sure that every note ends.

A module imports from its own sub-package or from one above it in this table:

================= ================================================================================
``base``          messages to and from the model process, options, clock, observers, stances
``timing``        tempo of MIDI clock, Ableton Link, stretched musical time, answers on the beat
``input``         listener (MIDI messages as steps and gestures), steps waiting to be heard,
                  feedback detection
``output``        scheduler, ledger of sounding notes, sustain pedal, real-time priority
``modes``         call and response, duet, autopilot, echo, shadow, ensemble
``improviser``    what runs inside the model process: server, planner, the shared token stream
``model_process`` both ends of the pipe to the model process, and keeping its caches warm
``recovery``      dialogue with the model, supervisor (if it dies or hangs), overload (if it is too
                  slow), guard (if its music falls silent, loops or babbles)
``controls``      knobs, the map of controllers to them, commands, the console, presets
``recording``     event log, MIDI file, replay
``view``          the state of a session, monitor, display, terminal
``osc``           Open Sound Control: other programs play, control and watch a session
================= ================================================================================

At the root are ``session`` (the loop, and what other threads may call), ``interplay`` (one
iteration of it), ``plan_ahead`` (when to ask the model for more), ``rig`` (builds a session from
its configuration), ``between_sets`` (tuning while nobody plays), ``checkup`` (of the machine) and
``signals`` (Ctrl-C).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names

# Imported on first use: the model process does not need the session, and starts sooner without it.
_MODULES = {
    "MODES": "modes",
    "Clock": "base.clock",
    "Console": "controls.console",
    "LiveConfig": "base.config",
    "ManualClock": "base.clock",
    "Mode": "modes",
    "MonotonicClock": "base.clock",
    "Session": "session",
    "Stance": "modes",
}

__all__ = [
    "MODES",
    "Clock",
    "Console",
    "LiveConfig",
    "ManualClock",
    "Mode",
    "MonotonicClock",
    "Session",
    "Stance",
]

if TYPE_CHECKING:
    from midirnn.live.base.clock import Clock, ManualClock, MonotonicClock
    from midirnn.live.base.config import LiveConfig
    from midirnn.live.controls.console import Console
    from midirnn.live.modes import MODES, Mode, Stance
    from midirnn.live.session import Session


__getattr__ = _lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
