"""Time note-seq on some MIDI files, in an environment of its own; benchmark_encode.py runs it.

    python scripts/note_seq_tokens.py FILES.json RESULT.json

It does not import midirnn. FILES.json is a list of paths; RESULT.json gets the processor time and
the tokens of each file: those of Performance RNN with 32 velocities.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    warnings.simplefilter("ignore")
    files, result = map(Path, sys.argv[1:])
    paths = [Path(path) for path in json.loads(files.read_text(encoding="utf-8"))]
    encode(paths[0].read_bytes())  # once to warm up
    timed = [encode_timed(path.read_bytes()) for path in paths]
    seconds, tokens = zip(*timed, strict=True)
    result.write_text(json.dumps({"seconds": seconds, "tokens": tokens}), encoding="utf-8")


def encode_timed(data: bytes) -> tuple[float, list[int]]:
    """Return the seconds of processor time, and the tokens."""
    begun = time.process_time()
    tokens = encode(data)
    return time.process_time() - begun, tokens


def encode(data: bytes) -> list[int]:
    """Return note-seq's tokens of a MIDI file."""
    import note_seq

    encoding: Any = note_seq.PerformanceOneHotEncoding(num_velocity_bins=32)
    sequence = note_seq.apply_sustain_control_changes(note_seq.midi_to_note_sequence(data))
    quantized = note_seq.quantize_note_sequence_absolute(sequence, 100)
    events = note_seq.Performance(quantized, num_velocity_bins=32)
    return [encoding.encode_event(event) for event in events]


if __name__ == "__main__":
    main()
