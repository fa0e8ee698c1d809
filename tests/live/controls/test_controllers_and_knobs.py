"""Controllers and knobs stand at the same place: soft takeover, and feedback to motor faders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import PortError
from midirnn.live import LiveConfig
from midirnn.live.controls.controls_out import ControlsOut
from midirnn.live.controls.knobs import KNOBS, MOST, Knob, Scale, Value
from midirnn.live.controls.map import Binding, ControlChange, ControlMap
from midirnn.live.controls.panel import Panel
from midirnn.live.controls.takeover import NEAR, Takeover
from midirnn.ports import MemoryOutput, Message
from tests.live.stage import Stage

TURNED = [knob for knob in KNOBS.values() if knob.scale is not Scale.SWITCH]
DENSITY = KNOBS["density"]


@given(st.sampled_from(list(KNOBS.values())), st.integers(0, MOST))
def test_where_a_controller_stands_is_the_inverse_of_its_value(knob: Knob, midi: int) -> None:
    assert knob.value(knob.midi(knob.value(midi))) == knob.value(midi)
    if knob.scale in (Scale.LINEAR, Scale.LOG):
        assert knob.midi(knob.value(midi)) == midi


def moved(panel: Panel, takeover: Takeover, name: str, *positions: int) -> list[bool]:
    """Whether each movement of a controller turned its knob."""
    found = []
    for midi in positions:
        change = ControlChange(name, KNOBS[name].value(midi), by_controller=True)
        found.append(takeover.admits(change))
        if found[-1]:
            panel.turn(change)
    return found


def test_a_knob_that_nothing_else_has_turned_follows_at_once() -> None:
    panel = Panel()
    assert moved(panel, Takeover(panel), "temperature", 100, 3, 90) == [True, True, True]


@given(st.sampled_from(TURNED), st.integers(0, 127), st.lists(st.integers(0, 127), min_size=1))
def test_a_knob_turned_elsewhere_never_jumps(knob: Knob, goal: int, positions: list[int]) -> None:
    panel = Panel()
    takeover = Takeover(panel)
    panel.turn(ControlChange(knob.name, knob.value(goal)))
    stands = knob.midi(knob.value(goal))
    last, caught = None, False
    for midi, admitted in zip(
        positions, moved(panel, takeover, knob.name, *positions), strict=True
    ):
        at = knob.midi(knob.value(midi))
        passed = last is not None and min(last, at) <= stands <= max(last, at)
        caught = caught or passed or abs(at - stands) <= NEAR
        assert admitted == caught
        last = at


def test_a_preset_lets_go_of_a_knob_again() -> None:
    panel = Panel()
    takeover = Takeover(panel)
    assert moved(panel, takeover, "density", 20, 30) == [True, True]
    panel.turn(ControlChange("density", DENSITY.value(90)))
    assert moved(panel, takeover, "density", 31, 60, 95, 40) == [False, False, True, True]
    assert panel["density"] == DENSITY.value(40)


def test_a_controller_in_a_session_catches_the_knob_before_it_moves_it() -> None:
    for takeover, expected in ((True, 3.0), (False, KNOBS["balance"].value(10))):
        stage = Stage("autopilot", LiveConfig(takeover=takeover))
        with stage.session:
            stage.session.turn("balance", 3.0)
            stage.run(0.1)
            stage.session.receive((0xB0, 27, 10), stage.clock.now())
            stage.run(0.1)
            assert stage.session.view().knobs["balance"] == expected


class Desk:
    """A controller with motor faders, and the knobs that it shows."""

    def __init__(self, control_map: ControlMap | None = None) -> None:
        self.panel = Panel()
        self.kept: set[int] = set()
        self.port = MemoryOutput()
        self.warned: list[str] = []
        self.out = ControlsOut(
            self.port,
            control_map or ControlMap(),
            lambda: self.panel.values,
            lambda: self.kept,
            self.warned.append,
        )

    def told(self) -> list[Message]:
        before = len(self.port.messages)
        self.out.tell()
        return list(self.port.messages)[before:]

    def turn(self, name: str, value: Value) -> None:
        self.panel.turn(ControlChange(name, value))


def test_at_first_a_controller_is_told_everything_and_then_what_changes() -> None:
    desk = Desk()
    first = desk.told()
    assert len(first) == len(KNOBS)
    assert (0xB0, 20, KNOBS["temperature"].midi(1.0)) in first
    assert (0x99, 36, 0) in first
    assert desk.told() == []
    desk.turn("density", DENSITY.value(77))
    desk.turn("freeze", True)
    desk.kept.add(2)
    assert sorted(desk.told()) == [(0x99, 37, 127), (0xB0, 22, 77), (0xB0, 102, 127)]


def test_a_fader_that_is_moved_is_not_told_where_it_is() -> None:
    desk = Desk()
    desk.told()
    for midi in (3, 60, 61):
        desk.out.heard((0xB4, 24, midi), 0.0)
        desk.turn("key", KNOBS["key"].value(midi))
        assert desk.told() == []
    desk.turn("key", "A minor")
    assert desk.told() == [(0xB4, 24, KNOBS["key"].midi("A minor"))]


def test_a_controller_is_told_on_its_own_channel() -> None:
    control_map = ControlMap().bind("density", Binding(cc=74, channel=5))
    assert (0xB4, 74, 0) in Desk(control_map).told()


def test_a_device_that_is_back_is_told_everything_again() -> None:
    desk = Desk()
    desk.out.tell()
    desk.port.vanish()
    desk.out.tell()
    count = len(desk.port.messages)
    desk.port.restore()
    desk.out.tell()
    assert len(desk.port.messages) - count == len(KNOBS)


def test_a_port_that_fails_is_told_once_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    def fail(message: Message) -> None:
        raise PortError("it is broken")

    monkeypatch.setattr(desk.port, "send", fail)
    with desk.out:
        desk.out._thread.join(30)
    assert desk.warned == [
        "the controller is not told any more where the knobs stand: it is broken"
    ]
