"""Dictionaries, text and pretty_midi where a function needs settings or a piece."""

from __future__ import annotations

from typing import Any

import pretty_midi
import pytest

from midirnn import (
    Constraints,
    Controls,
    Note,
    OptionError,
    Performance,
    SamplingConfig,
    generate,
    parse_scale,
)
from midirnn.codecs.controls import parse_pitch_classes
from midirnn.midifile import to_pretty_midi
from midirnn.sampling.arguments import (
    as_constraints,
    as_controls,
    as_music,
    as_piece,
    as_sampling,
    check_seed,
)
from midirnn.sketch import piano_roll_svg
from tests.datasets.songs import song

A_MINOR = parse_pitch_classes("A minor")


def test_a_dictionary_holds_the_fields() -> None:
    assert as_controls({"notes_per_second": 4}) == Controls(notes_per_second=4)
    assert as_sampling({"top_p": 0.9}) == SamplingConfig(top_p=0.9)
    assert as_controls(None) is None
    assert as_constraints({"key": "D minor"}) == Constraints(key=parse_scale("D minor"))
    assert as_sampling(SamplingConfig()) == SamplingConfig()


def test_a_key_or_pitch_classes_are_text() -> None:
    assert as_controls("A minor") == Controls(pitch_classes=A_MINOR)
    assert as_controls({"pitch_classes": "A minor"}) == as_controls("A minor")
    assert Controls(pitch_classes="A minor").pitch_classes == A_MINOR


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"density": 4}, "controls holds 'density'; allowed are notes_per_second, loudness"),
        (4, r"controls is 4; allowed are Controls\(...\) or a dictionary"),
        ("H minor", "'H' in 'H minor' is not a pitch class"),
        ({"notes_per_second": 500}, "notes_per_second is 500"),
    ],
)
def test_what_means_nothing_is_refused(given: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        as_controls(given)  # type: ignore[arg-type]


def test_pretty_midi_is_a_piece_with_its_drums() -> None:
    there = to_pretty_midi(song(1))
    there.instruments.append(pretty_midi.Instrument(0, is_drum=True))
    there.instruments[-1].notes.append(pretty_midi.Note(64, 36, 0.0, 1.0))
    piece = as_piece(there)
    assert len(piece) == len(song(1)) + 1
    assert as_piece("text") == "text"


def test_a_class_made_from_pretty_midi_is_a_piece_too() -> None:
    class Annotated(pretty_midi.PrettyMIDI):
        pass

    there = Annotated()
    there.instruments = to_pretty_midi(song(1)).instruments
    assert len(as_music(there)) == len(song(1))


def test_a_loop_over_a_performance_gives_its_notes() -> None:
    performance = Performance.from_notes([(0.5, 1.0, 60, 80), (0.0, 1.0, 64, 70)])
    assert list(performance) == [Note(0.0, 1.0, 64, 70, 0), Note(0.5, 1.0, 60, 80, 0)]
    assert all(isinstance(value, int) for note in performance for value in note[2:])


def test_a_notebook_shows_a_piano_roll_of_bounded_size() -> None:
    assert "<svg" in Performance()._repr_html_()
    shown = song(1)._repr_html_()
    assert "Performance(" in shown
    assert shown.count("M") >= len({note.pitch for note in song(1)})
    many = Performance.from_notes([(i / 1000, i / 1000 + 0.01, 60, 80) for i in range(50_000)])
    columns = (many.start, many.end, many.pitch, many.velocity)
    assert len(piano_roll_svg(*columns)) < 100_000


@pytest.mark.parametrize("seed", [1.5, "1", -1])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(OptionError, match=f"seed is {seed!r}; it must be"):
        check_seed(seed)


def test_a_key_outside_the_octave_is_refused() -> None:
    with pytest.raises(OptionError, match=r"the key is \{12\}; allowed are pitch classes"):
        Constraints(key=frozenset({12}))


def test_what_holds_no_constraints_is_refused_when_it_is_given() -> None:
    with pytest.raises(OptionError, match="constraints holds 'tempo'; allowed are key, lowest"):
        generate("piano-small", seconds=1.0, constraints={"tempo": 3})  # type: ignore[arg-type]
