"""What pages are told of a session: its present state, and what does not change."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import Stance
from midirnn.live.controls.knobs import KNOBS, NUM_PRESETS, PRESETS
from midirnn.live.modes import MODES
from midirnn.live.rig import Rig
from midirnn.live.view.session_view import SessionView
from midirnn.web.protocol import Message

BEAT_DIGITS = 2
FACTS_SECONDS = 1.0


def about(config: LiveConfig, models: Sequence[str], *, has_own_output: bool) -> Message:
    """Return what does not change: knobs, modes, models, and whether another output plays."""
    return {
        "t": "about",
        "version": version("midirnn"),
        "knobs": {
            name: asdict(knob) | {"scale": str(knob.scale)}
            for name, knob in KNOBS.items()
            if name not in PRESETS
        },
        "modes": {name: mode.summary for name, mode in MODES.items()},
        "models": sorted({*models, config.model}),
        "presets": NUM_PRESETS,
        "has_own_output": has_own_output,
        "on_beat": config.on_beat,
    }


def state(rig: Rig | None, model: str, recording_since: float | None, facts: Facts) -> Message:
    """Return the present state. Without a rig the session is still being built."""
    if rig is None:
        return {"t": "state", "loading": True, "model": model}
    view, now = rig.session.view(), time.monotonic()
    stance = view.stance or Stance(0)
    return {
        "t": "state",
        "loading": False,
        "model": model,
        "mode": view.mode,
        "plays": view.plays,
        "listens": Stance.LISTENS in stance and not view.frozen,
        "knobs": dict(view.knobs),
        "presets": sorted(view.presets),
        "preset_names": {str(number): name for number, name in view.preset_names.items()},
        "units": [[unit.signal, unit.name] for unit in view.units],
        "has_model": view.has_model,
        "has_output": view.has_output,
        "guard": dict(view.remedies),
        "clock": _clock(rig, now),
        "tempo": _tempo(view),
        "start": rig.settings.start_seconds,
        "seed": rig.settings.seed,
        "recording": recording_since,
        **facts.of(rig, now),
    }


class Facts:
    """Facts that a terminal shows, too. Cached for a second, because they take a millisecond."""

    def __init__(self) -> None:
        self._rig: Rig | None = None
        self._again = -math.inf
        self._found: dict[str, Any] = {}

    def of(self, rig: Rig, now: float) -> dict[str, Any]:
        """Return the facts, at most a second old."""
        if rig is not self._rig or now >= self._again:
            self._rig, self._again = rig, now + FACTS_SECONDS
            seen = rig.look(now)
            late = seen.lateness
            self._found = {
                "ports": [list(port) for port in seen.ports],
                "late": [round(ms, 1) for ms in (late.median_ms, late.p99_ms, late.worst_ms)],
                "ahead": round(max(0.0, seen.planned_until - now), 1),
                "surprise": round(seen.surprises[-1], 1) if seen.surprises else None,
                "follows": dict(seen.knobs).get("follow"),
            }
        return self._found


def _clock(rig: Rig, now: float) -> dict[str, Any] | None:
    """Return the tempo, and the time of the first beat of a bar; None without a clock."""
    beats = rig.session.console.beats
    bpm, position = beats.bpm, beats.beat_at(now)
    if not bpm or not beats.running or position is None or not math.isfinite(position):
        return None
    return {"bpm": round(bpm, 1), "beat": round(now - position * 60.0 / bpm, BEAT_DIGITS)}


def _tempo(view: SessionView) -> str:
    """Return the tempo of the clock in words; empty without a clock. The roll shows the beats."""
    if view.bpm is None:
        return ""
    return f"{view.bpm:.0f} bpm" + ("" if view.clock_runs else ", stopped")
