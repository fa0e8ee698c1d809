"""The flags of ``midirnn generate`` for what is written, and the writing itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.main import UsageError
from midirnn.cli.outputs import STDOUT, check_output, format_of_stdout, print_piece, with_format
from midirnn.cli.sounds import check_sound, write_audio
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.codecs import Codec
    from midirnn.performance import Performance
    from midirnn.sampling.generated import Generated


@dataclass(frozen=True)
class OutputFlags:
    """What is written of each piece, and where."""

    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The file to write; with --count a number is added to its name. A dash (-) "
            "writes to standard output. Optional with --audio.",
        ),
    ] = None
    format: Annotated[
        str | None,
        Parameter(
            help="Format of the file: mid, or txt or abc with a text model. A model of tunes in "
            "ABC notation writes both MIDI and text. [by the suffix of --output]"
        ),
    ] = None
    only_new: Annotated[
        bool, Parameter(negative="", show_default=False, help="Write the new notes only.")
    ] = False
    plot: Annotated[
        Path | None,
        Parameter(help="Also draw a piano roll of the (first) piece into this file."),
    ] = None
    audio: Annotated[
        Path | None,
        Parameter(
            help="Also write the sound of the (first) piece: .wav, .flac or .mp3. See midirnn "
            "render."
        ),
    ] = None

    @property
    def path(self) -> Path:
        """The file to write; with several pieces they are numbered."""
        output = self.output or Path("music.mid")
        return with_format(output, self.format if self.writes else None)

    @property
    def writes(self) -> bool:
        """Whether pieces are written, and not only their sound."""
        return self.output is not None

    @property
    def writes_files(self) -> bool:
        """Whether pieces are written to files, and not to standard output."""
        return self.writes and self.path != STDOUT

    @property
    def shows(self) -> bool:
        """Whether a piece is drawn or its sound is written."""
        return self.plot is not None or self.audio is not None

    def path_of(self, number: int, count: int) -> Path:
        """Return the file of piece ``number``, from 0 on, of ``count``."""
        path = self.path
        return path if count == 1 else path.with_stem(f"{path.stem}-{number + 1}")

    def check(self) -> None:
        """Raise a :class:`MidirnnError` for what cannot be written, before the work begins."""
        if self.output is None and self.audio is None:
            raise UsageError(
                "--output requires an argument: the file to write. See: midirnn generate --help"
            )
        if self.writes:
            check_output(self.path, None)
        if self.plot is not None:
            from midirnn.plots.saving import check_suffix

            check_file(check_suffix(self.plot))
        if self.audio is not None:
            check_sound(self.audio)

    def check_codec(self, codec: Codec[Any], count: int) -> None:
        """Raise a :class:`MidirnnError` for what cannot be written of a codec's pieces."""
        from midirnn.codecs import NoteStream, require
        from midirnn.midifile import SUFFIXES as MIDI_SUFFIXES

        if self.writes:
            check_output(self.path, codec)
        suffix = format_of_stdout(codec, self.format)
        if count > 1 and self.path == STDOUT and suffix in MIDI_SUFFIXES:
            raise OptionError(
                f"--count is {count}, and standard output takes one MIDI file: name a file with "
                "--output"
            )
        if self.plot is not None:
            require(codec, NoteStream, "--plot", "notes to draw")
        if self.audio is not None:
            require(codec, NoteStream, "--audio", "notes to hear")
        if self.only_new and not isinstance(codec, NoteStream):
            raise OptionError(f"--only-new is for music; the codec {codec.name!r} has no notes")

    def write(self, codec: Codec[Any], made: Generated, path: Path, seed: int) -> None:
        """Write a piece, and print a line about it."""
        piece = made.continuation if self.only_new else made.piece
        told = f"{made.summary()} (seed {seed})"
        if not self.writes:
            print(told)
        elif self.path == STDOUT:
            print_piece(codec, piece, format_of_stdout(codec, self.format))
            print(told, file=sys.stderr)
        else:
            codec.write(piece, path)
            print(f"{path}: {told}")

    def show(self, made: Generated, path: Path, *, has_primer: bool) -> None:
        """Draw a piece of music, and write its sound, if that was asked for."""
        if self.shows:
            music = made.continuation if self.only_new else made.performance
            self._show(music, path, made.primer_seconds if has_primer else None)

    def show_written(self, path: Path, heard: Any, heard_seconds: float | None) -> None:
        """Do the same as :meth:`show` with a piece that an earlier run wrote after a primer."""
        from midirnn.midifile import read_midi

        if self.shows:
            primer_seconds = None if heard is None else max(heard.duration, heard_seconds or 0.0)
            self._show(read_midi(path, drums=True), path, primer_seconds)

    def _show(self, music: Performance, path: Path, primer_seconds: float | None) -> None:
        stream = sys.stderr if self.path == STDOUT else sys.stdout
        if self.plot is not None:
            from midirnn.plots import plot_piano_roll

            begins = None if self.only_new else primer_seconds
            plot_piano_roll(music, self.plot, title=path.name, primer_seconds=begins)
            print(f"{self.plot}: its piano roll", file=stream)
        if self.audio is not None:
            write_audio(music, self.audio)
            print(f"{self.audio}: its sound", file=stream)
