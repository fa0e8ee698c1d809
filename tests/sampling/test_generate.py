"""Generated performances: every note ends, and a primer stays what it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.engines.load import Model
from midirnn.errors import CheckpointError, MidiFileError, OptionError
from midirnn.midifile import midi_bytes, read_midi, write_midi
from midirnn.models.checkpoint import write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.performance import KeySignature, Part, Performance, Tempo, TimeSignature
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.generate import Generated, generate
from midirnn.sampling.joining import NEW_PART
from midirnn.sampling.sampler import Sampler
from tests.datasets.songs import song
from tests.models.reference import random_weights
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine
from tests.strategies import performance_of, performances, tempo_maps

CODEC = PerformanceCodec()
SEEDS = st.integers(0, 2**32 - 1)
SECONDS = st.sampled_from([0.001, 0.3, 1.0, 1.7])
LIMITS = st.sampled_from([0.01, 0.2, 2.0, 20.0])
LIKES = st.sampled_from(
    [
        {},
        {TokenType.NOTE_ON: 1.5},
        {TokenType.NOTE_OFF: 6.0},
        {TokenType.TIME_SHIFT: 6.0, TokenType.NOTE_OFF: -9.0},
    ]
)
"""Music of many notes, of short ones, of long ones."""

STEP = 0.01
ODD_TEMPOS = (Tempo(0.0, 97.0), Tempo(1.25, 140.0))


def sampler(
    seed: int = 0,
    likes: dict[TokenType, float] | None = None,
    config: SamplingConfig | None = None,
    codec: PerformanceCodec = CODEC,
) -> Sampler:
    return Sampler(MockEngine(codec, seed % 5, likes=likes), codec, config, seed=seed)


def make(
    seconds: float = 3.0,
    primer: Performance | None = None,
    seed: int = 0,
    likes: dict[TokenType, float] | None = None,
    limit: float = 20.0,
) -> Generated:
    config = SamplingConfig(max_note_seconds=limit)
    return continue_primer(sampler(seed, likes, config), seconds, primer)


def rows(performance: Performance) -> Counter[tuple[float, float, int, int, int]]:
    """The notes: start, end, pitch, velocity, part."""
    fields = (getattr(performance, n) for n in ("start", "end", "pitch", "velocity", "part"))
    return Counter(zip(*(field.tolist() for field in fields), strict=True))


def overlaps(performance: Performance) -> list[tuple[int, float]]:
    """Where a pitch is struck while it sounds: (pitch, seconds)."""
    found = []
    for pitch in np.unique(performance.pitch):
        notes = performance.pitch == pitch
        start, end = performance.start[notes], performance.end[notes]
        found += [(int(pitch), float(s)) for s in start[1:][start[1:] < end[:-1]]]
    return found


def split(made: Generated, primer: Performance) -> tuple[Performance, Performance]:
    """The primer's notes and the new ones."""
    new = made.performance.start >= made.primer_seconds
    assert np.count_nonzero(~new) == len(primer)
    return made.performance.select(~new), made.performance.select(new)


PRIMERS = performances(max_notes=10, max_parts=2, drums=True, unreleased=True)


class TestAlone:
    @given(SEEDS, SECONDS, LIMITS, LIKES)
    def test_every_note_ends_in_time_and_a_pitch_sounds_once(
        self, seed: int, seconds: float, limit: float, likes: dict[TokenType, float]
    ) -> None:
        made = make(seconds, seed=seed, likes=likes, limit=limit)
        performance = made.performance
        assert made.primer_seconds == 0
        assert (performance.end > performance.start).all()
        assert (performance.end - performance.start <= limit + 1e-9).all()
        assert performance.duration <= seconds
        assert not performance.unreleased.any()
        assert overlaps(performance) == []

    def test_it_lasts_as_long_as_it_should_and_longer_notes_are_cut(self) -> None:
        likes = {TokenType.TIME_SHIFT: 3.0, TokenType.NOTE_OFF: -30.0}
        performance = make(5.0, likes=likes).performance
        assert performance.duration == 5.0
        assert np.count_nonzero(performance.end == 5.0) > 1

    def test_it_says_what_the_tokens_say(self) -> None:
        one, other = sampler(3), sampler(3)
        made = continue_primer(one, 3.0, None)
        drawn: list[int] = []
        while other.grammar_state.step < 300:
            drawn.append(other.next())
        expected = CODEC.decode(drawn).slice(0.0, 3.0)
        assert rows(made.performance) == rows(expected)

    def test_the_same_seed_gives_the_same_performance(self) -> None:
        assert make(seed=4).performance == make(seed=4).performance
        assert make(seed=4).performance != make(seed=9).performance

    def test_a_sampler_is_begun_afresh_each_time(self) -> None:
        made = sampler(1)
        made.hear([60])
        continue_primer(made, 1.0, song(1))
        performance = continue_primer(made, 1.0, None).performance
        assert performance.duration <= 1.0

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 86_401.0])
    def test_seconds_out_of_range_are_refused(self, seconds: float) -> None:
        with pytest.raises(OptionError, match="allowed are above 0, up to 86400"):
            make(seconds)


class TestPrimer:
    @given(PRIMERS, SEEDS, SECONDS, LIKES)
    def test_its_notes_stay_as_they_were_but_for_those_unreleased_at_its_end(
        self, primer: Performance, seed: int, seconds: float, likes: dict[TokenType, float]
    ) -> None:
        made = make(seconds, primer, seed, likes)
        heard = primer.without_drums().apply_sustain()
        old, _ = split(made, heard)
        for name in ("start", "pitch", "velocity", "part"):
            assert np.array_equal(getattr(old, name), getattr(heard, name))
        released = ~heard.unreleased
        assert np.array_equal(old.end[released], heard.end[released])
        assert (old.end >= heard.end).all()
        assert old.duration <= made.primer_seconds + seconds
        assert made.performance.tempos == primer.tempos
        assert len(made.performance.pedal_time) == 0

    @given(PRIMERS, SEEDS, SECONDS, LIMITS, LIKES)
    def test_what_is_new_begins_behind_it_and_ends_in_time(
        self,
        primer: Performance,
        seed: int,
        seconds: float,
        limit: float,
        likes: dict[TokenType, float],
    ) -> None:
        made = make(seconds, primer, seed, likes, limit)
        heard = primer.without_drums().apply_sustain()
        _, new = split(made, heard)
        end_seconds = made.primer_seconds + seconds
        assert heard.duration <= made.primer_seconds <= heard.duration + 2 * STEP
        assert (new.end > new.start).all()
        assert (new.end - new.start <= limit + 1e-9).all()
        assert new.duration <= end_seconds
        assert not made.performance.unreleased.any()
        assert not any(made.performance.parts[part].is_drum for part in new.part)

    @given(PRIMERS, SEEDS, LIKES)
    def test_no_pitch_is_struck_while_it_sounds(
        self, primer: Performance, seed: int, likes: dict[TokenType, float]
    ) -> None:
        heard = primer.without_drums().apply_sustain()
        assume(overlaps(heard) == [])
        assert overlaps(make(2.0, primer, seed, likes).performance) == []

    @given(PRIMERS, SEEDS, LIMITS)
    def test_a_note_held_over_outlasts_the_limit_only_if_the_primer_held_it_so_long(
        self, primer: Performance, seed: int, limit: float
    ) -> None:
        likes = {TokenType.TIME_SHIFT: 6.0, TokenType.NOTE_OFF: -9.0}
        made = make(2.7, primer, seed, likes, limit)
        heard = primer.without_drums().apply_sustain()
        old, _ = split(made, heard)
        longest = np.maximum(heard.end - heard.start, limit)
        # The primer's times lie between the steps in which the limit is counted.
        assert (old.end - old.start <= longest + 3 * STEP).all()

    def test_what_is_held_at_its_end_sounds_on_and_is_not_struck_again(self) -> None:
        primer = performance_of([(0.0, 1.0, 60, 80, 0, True), (0.5, 0.5, 64, 80, 0, False)])
        ends = []
        for seed in range(10):
            performance = make(4.0, primer, seed, {TokenType.NOTE_OFF: 4.0}).performance
            (held,) = np.flatnonzero((performance.pitch == 60) & (performance.start == 0.0))
            ends.append(float(performance.end[held]))
            later = performance.start[(performance.pitch == 60) & (performance.start > 0)]
            assert (later >= performance.end[held]).all()
        assert all(end >= 1.0 for end in ends)
        assert max(ends) > 1.5
        assert len(set(ends)) > 3

    @pytest.mark.parametrize("seconds", [0.3, 1.0, 1.004, 2.5, 5.0, 5.5, 17.3])
    @pytest.mark.parametrize("limit", [0.5, 20.0])
    def test_music_begins_behind_a_long_held_note_at_the_end(
        self, seconds: float, limit: float
    ) -> None:
        primer = performance_of([(0.0, seconds, 60, 80, 0, True)])
        for seed in range(4):
            made = make(0.8, primer, seed, limit=limit)
            assert made.primer_seconds == pytest.approx(seconds)
            assert made.performance.end[0] >= seconds
            assert (made.performance.start[1:] >= seconds).all()
            assert made.performance.duration <= made.primer_seconds + 0.8

    def test_the_rest_before_the_first_event_is_drawn_and_not_cut_at_the_primers_end(
        self,
    ) -> None:
        primer = performance_of([(0.0, 0.5, 60, 80, 0, True)])
        waits = [
            float(min(made.performance.start[1:], default=9.9))
            for seed in range(30)
            for made in [make(2.0, primer, seed)]
        ]
        assert len(set(waits)) > 10

    def test_its_pedal_is_applied(self) -> None:
        primer = Performance.from_notes(
            [(0.0, 0.2, 60, 80), (0.5, 0.7, 62, 80)], pedals=[(0.1, 127), (0.4, 0)]
        )
        performance = make(1.0, primer).performance
        assert performance.end[:2].tolist() == [0.4, 0.7]
        assert len(performance.pedal_time) == 0

    def test_what_its_pedal_still_holds_is_held_over(self) -> None:
        primer = Performance.from_notes([(0.0, 0.2, 60, 80), (0.5, 0.7, 62, 80)], [(0.1, 127)])
        likes = {TokenType.NOTE_OFF: -30.0, TokenType.TIME_SHIFT: 3.0}
        performance = make(2.0, primer, likes=likes).performance
        assert performance.end[:2].tolist() == pytest.approx([2.7, 2.7])

    @given(tempo_maps())
    def test_its_tempo_map_is_kept_even_if_it_has_no_notes(self, tempos: tuple[Tempo, ...]) -> None:
        for primer in (Performance(tempos=tempos), song(1).replace(tempos=tempos)):
            assert make(1.0, primer).performance.tempos == tempos

    def test_its_time_and_key_signatures_are_kept(self) -> None:
        signatures = (TimeSignature(0.0, 3, 4), KeySignature(0.0, -3, minor=True))
        primer = song(1).replace(signatures=signatures)
        assert make(1.0, primer).performance.signatures == signatures

    def test_without_notes_it_is_as_if_there_were_none(self) -> None:
        made = make(2.0, Performance(), seed=6)
        assert made.primer_seconds == 0
        assert rows(made.performance) == rows(make(2.0, seed=6).performance)

    def test_the_music_gets_a_part_of_its_own_with_the_sound_of_the_busiest(self) -> None:
        parts = (Part(0, 9, "drums"), Part(0, 0, "left"), Part(5, 1, "right"), Part(7, 2, "none"))
        notes = [(0.0, 0.5, 36, 80, 0, False)] * 5 + [
            (0.1, 0.2, 50, 80, 1, False),
            (0.1, 0.2, 70, 80, 2, False),
            (0.4, 0.2, 72, 80, 2, False),
        ]
        primer = performance_of(notes, of_parts=parts)
        made = make(3.0, primer)
        _, new = split(made, primer.without_drums())
        assert made.performance.parts == (*parts, Part(5, 3, NEW_PART))
        assert set(new.part.tolist()) == {4}

    def test_of_a_primer_for_drums_alone_the_music_gets_a_part_of_its_own(self) -> None:
        drums = (Part(0, 9, "drums"),)
        made = make(3.0, performance_of([(0.0, 0.5, 36, 80, 0, False)], of_parts=drums))
        assert made.performance.parts == (*drums, Part(name=NEW_PART))
        assert set(made.performance.part.tolist()) == {1}

    def test_the_velocity_goes_on_from_the_primers(self) -> None:
        primer = performance_of([(0.0, 0.5, 60, 41, 0, False)])
        performance = make(2.0, primer, likes={TokenType.VELOCITY: -30.0}).performance
        assert len(performance) > 3
        assert set(performance.velocity.tolist()) == {41}

    def test_the_model_hears_the_primer(self) -> None:
        made = sampler()
        continue_primer(made, 0.5, song(3))
        engine = made.engine
        assert isinstance(engine, MockEngine)
        heard = CODEC.encode(song(3), open_end=True).tolist()
        assert engine.fed[: len(heard)] == heard
        assert len(engine.fed) > len(heard)

    @given(PRIMERS, SEEDS)
    def test_all_that_the_model_hears_keeps_the_grammar(
        self, primer: Performance, seed: int
    ) -> None:
        made = sampler(seed)
        continue_primer(made, 2.0, primer)
        engine = made.engine
        assert isinstance(engine, MockEngine)
        CODEC.constraint().scan(CODEC.constraint().start(), np.array(engine.fed, np.uint16))

    def test_another_codec_has_its_own_steps(self) -> None:
        codec = PerformanceCodec(31, 7, 0)
        primer = performance_of([(0.0, 1.23, 60, 80, 0, True), (0.2, 0.1, 62, 80, 0, False)])
        for seed in range(5):
            made = continue_primer(sampler(seed, codec=codec), 2.0, primer)
            assert made.primer_seconds == pytest.approx(1.23, abs=1 / 31)
            assert made.primer_seconds >= 1.23
            assert overlaps(made.performance) == []


class TestInMidi:
    @given(st.integers(0, 50), st.integers(0, 20))
    def test_the_written_file_holds_every_note(self, seed: int, primer_seed: int) -> None:
        performance = make(2.0, song(primer_seed), seed).performance
        assume(overlaps(performance) == [])  # a primer's own cannot be told in MIDI
        read = read_midi(midi_bytes(performance))
        long = performance.end - performance.start >= 0.002  # of two ticks and more
        assert len(read) >= np.count_nonzero(long)
        assert read.duration == pytest.approx(performance.duration, abs=0.001)


class TestGenerate:
    @staticmethod
    def model(codec: PerformanceCodec = CODEC) -> Model:
        config = ModelConfig(codec.vocab_size, embedding_size=4, hidden_size=8, num_layers=1)
        return Model("tiny", Path(), config, codec, random_weights(config), {})

    def test_it_takes_a_loaded_model_and_a_folder(self, tmp_path: Path) -> None:
        model = self.model()
        write_checkpoint(tmp_path, model.config, model.codec, model.weights, {})
        performance = generate(model, seconds=2.0, seed=1)
        assert len(performance) > 0
        for folder in (tmp_path, str(tmp_path)):
            assert generate(folder, seconds=2.0, seed=1) == performance

    def test_it_takes_a_primer_and_the_path_of_one(self, tmp_path: Path) -> None:
        write_midi(song(1), tmp_path / "primer.mid")
        primer = read_midi(tmp_path / "primer.mid")
        one = generate(self.model(), seconds=1.0, primer=primer, seed=1)
        assert generate(self.model(), seconds=1.0, primer=tmp_path / "primer.mid", seed=1) == one
        heard = primer.apply_sustain()
        assert np.array_equal(one.start[: len(heard)], heard.start)

    def test_without_a_seed_each_is_another(self) -> None:
        assert generate(self.model(), seconds=2.0) != generate(self.model(), seconds=2.0)

    def test_a_model_whose_codec_is_another_is_refused(self) -> None:
        model = self.model()
        other = Model(
            "x", Path(), model.config, PerformanceCodec(velocity_bins=8), model.weights, {}
        )
        with pytest.raises(OptionError, match="the codec 'performance' has 364"):
            generate(other)

    def test_what_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="there is no model 'xylophone'"):
            generate("xylophone")
        with pytest.raises(MidiFileError, match="there is no such file"):
            generate(self.model(), primer=tmp_path / "none.mid")
        with pytest.raises(OptionError, match="seed is -3"):
            generate(self.model(), seed=-3)
