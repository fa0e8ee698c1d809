"""The grammar of tunes: repeats and ties are right, whatever a model would draw."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn import SamplingConfig, generate
from midirnn.abcfile import parse_tune, read_abc
from midirnn.codecs import Limits, TextCodec
from midirnn.codecs.base import FreeConstraint
from midirnn.codecs.tunes import TuneConstraint
from midirnn.engines.load import PRETRAINED
from midirnn.errors import CodecError

ALPHABET = "\n |:[]()<>-=^_,'/0123456789ABCDEFGabcdefgzKM"
CONSTRAINT = TuneConstraint(ALPHABET)

needs_folk = pytest.mark.skipif(
    not (PRETRAINED / "folk" / "config.json").exists(),
    reason="the weights of 'folk' are not in the package",
)


def allowed_after(text: str) -> set[str]:
    state = CONSTRAINT.start()
    CONSTRAINT.skip(state, [ALPHABET.index(character) for character in text])
    return {ALPHABET[token] for token in np.flatnonzero(CONSTRAINT.mask(state))}


@pytest.mark.parametrize(
    "tune",
    [
        "M:6/8\nK:D\nA | d2A AFA | d2e f3 :|\nB | c2d e3 :|\n\n",
        "M:4/4\nK:G\n|: G4 | [1 A4 :| [2 B4 ||\n\n",
        "M:4/4\nK:G\nG4- | G4 |: A4 :: B4 :|\n\n",
        "M:2/4\nK:C\n[CE]2 c'2 | C,2 (3ABc ||\n\n",
    ],
)
def test_what_is_right_is_allowed(tune: str) -> None:
    state = CONSTRAINT.start()
    masks = CONSTRAINT.scan(state, np.array([ALPHABET.index(c) for c in tune], np.uint16))
    assert masks.shape == (len(tune), len(ALPHABET))


@pytest.mark.parametrize(
    ("before", "forbidden"),
    [
        ("M:6/8\n", "\n"),
        ("K:D\n|: A |\n", "\n"),
        ("K:D\n|: A |", ":|]"),
        ("K:D\n|: A :|: ", ""),
        ("K:D\nA :| B :", ":"),
        ("K:D\nA-", "BCDEFGabcdefgz^_=',"),
        ("K:D\nA", "']"),
        ("K:D\na", ",]"),
        ("K:D\nA |", "-123"),
        ("K:D\nA :| [", "13456789"),
        ("K:D\n|: A [", "23456789"),
        ("K:D\n|:" + " A |" * 16 + " ", "|"),
    ],
)
def test_what_is_wrong_is_not(before: str, forbidden: str) -> None:
    assert allowed_after(before) & set(forbidden) == set()


def test_a_character_that_may_not_stand_there_is_told() -> None:
    tokens = np.array([ALPHABET.index(c) for c in "K:D\nA :| B ::"], np.uint16)
    with pytest.raises(CodecError, match="the character ':' may not stand there"):
        CONSTRAINT.scan(CONSTRAINT.start(), tokens)


def test_a_copied_state_goes_its_own_way() -> None:
    state = CONSTRAINT.start()
    CONSTRAINT.skip(state, [ALPHABET.index(c) for c in "K:D\n|: A"])
    other = state.copy()
    CONSTRAINT.skip(other, [ALPHABET.index(c) for c in " :|"])
    assert (state.repeat, other.bar) == ("open", ":|")


@pytest.mark.parametrize("seed", range(20))
def test_random_characters_that_are_allowed_balance_their_repeats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state, text = CONSTRAINT.start(), "K:D\n"
    CONSTRAINT.skip(state, [ALPHABET.index(c) for c in text])
    while not text.endswith("\n\n") and len(text) < 500:
        token = int(rng.choice(np.flatnonzero(CONSTRAINT.mask(state))))
        CONSTRAINT.advance(state, token)
        text += ALPHABET[token]
    body = text.removeprefix("K:D\n")
    assert body.count("|:") <= body.count(":|") + body.count("::") + 1


def test_only_what_is_generated_keeps_to_the_grammar() -> None:
    tunes = TextCodec(unit="tune")
    assert isinstance(tunes.constraint(), FreeConstraint)
    assert isinstance(tunes.constraint(Limits()), TuneConstraint)
    assert isinstance(TextCodec(unit="file").constraint(Limits()), FreeConstraint)


@needs_folk
@pytest.mark.parametrize("seed", range(3))
def test_folk_plays_tunes_in_the_metre_and_key_asked_for(seed: int) -> None:
    config = SamplingConfig(temperature=0.8)
    text = generate("folk", primer="M:6/8\nK:D\n", seed=seed, sampling=config, engine="numpy")
    tune = parse_tune(text)
    assert (tune.metre.beats, tune.metre.unit, tune.key.sharps) == (6, 8, 2)
    assert len(read_abc(text)) > 20
