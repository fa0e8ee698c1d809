"""Small MIDI files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midirnn.midifile import write_midi
from midirnn.performance import Performance


def song(seed: int = 0, notes: int = 24) -> Performance:
    """A random performance with a pedal."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.uniform(0, notes / 6, notes)).round(3)
    rows = zip(
        start.tolist(),
        (start + rng.uniform(0.05, 0.9, notes)).tolist(),
        rng.integers(36, 96, notes).tolist(),
        rng.integers(20, 120, notes).tolist(),
        strict=True,
    )
    return Performance.from_notes(rows, pedals=[(0.5, 127), (1.5, 0)])


def write_song(path: Path, seed: int = 0, notes: int = 24) -> Path:
    """The path, at which there is a song now; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_midi(song(seed, notes), path)
    return path


def write_songs(folder: Path, count: int) -> Path:
    """The folder, with ``count`` different songs in it and in one folder below it."""
    for seed in range(count):
        write_song(folder / ("deep" if seed % 2 else ".") / f"song{seed:02d}.mid", seed)
    return folder
