"""What a network says each player does is what is played: always the same, in the right places."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn import Part, Performance, Tempo, read_midi, write_midi
from midirnn.cli.main import main
from midirnn.codecs import EnsembleCodec
from midirnn.codecs.ensemble import GESTURES
from midirnn.engines.load import Model
from midirnn.ensemble import Conductor, Seats, channel_of, generate_ensemble, load_network
from midirnn.ensemble.conductor import Row
from midirnn.ensemble.seats import pitches_of
from midirnn.errors import OptionError
from midirnn.models.checkpoint import expected_shapes
from midirnn.models.config import ModelConfig
from midirnn.parts import KeySignature, TimeSignature
from tests.live.stage import tiny_model

SECOND = 100


@cache
def a_network(*, joint: bool) -> Model:
    """A network of three seats, with random weights."""
    codec = EnsembleCodec(players=3, joint=joint)
    config = ModelConfig(embedding_size=8, hidden_size=8, num_layers=1, held_input=False)
    config = config.for_codec(codec)
    rng = np.random.default_rng(1)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    return Model("network", Path(), config, codec, weights, {})


def conductor_of(seats: Seats, *, joint: bool = False, seed: int = 0) -> Conductor:
    return Conductor(a_network(joint=joint), seats, seed=seed, steps_per_second=SECOND)


def said(conductor: Conductor, seconds: int) -> list[Row]:
    """What the conductor says of so many seconds, each of them over when the next is said."""
    rows: dict[int, Row] = {}
    for second in range(seconds):
        conductor.settle(second, rows)
        rows[second] = conductor.say(second, rows)
    return list(rows.values())


@pytest.mark.parametrize("joint", [True, False])
def test_the_same_seed_says_the_same_and_another_one_something_else(joint: bool) -> None:
    everybody = Seats(3, person=False)
    first, again = (said(conductor_of(everybody, joint=joint), 12) for _ in range(2))
    assert first == again
    assert said(conductor_of(everybody, joint=joint, seed=1), 12) != first
    assert len(set(first)) > 4


@pytest.mark.parametrize("joint", [True, False])
def test_what_is_said_ahead_is_what_is_said_in_time_if_nobody_interferes(joint: bool) -> None:
    everybody = Seats(3, person=False)
    ahead = conductor_of(everybody, joint=joint).say(3, {})
    assert said(conductor_of(everybody, joint=joint), 4)[3] == ahead


def test_what_the_person_plays_changes_what_is_said_after_it_and_nothing_before() -> None:
    alone, beside = (conductor_of(Seats(2)) for _ in range(2))
    for tenth in range(200, 300, 10):
        beside.hear(tenth, [80], [])
        beside.hear(tenth + 1, [], [80])
    one, other = said(alone, 12), said(beside, 12)
    assert [row[1:] for row in one[:3]] == [row[1:] for row in other[:3]]
    assert one[3:] != other[3:]


def test_what_is_told_of_a_step_in_two_parts_is_what_is_told_at_once() -> None:
    whole, parts = (conductor_of(Seats(2)) for _ in range(2))
    whole.hear(50, [], [80, 84])
    parts.hear(50, [], [80])
    parts.hear(50, [], [84])
    assert said(whole, 8) == said(parts, 8)


def test_seats_that_nobody_has_are_silent() -> None:
    rows = np.array(said(conductor_of(Seats(1)), 20))
    assert rows[:, 1].any()
    assert not rows[:, 2].any()


def test_a_conductor_that_is_handed_over_goes_on_the_same() -> None:
    conductor = Conductor(load_network(), Seats(3), seed=1, steps_per_second=SECOND)
    conductor.hear(10, [], [72])
    conductor.settle(3, {})
    assert pickle.loads(pickle.dumps(conductor)).say(4, {}) == conductor.say(4, {})


def test_after_half_a_minute_of_silence_another_piece_begins() -> None:
    late, fresh = conductor_of(Seats(2)), conductor_of(Seats(2))
    late.hear(0, [], [72])
    late.settle(1000, {})
    fresh.settle(1000, {})
    assert late.say(1000, {}) == fresh.say(1000, {})


@given(st.integers(0, 15))
def test_the_channels_of_five_seats_are_five_and_none_but_the_first_is_of_drums(first: int) -> None:
    channels = [channel_of(seat, first) for seat in range(5)]
    assert channels[0] == first
    assert len(set(channels)) == 5
    assert 9 not in channels[1:]
    assert all(0 <= channel < 16 for channel in channels)


@pytest.mark.parametrize("players", [0, 5, 9])
def test_there_are_as_many_players_as_seats_at_most(players: int) -> None:
    with pytest.raises(OptionError, match=f"players is {players}; the network has seats for 1 to"):
        generate_ensemble(tiny_model(), players=players)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_players_play_what_was_said_on_tracks_of_their_own(seed: int) -> None:
    seats = Seats(4, person=False)
    conductor = Conductor(load_network(), seats, seed=seed, steps_per_second=SECOND)
    rows = np.array(said(conductor, 8))
    music = generate_ensemble(tiny_model(), seconds=8, seed=seed, engine="numpy").performance
    assert [part.channel for part in music.parts] == [0, 1, 2, 3]
    assert music.duration <= 8.0
    for note in music:
        gesture = rows[int(note.start), note.part]
        assert GESTURES[gesture].onsets > 0
        assert note.pitch in pitches_of(note.part, gesture)
    for seat in seats.played:
        mine = music.select(music.part == seat)
        assert (mine.end[:-1] <= mine.start[1:] + 1e-9).all()  # one note at a time
    played = load_network().codec.gestures(music)
    table = np.zeros_like(rows)
    table[: len(played)] = played
    assert ((table == 0) == (rows == 0)).mean() > 0.9
    assert (table == rows).mean() > 0.75


def run(tmp_path: Path, *flags: str, name: str = "out.mid") -> tuple[int, Path]:
    target = tmp_path / name
    usual = {"--mode": "ensemble", "--model": "piano-small", "--engine": "numpy", "--seconds": "4"}
    others = [word for flag in usual if flag not in flags for word in (flag, usual[flag])]
    return main(["generate", "-o", str(target), *others, *flags]), target


def test_the_command_writes_a_track_for_each_player_the_same_for_a_seed(tmp_path: Path) -> None:
    code, first = run(tmp_path, "--seed", "3")
    again = run(tmp_path, "--seed", "3", name="again.mid")[1]
    other = run(tmp_path, "--seed", "4", name="other.mid")[1]
    assert code == 0
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    parts = read_midi(first).parts
    assert [(part.name, part.channel) for part in parts] == [
        (f"player {number}", number - 1) for number in range(1, 5)
    ]


def a_file(path: Path, parts: int, notes: int = 8) -> Path:
    """A file in which each part plays so many notes."""
    each = np.repeat(np.arange(parts), notes)
    start = np.tile(np.arange(notes) * 0.5, parts)
    write_midi(
        Performance(
            start=start,
            end=start + 0.4,
            pitch=(80 - each % 60).astype(np.uint8),
            velocity=np.full(len(each), 70, np.uint8),
            part=each.astype(np.int32),
            parts=tuple(Part(40, n % 9, f"Part {n}") for n in range(max(parts, 1))),
        ),
        path,
    )
    return path


def test_a_primer_is_gone_on_with_by_its_first_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    primer = a_file(tmp_path / "hundred.mid", 100)
    code, target = run(tmp_path, "--primer", str(primer), "--seed", "1", "--players", "3")
    assert code == 0
    assert "the primer has 100 parts: its first 3 are the players" in capsys.readouterr().err
    music = read_midi(target)
    for part in range(3):
        mine = music.select(music.part == part)
        assert mine.start[:8].tolist() == pytest.approx((np.arange(8) * 0.5).tolist(), abs=0.01)
    assert music.duration <= 8.0
    assert (music.start > 4.0).any()


def test_drums_are_not_counted_among_the_parts_of_a_primer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piece = read_midi(a_file(tmp_path / "three.mid", 3))
    drums = Part(0, 9, "Drums")
    write_midi(piece.replace(parts=(*piece.parts[:2], drums)), tmp_path / "drums.mid")
    code, _ = run(tmp_path, "--primer", str(tmp_path / "drums.mid"), "--players", "2")
    assert code == 0
    assert "parts" not in capsys.readouterr().err


def test_only_new_writes_all_players_and_nothing_of_the_primer(tmp_path: Path) -> None:
    primer = a_file(tmp_path / "primer.mid", 4)
    flags = ["--primer", str(primer), "--seed", "1"]
    whole, new = (
        read_midi(run(tmp_path, *flags, *more, name=f"{len(more)}.mid")[1])
        for more in ([], ["--only-new"])
    )
    after = whole.select(whole.start >= 4.0)
    assert len(set(after.part.tolist())) > 1
    assert new.part.tolist() == after.part.tolist()
    assert new.pitch.tolist() == after.pitch.tolist()
    assert new.start.tolist() == pytest.approx((after.start - 4.0).tolist(), abs=0.002)


def test_the_tempo_and_the_signatures_of_a_primer_are_kept(tmp_path: Path) -> None:
    marks = (TimeSignature(0.0, 3, 4), KeySignature(0.0, 2))
    primer = read_midi(a_file(tmp_path / "primer.mid", 3))
    primer = primer.replace(tempos=(Tempo(0.0, 84.0),), signatures=marks)
    made = generate_ensemble(tiny_model(), players=3, primer=primer, seconds=2, seed=1)
    assert made.performance.tempos == primer.tempos
    assert made.performance.signatures == marks


def test_the_instruments_the_names_and_the_controllers_of_a_primer_are_kept(
    tmp_path: Path,
) -> None:
    parts = (Part(0, 9, "kit"), Part(73, 3, "Flute"), Part(6, 0, "", 128), Part(32, 1, "Bass"))
    primer = read_midi(a_file(tmp_path / "primer.mid", 4)).replace(
        parts=parts,
        control_time=[0.0, 0.5, 1.0],
        control_number=[7, 10, 11],
        control_value=[99, 20, 50],
        control_part=[1, 3, 2],
    )
    made = generate_ensemble(tiny_model(), players=2, primer=primer, seconds=2, seed=1).performance
    flute, harpsichord = made.parts
    assert (flute.program, flute.name) == (73, "Flute")
    assert (harpsichord.program, harpsichord.name, harpsichord.bank) == (6, "player 2", 128)
    assert made.control_value.tolist() == [99, 50]
    assert made.control_part.tolist() == [0, 1]
    assert not any(part.is_drum for part in made.parts)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--players", "0"], "players is 0; the network has seats for 1 to 4"),
        (["--players", "9"], "players is 9; the network has seats for 1 to 4"),
        (["--network", "humanize"], "architecture 'humanizer'; only models of 'language_model'"),
        (["--network", "piano"], "'performance' has no gestures; an ensemble needs the codec"),
        (["--network", "nobody"], "there is no model 'nobody'"),
        (["--model", "folk"], "the codec 'text' has no notes to play; an ensemble needs"),
        (["--best-of", "3"], "--best-of is for one player, not --mode ensemble"),
        (["--end"], "--end and constraints are for one player"),
        (["--follow", "0.5"], "--follow and --follow-seconds are for one player"),
        (["--follow-seconds", "9"], "--follow and --follow-seconds are for one player"),
        (["--mode", "quartet"], "there is no mode 'quartet'; known are alone and ensemble"),
        (["--mode", "alone", "--players", "2"], "--players is for --mode ensemble"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    code, target = run(tmp_path, *flags)
    error = capsys.readouterr().err
    assert code != 0
    assert message in error
    assert error.count("\n") == 1
    assert not target.exists()


def test_a_primer_without_notes_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, target = run(tmp_path, "--primer", str(a_file(tmp_path / "empty.mid", 0)))
    assert code != 0
    assert "has no notes: there is nothing to go on from" in capsys.readouterr().err
    assert not target.exists()
