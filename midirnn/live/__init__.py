"""Playing live: a model that listens and plays along, on time.

The way of a note: a port's thread hands it to the listener; the interplay, in the main thread,
tells the mode and lets the model hear it; the planner, in the model's process, draws what the model
plays, ahead of time; the scheduler, in a thread of its own, sends it when it is due, and the ledger
sees to it that it ends.

======================= ==========================================================================
the session             ``session`` (the loop, what other threads may call), ``interplay`` (what
                        performer, mode and model make of each other), ``config``, ``clock``
what comes in           ``listener`` (messages as steps and gestures), ``hearing`` (steps that wait
                        for the model), ``feedback`` (the output wired to the input)
what goes out           ``scheduler``, ``ledger`` (what sounds, and whose it is), ``ending`` (all of
                        it ends), ``delivery`` (tempo and balance), ``pedal_out``, ``audio``,
                        ``realtime``, ``channel_messages``
what the model does     ``modes/``, ``beat_gate`` (answers on the beat), ``plan_ahead`` (when to ask
                        for more)
what can be turned      ``controls/`` (the knobs, and what turns them), ``console`` (what they do),
                        ``bank`` (moods)
time                    ``tempo`` (MIDI clock), ``link`` (Ableton Link), ``stretch`` (musical time)
the model, asked        ``messages`` (requests and replies), ``model_link`` (the seam),
                        ``model_process`` (from outside), ``model_child`` (from inside), ``inbox``
the model, answering    ``model_server``, ``warmth`` (between two answers), ``planner`` (what can be
                        taken back), ``stream`` and ``stream_state`` (one token stream for two),
                        ``choice`` (what may be drawn), ``sources`` (free, phrase, chords),
                        ``phrase``, ``surprise``
what may go wrong       ``supervisor`` (the model dies or hangs), ``overload`` (it is too slow),
                        ``guard`` (its music falls silent, loops or babbles)
what is seen and kept   ``observers``, ``event_log``, ``recording``, ``replay``; ``monitor``,
                        ``display``, ``terminal``
around a session        ``checkup`` (of the machine), ``signals`` (Ctrl-C)
======================= ==========================================================================
"""

from __future__ import annotations

from midirnn.live.clock import Clock, ManualClock, MonotonicClock
from midirnn.live.config import LiveConfig
from midirnn.live.console import Console
from midirnn.live.modes import MODES, Mode, Stance
from midirnn.live.session import Session

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
