"""Time how fast MIDI files become tokens, beside what else one would use, on the same files.

    python3 scripts/benchmark_encode.py FOLDER [--files 100] [--json]

Every library reads and encodes each file in one process; what counts is processor time. pretty_midi
only reads. MidiTok (its MIDILike tokenizer) and note-seq (Performance RNN's tokens) take part where
they are installed; of note-seq's tokens it is counted how many files have the same ones here.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import OtherLoad, installed, processor_name

from midirnn import MidiFileError, PerformanceCodec, read_midi
from midirnn.midifile import SUFFIXES

LIBRARIES = ("midirnn", "numpy", "pretty_midi", "miditok", "symusic", "note-seq")

Encode = Callable[[bytes], Any]


@dataclass(frozen=True)
class Timing:
    """How many files a library did in a second of processor time, and how long the median took."""

    library: str
    files: int
    files_per_second: float
    median_ms: float


def midirnn_encoder() -> Encode:
    codec = PerformanceCodec()
    return lambda data: codec.encode(read_midi(data))


def pretty_midi_reader() -> Encode:
    with contextlib.redirect_stdout(io.StringIO()):  # it says where it finds FluidSynth
        import pretty_midi

    return lambda data: pretty_midi.PrettyMIDI(io.BytesIO(data))


def miditok_encoder() -> Encode:
    import miditok
    import symusic

    tokenizer = miditok.MIDILike()
    return lambda data: tokenizer(symusic.Score.from_midi(data))


def note_seq_encoder() -> Encode:
    import note_seq

    encoding = note_seq.PerformanceOneHotEncoding(num_velocity_bins=32)

    def encode(data: bytes) -> list[int]:
        sequence = note_seq.apply_sustain_control_changes(note_seq.midi_to_note_sequence(data))
        quantized = note_seq.quantize_note_sequence_absolute(sequence, 100)
        events = note_seq.Performance(quantized, num_velocity_bins=32)
        return [encoding.encode_event(event) for event in events]

    return encode


ENCODERS: dict[str, Callable[[], Encode]] = {
    "midirnn": midirnn_encoder,
    "pretty_midi (reads only)": pretty_midi_reader,
    "MidiTok": miditok_encoder,
    "note-seq": note_seq_encoder,
}


def main() -> int:
    arguments = parse_arguments()
    files = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    random.Random(0).shuffle(files)
    datas = [data for path in files[: arguments.files] for data in readable(path)]
    if not datas:
        print(f"{arguments.folder} holds no MIDI files that can be read", file=sys.stderr)
        return 1
    others = OtherLoad()
    timings, absent = [], {}
    for name, make in ENCODERS.items():
        try:
            timings.append(measure(name, make(), datas))
        except ImportError as error:
            absent[name] = str(error)
    report = {
        "processor": processor_name(),
        "versions": {name: installed(name) for name in LIBRARIES if installed(name)},
        "other_processes_cores": round(others.cores(), 2),
        "bytes": sum(map(len, datas)),
        "timings": [asdict(timing) for timing in timings],
        "absent": absent,
        **({} if "note-seq" in absent else {"same_tokens_as_note_seq": agreement(datas)}),
    }
    print(json.dumps(report, indent=2) if arguments.json else table(report))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100, help="so many files, chosen at random")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def readable(path: Path) -> list[bytes]:
    """Return the bytes of a file in a list, if it can be read."""
    data = path.read_bytes()
    try:
        read_midi(data)
    except MidiFileError:
        return []
    return [data]


def measure(name: str, encode: Encode, datas: list[bytes]) -> Timing:
    """Time each file once, after one to warm up."""
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encode(datas[0])
        for data in datas:
            begun = time.process_time()
            encode(data)
            seconds.append(time.process_time() - begun)
    median = sorted(seconds)[len(seconds) // 2]
    return Timing(name, len(datas), len(datas) / sum(seconds), 1000 * median)


def agreement(datas: list[bytes]) -> str:
    """Return of how many files note-seq's tokens are ours."""
    codec, theirs = PerformanceCodec(overlaps="keep"), note_seq_encoder()
    same = sum(codec.encode(read_midi(data)).tolist() == theirs(data) for data in datas)
    return f"{same} of {len(datas)}"


def table(report: dict[str, Any]) -> str:
    """Return the report as text."""
    first = report["timings"][0]["files_per_second"]
    lines = [
        f"{report['processor']}; others use {report['other_processes_cores']} cores",
        f"{'':<26} {'files/s':>8} {'median ms':>10} {'midirnn is':>11}",
    ]
    lines += [
        f"{t['library']:<26} {t['files_per_second']:>8.1f} {t['median_ms']:>10.2f} "
        f"{first / t['files_per_second']:>10.1f}x"
        for t in report["timings"]
    ]
    lines += [f"{name:<26} not measured: {why}" for name, why in report["absent"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
