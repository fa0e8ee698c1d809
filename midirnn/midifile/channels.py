"""Channels: messages of one track that affect others, and the channels of written parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from midirnn.midievents import CONTROL_CHANGE, NOTE_ON, SUSTAIN, Events, Track
from midirnn.midifile.pairing import SHARED_SUSTAIN
from midirnn.parts import DRUM_CHANNEL
from midirnn.performance import Part

_MARK = (SHARED_SUSTAIN ^ SUSTAIN) << 7


def share_channels(tracks: Sequence[Track]) -> list[Track]:
    """Return the tracks, each with the messages of other tracks on the channels that it uses.

    At the same tick, a track's own program takes precedence, the pedals of a channel are in the
    order of the tracks, and a note is not ended by the messages of another track that end notes.
    Drums take no pedal from another track.
    """
    if sum(len(track.events) > 0 for track in tracks) < 2:
        return list(tracks)
    states = [track.events[track.events.kind > NOTE_ON] for track in tracks]
    owner = np.repeat(np.arange(len(states)), [len(state) for state in states])
    if not len(owner):
        return list(tracks)
    state = Events(np.concatenate([state.packed for state in states]))
    channel = state.channel
    is_pedal = (state.kind == CONTROL_CHANGE) & (state.first == SUSTAIN)
    state = Events(np.where(is_pedal, state.packed | _MARK, state.packed))
    usable = ~(is_pedal & (channel == DRUM_CHANNEL))
    shared: list[Track] = []
    for index, track in enumerate(tracks):
        events = track.events
        played = np.zeros(16, dtype=bool)
        played[events.channel[events.kind <= NOTE_ON]] = True
        heard = usable & played[channel] & (owner != index)
        if heard.any():
            before, after = heard & (owner < index), heard & (owner > index)
            merged = np.concatenate(
                [
                    state.packed[before],
                    state.packed[after & ~is_pedal],
                    events.packed,
                    state.packed[after & is_pedal],
                ]
            )
            order = np.argsort(Events(merged).tick, kind="stable")
            track = replace(track, events=Events(merged[order]))
        shared.append(track)
    return shared


def share_out_channels(parts: Sequence[Part]) -> list[Part]:
    """Return the parts, up to 15 of them each on a channel of its own; drums stay on theirs.

    A part keeps its channel if no part before it has the same. Parts for which no channel is left
    share one with a part of the same program, if there is one.
    """
    first_on = {part.channel: index for index, part in reversed(list(enumerate(parts)))}
    free = [channel for channel in range(16) if channel not in first_on and channel != 9]
    channels: dict[int, int] = {}
    channel_of: dict[int, int] = {}
    for index, part in enumerate(parts):
        channel = part.channel
        if first_on[channel] != index and not part.is_drum:
            channel = free.pop(0) if free else channel_of.get(part.program, channel)
        channels[index] = channel
        if not part.is_drum:
            channel_of.setdefault(part.program, channel)
    return [replace(part, channel=channels[index]) for index, part in enumerate(parts)]
