"""``midirnn render``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import read_music
from midirnn.cli.sounds import check_sound, write_audio
from midirnn.errors import OptionError


def render(
    *files: Annotated[
        Path,
        Parameter(
            name="FILE",
            required=True,
            allow_leading_hyphen=True,
            help="MIDI files. A dash (-) reads one from standard input.",
        ),
    ],
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            help="The sound file to write: .wav, .flac or .mp3. With several MIDI files a number "
            "is added to its name.",
        ),
    ],
    soundfont: Annotated[
        Path | None, Parameter(help="SoundFont file (.sf2, .sf3). [the best that is installed]")
    ] = None,
) -> None:
    """Render MIDI files to sound files, with FluidSynth.

    Sound files are normalized to the loudness of streamed music (-16 LUFS); peaks that would clip
    are turned down. Needs FluidSynth and pip install 'midirnn[audio]'.
    """
    check_sound(output, soundfont)
    for number, path in enumerate(files, 1):
        target = output if len(files) == 1 else output.with_stem(f"{output.stem}-{number}")
        music = read_music(path, drums=True)
        if not len(music):
            raise OptionError(f"{path}: there is nothing to hear: it has no notes")
        seconds = write_audio(music, target, soundfont)
        print(f"{target}: {seconds:.1f} s, the sound of {path}")
