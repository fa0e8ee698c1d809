"""``midirnn render``, and MIDI through pipes: standard input and output as files."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from midirnn.audio.synthesizer import load_fluidsynth
from midirnn.cli.main import main
from midirnn.errors import MidirnnError
from tests.datasets.songs import write_song

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("pyloudnorm")
try:
    load_fluidsynth()
except MidirnnError as error:
    pytest.skip(str(error), allow_module_level=True)

MODEL = ("--model", "piano-small")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "song.mid", 0)


class Piped(io.TextIOWrapper):
    """Standard input that a file is piped into."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


def test_several_files_become_numbered_sound_files(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(song), str(song), "-o", str(tmp_path / "a.wav")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'a-1.wav'}: ")
    assert (tmp_path / "a-1.wav").read_bytes() == (tmp_path / "a-2.wav").read_bytes()
    assert second.endswith(f"the sound of {song}")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere.mid", "-o", "a.wav"], "nowhere.mid: there is no such file"),
        (["song.mid", "-o", "a.ogg"], "its name must end in .wav or .flac or .mp3"),
        (["song.mid", "-o", "a.wav", "--soundfont", "b.sf2"], "there is no SoundFont b.sf2"),
        (["song.mid", "-o", "a.wav", "--soundfont", "song.mid"], "cannot read the SoundFont"),
        (["-", "-o", "a.wav"], "standard input: is not a MIDI file"),
    ],
)
def test_what_cannot_be_rendered_is_told_in_one_line_and_leaves_no_file(
    song: Path,
    arguments: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(song.parent)
    monkeypatch.setattr(sys, "stdin", Piped(b"no music"))
    assert main(["render", *arguments]) == 1
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert [path.name for path in song.parent.iterdir()] == [song.name]


def test_generate_writes_sound_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.flac"
    made = ["generate", "-o", str(tmp_path / "a.mid"), "--seconds", "3", "--audio", str(target)]
    assert main([*made, *MODEL]) == 0
    assert soundfile.info(target).duration > 3.0
    assert f"{target}: its sound" in capsys.readouterr().out


def test_the_midi_file_may_be_left_out(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    chart = ["--key", "D minor", "--chords", "Dm | Gm | A7 | Dm", "--tempo", "90"]
    argv = ["generate", *chart, "--best-of", "2", "--seconds", "3", "--audio", str(target)]
    assert main([*argv, *MODEL]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert main(["generate", *MODEL]) == 2


def test_a_generated_file_goes_through_a_pipe(tmp_path: Path) -> None:
    midirnn = f"{sys.executable} -m midirnn"
    target = tmp_path / "x.wav"
    generate = f"generate -o - --seconds 2 --seed 3 {' '.join(MODEL)}"
    line = f"{midirnn} {generate} | {midirnn} render - -o {target}"
    subprocess.run(line, shell=True, check=True, capture_output=True, timeout=120)
    assert soundfile.info(target).duration > 2.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "-"],
        ["likelihood", "-", *MODEL],
        ["plot", "-", "-o", "a.png"],
        ["generate", "--primer", "-", "-o", "a.mid", "--seconds", "1", *MODEL],
    ],
)
def test_commands_read_midi_from_standard_input(
    song: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(song.parent)
    monkeypatch.setattr(sys, "stdin", Piped(song.read_bytes()))
    assert main(arguments) == 0
