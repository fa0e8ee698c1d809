"""The preset bank: what is asked of the model for pads, wheel and undo."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.live.base.messages import Blend, Recall, Request, Reset, Store
from midirnn.live.controls.presets import UNDO_DEPTH, PresetBank


class Memory:
    """A model whose state is a number, to see what requests come to."""

    def __init__(self) -> None:
        self.state = 0.0
        self.stored: dict[str, float] = {}

    def do(self, requests: list[Request]) -> None:
        for request in requests:
            if isinstance(request, Store):
                self.stored[request.name] = self.state
            elif isinstance(request, Recall):
                self.state = self.stored[request.name]
            elif isinstance(request, Blend):
                self.state = sum(self.stored[name] * weight for name, weight in request.parts)
            else:
                assert isinstance(request, Reset)
                self.state = 0.0


def test_a_preset_comes_back_as_it_was_stored() -> None:
    bank, memory = PresetBank(), Memory()
    memory.state = 3.0
    memory.do(bank.store(5))
    memory.state = 4.0
    memory.do(bank.load(5))
    assert memory.state == 3.0
    assert bank.kept == {5}


def test_a_pad_that_holds_nothing_asks_for_nothing() -> None:
    assert PresetBank().load(1) == []
    assert PresetBank().undo() == []


def test_the_wheel_goes_from_the_first_preset_to_the_second() -> None:
    bank, memory = PresetBank(), Memory()
    for preset, state in ((1, 10.0), (2, 20.0)):
        memory.state = state
        memory.do(bank.store(preset))
    for share, expected in ((0.0, 10.0), (0.25, 12.5), (1.0, 20.0)):
        memory.do(bank.crossfade(share))
        assert memory.state == pytest.approx(expected)


def test_the_wheel_does_nothing_before_both_presets_are_stored() -> None:
    bank = PresetBank()
    bank.store(1)
    assert bank.crossfade(0.5) == []


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_wheel_beyond_its_ends_is_refused(share: float) -> None:
    bank = PresetBank()
    bank.store(1), bank.store(2)
    with pytest.raises(OptionError, match="allowed are 0 to 1"):
        bank.crossfade(share)


def test_undo_takes_back_loads_resets_and_a_whole_turn_of_the_wheel() -> None:
    bank, memory = PresetBank(), Memory()
    for preset in (1, 2):
        memory.state = float(preset)
        memory.do(bank.store(preset))
    memory.state = 7.0
    memory.do(bank.load(1))
    for share in (0.2, 0.4, 0.6):
        memory.do(bank.crossfade(share))
    memory.do(bank.reset())
    assert memory.state == 0.0
    memory.do(bank.undo())
    assert memory.state == pytest.approx(1.6)
    memory.do(bank.undo())
    assert memory.state == 1.0
    memory.do(bank.undo())
    assert memory.state == 7.0
    assert bank.undo() == []


@given(st.lists(st.sampled_from(["load", "reset", "undo"]), max_size=60))
@example(["load"] * UNDO_DEPTH + ["undo", "load"])
def test_undo_goes_back_step_by_step_as_far_as_it_is_deep(actions: list[str]) -> None:
    bank, memory = PresetBank(), Memory()
    memory.do(bank.store(1))
    before: list[float] = []
    for number, action in enumerate(actions):
        memory.state = float(number + 1)
        if action == "undo":
            memory.do(bank.undo())
            if before:
                assert memory.state == before.pop()
        else:
            before = [*before, memory.state][-UNDO_DEPTH:]
            memory.do(bank.load(1) if action == "load" else bank.reset())
    while before:
        memory.do(bank.undo())
        assert memory.state == before.pop()
    assert bank.undo() == []
    assert len(memory.stored) <= UNDO_DEPTH + 1
