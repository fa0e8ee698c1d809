"""Linear probes find what is there, nothing where nothing is, and are measured on unseen pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midirnn.errors import OptionError
from midirnn.probing.probes import TOKEN, explained, probe, ridge
from midirnn.probing.tracing import Trace
from tests.probing.planted import planted


def mixed_into_layer(seed: int) -> Trace:
    """A trace whose second layer holds the loudness in a mixture of its units."""
    one = planted(seed, 1, 3, "loudness", size=0.01)
    states = {name: array.copy() for name, array in one.states.items()}
    hidden = states["h"][:, 1].copy()
    states["h"][:, 1, 3] += 0.2 * hidden[:, 4]
    return replace(one, states=states)


def test_a_probe_reads_a_signal_off_the_layer_that_holds_it() -> None:
    found = {(p.signal, p.layer): p.r2 for p in probe([mixed_into_layer(n) for n in range(8)])}
    assert found["loudness", 1] > 0.9
    assert found["loudness", 0] < 0.7


def test_the_last_token_alone_is_a_row_of_its_own() -> None:
    traces = [mixed_into_layer(seed) for seed in range(6)]
    with_token = probe(traces, 388)
    assert [p for p in with_token if p.layer is not None] == probe(traces)
    of_token = [p.to_dict() for p in with_token if p.layer is None]
    assert {row["layer"] for row in of_token} == {TOKEN}
    assert sum(row["signal"].startswith("pitch class") for row in of_token) == 1


def test_noise_is_not_explained_on_unseen_data() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 30)), rng.standard_normal((200, 1))
    (line,) = ridge(x, y, [1e-4])
    assert explained(line, x, y) > 0.1
    other = rng.standard_normal((200, 30)), rng.standard_normal((200, 1))
    assert explained(line, *other) < 0.1


def test_a_ridge_with_a_small_penalty_is_the_least_squares_line() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 3)) * [1.0, 100.0, 0.01] + [5.0, 0.0, -1.0]
    y = np.stack([x @ [2.0, -0.1, 30.0] + 7.0, x[:, 0]], axis=1)
    line, flat = ridge(np.column_stack([x, np.ones(100)]), y, [1e-12, 1e12])
    expected = np.array([[2.0, -0.1, 30.0, 0.0], [1.0, 0.0, 0.0, 0.0]]).T
    np.testing.assert_allclose(line.weights, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(line.offset, [7.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(flat.offset, y.mean(axis=0), atol=1e-6)


def test_too_few_pieces_are_refused() -> None:
    with pytest.raises(OptionError, match="number of pieces is 3; a probe needs at least 4"):
        probe([mixed_into_layer(seed) for seed in range(3)])
