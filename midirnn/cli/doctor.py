"""``midirnn doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.parameters import JsonOutput

if TYPE_CHECKING:
    from midirnn.live.checkup import Checkup

EXIT_TOO_SLOW = 1


def doctor(
    *,
    model: Annotated[
        str,
        Parameter(
            help="Name of a model that comes with midirnn, or folder of a model or training run."
        ),
    ] = "piano",
    engine: Annotated[
        str,
        Parameter(help="native, onnxruntime, numpy, or auto: the one that midirnn live would use."),
    ] = "auto",
    api: Annotated[
        str | None,
        Parameter(help="Look only at this MIDI system: alsa, jack, coremidi or winmm. [all]"),
    ] = None,
    loopback: Annotated[
        str | None,
        Parameter(
            help="Only measure how long notes take to this MIDI output and back. Connect it by "
            "cable to the input of the same name. It plays a few notes."
        ),
    ] = None,
    loopback_input: Annotated[
        str | None,
        Parameter(help="The MIDI input on which they come back. [the one of the same name]"),
    ] = None,
    json_output: JsonOutput = False,
) -> int:
    """Check this machine before a concert: ports, speed, lateness. It takes a few seconds.

    It says what to improve. The exit code is 1 if the model is too slow on this machine, else 0.
    """
    if loopback is not None:
        _measure_loop(loopback, loopback_input, api, json_output=json_output)
        return 0
    from midirnn.codecs import require_playable
    from midirnn.engines.load import load
    from midirnn.live.checkup import examine
    from midirnn.ports import list_ports

    loaded = load(model)
    require_playable(loaded.codec, "midirnn doctor")
    found = examine(loaded, engine, list_ports(api), api)
    if json_output:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print("\n".join(lines(found)))
    return 0 if found.can_play else EXIT_TOO_SLOW


def _measure_loop(output: str, back: str | None, api: str | None, *, json_output: bool) -> None:
    """Print the round-trip time of messages, and the option to set for midirnn live."""
    from midirnn.live.checkup import Spread, time_there_and_back

    found = Spread.of(time_there_and_back(output, back, api))
    half = round(found.median_ms / 2, 1)
    if json_output:
        print(json.dumps({"there_and_back": asdict(found), "output_latency_ms": half}, indent=2))
        return
    print(f"there and back: {found}")
    print(
        f"Where both ways take as long: midirnn live --output-latency-ms {half:g}. An instrument's "
        "own time until it sounds is to be added."
    )


def lines(found: Checkup) -> list[str]:
    """Return the findings as text, and the verdict."""
    from midirnn.live.checkup import advice

    ports = [f"{port['direction']} {port['name']!r} ({port['api']})" for port in found.ports]
    missing = [f"{api}: {reason}" for api, reason in found.systems_missing.items()]
    rows = [
        ("ports", ", ".join(ports) or "none"),
        *([("not there", "; ".join(missing))] if missing else []),
        ("sound", found.sound or found.why_not.get("sound", "none")),
        ("model", f"{found.model} on {found.engine}"),
        ("step, tight", str(found.step_tight)),
        ("step, paced", f"{found.step_paced}; {100 * (found.load or 0.0):.0f} % of the time"),
        *([("look-ahead", _look_ahead(found))] if found.step_paced else []),
        ("sent late", str(found.lateness or found.why_not.get("lateness"))),
        ("real time", "yes" if found.realtime else f"no: {found.why_not.get('realtime')}"),
        ("through MIDI", _loop(found)),
    ]
    todo = advice(found)
    return [
        *(f"{name:<14}{value}" for name, value in rows),
        "",
        _verdict(found, todo),
        *(f"- {line}" for line in todo),
    ]


def _look_ahead(found: Checkup) -> str:
    from midirnn.live.checkup import BURST_STEPS

    assert found.step_paced is not None
    return (
        f"{found.lookahead_seconds:g} s, since {BURST_STEPS} steps as slow as the slowest 5% of "
        f"{found.step_paced.count} ({found.step_paced.p95_ms:.2f} ms each) take "
        f"{found.burst_seconds:.2f} s"
    )


def _loop(found: Checkup) -> str:
    if found.loopback_lost:
        return f"{found.loopback_lost} messages were lost"
    return str(found.loopback) if found.loopback else f"not timed: {found.why_not['loopback']}"


def _verdict(found: Checkup, todo: list[str]) -> str:
    flag = f"--lookahead-seconds {found.lookahead_seconds:g}"
    if not found.can_play:
        return "This machine cannot keep up:"
    ready = f"midirnn live will play here with {flag}"
    return f"{ready}, but:" if todo else f"{ready}."
