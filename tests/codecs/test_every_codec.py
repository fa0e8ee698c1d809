"""What every codec keeps: one that gets a line in CODECS gets all of these tests by its name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from midirnn.codecs import (
    CODECS,
    Augmentation,
    Codec,
    HoldsNotes,
    Limits,
    NoteStream,
    Recallable,
    Steerable,
    Tokens,
    codec_from_settings,
)
from midirnn.codecs.base import MAX_TOKENS, Message
from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.held import held_after, held_rows, no_notes
from midirnn.errors import CodecError, MidirnnError
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON
from midirnn.performance import NUM_PITCHES, Performance
from tests.codecs.characters import CharacterCodec

SUBJECTS: dict[str, Codec[Any]] = {
    **{name: codec() for name, codec in CODECS.items()},
    "ensemble of three in turn": CODECS["ensemble"](players=3, joint=False),
    "performance on a coarse grid": CODECS["performance"](
        steps_per_second=10, max_shift_steps=5, velocity_bins=0
    ),
    CharacterCodec.name: CharacterCodec(),
}
SEEDS = range(4)

Capability = TypeVar("Capability")


@pytest.fixture(params=SUBJECTS, ids=lambda name: name.replace(" ", "-"))
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Codec[Any]:
    monkeypatch.setitem(CODECS, CharacterCodec.name, CharacterCodec)
    return SUBJECTS[request.param]


def which(codec: Codec[Any], capability: type[Capability]) -> Capability:
    """The codec, if it can do that."""
    if not isinstance(codec, capability):
        pytest.skip(f"{codec.name} is no {capability.__name__}")
    return codec


def walk(codec: Codec[Any], seed: int, length: int = 150, limits: Limits | None = None) -> Tokens:
    """Random tokens that the constraint allows: first which group, then which of its tokens."""
    rng = np.random.default_rng(seed)
    constraint = codec.constraint(limits)
    state, tokens = constraint.start(), []
    for _ in range(length):
        mask = constraint.mask(state)
        groups = [ids for ids in codec.groups().values() if mask[ids].any()]
        ids = groups[rng.integers(len(groups))]
        tokens.append(ids.start + int(rng.choice(np.flatnonzero(mask[ids]))))
        constraint.advance(state, tokens[-1])
    return np.array(tokens, np.uint16)


def notes_among(messages: list[tuple[float, Message]]) -> list[tuple[int, int]]:
    """The note-ons and note-offs: (status, pitch); without what the pedal does."""
    return [
        (status & 0xF0, pitch)
        for _, (status, pitch, _) in messages
        if status & 0xF0 != CONTROL_CHANGE
    ]


def test_its_name_and_its_suffixes_are_what_files_and_flags_say(codec: Codec[Any]) -> None:
    assert CODECS[codec.name] is type(codec)
    assert codec.suffixes
    assert all(s.startswith(".") and s == s.lower() for s in codec.suffixes)


def test_it_comes_back_from_its_settings(codec: Codec[Any]) -> None:
    settings = json.loads(json.dumps(codec.settings()))
    assert settings["name"] == codec.name
    assert codec_from_settings(settings) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec
    with pytest.raises(CodecError, match="hold one it does not have: "):
        codec_from_settings(settings | {"no such setting": 1})


def test_its_groups_cover_the_vocabulary_without_overlap(codec: Codec[Any]) -> None:
    assert 0 < codec.vocab_size <= MAX_TOKENS
    seen = np.zeros(codec.vocab_size, int)
    for ids in codec.groups().values():
        seen[ids] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_piece_comes_back_from_its_tokens(codec: Codec[Any], seed: int) -> None:
    piece = codec.decode(walk(codec, seed))
    tokens = codec.encode(piece)
    assert tokens.dtype == np.uint16
    assert tokens.ndim == 1
    assert codec.decode(tokens) == piece
    assert np.array_equal(codec.encode(codec.decode(tokens)), tokens)


@pytest.mark.parametrize("path", ["song.mid", Path("song.mid")])
def test_the_path_of_a_file_is_no_performance(codec: Codec[Any], path: Path | str) -> None:
    if not isinstance(codec.decode([]), Performance):
        pytest.skip(f"{codec.name} encodes no performances")
    with pytest.raises(CodecError, match=r"read a file with midirnn\.read_midi"):
        codec.encode(path)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_piece_comes_back_from_a_file(codec: Codec[Any], seed: int, tmp_path: Path) -> None:
    piece = codec.decode(walk(codec, seed))
    path = tmp_path / f"piece{codec.suffixes[0]}"
    codec.write(piece, path)
    assert np.array_equal(codec.encode(codec.read(path)), codec.encode(piece))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00 nothing that any codec reads \x80"])
def test_what_it_cannot_read_is_told_in_one_line(
    codec: Codec[Any], content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / f"piece{codec.suffixes[0]}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MidirnnError) as caught:
        codec.read(path)
    (line,) = str(caught.value).splitlines()
    assert str(path) in line


def test_where_it_cannot_write_is_told_in_one_line(codec: Codec[Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / f"piece{codec.suffixes[0]}"
    with pytest.raises(MidirnnError, match="cannot be written"):
        codec.write(codec.decode([]), path)


def test_tokens_outside_the_vocabulary_are_refused(codec: Codec[Any]) -> None:
    for tokens in ([-1], [0, codec.vocab_size], [[0]], [0.5]):
        with pytest.raises(CodecError):
            codec.decode(tokens)


def test_no_tokens_are_a_piece_and_a_piece_of_none_has_no_tokens(codec: Codec[Any]) -> None:
    assert len(codec.encode(codec.decode([]))) == 0


class TestConstraint:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_the_codec_encodes_is_allowed(self, codec: Codec[Any], seed: int) -> None:
        constraint = codec.constraint()
        constraint.scan(constraint.start(), codec.encode(codec.decode(walk(codec, seed))))

    @pytest.mark.parametrize("seed", SEEDS)
    def test_scanning_gives_the_masks_of_advancing(self, codec: Codec[Any], seed: int) -> None:
        tokens, constraint = walk(codec, seed, 60), codec.constraint()
        assert constraint.vocab_size == codec.vocab_size
        scanned, advanced = constraint.start(), constraint.start()
        masks = constraint.scan(scanned, tokens)
        assert masks.shape == (len(tokens), codec.vocab_size)
        for row, token in zip(masks, tokens.tolist(), strict=True):
            assert constraint.mask(advanced)[token]
            constraint.advance(advanced, token)
            assert np.array_equal(row, constraint.mask(advanced))
        assert np.array_equal(constraint.mask(scanned), constraint.mask(advanced))

    @pytest.mark.parametrize("seed", SEEDS)
    def test_skipping_is_advancing(self, codec: Codec[Any], seed: int) -> None:
        tokens, constraint = walk(codec, seed, 60), codec.constraint()
        skipped, advanced = constraint.start(), constraint.start()
        constraint.skip(skipped, tokens)
        for token in tokens.tolist():
            constraint.advance(advanced, token)
        assert np.array_equal(constraint.mask(skipped), constraint.mask(advanced))

    def test_a_copied_state_does_not_change_with_the_other(self, codec: Codec[Any]) -> None:
        constraint = codec.constraint()
        state = constraint.start()
        before = constraint.mask(state)
        constraint.skip(state.copy(), walk(codec, 1, 30))
        assert np.array_equal(constraint.mask(state), before)

    def test_of_no_tokens_there_are_no_masks(self, codec: Codec[Any]) -> None:
        constraint = codec.constraint()
        masks = constraint.scan(constraint.start(), np.empty(0, np.uint16))
        assert masks.shape == (0, codec.vocab_size)

    def test_tokens_outside_the_vocabulary_are_refused(self, codec: Codec[Any]) -> None:
        constraint = codec.constraint()
        with pytest.raises(CodecError):
            constraint.scan(constraint.start(), np.array([codec.vocab_size], np.uint16))

    @pytest.mark.parametrize("limits", [Limits(0.5), Limits(max_sounding=2), Limits(1.0, 3)])
    def test_within_limits_something_may_always_come(
        self, codec: Codec[Any], limits: Limits
    ) -> None:
        assert len(walk(codec, 5, 300, limits)) == 300


class TestAugmentation:
    def test_without_any_the_tokens_are_the_same(self, codec: Codec[Any]) -> None:
        tokens = codec.encode(codec.decode(walk(codec, 1)))
        rng = np.random.default_rng(0)
        assert np.array_equal(codec.augment(tokens, Augmentation(), rng), tokens)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_variation_is_allowed_and_goes_by_the_generator(
        self, codec: Codec[Any], seed: int
    ) -> None:
        tokens = codec.encode(codec.decode(walk(codec, seed)))
        how, constraint = Augmentation(3, 0.05), codec.constraint()
        one, again = (codec.augment(tokens, how, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(one, again)
        constraint.scan(constraint.start(), one)


class TestNotes:
    def test_there_is_a_note_on_for_each_pitch(self, codec: Codec[Any]) -> None:
        ids = which(codec, Recallable).note_ons
        assert ids.stop - ids.start == NUM_PITCHES
        assert 0 <= ids.start < ids.stop <= codec.vocab_size

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_sounds_is_what_the_decoder_has_begun_and_not_ended(
        self, codec: Codec[Any], seed: int
    ) -> None:
        notes, stream = which(codec, HoldsNotes), which(codec, NoteStream)
        tokens, decoder = walk(codec, seed), stream.stream_decoder()
        held, rows = no_notes(), held_rows(notes, no_notes(), tokens)
        for token, row in zip(tokens.tolist(), rows, strict=True):
            for status, pitch in notes_among(decoder.feed(token)):
                held[pitch] = status == NOTE_ON
            assert np.array_equal(row, held)
        assert np.array_equal(held_after(notes, no_notes(), tokens), held)
        ended = notes_among(decoder.finish())
        assert {pitch for _, pitch in ended} == set(np.flatnonzero(held))
        assert all(status == NOTE_OFF for status, _ in ended)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_stream_of_messages_gives_the_tokens_of_the_whole(
        self, codec: Codec[Any], seed: int
    ) -> None:
        stream = which(codec, NoteStream)
        tokens, decoder = walk(codec, seed), stream.stream_decoder()
        # A note that begins as the stream ends has no length in messages.
        tokens = tokens[: np.flatnonzero(stream.token_steps[tokens])[-1] + 1]
        messages = [message for token in tokens.tolist() for message in decoder.feed(token)]
        messages += decoder.finish()
        encoder = stream.stream_encoder()
        streamed = [token for s, message in messages for token in encoder.feed(s, message)]
        streamed += encoder.finish()
        assert streamed == stream.encode(stream.decode(tokens)).tolist()

    def test_time_goes_by_the_steps_of_the_tokens(self, codec: Codec[Any]) -> None:
        stream = which(codec, NoteStream)
        tokens, decoder = walk(codec, 3), stream.stream_decoder()
        assert stream.token_steps.shape == (codec.vocab_size,)
        for token in tokens.tolist():
            decoder.feed(token)
        steps = int(stream.token_steps[tokens].sum())
        assert decoder.seconds == pytest.approx(steps / stream.steps_per_second)
        assert stream.step(decoder.seconds) == stream.steps(decoder.seconds) == steps
        decoder.restart_at(5.0)
        assert decoder.seconds == 5.0

    @pytest.mark.parametrize(("begin", "stop"), [(0, 10), (7, 60), (0, 0)])
    def test_controls_are_measured_at_each_token(
        self, codec: Codec[Any], begin: int, stop: int
    ) -> None:
        rows = which(codec, Steerable).measure_controls(walk(codec, 2, 60), begin, stop)
        assert rows.shape == (stop - begin, NUM_CONTROL_INPUTS)
        assert rows.dtype == np.float32
        assert (rows >= 0).all()


@pytest.mark.parametrize("capability", [Recallable, HoldsNotes, NoteStream, Steerable])
def test_some_codec_has_each_capability(capability: type[Any]) -> None:
    assert any(isinstance(codec, capability) for codec in SUBJECTS.values())
