"""The performance encoding with pedal tokens keeps keys and pedal apart, and loses neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn import load, read_midi
from midirnn.cli.main import main
from midirnn.codecs import PedalCodec, PerformanceCodec
from midirnn.errors import CodecError
from midirnn.performance import Part, Performance

CODEC = PedalCodec()
UP, DOWN = range(388, 390)
SHIFT = 255  # of one step; SHIFT + n is of n steps
EXAMPLE = Path(__file__).parents[2] / "data" / "examples" / "bach_prelude_bwv846.mid"


def piece(pedals: list[tuple[float, int]], notes: list[tuple[float, float]]) -> Performance:
    return Performance.from_notes([(start, end, 60, 100) for start, end in notes], pedals)


def pedals_of(performance: Performance) -> list[tuple[float, int]]:
    times, values = performance.pedal_time.tolist(), performance.pedal_value.tolist()
    return list(zip(times, values, strict=True))


def test_it_has_the_tokens_of_the_performance_encoding_and_two_more() -> None:
    assert CODEC.vocab_size == PerformanceCodec().vocab_size + 2 == 390
    assert CODEC.groups()["pedal"] == slice(388, 390)


def test_keys_are_as_long_as_they_are_held_and_the_pedal_is_apart() -> None:
    tokens = CODEC.encode(piece([(0.1, 127), (0.9, 0)], [(0.2, 0.4)])).tolist()
    velocity = 356 + 24
    assert tokens == [
        *(SHIFT + 10, DOWN, SHIFT + 10, velocity, 60),
        *(SHIFT + 20, 128 + 60, SHIFT + 50, UP),
    ]
    assert CODEC.decode(tokens) == piece([(0.1, 127), (0.9, 0)], [(0.2, 0.4)]).replace(
        velocity=np.array([97], np.uint8)
    )


@pytest.mark.parametrize(
    ("given_pedals", "expected"),
    [
        ([(0.1, 64), (0.2, 63)], [(0.1, 127), (0.2, 0)]),
        ([(0.1, 20), (0.2, 63)], []),
        ([(0.1, 70), (0.2, 90), (0.3, 127), (0.4, 0)], [(0.1, 127), (0.4, 0)]),
        ([(0.1, 127), (0.5, 0), (0.503, 127), (0.9, 0)],
         [(0.1, 127), (0.5, 0), (0.5, 127), (0.9, 0)]),
        ([(0.1, 127), (0.103, 0)], []),
        ([(0.1, 127), (0.5, 0), (0.502, 127), (0.503, 0)], [(0.1, 127), (0.5, 0)]),
        ([(0.1, 127)], [(0.1, 127), (1.0, 0)]),
        ([(1.0, 127)], []),
        ([(0.1, 127), (1.5, 127)], [(0.1, 127), (1.0, 0)]),
    ],
    ids=["half", "never down", "continuous", "changed", "touched", "changed and up", "left down",
         "down at the end", "left down long"],
)  # fmt: skip
def test_what_the_pedal_does_on_the_grid(
    given_pedals: list[tuple[float, int]], expected: list[tuple[float, int]]
) -> None:
    tokens = CODEC.encode(piece(given_pedals, [(0.0, 1.0)]))
    assert pedals_of(CODEC.decode(tokens)) == expected
    CODEC.constraint().scan(CODEC.constraint().start(), tokens)


def test_a_pedal_that_stays_down_is_left_so_for_what_follows() -> None:
    music = piece([(0.1, 127)], [(0.0, 1.0)])
    assert CODEC.encode(music).tolist()[-2:] == [UP, 128 + 60]
    assert UP not in CODEC.encode(music, open_end=True).tolist()


def test_the_pedals_of_parts_are_one_without_that_of_drums() -> None:
    music = Performance(
        start=np.zeros(1), end=np.ones(1), pitch=[60], velocity=[100], part=[0],
        pedal_time=[0.1, 0.2, 0.3, 0.4, 0.5], pedal_value=[127, 127, 127, 0, 0],
        pedal_part=[0, 1, 2, 0, 1], parts=(Part(), Part(channel=1), Part(channel=9)),
    )  # fmt: skip
    assert pedals_of(CODEC.decode(CODEC.encode(music))) == [(0.1, 127), (0.5, 0)]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 127)), max_size=30),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200), st.integers(40, 50)), max_size=15),
)
def test_what_sounds_is_what_sounded(
    pedals: list[tuple[int, int]], notes: list[tuple[int, int, int]]
) -> None:
    """With times on the grid, and no key struck while it is down, nothing is lost."""
    free: dict[int, int] = {}
    kept = []
    for start, length, pitch in sorted(notes):
        if start >= free.get(pitch, 0):
            free[pitch] = start + length + 1
            kept.append((start / 100, (start + length) / 100, pitch, 97))
    times = sorted({step for step, _ in pedals})  # one event at a time
    events = [(step / 100, value) for step, (_, value) in zip(times, pedals, strict=False)]
    music = Performance.from_notes(kept, events)
    heard = CODEC.decode(CODEC.encode(music)).apply_sustain()
    wanted = music.apply_sustain()
    np.testing.assert_allclose(heard.start, wanted.start)
    np.testing.assert_array_equal(heard.pitch, wanted.pitch)
    released = ~wanted.unreleased  # what a pedal left down holds ends with the piece
    np.testing.assert_allclose(heard.end[released], wanted.end[released])


def test_overlaps_are_always_cut() -> None:
    with pytest.raises(CodecError, match="'pedal' always cuts overlaps"):
        PedalCodec(overlaps="keep")


def test_a_model_learns_to_pedal_by_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="it is trained")
    data, run, out = (tmp_path / name for name in ("data", "run", "out.mid"))
    folder = tmp_path / "midi"
    folder.mkdir()
    music = read_midi(EXAMPLE)
    length = int(music.duration)
    pedalled = music.replace(
        pedal_time=np.arange(0.5, length, 0.5),
        pedal_value=np.resize([127, 0], 2 * length - 1).astype(np.uint8),
        pedal_part=np.zeros(2 * length - 1, np.int32),
        pedal_shared=np.zeros(2 * length - 1, bool),
    )
    for name in ("a", "b", "c", "d"):
        CODEC.write(pedalled, folder / f"{name}.mid")
    assert main(["encode", str(folder), "-o", str(data), "--codec", "pedal"]) == 0
    sizes = ["--embedding-size", "8", "--hidden-size", "16", "--num-layers", "1"]
    steps = ["--tokens", "8000", "--batch-size", "4", "--window", "32"]
    assert main(["train", str(data), "-o", str(run), *sizes, *steps]) == 0
    assert load(run).codec == CODEC
    argv = ["generate", "--model", str(run), "--primer", str(folder / "a.mid"), "--seed", "1"]
    assert main([*argv, "--primer-seconds", "5", "--seconds", "10", "-o", str(out)]) == 0
    made = read_midi(out)
    assert len(made.pedal_time)
    assert made.pedal_value[-1] == 0
    capsys.readouterr()
    assert main(["generate", "--model", str(run), "--mode", "ensemble", "-o", str(out)]) == 1
    assert "its players have no pedal" in capsys.readouterr().err
