"""Knobs, the map of controllers to them, learning, and the panel."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs.controls import Controls
from midirnn.errors import OptionError
from midirnn.live import MODES
from midirnn.live.controls import (
    KNOBS,
    Binding,
    ControlChange,
    ControlMap,
    Knob,
    Learner,
    Panel,
    PitchClasses,
    Scale,
    default_path,
    find_knob,
)
from midirnn.live.output.delivery import balanced
from midirnn.sampling import SamplingConfig

MIDI = st.integers(0, 127)
KNOB = st.sampled_from(list(KNOBS.values()))


def cc(controller: int, value: int, channel: int = 1) -> tuple[int, int, int]:
    return (0xB0 | channel - 1, controller, value)


@given(KNOB, MIDI)
def test_a_controller_never_takes_a_knob_out_of_its_range(knob: Knob, midi: int) -> None:
    assert knob.check(knob.value(midi)) == knob.value(midi)


@pytest.mark.parametrize("knob", KNOBS.values(), ids=KNOBS)
def test_a_knob_reaches_both_ends_rises_between_and_takes_its_default(knob: Knob) -> None:
    values = [knob.value(midi) for midi in range(128)]
    if knob.default is not None or knob.free:
        assert knob.check(knob.default) == knob.default
    if knob.scale is Scale.SWITCH:
        assert (values[0], values[63], values[64], values[127]) == (False, False, True, True)
    elif knob.scale is Scale.CHOICE:
        assert list(dict.fromkeys(values)) == list(knob.choices)
    else:
        numbers = [value for value in values if isinstance(value, float)]
        assert len(numbers) == 128 - knob.free
        assert numbers == sorted(numbers)
        assert (numbers[0], numbers[-1]) == pytest.approx((knob.low, knob.high))
        assert (values[0] is None) == knob.free


def test_a_log_knob_multiplies_by_the_same_on_each_step() -> None:
    temperature = find_knob("temperature")
    values = [temperature.value(midi) for midi in range(128)]
    ratios = [b / a for a, b in pairwise(values)]  # type: ignore[operator]
    assert ratios == pytest.approx([ratios[0]] * 127)
    assert temperature.value(64) == pytest.approx(1.0, abs=0.02)


def test_the_mode_knob_has_every_mode() -> None:
    assert find_knob("mode").choices == tuple(MODES)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("temperature", 9.0, "temperature is 9.0; allowed are 0.25 to 4"),
        ("temperature", True, "temperature is True"),
        ("temperature", None, "temperature is None"),
        ("density", float("nan"), "allowed are 0.5 to 32 notes per second"),
        ("freeze", 1.0, "freeze is 1.0; allowed are true and false"),
        ("key", "H major", "key is 'H major'; allowed are free, performer, C major"),
        ("volume", 1.0, "no knob 'volume'; known are crossfade, temperature"),
    ],
)
def test_what_a_knob_cannot_stand_at_is_refused(name: str, value: object, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Panel({name: value})  # type: ignore[dict-item]


def test_every_knob_works_out_of_the_box_and_no_two_by_the_same() -> None:
    bindings = ControlMap().bindings
    assert set(bindings) == set(KNOBS)
    assert len(set(map(str, bindings.values()))) == len(KNOBS)


@given(KNOB, MIDI, st.integers(1, 16))
def test_the_default_map_turns_each_knob_and_no_other(knob: Knob, midi: int, channel: int) -> None:
    binding = ControlMap().bindings[knob.name]
    if binding.cc is not None:
        message = cc(binding.cc, midi, channel)
        assert ControlMap().translate(message) == [ControlChange(knob.name, knob.value(midi))]
    else:
        assert binding.channel == 10
        pressed = ControlMap().translate((0x99, binding.note or 0, 90))
        released = ControlMap().translate((0x89, binding.note or 0, 90))
        assert pressed == [ControlChange(knob.name, True)]
        assert released == [ControlChange(knob.name, False)]


@pytest.mark.parametrize(
    "message", [(0x90, 60, 80), (0x80, 60, 0), (0xB0, 64, 127), (0xB0, 123, 0), (0xF8,), (0xC0, 20)]
)
def test_music_turns_no_knob(message: tuple[int, ...]) -> None:
    assert ControlMap().translate(message) == []


def test_a_map_counts_channels_where_it_says_one(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("temperature = { cc = 74, channel = 3 }\n")
    control_map = ControlMap.read(path)
    assert [c.name for c in control_map.translate(cc(74, 64, channel=3))] == ["temperature"]
    assert control_map.translate(cc(74, 64, channel=4)) == []
    assert control_map.translate(cc(20, 64)) == []


def test_what_a_map_does_not_name_stays_as_it_is_and_empty_turns_nothing(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("crossfade = {}\nfreeze = { note = 40 }\n")
    control_map = ControlMap.read(path)
    assert control_map.translate(cc(1, 64)) == []
    assert control_map.translate((0x90, 40, 1)) == [ControlChange("freeze", True)]
    assert [change.name for change in control_map.translate(cc(21, 0))] == ["top_p"]


def test_a_controller_that_is_given_away_no_longer_turns_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("temperature = { cc = 1 }\n")
    names = [change.name for change in ControlMap.read(path).translate(cc(1, 5))]
    assert names == ["temperature"]


@pytest.mark.parametrize("second", ["cc = 74", "cc = 74, channel = 2"])
def test_one_controller_for_two_knobs_is_refused_in_one_line(tmp_path: Path, second: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(f"temperature = {{ cc = 74 }}\ntop_p = {{ {second} }}\n")
    with pytest.raises(OptionError, match=r"temperature \(CC 74\) and top_p \(CC 74") as caught:
        ControlMap.read(path)
    assert "\n" not in str(caught.value)


def test_one_controller_on_two_channels_moves_two_knobs(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("temperature = { cc = 74, channel = 1 }\ntop_p = { cc = 74, channel = 2 }\n")
    control_map = ControlMap.read(path)
    assert [c.name for c in control_map.translate(cc(74, 64, channel=1))] == ["temperature"]
    assert [c.name for c in control_map.translate(cc(74, 64, channel=2))] == ["top_p"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tempo = { cc = 1 }", "no knob 'tempo'; known are"),
        ("temperature = 74", "temperature is 74; write it as: temperature = { cc = 74 }"),
        ("temperature = { knob = 1 }", "has 'knob'; allowed are cc, note, channel"),
        ("temperature = { cc = 120 }", "cc is 120; allowed are 0 to 119"),
        ("temperature = { cc = true }", "cc is True; allowed are 0 to 119"),
        ("temperature = { cc = 1, channel = 0 }", "channel is 0; allowed are 1 to 16"),
        ("temperature = { cc = 1, note = 2 }", "needs either cc or note"),
        ("temperature = { channel = 2 }", "needs either cc or note"),
        ("temperature = { cc = 64 }", "64, the sustain pedal"),
        ("temperature = ", "is not TOML"),
    ],
)
def test_a_map_that_means_nothing_is_refused_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=says) as caught:
        ControlMap.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_map_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read the control map .*: No such file"):
        ControlMap.read(tmp_path / "none.toml")
    with pytest.raises(OptionError, match="cannot write the control map"):
        ControlMap().write(Path(__file__) / "map.toml")


BINDINGS = st.one_of(
    st.builds(
        Binding,
        cc=st.integers(0, 119).filter(lambda number: number != 64),
        channel=st.none() | st.integers(1, 16),
    ),
    st.builds(Binding, note=MIDI, channel=st.none() | st.integers(1, 16)),
)


@given(st.lists(st.tuples(KNOB, BINDINGS), max_size=10))
def test_a_map_that_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, bound: list[tuple[Knob, Binding]]
) -> None:
    control_map = ControlMap()
    for knob, binding in bound:
        control_map = control_map.bind(knob.name, binding)
        assert control_map.bindings[knob.name] == binding
    path = tmp_path_factory.mktemp("map") / "map.toml"
    control_map.write(path)
    assert dict(ControlMap.read(path).bindings) == dict(control_map.bindings)
    assert set(tomllib.loads(path.read_text())) == set(KNOBS)


def test_a_map_is_kept_where_the_user_keeps_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert default_path() == Path("/somewhere/midirnn/controls.toml")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_path().parts[-3:] == (".config", "midirnn", "controls.toml")


def test_a_map_is_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "map.toml"
    ControlMap().write(path)
    assert ControlMap.read(path) == ControlMap()
    assert [file.name for file in path.parent.iterdir()] == ["map.toml"]


def test_learning_takes_the_controller_that_moves_and_not_one_that_only_tells_where_it_is() -> None:
    learner = Learner("temperature")
    for message in (cc(7, 100), cc(7, 100), cc(64, 0), cc(64, 127), (0x90, 60, 9), cc(74, 5)):
        assert learner.feed(message) is None
    assert learner.feed(cc(74, 6, channel=2)) is None
    assert learner.feed(cc(74, 6)) == Binding(cc=74, channel=1)


def test_learning_a_switch_takes_a_key_or_a_controller_that_is_pressed() -> None:
    assert Learner("preset_1").feed((0x99, 36, 100)) == Binding(note=36, channel=10)
    assert Learner("freeze").feed(cc(80, 0)) is None
    assert Learner("freeze").feed(cc(80, 127, 16)) == Binding(cc=80, channel=16)
    assert Learner("freeze").feed((0xF8,)) is None


def test_learning_an_unknown_knob_is_refused() -> None:
    with pytest.raises(OptionError, match="no knob 'volume'"):
        Learner("volume")


def test_the_panel_stands_at_the_defaults_and_says_what_changed() -> None:
    panel = Panel()
    assert panel.sampling(SamplingConfig()) == SamplingConfig()
    assert not panel.turn(ControlChange("temperature", 1.0))
    assert panel.turn(ControlChange("temperature", 2.0))
    assert not panel.turn(ControlChange("temperature", 2.0))
    assert panel.sampling(SamplingConfig(top_k=5)) == SamplingConfig(temperature=2.0, top_k=5)


def test_the_panel_asks_the_model_for_what_its_knobs_say() -> None:
    panel, performer = Panel(), PitchClasses()
    assert panel.controls(performer) == Controls()
    panel.turn(ControlChange("density", 8.0))
    assert panel.controls(performer) == Controls(notes_per_second=8.0)
    panel.turn(ControlChange("density", None))
    panel.turn(ControlChange("key", "D minor"))
    asked = panel.controls(performer)
    assert asked.pitch_classes is not None
    assert [pitch for pitch, weight in enumerate(asked.pitch_classes) if weight] == [
        0, 2, 4, 5, 7, 9, 10,
    ]  # fmt: skip


def test_a_key_that_follows_the_performer_is_what_they_played_of_late() -> None:
    panel, performer = Panel({"key": "performer"}), PitchClasses(fading_seconds=5.0)
    assert panel.controls(performer) == Controls()
    performer.hear(60, 0.0)
    performer.hear(72, 0.0)
    assert performer.shares() == pytest.approx([1.0] + [0.0] * 11)
    performer.hear(67, 100.0)
    shares = performer.shares()
    assert shares is not None
    assert shares[7] == pytest.approx(1.0)
    assert sum(shares) == pytest.approx(1.0)


def test_the_register_has_its_lower_end_first() -> None:
    assert Panel().register == (0, 127)
    assert Panel({"lowest_pitch": 72.0, "highest_pitch": 48.0}).register == (48, 72)


@given(st.integers(1, 127), st.floats(0.25, 4.0))
def test_a_velocity_at_any_balance_is_one(velocity: int, balance: float) -> None:
    assert 1 <= balanced(velocity, balance) <= 127
    assert balanced(velocity, Panel().number("balance")) == velocity


def test_only_a_switch_is_pressed() -> None:
    panel = Panel()
    assert not panel.pressed("freeze")
    panel.turn(ControlChange("freeze", True))
    assert panel.pressed("freeze")


def test_the_documentation_has_each_knob_with_what_turns_it() -> None:
    text = (Path(__file__).parents[3] / "docs" / "controls.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| ")]
    told = {name: (summary, binding) for name, summary, _, binding in rows[1:]}
    bindings = ControlMap().bindings
    assert told == {name: (knob.summary, str(bindings[name])) for name, knob in KNOBS.items()}
