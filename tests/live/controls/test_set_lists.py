"""Set lists: a preset keeps state, knobs, mode and style, and comes back in another session."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.engines.load import load
from midirnn.engines.state import EngineState
from midirnn.engines.state_text import state_from_text, state_to_text
from midirnn.errors import OptionError
from midirnn.live import LiveConfig
from midirnn.live.controls.scenes import NO_SET_LIST, Scenes
from midirnn.live.controls.set_list import SetList
from midirnn.live.recording.event_log import read_log
from midirnn.live.recording.replay import replay
from midirnn.live.rig import Rig
from midirnn.models.checkpoint import expected_shapes, write_checkpoint
from midirnn.ports import MemoryOutput
from tests.live.stage import Stage, note, note_ons, tiny_model, write_tiny_model

PHRASE = [event for i in range(12) for event in note(0.1 * i, 0.1 * i + 0.08, 60 + i, 90)]
LOUD = [event for i in range(12) for event in note(0.1 * i, 0.1 * i + 0.08, 40 + i, 120)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


class Evening:
    """A session with a set list at a manual clock, and what it says."""

    def __init__(self, path: Path | None, model: Path, mode: str = "autopilot") -> None:
        self.told: list[str] = []
        self.list = SetList.open(path, load(str(model))) if path else None
        scenes = Scenes(self.list, self.told.append)
        self.stage = Stage(mode, on_notice=self.told.append, scenes=scenes)
        self.session = self.stage.session

    def run(self, seconds: float = 1.0) -> None:
        self.stage.run(seconds)
        if self.list is not None:
            self.list.close()

    @property
    def state(self) -> EngineState:
        return self.stage.planner.base.sampler.engine

    def stored(self, number: int) -> EngineState:
        server = self.session.model.server  # type: ignore[attr-defined]
        stored: EngineState = server._stored[f"preset {number}"]
        return stored


def test_a_preset_comes_back_in_another_session(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "concert.json"
    first = Evening(path, model, "duet")
    with first.session:
        first.stage.perform(PHRASE)
        first.run(3.0)
        first.session.turn("density", 6.0)
        first.session.turn("temperature", 1.3)
        first.session.turn("key", "A minor")
        first.session.store_preset("Ballad")
        first.run()
    assert first.told[-1] == "preset 1, 'Ballad', stored"
    second = Evening(path, model)
    with second.session:
        second.run()
        second.session.load_preset("ballad")
        second.run(0.001)
        view = second.session.view()
        style = second.session.console._following.latest
    assert view.mode == "duet"
    assert view.knobs["density"] == 6.0
    assert view.knobs["temperature"] == pytest.approx(1.3)
    assert view.knobs["key"] == "A minor"
    assert dict(view.preset_names) == {1: "Ballad"}
    assert second.told == ["preset 1, 'Ballad', loaded"]
    before, after = first.stored(1), second.stored(1)
    assert all(np.array_equal(a, b) for a, b in zip(before.state, after.state, strict=True))
    assert np.array_equal(before.logits, after.logits)
    assert style is not None
    assert style.values["loudness"] == pytest.approx(90, abs=4)


def test_undo_goes_back_to_the_knobs_the_mode_and_the_style_before_a_preset(
    tmp_path: Path, model: Path
) -> None:
    evening = Evening(tmp_path / "list.json", model)
    session, console = evening.session, evening.session.console
    with session:
        session.turn("temperature", 0.5)
        session.turn("lowest_pitch", 30.0)
        session.store_preset("Ballad")
        evening.run()
        evening.stage.perform([(1.0 + at, message) for at, message in PHRASE])
        session.set_mode("duet")
        session.turn("temperature", 1.5)
        session.turn("lowest_pitch", 50.0)
        evening.run(4.0)
        before, style = session.view(), console._following.latest
        session.load_preset("Ballad")
        evening.run(0.5)
        assert session.view().mode == "autopilot"
        session.turn("density", 7.0)
        session.undo()
        evening.run(0.5)
        assert session.view().mode == "duet"
        assert session.view().knobs == before.knobs
        assert style is not None
        assert console._following.latest == style


def test_undoing_a_reset_goes_back_to_the_followed_style_and_leaves_the_knobs(
    model: Path,
) -> None:
    evening = Evening(None, model, "duet")
    session, console = evening.session, evening.session.console
    with session:
        evening.stage.perform(PHRASE)
        evening.run(4.0)
        style = console._following.latest
        session.reset()
        evening.run(0.5)
        assert console._following.latest is None
        session.turn("temperature", 1.5)
        session.undo()
        evening.run(0.5)
        assert style is not None
        assert console._following.latest == style
        assert session.view().knobs["temperature"] == 1.5


def test_undoing_a_reset_does_not_bring_back_a_style_that_had_been_let_go() -> None:
    stage = Stage("autopilot", LiveConfig(follow_seconds=5.0))
    session, follower = stage.session, stage.session.console._following
    stage.perform(PHRASE)
    with session:
        stage.run(4.0)
        style, share = follower.style(stage.clock.now())
        assert style is not None
        assert share > 0.0
        stage.run(11.0)
        session.reset()
        stage.run(0.5)
        session.undo()
        stage.run(0.5)
        assert follower.latest == style
        assert follower.style(stage.clock.now()) == (None, 0.0)


def test_a_style_is_followed_until_the_performer_plays_again(tmp_path: Path, model: Path) -> None:
    evening = Evening(tmp_path / "list.json", model, "duet")
    follower = evening.session.console._following

    def followed() -> Any:
        style, _ = follower.style(evening.stage.clock.now())
        return None if style is None else style.values["loudness"]

    with evening.session:
        evening.stage.perform(PHRASE)
        evening.run(4.0)
        evening.session.store_preset(1)
        now = evening.stage.now
        evening.stage.perform([(now + at, message) for at, message in LOUD])
        evening.run(4.0)
        louder = follower.latest
        evening.session.load_preset(1)
        evening.run(1.0)
        assert louder is not None
        assert follower.latest is not None
        assert follower.latest.values["loudness"] < louder.values["loudness"] - 5
        now = evening.stage.now
        evening.stage.perform([(now + at, message) for at, message in LOUD])
        evening.run(2.0)
        assert follower.latest.values["loudness"] > louder.values["loudness"] - 10


def test_program_changes_load_presets_and_change_no_sound(tmp_path: Path, model: Path) -> None:
    evening = Evening(tmp_path / "list.json", model)
    with evening.session:
        evening.run()
        evening.session.turn("density", 3.0)
        evening.session.store_preset(12)
        evening.session.turn("density", 9.0)
        evening.run()
        evening.session.receive((0xC0, 11), evening.stage.clock.now())
        evening.run()
        assert evening.session.view().knobs["density"] == 3.0
        evening.session.receive((0xC3, 60), evening.stage.clock.now())
        evening.run()
    assert evening.told[-2:] == ["preset 12 loaded", "preset 61 is empty"]
    assert [m for _, m in evening.stage.sent if m[0] & 0xF0 == 0xC0] == []


def test_names_stay_and_new_ones_get_the_first_free_number(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "list.json"
    evening = Evening(path, model)
    with evening.session:
        for preset in ("Ballad", 3, "Blues", "BALLAD", 2, "Coda"):
            evening.session.store_preset(preset)
            evening.run(0.5)
        evening.session.load_preset("Samba")
        evening.run(0.1)
    stored = SetList.open(path, load(str(model)))
    names = {number: scene.name for number, scene in stored.scenes.items()}
    assert names == {1: "Ballad", 2: "Blues", 3: "preset 3", 4: "Coda"}
    assert evening.stage.troubles == [
        "the set list has no preset 'Samba'; it has Ballad, Blues, preset 3, Coda"
    ]


def test_without_a_set_list_a_preset_is_the_state_alone(model: Path) -> None:
    evening = Evening(None, model)
    with evening.session:
        evening.run()
        evening.session.store_preset(1)
        evening.session.turn("balance", 2.0)
        evening.session.load_preset(1)
        evening.session.load_preset("Ballad")
        evening.run()
        assert evening.session.view().knobs["balance"] == 2.0
    assert evening.stage.troubles == [NO_SET_LIST]
    assert note_ons(evening.stage.sent)


def test_a_file_that_cannot_be_written_is_told_and_the_music_goes_on(
    tmp_path: Path, model: Path
) -> None:
    (tmp_path / "file").write_text("")
    evening = Evening(tmp_path / "file" / "list.json", model)
    with evening.session:
        evening.session.store_preset(1)
        evening.run()
        before = len(note_ons(evening.stage.sent))
        evening.run(3.0)
    told = [line for line in evening.told if "cannot write the set list" in line]
    assert len(told) == 1
    assert len(note_ons(evening.stage.sent)) > before


def a_list(folder: Path, model: Path) -> dict[str, Any]:
    """The file of a set list with one preset."""
    evening = Evening(folder / "made.json", model)
    with evening.session:
        evening.stage.perform(PHRASE)
        evening.run()
        evening.session.store_preset(1)
        evening.run()
    whole: dict[str, Any] = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    return whole


def _preset(whole: dict[str, Any], **changed: Any) -> dict[str, Any]:
    preset = {**whole["presets"]["1"], **changed}
    return {**whole, "presets": {"1": {k: v for k, v in preset.items() if v is not None}}}


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not a list": (lambda whole: [1], "no set list"),
    "another file": (lambda whole: {"log": "midirnn"}, "no set list"),
    "a later format": (lambda whole: {**whole, "format": 2}, "format 2"),
    "no presets": (lambda whole: {**whole, "presets": []}, "no presets"),
    "a number": (lambda whole: {**whole, "presets": {"129": {}}}, "1 to 128"),
    "no number": (lambda whole: {**whole, "presets": {"one": {}}}, "1 to 128"),
    "no state": (lambda whole: _preset(whole, state=None), "needs a name"),
    "a broken state": (lambda whole: _preset(whole, state="AAAA"), "store it again"),
    "no base64": (lambda whole: _preset(whole, state="ü!"), "store it again"),
    "a mode": (lambda whole: _preset(whole, mode="samba"), "samba"),
    "a knob": (lambda whole: _preset(whole, knobs={"volume": 1}), "volume"),
    "a value": (lambda whole: _preset(whole, knobs={"density": 1e9}), "0.5 to 32"),
    "a style": (lambda whole: _preset(whole, style={"loudness": "high"}), "loudness"),
    "a trait": (lambda whole: _preset(whole, style={"groove": 1.0}), "groove"),
    "a codec": (lambda whole: {**whole, "codec": "text"}, "codec text"),
    "a cell": (lambda whole: {**whole, "cell": "gru 1 x 16"}, "cell gru 1 x 16"),
    "weights": (lambda whole: {**whole, "weights_sha256": "0" * 64}, "weights 000000000000"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_in_one_line(fault: str, tmp_path: Path, model: Path) -> None:
    make, words = FAULTS[fault]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(make(a_list(tmp_path, model))), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(OptionError, match=r"^the set list .*list\.json is refused: ") as found:
        SetList.open(path, load(str(model)))
    assert words in str(found.value)
    assert "\n" not in str(found.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_broken_files_are_refused(content: bytes, tmp_path: Path, model: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(content)
    if not content:
        assert SetList.open(path, load(str(model))).scenes == {}
        return
    with pytest.raises(OptionError, match="the set list"):
        SetList.open(path, load(str(model)))


def test_a_list_of_another_model_is_refused_and_names_it(tmp_path: Path, model: Path) -> None:
    a_list(tmp_path, model)
    made = tiny_model()
    config = replace(made.config, hidden_size=8)
    rng = np.random.default_rng(1)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    other = tmp_path / "other"
    other.mkdir()
    write_checkpoint(other, config, PerformanceCodec(), weights, {})
    with pytest.raises(OptionError, match=r"cell lstm 1 x 16\); this session plays .*1 x 8\)"):
        Rig(LiveConfig(model=str(other), set_list=tmp_path / "made.json"))


def test_a_state_is_the_same_as_text(model: Path) -> None:
    evening = Evening(None, model)
    with evening.session:
        evening.run()
    state = evening.state
    again = state_from_text(state_to_text(state), like=state)
    assert all(np.array_equal(a, b) for a, b in zip(state.state, again.state, strict=True))
    assert np.array_equal(state.logits, again.logits)
    assert state_to_text(again) == state_to_text(state)


def test_a_recording_with_a_set_list_replays_bit_for_bit(tmp_path: Path, model: Path) -> None:
    a_list(tmp_path, model)
    config = LiveConfig(
        model=str(model),
        mode="autopilot",
        seed=1,
        spare=False,
        record=tmp_path / "takes",
        set_list=tmp_path / "made.json",
    )
    with Rig(config, output=MemoryOutput()) as rig:
        rig.session.load_preset(1)
        rig.session.store_preset("Again")
        rig.run(seconds=1.5)
    log = read_log(next((tmp_path / "takes").glob("*.jsonl")))
    result = replay(log)
    assert result.difference is None
    assert result.notes_sent > 0
    names = json.loads((tmp_path / "made.json").read_text(encoding="utf-8"))["presets"]
    assert [preset["name"] for preset in names.values()] == ["preset 1", "Again"]
