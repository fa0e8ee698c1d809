"""Sound files that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file

if TYPE_CHECKING:
    from midirnn.performance import Performance


def check_sound(path: Path, soundfont: Path | None = None) -> None:
    """Raise a :class:`MidirnnError` if no sound can be made, or none written to ``path``."""
    from midirnn.audio.rendering import FORMATS
    from midirnn.audio.synthesizer import find_soundfont, load_fluidsynth

    check_file(path, tuple(FORMATS))
    load_fluidsynth()
    find_soundfont(soundfont)


def write_audio(performance: Performance, path: Path, soundfont: Path | None = None) -> float:
    """Write the sound of a performance; return its length in seconds."""
    from midirnn.audio.rendering import render, write_sound
    from midirnn.audio.synthesizer import SAMPLE_RATE

    with progress_bar(f"rendering {path.name}") as progress:
        samples = render(performance, soundfont, progress=progress)
    write_sound(samples, path)
    return len(samples) / SAMPLE_RATE
