"""Places of primers: their map, and whose nearest neighbour has the same label."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.errors import OptionError
from midirnn.probing.style_map import Place, StyleMap, path_of, place_of, recognize
from midirnn.probing.tracing import trace
from tests.probing.planted import LAYERS, SIZE, long_song, random_model


def places(apart: float, count: int = 12) -> list[Place]:
    """Places of two labels, whose middles are that far apart; two of each are one composition."""
    rng = np.random.default_rng(0)
    return [
        Place(label, f"{label}{n}", f"{label}{n // 2}", rng.standard_normal(6) + apart * number)
        for number, label in enumerate("AB")
        for n in range(count)
    ]


def test_labels_that_lie_apart_are_recognized_and_others_by_chance() -> None:
    found = recognize(places(8.0))
    assert found.right == 1.0
    assert found.guessed == pytest.approx(10 / 22)
    assert found.most_frequent == 0.5
    assert recognize(places(0.0, 40)).right == pytest.approx(0.5, abs=0.2)


def test_pieces_of_one_group_are_no_neighbours() -> None:
    known = places(0.0, 2)  # each label is one group
    with pytest.raises(OptionError, match="no two pieces have one label"):
        recognize(known)


def test_unseen_places_are_asked_for_among_the_known() -> None:
    known, asked = places(8.0), [Place("B", "new", "new", np.full(6, 8.0))]
    found = recognize(known, asked)
    assert (found.pieces, found.right) == (1, 1.0)


def test_a_map_spreads_what_differs_most_along_its_first_axis() -> None:
    states = [place.state for place in places(8.0)]
    fitted = StyleMap.fit(states)
    at = fitted.project(states)
    assert fitted.explained[0] > 0.5
    assert len(set(np.sign(at[:12, 0]))) == 1
    assert np.sign(at[0, 0]) != np.sign(at[-1, 0])
    np.testing.assert_allclose(fitted.axes @ fitted.axes.T, np.eye(len(fitted.axes)), atol=1e-9)


def test_too_few_places_make_no_map() -> None:
    with pytest.raises(OptionError, match="at least 3 pieces"):
        StyleMap.fit([np.zeros(4), np.ones(4)])


def test_the_way_of_a_continuation_begins_where_its_primer_lies() -> None:
    model = random_model()
    one = trace(long_song(0), model)
    way = path_of(model, one.tokens.tolist(), 5, seed=1)
    assert way.shape == (6, LAYERS * SIZE)
    np.testing.assert_allclose(way[0], place_of(one), atol=1e-6)
    np.testing.assert_array_equal(way, path_of(model, one.tokens.tolist(), 5, seed=1))
