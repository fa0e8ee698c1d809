"""Make the sampled piano of the page from packages of npm, shortened and without re-encoding.

    for layer in 4 8 12; do npm pack @audio-samples/piano-mp3-velocity$layer; done
    python scripts/make_piano_samples.py audio-samples-piano-mp3-velocity*.tgz

An MP3 file is a sequence of frames of 26 ms: it is cut at a frame, and the page fades it out.
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "midirnn" / "web" / "page" / "piano"
NAME = re.compile(r"package/audio/([A-G])(#?)(\d)v(\d+)\.mp3")
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

LENGTHS = ((48, 6.5), (72, 5.0), (128, 3.5))
"""(below this pitch, seconds): higher strings sound for a shorter time."""

BITRATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
SAMPLE_RATES = (44100, 48000, 32000)
SAMPLES_PER_FRAME = 1152


def frames(data: bytes) -> Iterator[tuple[bytes, float]]:
    """Yield each frame of an MP3 file (MPEG 1, layer 3) and its duration in seconds."""
    at = 0
    if data[:3] == b"ID3":
        at = 10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] & 0xFE == 0xFA:
        rate = SAMPLE_RATES[data[at + 2] >> 2 & 3]
        padding = data[at + 2] >> 1 & 1
        size = 144 * BITRATES[data[at + 2] >> 4] * 1000 // rate + padding
        yield data[at : at + size], SAMPLES_PER_FRAME / rate
        at += size


def shortened(data: bytes, seconds: float) -> bytes:
    """Return the frames of the first ``seconds``."""
    kept, lasted = bytearray(), 0.0
    for frame, length in frames(data):
        if lasted >= seconds:
            break
        kept += frame
        lasted += length
    return bytes(kept)


def main(packages: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    total = 0
    for package in packages:
        with tarfile.open(package) as archive:
            for member in archive:
                if not (found := NAME.fullmatch(member.name)):
                    continue
                letter, sharp, octave, layer = found.groups()
                pitch = 12 * (int(octave) + 1) + SEMITONES[letter] + bool(sharp)
                seconds = next(length for below, length in LENGTHS if pitch < below)
                file = archive.extractfile(member)
                assert file is not None
                data = shortened(file.read(), seconds)
                (FOLDER / f"{pitch}-{layer}.mp3").write_bytes(data)
                total += len(data)
    print(f"{FOLDER}: {len(list(FOLDER.glob('*.mp3')))} files, {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
