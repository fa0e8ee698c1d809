"""Piano rolls: a picture of what is played, in the format its name says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from midirnn.errors import OptionError
from midirnn.performance import Part, Performance
from midirnn.plots import plot_piano_roll, saving
from tests.datasets.songs import song


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")]
)
def test_the_suffix_decides_the_format(tmp_path: Path, name: str, start: bytes) -> None:
    plot_piano_roll(song(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a", "a.gif", "a.png.txt"])
def test_other_suffixes_are_refused_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"end in \.png or \.svg or \.pdf"):
        plot_piano_roll(song(), tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_equal_performances_make_equal_pictures(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        plot_piano_roll(song(3), path, title="A song", primer_seconds=1.0)
    assert first.read_bytes() == second.read_bytes()


def test_long_pieces_make_wider_pictures_up_to_a_limit(tmp_path: Path) -> None:
    widths = []
    for stretch in (1.0, 30.0, 3000.0):
        plot_piano_roll(song().stretch(stretch), tmp_path / "a.png")
        widths.append(imread(tmp_path / "a.png").shape[1])
    assert widths[0] < widths[1] < widths[2] <= 42 * 160


def test_louder_notes_are_darker(tmp_path: Path) -> None:
    brightness = []
    for velocity in (10, 60, 120):
        plot_piano_roll(Performance.from_notes([(0, 5, 60, velocity)]), tmp_path / "a.png")
        pixels = imread(tmp_path / "a.png")[:, :, :3]
        note = pixels[pixels.shape[0] // 3 : pixels.shape[0] * 2 // 3, pixels.shape[1] // 2]
        saturation = note.max(axis=1) - note.min(axis=1)
        brightness.append(float(note[int(np.argmax(saturation))].sum()))
    assert brightness == sorted(brightness, reverse=True)


@pytest.mark.parametrize("primer_seconds", [None, 0.0, 2.0, 1000.0])
@pytest.mark.parametrize(
    "performance",
    [
        Performance(),
        Performance.from_notes([(0.0, 0.001, 0, 1)]),
        Performance.from_notes([(0.0, 1.0, 127, 127)], pedals=[(0.0, 0), (0.5, 127)]),
        song(1).replace(parts=(Part(channel=9),)),
    ],
    ids=["nothing", "a tick", "a pedal that stays down", "drums"],
)
def test_odd_performances_can_be_drawn(
    tmp_path: Path, performance: Performance, primer_seconds: float | None
) -> None:
    plot_piano_roll(performance, tmp_path / "a.png", primer_seconds=primer_seconds)
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("primer_seconds", [-1.0, float("nan"), float("inf"), 1e9])
def test_a_primer_that_means_nothing_is_refused(tmp_path: Path, primer_seconds: float) -> None:
    with pytest.raises(OptionError, match="the primer lasts"):
        plot_piano_roll(song(), tmp_path / "a.png", primer_seconds=primer_seconds)


def test_titles_are_text_and_no_formulas(tmp_path: Path) -> None:
    plot_piano_roll(song(), tmp_path / "a.svg", title="50$ & <b> $\\nonsense$")


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Prélude", "Prélude"),
        ("\u6708\u5149 1", r"\u6708\u5149 1"),
        ("caf\udce9", r"caf\udce9"),
        ("\U0001f3b9", r"\U0001f3b9"),
    ],
)
def test_characters_of_a_title_that_no_font_has_are_escapes(
    monkeypatch: pytest.MonkeyPatch, title: str, shown: str
) -> None:
    monkeypatch.setattr(saving, "_FALLBACK_FONTS", ())
    axes = saving.make_figure(4, 3).subplots()
    saving.write_title(axes, title)
    assert axes.get_title(loc="left") == shown


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be written"):
        plot_piano_roll(song(), tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OptionError, match="cannot be written"):
        plot_piano_roll(song(), tmp_path / "folder.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_no_state_of_pyplot_is_touched() -> None:
    script = "import sys, midirnn.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_surprise_colours_the_notes(tmp_path: Path) -> None:
    performance = song(3)
    low, high = np.zeros(len(performance)), np.full(len(performance), 20.0)
    for name, values in (("low", low), ("high", high), ("beyond", high + 50)):
        plot_piano_roll(performance, tmp_path / f"{name}.png", surprise=values)
    low_picture, high_picture, beyond = (
        imread(tmp_path / f"{name}.png") for name in ("low", "high", "beyond")
    )
    assert (low_picture != high_picture).any()
    assert np.array_equal(high_picture, beyond)
