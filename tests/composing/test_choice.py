"""The best of many: candidates do not depend on their number, and the best one comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midirnn.composing import beam_search, best_of, find_measure
from midirnn.composing.choice import heard_of
from midirnn.composing.measures import Heard, Measure, continuity, density, key, likelihood
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.performance import Part, Performance
from midirnn.sampling.generated import Generated
from midirnn.sampling.many import continue_many
from midirnn.sampling.requests import Request

MODEL = load("piano-small")
REQUEST = Request(seconds=2.0)


def scale(pitches: list[int], gap: float = 0.25, velocity: int = 60) -> Performance:
    starts = np.arange(len(pitches)) * gap
    return Performance(
        start=starts,
        end=starts + gap,
        pitch=pitches,
        velocity=[velocity] * len(pitches),
        part=[0] * len(pitches),
    )


MAJOR = scale([60, 62, 64, 65, 67, 69, 71, 72] * 4)


def heard(new: Performance, primer: Performance = MAJOR, **changes: object) -> Heard:
    about = {
        "seconds": new.duration,
        "log_likelihood": -20.0,
        "new_tokens": 10,
        "controls": None,
        "key": None,
        **changes,
    }
    return Heard(primer, new, **about)  # type: ignore[arg-type]


def test_more_candidates_begin_with_the_same_ones_and_are_at_least_as_good() -> None:
    few, many = (best_of(MODEL, n, likelihood, REQUEST, seed=5) for n in (2, 5))
    assert {c.seed for c in few} < {c.seed for c in many}
    for candidate in few:
        (same,) = [c for c in many if c.seed == candidate.seed]
        assert same.generated.performance == candidate.generated.performance
    assert many[0].measure >= few[0].measure
    assert [c.measure for c in many] == sorted((c.measure for c in many), reverse=True)


def test_the_first_candidate_continues_a_primer_as_it_would_alone() -> None:
    candidates = best_of(MODEL, 3, likelihood, REQUEST, MAJOR, seed=5)
    (first,) = [c for c in candidates if c.seed == 5]
    (alone,) = continue_many(MODEL, [MAJOR], request=REQUEST, seeds=[5], batch=1)
    assert first.generated.performance == alone.performance


def test_music_like_its_primer_is_nearer_to_it_than_other_music() -> None:
    same = continuity(heard(MAJOR))
    other = continuity(heard(scale([25, 27, 30] * 40, gap=0.05, velocity=110)))
    assert same == pytest.approx(0.0, abs=1e-9)
    assert other < -1.0


def test_music_in_a_key_is_clearer_than_music_in_none() -> None:
    assert key(heard(MAJOR)) > key(heard(scale(list(range(60, 72)))))
    white = frozenset({0, 2, 4, 5, 7, 9, 11})
    assert key(heard(MAJOR, key=white)) == 1.0
    assert key(heard(scale([60, 61]), key=white)) == 0.5


def test_drums_of_a_primer_are_not_measured() -> None:
    drums = scale([38] * 200, gap=0.04).replace(part=[1] * 200, parts=(Part(), Part(channel=9)))
    names = ("start", "end", "pitch", "velocity", "part", "unreleased")
    both = drums.replace(
        **{n: np.concatenate([getattr(MAJOR, n), getattr(drums, n)]) for n in names}
    )
    made = Generated(MAJOR, 10, 8.0)
    for by in (density, continuity):
        assert by(heard_of(made, REQUEST, both)) == by(heard_of(made, REQUEST, MAJOR))


def test_density_is_best_where_it_is_what_was_asked_for() -> None:
    assert density(heard(MAJOR)) == 0.0
    assert density(heard(scale([60] * 20, gap=0.125))) == pytest.approx(-1.0)


@pytest.mark.parametrize("search", [best_of, beam_search])
@pytest.mark.parametrize("by", ["continuity", "density", density])
def test_a_measure_that_needs_a_primer_is_refused_before_any_candidate_is_drawn(
    search: Callable[..., object], by: Measure | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(MODEL), "lanes", lambda *_: pytest.fail("drawing has begun"))
    with pytest.raises(OptionError, match="is nearness to a"):
        search(MODEL, 2, by)


@pytest.mark.parametrize("measure", [continuity, density])
def test_nearness_to_a_primer_needs_one(measure: object) -> None:
    with pytest.raises(OptionError, match="primer"):
        measure(heard(MAJOR, Performance()))  # type: ignore[operator]


def test_a_function_in_a_file_is_given_the_new_music(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def highest(music):\n    return music.pitch.max()\nnumber = 3\n")
    assert find_measure(f"{own}:highest")(heard(MAJOR)) == 72.0


@pytest.mark.parametrize(
    ("content", "name", "line"),
    [
        ("def f(music):\n    return 1 / 0\n", "own.py:f", r"own\.py:f failed \(ZeroDivisionError"),
        ("def f(music):\n    return 'a'\n", "own.py:f", "returned 'a', which is not a number"),
        ("x = ", "own.py:f", r"own\.py cannot be run \(SyntaxError"),
        ("", "own.py:f", "own.py has no function 'f'"),
        ("", "nowhere.py:f", "there is no file nowhere.py"),
        ("", "beauty", "there is no measure 'beauty'; known are likelihood"),
    ],
)
def test_what_is_wrong_with_a_measure_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, name: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(content)
    with pytest.raises(OptionError, match=line):
        find_measure(name)(heard(MAJOR))


def test_no_candidates_and_too_many_are_refused() -> None:
    for count in (0, 2000):
        with pytest.raises(OptionError, match=f"best-of is {count}; allowed are 1 to 1024"):
            best_of(MODEL, count, likelihood, REQUEST)
