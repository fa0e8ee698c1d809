"""Measure whether the players of an ensemble follow the network, and how loudly they play.

    python3 scripts/measure_ensemble.py [--model NAME] [--seeds N] [--seconds N]

First, four players play alone: measured is the share of their gestures (player by player, second by
second) that are those of the network. Then a performer plays with three players, softly, moderately
and loudly, in sessions with a simulated clock: measured is the mean velocity of the players' notes.
"""

from __future__ import annotations

import argparse
import random
from functools import partial
from typing import Any

import numpy as np

from midirnn.codecs import EnsembleCodec, require, require_playable
from midirnn.engines.load import Model, load
from midirnn.ensemble import Conductor, Seats, generate_ensemble, load_network
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.ports import MemoryOutput, Message
from midirnn.sampling import Sampler

VELOCITIES = (30, 64, 105)
LISTENING_SECONDS = 7.0
"""The players' notes count from here on, when the style of the performer is known."""


def gestures_kept(model: Model, seed: int, seconds: int) -> tuple[int, int]:
    """Return how many gestures are played as the network chose them, and how many there are."""
    network, seats = load_network(), Seats(4, person=False)
    codec = require(network.codec, EnsembleCodec, "an ensemble", "gestures")
    music = generate_ensemble(model, players=4, seconds=seconds, seed=seed).performance
    steps = require_playable(model.codec, "an ensemble").steps_per_second
    conductor = Conductor(network, seats, seed=seed, steps_per_second=steps)
    rows: dict[int, tuple[int, ...]] = {}
    for second in range(seconds):
        conductor.settle(second, rows)
        rows[second] = conductor.say(second, rows)
    said, played = np.array([*rows.values()]), np.zeros((seconds, 4), np.int64)
    found = codec.gestures(music)[:seconds]
    played[: len(found)] = found
    return int((said == played).sum()), said.size


def tune(velocity: int, seconds: float, seed: int) -> list[tuple[float, Message]]:
    """Return what a performer plays: about three notes a second, with short rests."""
    rng, at, messages = random.Random(seed), 1.0, []
    while at < seconds:
        pitch = rng.randint(60, 84)
        messages += [(at, (0x90, pitch, velocity)), (at + 0.25, (0x80, pitch, 0))]
        at += rng.choice((0.26, 0.3, 0.5, 1.0))
    return sorted(messages)


def played_beside(model: Model, velocity: int, seed: int, seconds: float) -> list[int]:
    """Return the velocities of the players' notes, given the velocity of the performer."""
    clock = ManualClock(1000.0)
    output, begin = MemoryOutput(clock=clock.now), clock.now()
    codec = require_playable(model.codec, "an ensemble")
    sampler: Sampler[Any] = Sampler(model.engine("numpy"), codec, seed=seed)
    session = Session(sampler, output, "ensemble", LiveConfig(guard=False), clock=clock)
    for at, message in tune(velocity, seconds, seed):
        clock.at(begin + at, partial(session.receive, message, begin + at))
    with session:
        session.run(seconds, sending_thread=False)
    return [
        message[2]
        for at, message in output.sent
        if message[0] & 0xF0 == 0x90 and message[2] and at - begin > LISTENING_SECONDS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="piano")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    model = load(arguments.model)
    kept = [gestures_kept(model, seed, arguments.seconds) for seed in range(arguments.seeds)]
    share = 100 * sum(right for right, _ in kept) / sum(of for _, of in kept)
    print(f"gestures that are those which the network said: {share:.0f} %")
    for velocity in VELOCITIES:
        notes = [
            played
            for seed in range(arguments.seeds)
            for played in played_beside(model, velocity, seed, arguments.seconds)
        ]
        print(
            f"performer at {velocity}: {len(notes)} notes of the players, at {np.mean(notes):.0f}"
        )


if __name__ == "__main__":
    main()
