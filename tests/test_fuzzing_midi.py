"""Real files with random damage: each is read or refused, in bounded time and memory.

A few hundred are tried each time. MIDIRNN_FUZZ=10000 tries so many; a failure names the number of
the file, and MIDIRNN_FUZZ_FROM begins there.
"""

from __future__ import annotations

import os
import random
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from midirnn import MidiFileError, Performance, PerformanceCodec, read_midi
from midirnn.datasets.onefile import _memory_limit, _time_limit
from midirnn.midifile import midi_bytes
from tests.datasets.songs import song
from tests.midi_bytes import control, midi, note_off, note_on, program, sysex, tempo, track
from tests.test_midifile_damage import WHOLE

COUNT = int(os.environ.get("MIDIRNN_FUZZ", "400"))
FIRST = int(os.environ.get("MIDIRNN_FUZZ_FROM", "0"))
EXAMPLES = Path(__file__).parents[1] / "data" / "examples"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDERS = ("performances/maestro", "pop909", "drums", "ensemble", "scores_and_performances")
MOST_SECONDS = 30.0
MOST_GIGABYTES = 2.0
MOST_BYTES = 200_000

Mutation = Callable[[random.Random, bytearray], None]


@cache
def seeds() -> list[bytes]:
    """Files of all kinds: real ones where they are present."""
    band = midi(
        track(tempo(0, 400_000), tempo(960, 700_000)),
        track(program(0, 40, 2), note_on(0, 60, 64, 2), control(5, 64, 127, 2), note_off(9, 60, 2)),
        track(note_on(0, 36, 64, 9), sysex(3, b"\x7e\x09\xf7"), note_off(480, 36, 9)),
    )
    found = [WHOLE, band, *(midi_bytes(song(seed, 60)) for seed in range(3))]
    found += [path.read_bytes() for path in sorted(EXAMPLES.glob("*.mid"))]
    for folder in (
        "performances/maestro",
        "pop909",
        "drums",
        "ensemble",
        "scores_and_performances",
    ):
        paths = sorted(p for p in (SHARED / folder).rglob("*.mid*") if p.stat().st_size < 60_000)
        found += [
            path.read_bytes() for path in random.Random(folder).sample(paths, min(4, len(paths)))
        ]
    return found


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 3, 20))):
        data[rng.randrange(len(data))] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def flip_a_bit(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def remove(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    del data[begin : begin + rng.choice((1, 2, 7, 500))]


def repeat(rng: random.Random, data: bytearray) -> None:
    begin = rng.randrange(len(data))
    piece = data[begin : begin + rng.choice((1, 3, 40, 2000))]
    place = rng.randrange(len(data))
    data[place:place] = piece * rng.choice((1, 2, 30))


def insert(rng: random.Random, data: bytearray) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.choice((1, 2, 5, 300)))


def splice(rng: random.Random, data: bytearray) -> None:
    other = rng.choice(seeds())
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def lengthen(rng: random.Random, data: bytearray) -> None:
    """Change the length that a chunk says it has, or the header."""
    places = [place for place in range(len(data) - 8) if data[place : place + 4] == b"MTrk"]
    place = rng.choice([0, *places])
    size = rng.choice((0, 1, 6, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(1 << 17)))
    data[place + 4 : place + 8] = size.to_bytes(4, "big")


def head(rng: random.Random, data: bytearray) -> None:
    """Change the format, the number of tracks or the time division."""
    place = rng.choice((8, 10, 12))
    data[place : place + 2] = rng.choice((0, 1, 2, 3, 0x7FFF, 0x8000, 0xE728, 0xFFFF)).to_bytes(
        2, "big"
    )


def stretch(rng: random.Random, data: bytearray) -> None:
    """Put the longest delta time somewhere."""
    place = rng.randrange(len(data))
    data[place : place + 1] = b"\xff\xff\xff\x7f"


MUTATIONS: tuple[Mutation, ...] = (
    flip, flip_a_bit, cut, remove, repeat, insert, splice, lengthen, head, stretch,
)  # fmt: skip


def mutated(number: int) -> bytes:
    """The file of that number: always the same."""
    rng = random.Random(number)
    data = bytearray(rng.choice(seeds()))
    for _ in range(rng.choice((1, 1, 2, 4))):
        if len(data) > 16:
            rng.choice(MUTATIONS)(rng, data)
    return bytes(data[:MOST_BYTES])


def read(data: bytes, *, recover: bool) -> tuple[Performance | None, int]:
    """What is read, and how many warnings say what is lost; None for what is refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with _time_limit(MOST_SECONDS), _memory_limit(MOST_GIGABYTES):
                return read_midi(data, recover=recover), len(caught)
        except MidiFileError as error:
            assert len(str(error).splitlines()) == 1
            return None, 0


def check(number: int, codec: PerformanceCodec) -> str:
    """Read a file both ways; return what became of it."""
    data = mutated(number)
    strict, _ = read(data, recover=False)
    recovered, losses = read(data, recover=True)
    if strict is not None:
        assert recovered == strict, "recovering changes a file that is whole"
        assert losses == 0
    if recovered is None:
        return "refused"
    assert (recovered.end > recovered.start).all()
    with _time_limit(MOST_SECONDS), _memory_limit(MOST_GIGABYTES):
        tokens = codec.encode(recovered)
    assert tokens.max(initial=0) < codec.vocab_size
    return "read" if strict is not None else "recovered"


def test_damaged_files_are_read_or_refused() -> None:
    codec = PerformanceCodec()
    outcomes: Counter[str] = Counter()
    for number in range(FIRST, FIRST + COUNT):
        try:
            outcomes[check(number, codec)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            pytest.fail(f"file {number}: {type(error).__name__}: {error}")
    print(dict(outcomes))
    assert all(outcomes[kind] > COUNT // 20 for kind in ("read", "recovered", "refused"))


def test_a_number_stands_for_one_file() -> None:
    assert mutated(7) == mutated(7)
    assert len({mutated(number) for number in range(50)}) > 45
