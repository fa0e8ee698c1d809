"""Dynamics, wedges and articulations: what they mean for the notes of a score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn import read_score
from midirnn.scores.marks import DYNAMICS, Loudness, Mark, Wedge
from midirnn.scores.score import Score
from tests.scores.musicxml import bars, dynamics, musicxml, quarter, wedge

Read = Callable[..., Score]
"""Reads the score that has these parts."""

P, MF, F = (DYNAMICS[name] for name in ("p", "mf", "f"))
BAR = quarter() * 3


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads the score in some text of MusicXML."""
    pytest.importorskip("music21")

    def of(*parts: str) -> Score:
        path = tmp_path / "score.musicxml"
        path.write_text(musicxml(*parts), encoding="utf-8")
        return read_score(path)

    return of


def levels(loudness: Loudness, *onsets: float) -> list[float]:
    return [loudness.at(onset) for onset in onsets]


class TestLoudness:
    def test_dynamics_are_in_force_until_the_next(self) -> None:
        loudness = Loudness([Mark(8, F), Mark(2, P)], [])
        assert levels(loudness, 0, 1.9, 2, 7.9, 8, 100) == [MF, MF, P, P, F, F]

    def test_a_crescendo_goes_evenly_to_the_dynamics_at_its_end(self) -> None:
        loudness = Loudness([Mark(0, P), Mark(8, F)], [Wedge(4, 8, rises=True)])
        assert levels(loudness, 3, 4, 6, 8, 9) == [P, P, (P + F) / 2, F, F]

    def test_dynamics_shortly_after_a_wedge_are_where_it_leads_and_those_far_away_are_not(
        self,
    ) -> None:
        wedges = [Wedge(0, 4, rises=False)]
        assert levels(Loudness([Mark(0, F), Mark(6, P)], wedges), 2, 5) == [(P + F) / 2, P]
        assert levels(Loudness([Mark(0, F), Mark(9, P)], wedges), 2, 5, 9) == [F - 8, F - 16, P]

    def test_a_wedge_that_leads_nowhere_changes_by_a_step(self) -> None:
        wedges = [Wedge(0, 4, rises=True), Wedge(4, 8, rises=False)]
        assert levels(Loudness([Mark(0, P)], wedges), 2, 4, 6, 8) == [P + 8, P + 16, P + 8, P]

    def test_a_crescendo_before_sudden_softness_still_rises(self) -> None:
        loudness = Loudness([Mark(0, MF), Mark(4, P)], [Wedge(0, 4, rises=True)])
        assert levels(loudness, 0, 2, 3.9, 4) == pytest.approx([MF, MF + 8, MF + 15.6, P])

    def test_dynamics_within_a_wedge_are_where_it_has_got_to(self) -> None:
        loudness = Loudness([Mark(0, P), Mark(2, MF), Mark(8, F)], [Wedge(0, 8, rises=True)])
        assert levels(loudness, 1, 2, 5, 8) == [(P + MF) / 2, MF, (MF + F) / 2, F]

    @given(
        st.lists(st.tuples(st.integers(0, 40), st.sampled_from([*DYNAMICS.values()]))),
        st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.booleans())),
    )
    def test_whatever_is_written_is_a_velocity_and_a_wedge_goes_its_own_way(
        self, marks: list[tuple[int, int]], wedges: list[tuple[int, int, bool]]
    ) -> None:
        loudness = Loudness(
            [Mark(onset, velocity) for onset, velocity in marks],
            [Wedge(begin, begin + length, rises) for begin, length, rises in wedges],
        )
        values = np.array(levels(loudness, *np.arange(-1, 60, 0.25)))
        assert ((values >= 10) & (values <= 127)).all()
        if len(wedges) == 1 and not marks:
            assert (np.diff(values) * (1 if wedges[0][2] else -1) >= 0).all()


def test_a_wedge_between_two_dynamics_is_read(read: Read) -> None:
    second = quarter() + wedge("crescendo") + quarter() * 2
    third = quarter() * 2 + wedge("stop") + quarter()
    score = read(bars(dynamics("p") + BAR, second, third, dynamics("f") + BAR))
    rising = [49, 49 + 47 / 4, 49 + 47 / 2, 49 + 141 / 4]
    assert score.velocity.tolist() == [49] * 4 + [round(v) for v in rising] + [96] * 4


def test_both_staves_of_a_piano_have_the_dynamics_and_wedges_of_either(read: Read) -> None:
    loud = wedge("crescendo") + BAR + wedge("stop")
    score = read(bars(dynamics("p") + BAR, BAR), bars(BAR, loud))
    assert score.velocity[::2].tolist() == score.velocity[1::2].tolist()
    assert score.velocity[::2].tolist() == [49, 49, 49, 49, 54, 60]


def test_other_parts_have_their_own(read: Read) -> None:
    score = read(bars(dynamics("p") + BAR), bars(dynamics("ff") + BAR), bars(BAR))
    part = score.written.part[score.of_note]
    assert [set(score.velocity[part == index].tolist()) for index in range(3)] == [
        {49},
        {112},
        {80},
    ]


@pytest.mark.parametrize(
    ("signs", "velocity", "played", "duration"),
    [
        ((), 49, 1.0, 1.0),
        (("accent",), 59, 1.1, 1.0),
        (("strong-accent",), 69, 1.2, 1.0),
        (("staccato",), 49, 1.0, 0.5),
        (("accent", "staccato"), 59, 1.1, 0.5),
        (("staccatissimo",), 49, 1.0, 1 / 3),
        (("tenuto",), 49, 1.0, 1.0),
    ],
)
def test_a_sign_changes_its_note_and_no_other(
    read: Read,
    signs: tuple[str, ...],
    velocity: int,
    played: float,
    duration: float,
) -> None:
    score = read(bars(dynamics("p") + quarter() + quarter(*signs) + quarter()))
    assert score.velocity.tolist() == [49, velocity, 49]
    assert score.louder.tolist() == [1.0, played, 1.0]
    assert score.duration.tolist() == pytest.approx([1.0, duration, 1.0], abs=1e-3)


def test_an_sf_is_an_accent_of_all_that_begins_there_and_fp_is_soft_afterwards(read: Read) -> None:
    first = dynamics("p") + quarter() + dynamics("sf") + quarter() * 2
    score = read(bars(first, dynamics("fp") + BAR))
    assert score.velocity.tolist() == [49, 59, 49, 96, 49, 49]
    assert score.louder.tolist() == [1.0, 1.1, 1.0, 1.0, 1.0, 1.0]


def test_a_bar_that_is_repeated_is_as_loud_as_it_was(read: Read) -> None:
    last = dynamics("f") + quarter() + quarter("accent") + quarter()
    end = '<barline location="right"><repeat direction="backward"/></barline>'
    score = read(bars(BAR, last + end))
    once = [80, 80, 80, 96, 115, 96]
    assert score.velocity.tolist() == once * 2
    assert score.louder.tolist() == [1, 1, 1, 1, 1.1, 1] * 2


def test_what_a_publisher_has_written_is_read() -> None:
    """Schoenberg's op. 19 no. 2: the first wedges are those of bars 2 and 3, up to mf and back."""
    corpus = pytest.importorskip("music21.corpus")
    score = read_score(corpus.getWork("schoenberg/opus19/movement2"))
    of_bar = {bar: score.velocity[score.onset // 4 == bar - 1] for bar in (1, 2, 3)}
    assert set(of_bar[1].tolist()) == {33}
    assert of_bar[2].max() > 80
    assert of_bar[3].min() == 33
    assert (score.louder > 1).sum() == 3
    assert (score.duration == 0.25).sum() > 40  # eighths with a dot
