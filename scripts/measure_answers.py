"""Measure whether the model of a live session plays like the performer it hears.

    python3 scripts/measure_answers.py answers|duet|knobs FILE.mid ... [--model NAME]

A session with a manual clock and ports in memory hears passages of the MIDI files, and what it
plays is compared with them.

answers  call and response: the answer to a phrase, beside the pianist's own next phrase
duet     both play for half a minute, then the performer rests
knobs    autopilot, with the density knob at 32, 11, 4, 11, 32, 0.5 and 11 notes per second, each
         for 20 s, and then free (needs no file)

Differences of density are in octaves (1 is twice or half as many notes per second); the overlap of
pitch classes goes from 0 (none in common) to 1 (the same shares).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midirnn import MidirnnError, Performance, read_midi
from midirnn.codecs import PerformanceCodec, require
from midirnn.engines.load import Model, load
from midirnn.judging.features import notes_per_second, pitch_class_histogram
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.recording.midi import Recording
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports import MemoryOutput, Message
from midirnn.sampling import Sampler

START_SECONDS = 1000.0
SKIP_SECONDS = 20.0
"""Where phrases begin in a piece: the first seconds are often unlike the rest."""

DENSITIES = (32.0, 11.0, 4.0, 11.0, 32.0, 0.5, 11.0, None)
"""The settings of the density knob; None leaves the model free."""

KNOB_SECONDS, SETTLED_SECONDS = 20.0, 3.0
"""How long each setting lasts, and how soon the music should have reached it."""

END_SECONDS = 1.0
"""Notes that end this close to the end of an answer may have been cut off by it."""


class Stage:
    """A session with a manual clock. Times are seconds from its start."""

    def __init__(self, model: Model, mode: str, config: LiveConfig, seed: int) -> None:
        self.clock = ManualClock(START_SECONDS)
        self.output = MemoryOutput(clock=self.clock.now)
        codec = require(model.codec, PerformanceCodec, "a live session")
        sampler = Sampler(model.engine("auto"), codec, config.sampling, seed=seed)
        self.session = Session(sampler, self.output, mode, config, clock=self.clock)

    def perform(self, schedule: Iterable[tuple[float, Message]]) -> None:
        for seconds, message in schedule:
            at = START_SECONDS + seconds
            self.clock.at(at, lambda at=at, message=message: self.session.receive(message, at))  # type: ignore[misc]

    def play(self, seconds: float) -> Performance:
        """Return what the model plays in the next ``seconds``."""
        with self.session:
            self.session.run(seconds, sending_thread=False)
        recording = Recording(START_SECONDS)
        for at, message in self.output.sent:
            recording.add("model", message, at)
        recording.until(START_SECONDS + seconds)
        return recording.performance()


def messages(piece: Performance, at: float) -> list[tuple[float, Message]]:
    """Return the messages of a passage that begins at second ``at``, with the pedal applied."""
    timed: list[tuple[float, int, Message]] = []
    for start, end, pitch, velocity in zip(
        piece.start, piece.end, piece.pitch, piece.velocity, strict=True
    ):
        timed.append((at + float(start), 1, (NOTE_ON, int(pitch), int(velocity))))
        timed.append((at + max(float(end), float(start) + 0.005), 0, (NOTE_OFF, int(pitch), 0)))
    return [(seconds, message) for seconds, _, message in sorted(timed)]


@dataclass(frozen=True)
class Answer:
    """An answer and the pianist's next phrase, each compared with the phrase before."""

    file: str
    notes_per_second: float
    answer_notes_per_second: float
    octaves_off: float
    pianist_octaves_off: float
    pitch_classes: float
    pianist_pitch_classes: float
    notes_cut_off: int
    """The number of the model's notes that end together with the answer."""


def octaves(piece: Performance, other: Performance, seconds: float) -> float:
    """Return the log2 of the ratio of two densities, with at least one note in each."""
    least = 1.0 / seconds
    rates = [max(notes_per_second(p, seconds), least) for p in (piece, other)]
    return float(np.log2(rates[0] / rates[1]))


def overlap(piece: Performance, other: Performance, seconds: float) -> float:
    """Return the overlap of the pitch classes of two passages."""
    if not (len(piece) and len(other)):
        return 0.0
    ours, theirs = (pitch_class_histogram(p, seconds) for p in (piece, other))
    return float(np.minimum(ours, theirs).sum())


def phrase_of(piece: Performance, begin: float, end: float) -> Performance:
    """Return a passage from its first note on; notes that sound at its end are cut there."""
    cut = piece.slice(begin, end)
    return cut.replace(end=np.minimum(cut.end, end - begin))


def measure_answer(model: Model, path: Path, args: argparse.Namespace) -> Answer:
    """Let the model answer a phrase of a performance."""
    piece, seconds = read_midi(path).without_drums().apply_sustain(), args.seconds
    phrase = phrase_of(piece, SKIP_SECONDS, SKIP_SECONDS + seconds)
    following = phrase_of(piece, SKIP_SECONDS + seconds, SKIP_SECONDS + 2 * seconds)
    config = LiveConfig(follow=args.follow, answer_seconds=seconds)
    stage = Stage(model, "call_and_response", config, args.seed)
    stage.perform(messages(phrase, 0.5))
    played = stage.play(0.5 + 2 * seconds + 3.0)
    begin = float(played.start.min()) if len(played) else 0.0
    end = begin + seconds
    answer = played.slice(begin, end + 1.0)
    cut_off = int(((played.end.max() - played.end) < 0.015).sum()) if len(played) else 0
    return Answer(
        path.name,
        notes_per_second(phrase, seconds),
        notes_per_second(answer, seconds),
        octaves(answer, phrase, seconds),
        octaves(following, phrase, seconds),
        overlap(answer, phrase, seconds),
        overlap(following, phrase, seconds),
        cut_off,
    )


@dataclass(frozen=True)
class Duet:
    """What the model plays along with the performer, and during the performer's rest."""

    file: str
    notes_per_second: float
    model_notes_per_second: float
    rest_notes_per_second: float
    rest_pitch_classes: float


def measure_duet(model: Model, path: Path, args: argparse.Namespace) -> Duet:
    """Let the model play along with a performance for 30 s, then alone for 15 s."""
    both, rest = 30.0, 15.0
    piece = read_midi(path).without_drums().apply_sustain()
    passage = phrase_of(piece, SKIP_SECONDS, SKIP_SECONDS + both)
    stage = Stage(model, "duet", LiveConfig(follow=args.follow), args.seed)
    stage.perform(messages(passage, 0.5))
    played = stage.play(0.5 + both + rest)
    together = played.slice(10.5, 0.5 + both)
    alone = played.slice(0.5 + both + 1.0, 0.5 + both + rest)
    return Duet(
        path.name,
        notes_per_second(passage.slice(10.0, both), both - 10.0),
        notes_per_second(together, both - 10.0),
        notes_per_second(alone, rest - 1.0),
        overlap(alone, passage.slice(both - 15.0, both), rest),
    )


@dataclass(frozen=True)
class Turn:
    """What was played after a knob was turned."""

    asked: float | None
    first_notes_per_second: float
    """In the first seconds, while it settles."""
    notes_per_second: float
    """From then on."""
    most_sounding: int


def measure_knobs(model: Model, args: argparse.Namespace) -> list[Turn]:
    """Turn the density knob in autopilot."""
    stage = Stage(model, "autopilot", LiveConfig(follow=args.follow), args.seed)
    for number, density in enumerate(DENSITIES):
        at = START_SECONDS + number * KNOB_SECONDS
        stage.clock.at(at, lambda density=density: stage.session.turn("density", density))  # type: ignore[misc]
    played = stage.play(len(DENSITIES) * KNOB_SECONDS)
    turns = []
    for number, density in enumerate(DENSITIES):
        begin = number * KNOB_SECONDS
        first = played.slice(begin, begin + SETTLED_SECONDS)
        rest = played.slice(begin + SETTLED_SECONDS, begin + KNOB_SECONDS)
        times = np.concatenate([rest.start, rest.end])
        changes = np.concatenate([np.ones(len(rest), int), -np.ones(len(rest), int)])
        order = np.lexsort((changes, times))
        turns.append(
            Turn(
                density,
                notes_per_second(first, SETTLED_SECONDS),
                notes_per_second(rest, KNOB_SECONDS - SETTLED_SECONDS),
                int(np.cumsum(changes[order]).max(initial=0)),
            )
        )
    return turns


def show(what: str, rows: Sequence[Any]) -> None:
    """Print a line for each row, and means."""
    for row in rows:
        values = asdict(row)
        label = values.pop("file", "")
        print(
            *(f"{v:7.2f}" if isinstance(v, float) else f"{v!s:>7}" for v in values.values()), label
        )
    print("   ", ", ".join(name for name in asdict(rows[0]) if name != "file"))
    if what == "answers":
        print(f"density off by {np.mean([abs(r.octaves_off) for r in rows]):.2f} octaves", end="")
        print(f" (pianist {np.mean([abs(r.pianist_octaves_off) for r in rows]):.2f})", end="")
        print(f", mean {np.mean([r.octaves_off for r in rows]):+.2f}; pitch classes", end="")
        print(f" {np.mean([r.pitch_classes for r in rows]):.2f}", end="")
        print(f" (pianist {np.mean([r.pianist_pitch_classes for r in rows]):.2f})", end="")
        print(f"; {np.mean([r.notes_cut_off for r in rows]):.1f} notes end with the answer")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("answers", "duet", "knobs"))
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--model", default="piano")
    parser.add_argument("--follow", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a phrase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_intermixed_args()
    try:
        model = load(args.model)
        measures = {"answers": measure_answer, "duet": measure_duet}
        if args.what == "knobs":
            rows: list[Any] = measure_knobs(model, args)
        elif not args.files:
            parser.error("give the MIDI files to play to the model")
        else:
            rows = [measures[args.what](model, path, args) for path in args.files]
    except MidirnnError as error:
        print(error, file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        show(args.what, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
