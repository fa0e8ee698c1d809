"""A score and its performance in one picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from midirnn import OptionError, Performance
from midirnn.plots.performed import plot_performed
from midirnn.scores import perform
from tests.scores.examples import melody
from tests.scores.test_expression import some_expression


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_a_performance_is_drawn_below_its_score(tmp_path: Path, name: str) -> None:
    score = melody()
    plot_performed(score.written, perform(score, some_expression(score, 0)), tmp_path / name)
    assert (tmp_path / name).stat().st_size > 5000


def test_a_single_note_is_drawn(tmp_path: Path) -> None:
    note = Performance.from_notes([(0.0, 0.2, 60, 64)])
    plot_performed(note, note, tmp_path / "a.png", title="one")
    assert (tmp_path / "a.png").is_file()


def test_a_name_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    note = Performance.from_notes([(0.0, 0.2, 60, 64)])
    with pytest.raises(OptionError, match=r"must end in \.png"):
        plot_performed(note, note, tmp_path / "a.gif")
