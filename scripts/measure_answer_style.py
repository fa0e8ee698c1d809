"""Measure whether the answers of a live session are in the style of what was played.

    python3 scripts/measure_answer_style.py DATASET [--split test] [--count 16] [--seconds 15]
    python3 scripts/measure_answer_style.py DATASET --jack

For each of ``--count`` performances a session in call and response hears a passage of
``--seconds``. Its answer is what it then plays during the same length of time, from its first note
on. Answers are judged as ``midirnn evaluate --continuations`` judges continuations: by their
distance to the passage, compared with that of the pianist's own next passage; 1.00 is as far as
another piece.

The session has a manual clock and ports in memory, and plays as fast as the machine can. With
``--jack`` it plays in real time: a JACK server with a dummy sound card is started, the model runs
in a process of its own, and passages and answers go through MIDI ports. Then each performance takes
a little more than twice ``--seconds``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from measure_answers import Stage, messages, phrase_of

from midirnn import MidirnnError, Performance
from midirnn.codecs import NoteStream, require
from midirnn.datasets import Dataset
from midirnn.engines.load import Model, load
from midirnn.judging.continuations import (
    Excerpt,
    Timing,
    compositions,
    excerpt,
    judge_continuations,
    pick,
)
from midirnn.live import LiveConfig, Session
from midirnn.live.base.messages import ModelSettings
from midirnn.live.model_process.process import ModelProcess
from midirnn.live.recording.midi import Recording
from midirnn.ports import open_input, open_output

sys.path.append(str(Path(__file__).parents[1]))
from benchmark_live import running

from tests.jack import JackServer, jack_is_installed

SCALE_PERFORMANCES = 256
"""Number of performances from which the scale is measured, as in evaluate."""

BEGIN_SECONDS, LATEST_SECONDS = 0.5, 5.0
"""When the passage begins, and how long to wait for an answer to it."""


def main() -> int:
    arguments = parse_arguments()
    if arguments.jack and not jack_is_installed():
        print("jackd not found: install jackd2", file=sys.stderr)
        return 1
    try:
        report = measure(arguments)
    except MidirnnError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report, indent=2) if arguments.json else table(report))
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let the model answer passages of performances, and judge the answers."""
    span = (0.0, arguments.seconds)
    timing = Timing(primer_seconds=arguments.seconds, headline=span, spans=())
    reference = excerpts_of(Dataset.open(arguments.dataset), arguments.split, timing)
    chosen = [reference[i] for i in pick([e.composition for e in reference], arguments.count)]
    answer_of = answer_over_jack if arguments.jack else answer_by_the_clock
    model, answers = load(arguments.model), []
    with JackServer() if arguments.jack else nullcontext():
        for number, played in enumerate(chosen):
            answers.append(answer_of(played, model, arguments, arguments.seed + number))
            print(f"{number + 1} of {len(chosen)}: {len(answers[-1])} notes", file=sys.stderr)
    report = judge_continuations(chosen, {"answers": answers}, reference, timing)
    return {
        "model": arguments.model,
        "split": arguments.split,
        "performances": len(chosen),
        "unanswered": sum(not len(answer) for answer in answers),
        **report,
    }


def excerpts_of(dataset: Dataset, split: str, timing: Timing) -> list[Excerpt]:
    """Return excerpts of performances that are long enough, spread over the compositions."""
    codec = require(dataset.codec, NoteStream, "a live session")
    pieces, rows = dataset.pieces(split), dataset.rows(split)
    long = [index for index, row in enumerate(rows) if row["duration"] >= timing.seconds]
    names = compositions([rows[index]["path"] for index in long])
    return [
        excerpt(codec.decode(pieces[long[place]]), names[place], timing)
        for place in pick(names, SCALE_PERFORMANCES)
    ]


def answer_by_the_clock(
    played: Excerpt, model: Model, arguments: argparse.Namespace, seed: int
) -> Performance:
    """Play a passage to a session with a manual clock; return its answer."""
    seconds = arguments.seconds
    config = LiveConfig(follow=arguments.follow, answer_seconds=seconds)
    stage = Stage(model, "call_and_response", config, seed)
    stage.perform(messages(phrase_of(played.primer, 0.0, seconds), BEGIN_SECONDS))
    return from_first_note(stage.play(BEGIN_SECONDS + 2 * seconds + LATEST_SECONDS), seconds)


def answer_over_jack(
    played: Excerpt, model: Model, arguments: argparse.Namespace, seed: int
) -> Performance:
    """Play a passage to a session over JACK, in real time; return its answer."""
    seconds, heard = arguments.seconds, []
    settings = ModelSettings(
        arguments.model,
        engine=model.playing_engine("auto"),
        seed=seed,
        start_seconds=time.monotonic(),
    )
    config = LiveConfig(follow=arguments.follow, answer_seconds=seconds)
    with ExitStack() as stack:
        process = stack.enter_context(ModelProcess(settings, model.codec, spare=False))
        process.wait_until_ready()
        output = stack.enter_context(open_output("voice", api="jack", virtual=True))
        session = Session(process, output, "call_and_response", config)
        stack.enter_context(open_input("ear", session.receive, api="jack", virtual=True))
        keys = stack.enter_context(open_output("ear", api="jack", client_name="keys"))
        stack.enter_context(
            open_input(
                "voice",
                lambda message, at: heard.append((at, message)),
                api="jack",
                client_name="listener",
            )
        )
        with running(session):
            begin = time.monotonic() + BEGIN_SECONDS
            perform(phrase_of(played.primer, 0.0, seconds), begin, keys.send)
            time.sleep(LATEST_SECONDS + seconds)
    recording = Recording(begin - BEGIN_SECONDS)
    for at, message in heard:
        recording.add("model", message, at)
    recording.until(max([begin, *(at for at, _ in heard)]))
    return from_first_note(recording.performance(), seconds)


def perform(phrase: Performance, begin: float, send: Any) -> None:
    """Send the notes of a passage in real time."""
    for at, message in messages(phrase, begin):
        time.sleep(max(at - time.monotonic(), 0.0))
        send(message)


def from_first_note(played: Performance, seconds: float) -> Performance:
    """Return ``seconds`` of what was played after the passage, from the first note on."""
    after = played.slice(BEGIN_SECONDS + 0.9 * seconds, float("inf")) if len(played) else played
    if not len(after):
        return after
    first = float(after.start.min())
    return after.slice(first, first + seconds)


def table(report: dict[str, Any]) -> str:
    """Return the distances as text."""
    span, distances = report["headline"], report["distances"]
    errors = report["standard_errors"]
    columns = list(next(iter(distances.values()))[span])
    lines = ["".join(f"{text:>15}" for text in ["", *columns])]
    for name, by_span in distances.items():
        values = [f"{by_span[span][column]:.2f}" for column in columns]
        lines.append("".join(f"{text:>15}" for text in [name, *values]))
    values = [f"{errors['answers'][span][column]:.2f}" for column in columns]
    lines.append("".join(f"{text:>15}" for text in ["standard error", *values]))
    lines.append(f"{report['performances']} performances, {report['unanswered']} unanswered")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--model", default="piano")
    parser.add_argument("--follow", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jack", action="store_true", help="in real time, over JACK")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
