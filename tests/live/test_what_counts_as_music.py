"""What a performer plays is shown and told as music; pads, knobs and other channels are not."""

from __future__ import annotations

import time

import pytest

from midirnn.live import LiveConfig
from midirnn.live.osc.teller import Teller
from midirnn.live.recording.midi import Recording
from midirnn.live.view.monitor import Monitor
from midirnn.ports import Message, PortListing
from midirnn.ports.lasting import HeldDown, LastingInput
from midirnn.ports.watch import Sight
from midirnn.sampling import SamplingConfig
from midirnn.web.feed import Feed
from tests.live.stage import START_SECONDS, Stage, note
from tests.live.test_channel_modes_on_stage import Recorder
from tests.ports.test_ports_come_and_go import FakeInput

NOTE: list[Message] = [(0x90, 60, 80), (0x80, 60, 0)]


class Watched(Stage):
    """A stage on which a page, OSC, a terminal and a recording are told what is played."""

    def __init__(self, config: LiveConfig) -> None:
        self.feed, self.teller, self.recorder = Feed(), Teller(), Recorder()
        self.monitor = Monitor(START_SECONDS, SamplingConfig())
        observers = [self.feed, self.teller, self.monitor, self.recorder]
        super().__init__("call_and_response", config, observers=observers)

    def shown(self) -> list[Message]:
        """What pages are told that the performer played."""
        return [each["m"] for each in self.feed.take(0.0) if each["t"] == "heard"]

    def told(self) -> list[tuple[int, int]]:
        """What OSC is told that the performer played."""
        return [each for path, each in self.teller.take(0.0) if path == "/midirnn/heard"]

    def on_the_roll(self) -> list[tuple[int, float]]:
        """The pitch and end of each note that the terminal shows of the performer."""
        notes = self.monitor.view(self.clock.now(), self.session.view()).notes
        return [(each.pitch, round(each.end - self.start, 6)) for each in notes]


@pytest.mark.parametrize(
    ("status", "pitch"),
    [(0x99, 36), (0x99, 60), (0x92, 60)],
    ids=["a pad of a preset", "a drum", "a channel that is not listened to"],
)
def test_what_the_model_does_not_hear_is_recorded_and_shown_nowhere(
    status: int, pitch: int
) -> None:
    stage = Watched(LiveConfig(silence_seconds=60.0, input_channels=(1, 10)))
    other = [(1.0, (status, pitch, 90)), (1.2, (status, pitch, 0))]
    stage.perform([*other, *note(2.0, 2.5, 60)])
    stage.run(3.0)
    assert stage.shown() == NOTE
    assert stage.told() == [(60, 80), (60, 0)]
    assert stage.on_the_roll() == [(60, 2.5)]
    assert stage.recorder.recording.performance().pitch.tolist() == [pitch, 60]


@pytest.mark.parametrize("ending", [(0xB0, 123, 0), (0xB0, 120, 0), (0xFF,)], ids=str)
def test_notes_that_a_mode_message_ends_end_wherever_they_are_shown(ending: Message) -> None:
    stage = Watched(LiveConfig(silence_seconds=60.0))
    stage.perform([(1.0, (0x90, 60, 80)), (2.0, ending)])
    stage.run(3.0)
    assert stage.shown()[:2] == NOTE
    assert stage.told() == [(60, 80), (60, 0)]
    assert stage.on_the_roll() == [(60, 2.0)]


def test_keys_of_a_device_that_goes_end_wherever_they_are_shown() -> None:
    stage = Watched(LiveConfig(silence_seconds=60.0))
    held = HeldDown(stage.session.receive, stage.clock.now)
    port = FakeInput("Keys 20:0", held)
    lasting = LastingInput(port, lambda name, api: FakeInput(name, held), held)
    for message in [(0x90, 60, 80), (0xB0, 64, 127)]:
        held(message, stage.clock.now())
    stage.run(2.0)
    lasting.look(Sight(time.monotonic(), PortListing()))
    stage.run(1.0)
    assert stage.shown() == [NOTE[0], (0xB0, 64, 127), NOTE[1], (0xB0, 64, 0)]
    assert stage.told() == [(60, 80), (60, 0)]
    assert stage.on_the_roll() == [(60, 2.0)]
    recorded: Recording = stage.recorder.recording
    assert recorded.performance().end.tolist() == [2.0]
    assert recorded.performance().pedal_value.tolist() == [127, 0]
    assert stage.session.listener.keys_down == 0
