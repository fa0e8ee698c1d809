"""Several players as one number, and what each does in a second."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.cli.main import main
from midirnn.codecs.ensemble import GESTURES, EnsembleCodec, parts_of_players, to_digits, to_number
from midirnn.datasets import Dataset
from midirnn.errors import CodecError
from midirnn.performance import Part, Performance

RADICES = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(st.data(), RADICES)
def test_integers_come_back_from_the_one_number_in_their_order(
    data: st.DataObject, radices: list[int]
) -> None:
    digits = tuple(data.draw(st.integers(0, radix - 1)) for radix in radices)
    number = to_number(digits, radices)
    assert 0 <= number < math.prod(radices)
    assert to_digits(number, radices) == digits


@given(st.data(), RADICES)
def test_every_number_stands_for_other_integers(data: st.DataObject, radices: list[int]) -> None:
    number = data.draw(st.integers(0, math.prod(radices) - 1))
    assert to_number(to_digits(number, radices), radices) == number


def test_numbers_beyond_the_limits_are_refused() -> None:
    with pytest.raises(CodecError, match="a value is 9; allowed are 0 to 8"):
        to_number([0, 9], [9, 9])
    with pytest.raises(CodecError, match="values is 3; it must be that of the players, 2"):
        to_number([0, 1, 2], [9, 9])
    with pytest.raises(CodecError, match="the number is 81; allowed are 0 to 80"):
        to_digits(81, [9, 9])


def test_four_players_are_6561_tokens_and_six_are_too_many() -> None:
    assert EnsembleCodec(players=4).vocab_size == 6561
    assert EnsembleCodec(players=4, joint=False).vocab_size == 36
    with pytest.raises(CodecError, match="players is 6; allowed are 1 to 5"):
        EnsembleCodec(players=6)


def test_joint_is_true_or_false_and_nothing_else() -> None:
    with pytest.raises(CodecError, match="joint is 'no'; allowed are true and false"):
        EnsembleCodec(joint="no")  # type: ignore[arg-type]


def test_a_codec_setting_on_the_command_line_can_be_false(tmp_path: Path) -> None:
    EnsembleCodec().write(EnsembleCodec().decode([1, 2, 3]), tmp_path / "in" / "a.mid")
    argv = ["encode", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--codec", "ensemble"]
    assert main([*argv, "--codec-setting", "joint=false"]) == 0
    assert Dataset.open(tmp_path / "out").codec == EnsembleCodec(joint=False)


@given(st.lists(st.tuples(*[st.integers(0, 8)] * 4), min_size=1, max_size=12))
def test_the_tokens_are_the_gestures_in_mixed_radix(rows: list[tuple[int, ...]]) -> None:
    codec = EnsembleCodec()
    tokens = codec.from_gestures(np.array(rows))
    assert tokens.tolist() == [to_number(row, [9] * 4) for row in rows]
    assert [tuple(row) for row in codec.to_gestures(tokens).tolist()] == rows


@pytest.mark.parametrize("joint", [True, False])
@given(st.lists(st.tuples(*[st.integers(0, 8)] * 3), max_size=12))
def test_each_gesture_is_heard_in_the_notes_that_stand_for_it(
    joint: bool, rows: list[tuple[int, ...]]
) -> None:
    codec = EnsembleCodec(players=3, joint=joint)
    table = np.array([*rows, (1, 1, 1)])
    assert np.array_equal(codec.gestures(codec.decode(codec.from_gestures(table))), table)


def quartet(*notes: tuple[float, float, int, int]) -> Performance:
    """Return notes (start, end, pitch, part) of four parts without names."""
    start, end, pitch, part = (np.array(column) for column in zip(*notes, strict=True))
    return Performance(
        start=start,
        end=end,
        pitch=pitch.astype(np.uint8),
        velocity=np.full(len(notes), 64, np.uint8),
        part=part.astype(np.int32),
        parts=tuple(Part(40, channel, f"Violin {channel}") for channel in range(4)),
    )


def test_a_player_that_is_silent_keeps_its_seat_beside_a_part_of_another_name() -> None:
    names = ("Flute", "player 2", "player 3", "player 4")
    parts = tuple(Part(73, channel, name) for channel, name in enumerate(names))
    piece = Performance.from_notes([(0.0, 1.0, 60, 80), (0.0, 1.0, 48, 80)], parts=parts)
    piece = piece.replace(part=np.array([1, 3], np.int32))
    assert parts_of_players(piece, 4) == [[0], [1], [2], [3]]


def test_what_players_of_a_file_do_is_named() -> None:
    runs = [(1 + place / 4, 1.1 + place / 4, 80, 0) for place in range(4)]
    piece = quartet(*runs, (0.0, 2.0, 40, 3), (0.2, 0.5, 60, 1))
    names = [[GESTURES[g].name for g in second] for second in EnsembleCodec().gestures(piece)]
    # Parts that play nothing at all are no players: the third is the lowest here.
    assert names == [
        ["silence", "sparse detached low", "sparse legato low", "silence"],
        ["dense detached high", "silence", "sparse legato low", "silence"],
    ]


def test_players_take_turns_without_joint_tokens() -> None:
    codec = EnsembleCodec(players=2, joint=False)
    constraint = codec.constraint()
    state = constraint.start()
    assert np.flatnonzero(constraint.mask(state)).tolist() == list(range(9))
    constraint.advance(state, 4)
    assert np.flatnonzero(constraint.mask(state)).tolist() == list(range(9, 18))
    with pytest.raises(CodecError, match="token 1 is not of the player whose turn it is"):
        constraint.scan(constraint.start(), np.array([0, 1], np.uint16))
