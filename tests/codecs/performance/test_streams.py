"""Streams give what the whole gives: the encoder the recording's tokens, the decoder its notes."""

import io

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import StreamEncoder
from midirnn.errors import CodecError
from midirnn.midifile import read_midi
from midirnn.performance import Performance

CODEC = PerformanceCodec()
TICKS_PER_QUARTER = 500  # at 120 a minute a tick is a millisecond

Messages = list[tuple[int, tuple[int, ...]]]


def record(messages: Messages) -> Performance:
    """What a recorder keeps of (tick, message): a MIDI file of one track, read again."""
    track = mido.MidiTrack()
    last = 0
    for tick, message in messages:
        track.append(mido.Message.from_bytes(message, time=tick - last))
        last = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER)
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return read_midi(buffer.getvalue())


def stream(messages: Messages, codec: PerformanceCodec = CODEC) -> list[int]:
    encoder = codec.stream_encoder()
    tokens: list[int] = []
    scale = 60.0 / (120.0 * TICKS_PER_QUARTER)
    for tick, message in messages:
        tokens += encoder.feed(tick * scale, message)
    return tokens + encoder.finish()


@st.composite
def played(draw: st.DrawFn) -> Messages:
    """Messages as keyboards send them, with strikes of sounding notes and many at one moment."""
    channels = draw(st.sampled_from([1, 1, 2, 3]))
    gaps = st.sampled_from([0, 0, 1, 3, 4, 5, 6, 9, 10, 11, 47, 250, 999, 1000, 1001, 2600])
    kinds = st.sampled_from(["on", "on", "on", "off", "off", "off0", "pedal"])
    messages: Messages = []
    tick = 0
    for _ in range(draw(st.integers(0, 40))):
        tick += draw(gaps)
        channel = draw(st.integers(0, channels - 1))
        pitch = draw(st.integers(60, 63))
        kind = draw(kinds)
        if kind == "on":
            messages.append((tick, (0x90 | channel, pitch, draw(st.integers(1, 127)))))
        elif kind == "off":
            messages.append((tick, (0x80 | channel, pitch, 64)))
        elif kind == "off0":
            messages.append((tick, (0x90 | channel, pitch, 0)))
        else:
            messages.append((tick, (0xB0 | channel, 64, draw(st.sampled_from([0, 63, 64, 127])))))
    # A recording ends with its last note-off: a note-on behind that has no length and is dropped.
    return [*messages, (tick + 30, (0x90, 72, 50)), (tick + 60, (0x80, 72, 0))]


@given(played(), st.integers(0, 40))
def test_a_copy_goes_on_as_the_encoder_would_and_leaves_it_alone(
    messages: Messages, place: int
) -> None:
    def rest(encoder: StreamEncoder) -> list[int]:
        tokens = [token for m in timed[place:] for token in encoder.feed(*m)]
        return tokens + encoder.finish()

    timed = [(tick / 1000, message) for tick, message in messages]
    encoder = CODEC.stream_encoder()
    for seconds, message in timed[:place]:
        encoder.feed(seconds, message)
    copied = encoder.copy()
    assert rest(copied) == rest(encoder.copy()) == rest(encoder)


@given(played())
def test_a_stream_gives_the_tokens_of_the_recording(messages: Messages) -> None:
    assert stream(messages) == CODEC.encode(record(messages)).tolist()


@given(played())
def test_a_stream_on_another_grid_gives_the_tokens_of_the_recording(messages: Messages) -> None:
    codec = PerformanceCodec(steps_per_second=31, max_shift_steps=7, velocity_bins=5)
    assert stream(messages, codec) == codec.encode(record(messages)).tolist()


def test_a_held_pedal_keeps_a_released_note_until_it_goes_up() -> None:
    messages: Messages = [
        (0, (0xB0, 64, 127)),
        (0, (0x90, 60, 64)),
        (100, (0x80, 60, 0)),
        (500, (0xB0, 64, 0)),
        (900, (0x90, 62, 64)),
        (1000, (0x80, 62, 0)),
    ]
    token = CODEC.vocabulary.token
    assert stream(messages)[1:5] == [60, token("time_shift", 50), 128 + 60, token("time_shift", 40)]


def test_a_rest_is_told_while_it_lasts() -> None:
    encoder = CODEC.stream_encoder()
    encoder.feed(0.0, (0x90, 60, 64))
    full = CODEC.vocabulary.token("time_shift", 100)
    assert encoder.advance(0.5)[-1] == 60
    assert encoder.advance(2.505) == [full, full]
    assert encoder.advance(2.6) == []


def test_messages_out_of_order_are_refused() -> None:
    encoder = CODEC.stream_encoder()
    encoder.feed(1.0, (0x90, 60, 64))
    with pytest.raises(CodecError, match="in order of time"):
        encoder.feed(0.5, (0x80, 60, 0))


def test_drums_are_not_heard() -> None:
    assert stream([(0, (0x99, 36, 100)), (50, (0x89, 36, 0))]) == []


def test_a_stream_with_kept_overlaps_is_refused() -> None:
    with pytest.raises(CodecError, match="overlaps='cut'"):
        PerformanceCodec(overlaps="keep").stream_encoder()


@given(st.lists(st.integers(0, CODEC.vocab_size - 1), max_size=60))
def test_a_stream_decoder_ends_every_note_that_it_begins(tokens: list[int]) -> None:
    decoder = CODEC.stream_decoder()
    messages = [m for token in tokens for m in decoder.feed(token)] + decoder.finish()
    sounding: set[int] = set()
    for _, (status, pitch, _) in messages:
        if status == 0x90:
            assert pitch not in sounding
            sounding.add(pitch)
        else:
            sounding.remove(pitch)
    assert not sounding


@given(played())
def test_a_stream_decoder_plays_what_decode_gives(messages: Messages) -> None:
    tokens = CODEC.encode(record(messages))
    decoder = CODEC.stream_decoder()
    onsets = [
        (seconds, message[1], message[2])
        for token in tokens.tolist()
        for seconds, message in decoder.feed(token)
        if message[0] == 0x90
    ]
    whole = CODEC.decode(tokens)
    expected = zip(whole.start.tolist(), whole.pitch.tolist(), whole.velocity.tolist(), strict=True)
    assert sorted(onsets) == sorted(expected)
    assert np.all(whole.end > whole.start)
