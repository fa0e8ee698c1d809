"""Measure live playing: reaction time, lateness of events, and recovery.

    python3 scripts/benchmark_live.py [--model piano] [--jack] [--json]

Each is measured with the model in its own process, over ports in memory and, with --jack, over a
JACK server that is started for this purpose (as in the tests).

reaction    from a note-on's arrival to the first message of the new plan being queued
lateness    from the time a message was due to its having been sent, while the model plans at full
            speed
ahead       how far the plan reaches when nobody plays
release     from the death of the model process to the last note-off of its notes
recovery    from that death to the first note of the model process that takes over: of the spare
            one, as in midirnn live, and of one that has to be started (--no-spare)

If other processes use more than a fifth of a core, nothing is reported and the exit code is 1,
unless --anyway is given.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import MOST_OTHER_CORES, OtherLoad, installed, processor_name, refuse

from midirnn.engines.load import load
from midirnn.live import LiveConfig, MonotonicClock, Session
from midirnn.live.base.messages import (
    Begin,
    ModelSettings,
    Plan,
    Planned,
    PlannedEvent,
    Reply,
    Request,
    Rewind,
)
from midirnn.live.base.observers import Observer
from midirnn.live.equipment import SWITCH_SECONDS
from midirnn.live.model_process.process import ModelProcess
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.output.sent import SentEvent
from midirnn.ports import MemoryOutput, Message, open_input, open_output
from midirnn.ports.base import InputCallback, OutputPort

LIBRARIES = ("midirnn", "numpy", "onnxruntime", "python-rtmidi")
LEFT_ALONE_SECONDS = 3.0
PLAN_STEPS = 200
PITCHES = (48, 52, 55, 60, 62, 64, 65, 67, 69, 72)
LIMIT_SECONDS = 20.0


@dataclass(frozen=True)
class Spread:
    """The distribution of a number of measurements, in milliseconds."""

    what: str
    ports: str
    count: int
    median_ms: float
    p99_ms: float
    most_ms: float


@dataclass(frozen=True)
class Stage:
    """The kind of ports: how to open an output, and an input on which keys are struck."""

    name: str
    output: OutputPort
    connect: Callable[[InputCallback], Callable[[Message], None]]


class Watch(Observer):
    """An observer that measures the time from a note-on to the plan that answers it."""

    def __init__(self) -> None:
        super().__init__()
        self.reactions: list[float] = []
        self.first_note: float | None = None
        self.answered_all = threading.Event()
        self._struck: float | None = None
        self._plan: int | None = None

    def heard(self, message: Message, seconds: float) -> None:
        if message[0] & 0xF0 == 0x90 and message[2]:
            self._struck, self._plan = seconds, None
            self.answered_all.clear()

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        if message[0] & 0xF0 == 0x90 and self.first_note is None:
            self.first_note = seconds

    def asked(self, request: Request, seconds: float) -> None:
        if isinstance(request, Rewind) and self._struck is not None:
            self._plan = request.plan

    def answered(self, reply: Reply, seconds: float) -> None:
        if not isinstance(reply, Planned) or not reply.events or self._struck is None:
            return
        if self._plan is not None and reply.plan >= self._plan:
            self.reactions.append(time.monotonic() - self._struck)
            self._struck = None
            self.answered_all.set()


def main() -> int:
    arguments = parse_arguments()
    others = OtherLoad()
    time.sleep(1.0)
    if (before := others.cores()) > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(before)
    others = OtherLoad()
    sys.setswitchinterval(SWITCH_SECONDS)
    report = measure_all(arguments)
    report |= describe(arguments, others.cores())
    if report["other_processes_cores"] > MOST_OTHER_CORES and not arguments.anyway:
        return refuse(report["other_processes_cores"])
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="piano", help="a model's name or folder")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--reactions", type=int, default=300, help="how many note-ons are played")
    parser.add_argument("--events", type=int, default=10_000, help="how many are sent on time")
    parser.add_argument("--events-per-second", type=float, default=200.0)
    parser.add_argument(
        "--no-keep-warm",
        dest="keep_warm",
        action="store_false",
        help="the model rests between plans",
    )
    parser.add_argument("--jack", action="store_true", help="over JACK, too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--anyway", action="store_true", help="report on a busy machine too")
    return parser.parse_args()


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    spreads: list[Spread] = []
    figures: dict[str, Any] = {}
    with memory_stage() as stage:
        spreads.append(measure_reaction(stage, arguments, figures))
        spreads.append(measure_lateness(stage, arguments, figures))
    if arguments.jack:
        with jack_stage() as stage:
            spreads.append(measure_reaction(stage, arguments, figures))
            spreads.append(measure_lateness(stage, arguments, figures))
    for spare in (False, True):
        figures |= measure_recovery(arguments, spare=spare)
    return {"spreads": [asdict(spread) for spread in spreads], **figures}


@contextmanager
def memory_stage() -> Iterator[Stage]:
    def connect(callback: InputCallback) -> Callable[[Message], None]:
        return lambda message: callback(message, time.monotonic())

    yield Stage("memory", MemoryOutput(), connect)


@contextmanager
def jack_stage() -> Iterator[Stage]:
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.jack import JackServer

    with JackServer(), ExitStack() as stack:

        def connect(callback: InputCallback) -> Callable[[Message], None]:
            stack.enter_context(open_input("ear", callback, api="jack", virtual=True))
            return stack.enter_context(open_output("ear", api="jack", client_name="keys")).send

        output = stack.enter_context(open_output("voice", api="jack", virtual=True))
        yield Stage("jack", output, connect)


@contextmanager
def model_process(arguments: argparse.Namespace, *, spare: bool = False) -> Iterator[ModelProcess]:
    settings = ModelSettings(
        arguments.model,
        engine=load(arguments.model).playing_engine(arguments.engine),
        seed=1,
        start_seconds=time.monotonic(),
        keep_warm=arguments.keep_warm,
    )
    with ModelProcess(settings, load(arguments.model).codec, spare=spare) as process:
        process.wait_until_ready()
        gc.collect()
        gc.freeze()
        yield process


@contextmanager
def running(session: Session) -> Iterator[None]:
    with session:
        thread = threading.Thread(target=session.run)
        thread.start()
        try:
            yield
        finally:
            session.stop()
            thread.join()


def spread(what: str, stage: Stage, seconds: list[float]) -> Spread:
    median, p99, most = (1e3 * np.percentile(seconds, [50, 99, 100])).tolist()
    return Spread(what, stage.name, len(seconds), median, p99, most)


def measure_reaction(
    stage: Stage, arguments: argparse.Namespace, figures: dict[str, Any]
) -> Spread:
    """Measure how quickly notes are answered while the model plays along."""
    watch, rng = Watch(), random.Random(0)
    config = LiveConfig()
    with model_process(arguments) as process:
        session = Session(process, stage.output, "autopilot", config, observer=watch)
        strike = stage.connect(session.receive)
        with running(session):
            time.sleep(LEFT_ALONE_SECONDS)
            ahead = session.interplay.plan.until - time.monotonic()
            figures.setdefault("ahead_ms", round(1e3 * ahead, 1))
            for _ in range(arguments.reactions):
                pitch = rng.choice(PITCHES)
                strike((0x90, pitch, rng.randrange(40, 100)))
                watch.answered_all.wait(1.0)
                time.sleep(rng.uniform(0.02, 0.3))
                strike((0x80, pitch, 0))
                time.sleep(rng.uniform(0.02, 0.3))
    return spread("reaction", stage, watch.reactions)


def measure_lateness(
    stage: Stage, arguments: argparse.Namespace, figures: dict[str, Any]
) -> Spread:
    """Measure how late steadily spaced events are sent while the model runs at full speed."""
    lateness: list[float] = []
    done = threading.Event()

    def note(sent: SentEvent) -> None:
        lateness.append(time.monotonic() - sent.due_seconds)
        if len(lateness) == arguments.events:
            done.set()

    scheduler = Scheduler(stage.output, MonotonicClock(), max_note_seconds=20.0, on_sent=note)
    with model_process(arguments) as process:
        scheduler.start()
        figures["realtime"] = scheduler.not_realtime or "SCHED_FIFO"
        begin = time.monotonic() + 0.2
        scheduler.extend(begin + arguments.events)
        scheduler.add(
            PlannedEvent(number, begin + number / arguments.events_per_second, message)
            for number, message in enumerate(steady_notes(arguments.events))
        )
        plan_at_full_speed(process, done)
        scheduler.close()
    return spread("lateness", stage, lateness[: arguments.events])


def steady_notes(count: int) -> Iterator[Message]:
    for number in range(count):
        pitch = 48 + number // 2 % 40
        yield (0x80, pitch, 0) if number % 2 else (0x90, pitch, 64)


def plan_at_full_speed(process: ModelProcess, done: threading.Event) -> None:
    """Keep the model generating until ``done`` is set."""
    answered = threading.Event()
    process.connect(answered.set)
    plan, step = 0, 0
    while not done.is_set():
        plan, step = plan + 1, step + PLAN_STEPS
        answered.clear()
        requests = (
            Rewind(plan, -1),
            Begin(0),
            Plan(sent=-1, earliest_step=0, until_step=step, tokens=16),
        )
        process.ask(requests)
        while not any(isinstance(r, Planned) and r.done for r in process.take()):
            answered.wait(1.0)
            answered.clear()


def measure_recovery(arguments: argparse.Namespace, *, spare: bool) -> dict[str, Any]:
    """Measure how long the release of notes and playing again take after a kill of the model."""
    if not hasattr(signal, "SIGKILL"):
        return {}
    watch, output = Watch(), MemoryOutput()
    with model_process(arguments, spare=spare) as process:
        session = Session(process, output, "autopilot", observer=watch)
        with running(session):
            wait_for(lambda: process.has_spare or not spare)
            wait_for(lambda: len(session.scheduler.sounding) > 1)
            watch.first_note = None
            killed = time.monotonic()
            os.kill(process.process_id, signal.SIGKILL)
            wait_for(lambda: not session.scheduler.sounding)
            silent = time.monotonic()
            watch.first_note = None
            wait_for(lambda: watch.first_note is not None)
            again = watch.first_note or 0.0
    return {
        "release_ms": round(1e3 * (silent - killed), 1),
        ("recovery_ms" if spare else "recovery_without_spare_ms"): round(1e3 * (again - killed), 1),
    }


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not what() and time.monotonic() < end:
        time.sleep(0.0005)


def describe(arguments: argparse.Namespace, other_cores: float) -> dict[str, Any]:
    """Return the machine, the versions, the model, and what else was running."""
    return {
        "model": arguments.model,
        "engine": load(arguments.model).playing_engine(arguments.engine),
        "keep_warm": arguments.keep_warm,
        "machine": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in LIBRARIES},
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "other_processes_cores": round(other_cores, 2),
    }


def print_table(report: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {found}" for name, found in report["versions"].items() if found)
    print(f"{report['model']}, the model in its own process; sending: {report['realtime']}")
    print(f"{report['machine']}, {report['cores']} cores; {report['system']}")
    print(f"Python {report['python']}, {versions}")
    print(f"other processes used {report['other_processes_cores']:.2f} of a core")
    print(f"{'what':<10} {'ports':<8} {'count':>6} {'median ms':>10} {'p99':>8} {'most':>8}")
    for s in report["spreads"]:
        row = f"{s['what']:<10} {s['ports']:<8} {s['count']:>6}"
        print(f"{row} {s['median_ms']:>10.2f} {s['p99_ms']:>8.2f} {s['most_ms']:>8.2f}")
    for name in ("ahead", "release", "recovery", "recovery_without_spare"):
        if f"{name}_ms" in report:
            print(f"{name.replace('_', ' '):<24} {report[f'{name}_ms']:>12.1f} ms")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
