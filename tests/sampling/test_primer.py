"""Which part of a piece is continued, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.errors import OptionError
from midirnn.midifile import write_midi
from midirnn.performance import Part, Performance
from midirnn.sampling.continuation import continuing
from midirnn.sampling.primer import dropped_drums, drums_as_notes, passage, read_primer
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler
from midirnn.sampling.together import run_to_end
from tests.midi_bytes import midi, note_off, note_on, track
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine
from tests.strategies import performance_of, performances

CODEC = PerformanceCodec()
SCALE = Performance.from_notes([(float(i), i + 0.5, 60 + i, 80) for i in range(10)])
KIT = performance_of(
    [(0.0, 0.5, 36, 80, 0, False), (0.5, 0.5, 60, 80, 1, False)], of_parts=(Part(0, 9), Part(4, 2))
)


def sampler(seed: int = 0) -> Sampler:
    return Sampler(MockEngine(CODEC, seed), CODEC, seed=seed)


class TestPassage:
    @pytest.mark.parametrize(
        ("begin", "seconds", "pitches"),
        [
            (0.0, None, range(60, 70)),
            (3.0, None, range(63, 70)),
            (3.0, 2.0, range(63, 65)),
            (0.0, 2.0, range(60, 62)),
            (-2.5, None, range(67, 70)),
            (-2.5, 1.0, [67]),
            (-99.0, None, range(60, 70)),
            (5.0, 99.0, range(65, 70)),
        ],
    )
    def test_it_begins_and_ends_where_it_should(
        self, begin: float, seconds: float | None, pitches: list[int]
    ) -> None:
        assert passage(SCALE, begin, seconds).pitch.tolist() == list(pitches)

    def test_of_nothing_it_is_nothing(self) -> None:
        assert len(passage(Performance(), -5.0, 3.0)) == 0

    @pytest.mark.parametrize(
        ("begin", "seconds", "message"),
        [
            (20.0, None, "the primer begins at 20 s; the file lasts 9.5 s"),
            (0.6, 0.2, "no note begins between 0.6 and 0.8 s"),
            (float("nan"), None, "begins at nan s; allowed are finite numbers"),
            (0.0, 0.0, "lasts 0 s; allowed are finite numbers above 0"),
            (0.0, float("inf"), "lasts inf s"),
        ],
    )
    def test_one_without_notes_is_refused(
        self, begin: float, seconds: float | None, message: str
    ) -> None:
        with pytest.raises(OptionError, match=message):
            passage(SCALE, begin, seconds)


class TestFiles:
    @pytest.mark.parametrize(
        "data", [midi(), midi(track()), midi(track(note_on(0, 60), note_off(0, 60)))]
    )
    def test_one_without_notes_is_refused(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "mute.mid").write_bytes(data)
        with pytest.raises(OptionError, match=r"mute\.mid: the primer has no notes"):
            read_primer(CODEC, tmp_path / "mute.mid")


class TestRests:
    @pytest.mark.parametrize("seconds", [1.2, 3.0, 5.55])
    def test_the_music_begins_after_one_at_the_end_of_the_primer(self, seconds: float) -> None:
        primer = Performance.from_notes([(0.0, 0.4, 60, 80), (0.5, 1.0, 62, 80)])
        for seed in range(5):
            asked = Request(2.0, primer_seconds=seconds)
            made = run_to_end(continuing(sampler(seed), asked, primer))
            assert made.primer_seconds == pytest.approx(seconds)
            assert made.performance.start[2:].min(initial=seconds) >= seconds - 1e-9
            assert made.performance.duration <= seconds + 2.0 + 1e-9
            assert made.new_tokens > 5

    def test_one_without_end_is_refused(self) -> None:
        with pytest.raises(OptionError, match="the primer lasts inf s; allowed are finite"):
            Request(primer_seconds=float("inf"))


class TestDrums:
    def test_a_line_counts_those_that_are_left_out(self) -> None:
        assert dropped_drums(KIT).startswith("1 of 2 notes are on channel 10")
        assert dropped_drums(KIT.select(KIT.part == 0)).startswith("all its 1 notes")
        assert dropped_drums(SCALE) == dropped_drums("a text") == ""

    @given(performances(drums=True))
    def test_as_notes_they_are_all_heard(self, performance: Performance) -> None:
        heard = drums_as_notes(performance)
        assert dropped_drums(heard) == ""
        assert len(heard.without_drums()) == len(performance)
        kept = [part.channel for part in performance.parts if not part.is_drum]
        assert set(kept) <= {part.channel for part in heard.parts}

    def test_a_primer_is_read_with_them(self, tmp_path: Path) -> None:
        write_midi(KIT, tmp_path / "kit.mid")
        assert len(read_primer(CODEC, tmp_path / "kit.mid")) == 2


class TestOnlyTheNew:
    @given(st.integers(0, 99))
    def test_its_notes_are_those_behind_the_primer_moved_to_its_end(self, seed: int) -> None:
        made = continue_primer(sampler(seed), 3.0, SCALE)
        new = made.performance.start >= made.primer_seconds
        expected = made.performance.select(new).shift(-made.primer_seconds)
        assert np.array_equal(made.continuation.start, expected.start)
        assert np.array_equal(made.continuation.pitch, expected.pitch)
        assert len(made.continuation.parts) == 1

    def test_without_a_primer_it_is_everything(self) -> None:
        made = continue_primer(sampler(1), 3.0, None)
        assert made.continuation == made.performance


class TestProgress:
    def test_it_goes_from_the_beginning_of_the_primer_to_the_end_of_the_music(self) -> None:
        seen: list[tuple[int, int]] = []
        primer = Performance.from_notes(
            [(i / 50, i / 50 + 0.01, 40 + i % 40, 80) for i in range(2000)]
        )
        continue_primer(sampler(), 5.0, primer, progress=lambda *at: seen.append(at))
        done = [at for at, _ in seen]
        assert done == sorted(set(done))
        assert done[0] == 0
        assert len([at for at in done if at < 40]) > 5
        assert seen[-1] == (45, 45)

    def test_the_music_does_not_depend_on_it(self) -> None:
        shown = continue_primer(sampler(3), 3.0, SCALE, progress=lambda done, total: None)
        assert shown.piece == continue_primer(sampler(3), 3.0, SCALE).piece
