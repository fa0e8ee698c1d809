"""The scripts that compare ways to sample, and that measure tunes, count right."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import TextCodec
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.models.config import ModelConfig
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.sampler import Sampler
from tests.engines.stepping import trained_weights

SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLING: dict[str, Any] = runpy.run_path(str(SCRIPTS / "sampling_strategies.py"))
TUNES: dict[str, Any] = runpy.run_path(str(SCRIPTS / "measure_tunes.py"))
TUNE = "M:6/8\nK:D\nd2A AFA|d2e f3|d2A AFA|d2e f2|d2A =c2A|d2e f3||\n\n"


@given(st.lists(st.integers(0, 3), max_size=60))
def test_runs_are_equal_where_their_tokens_are(tokens: list[int]) -> None:
    hashes = SAMPLING["runs_of"](np.array(tokens, np.uint16)).tolist()
    runs = [tuple(tokens[at : at + 16]) for at in range(len(tokens) - 15)]
    assert len(hashes) == len(runs)
    assert len(set(hashes)) == len(set(runs)) == len(set(zip(hashes, runs, strict=True)))


def test_repetition_and_copying_are_shares_of_runs() -> None:
    training = np.arange(100)
    seen = np.unique(SAMPLING["runs_of"](training))
    loop = np.tile(np.arange(200, 216), 3)  # 33 runs, 16 different ones
    copy = np.arange(40, 80)  # 25 runs
    repetition, copied, nats = SAMPLING["measure"]([(loop, 48.0), (copy, 40.0)], seen)
    assert repetition == pytest.approx(17 / 58)
    assert copied == pytest.approx(25 / 58)
    assert nats == pytest.approx(1.0)


@pytest.fixture
def sampler() -> Sampler[TextCodec]:
    codec = TextCodec("ab\n", unit="tune")
    config = ModelConfig(
        vocab_size=3, embedding_size=4, hidden_size=8, num_layers=1, held_input=False
    )
    return Sampler(NumpyEngine(config, trained_weights(config)), codec, SamplingConfig(), seed=0)


def test_what_was_written_is_as_likely_when_it_is_read(sampler: Sampler[TextCodec]) -> None:
    tokens, written = SAMPLING["walk"](sampler, 50)
    again, read = SAMPLING["walk"](sampler, len(tokens), tokens.tolist())
    assert again.tolist() == tokens.tolist()
    assert read == pytest.approx(written)
    assert written > 0


def test_a_tune_ends_where_it_ends() -> None:
    codec = TextCodec("ab\n", unit="tune")
    assert SAMPLING["ended"](codec, [0, 1, 2, 2])
    assert not SAMPLING["ended"](codec, [0, 1, 2])
    assert not SAMPLING["ended"](TextCodec("ab\n", unit="file"), [0, 2, 2])


def test_excerpts_are_beginnings_of_many_pieces_or_parts_of_few() -> None:
    many = [np.arange(10) + 100 * piece for piece in range(6)]
    assert [e.tolist() for e in SAMPLING["excerpts"](many, 2, 3)] == [[0, 1, 2], [300, 301, 302]]
    assert [e.tolist() for e in SAMPLING["excerpts"]([np.arange(9)], 3, 3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
    ]


def test_metre_and_key_are_shares_of_bars_and_notes() -> None:
    (keeping,) = TUNES["keeping"]([TUNE])
    assert TUNES["share_of_bars"]([keeping]) == pytest.approx(5 / 6)  # d2e f2 is short
    assert TUNES["share_of_notes"]([keeping]) == pytest.approx(22 / 23)
