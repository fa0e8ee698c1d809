"""Music in sections: those that come back are varied, and how alike they are is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from midirnn.composing.form import InForm, generate_form
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.judging.likeness import likeness
from midirnn.performance import Performance
from midirnn.sampling.constraints import Constraints, parse_scale
from midirnn.sampling.requests import Request
from tests.datasets.songs import song
from tests.strategies import performances

MODEL = load("piano-small")


def made(form: str, variation: float, seed: int = 1, **request: object) -> InForm:
    wanted = Request(**request)  # type: ignore[arg-type]
    return generate_form(MODEL, form, 6.0, wanted, variation=variation, seed=seed, engine="numpy")


@given(performances(), performances())
def test_likeness_is_symmetric_and_1_for_the_same_notes(a: Performance, b: Performance) -> None:
    assert likeness(a, b) == likeness(b, a)
    assert 0.0 <= likeness(a, b) <= 1.0
    assert likeness(a, a) == (1.0 if len(a) else 0.0)


def test_tempo_does_not_count_and_changed_notes_do() -> None:
    piece = song(0)
    slower = piece.replace(start=piece.start * 1.2, end=piece.end * 1.2)
    assert likeness(piece, slower) > 0.95
    changed = piece.pitch.copy()
    changed[::2] = 127
    assert likeness(piece, piece.replace(pitch=changed)) == pytest.approx(0.5, abs=0.1)


def test_a_section_that_comes_back_is_like_the_first_and_varied() -> None:
    found = [made("ABAC", 0.2, seed) for seed in (1, 2, 3)]
    alike = [piece.sections[2].likeness for piece in found]
    assert all(value is not None and 0.5 < value < 1.0 for value in alike)
    assert all(piece.sections[i].likeness is None for piece in found for i in (0, 1, 3))


def test_the_more_is_varied_the_less_alike_is_what_comes_back() -> None:
    means = [
        np.mean([made("AAB", variation, seed).sections[1].likeness for seed in (1, 2, 3)])
        for variation in (0.0, 0.5, 1.0)
    ]
    assert means[0] > means[1] > means[2]


def test_sections_follow_a_primer_and_keep_constraints_and_the_length() -> None:
    rules = Constraints(key=parse_scale("C"))
    primer = song(0)
    found = generate_form(
        MODEL, "A B A", 4.0, Request(constraints=rules, end=True), primer, engine="numpy"
    )
    generated = found.generated
    assert generated.new_seconds == 12.0
    assert [s.letter for s in found.sections] == ["A", "B", "A"]
    assert found.sections[0].begin_seconds == generated.primer_seconds
    assert set(generated.continuation.pitch % 12) <= set(rules.key or ())
    np.testing.assert_array_equal(found.performance.pitch[: len(primer)], primer.pitch)


def test_the_same_seed_gives_the_same_piece() -> None:
    assert made("AA", 0.3).performance == made("AA", 0.3).performance


@pytest.mark.parametrize(
    ("form", "seconds", "variation", "line"),
    [
        ("", 6.0, 0.3, "sections are ''; write a letter for each"),
        ("A1", 6.0, 0.3, "sections are 'A1'"),
        ("AABA", 0.5, 0.3, "a section lasts 0.5 s; allowed are 2 to 3600"),
        ("AABA", float("nan"), 0.3, "a section lasts nan s"),
        ("AABA", 6.0, 1.5, "variation is 1.5; allowed are 0 to 1"),
    ],
)
def test_what_is_no_form_is_told(form: str, seconds: float, variation: float, line: str) -> None:
    with pytest.raises(OptionError, match=line.replace("(", r"\(")):
        generate_form(MODEL, form, seconds, variation=variation)


def test_tunes_have_no_sections() -> None:
    with pytest.raises(OptionError, match="sections are for music"):
        generate_form("folk", "AABA")


def test_a_short_last_section_comes_back_before_it_ends() -> None:
    alike = [made("ABA", 0.1, seed, end=True).sections[2].likeness or 0.0 for seed in (1, 2, 3)]
    assert np.mean(alike) > 0.35
