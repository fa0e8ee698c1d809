"""Tuning a model to somebody's playing: small, honest about its gain, refused when it is none."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn import Performance, load, read_midi, write_midi
from midirnn.cli import tune as command
from midirnn.cli.main import main
from midirnn.engines.adapters import (
    ADAPTER_FILE,
    CHANGES_FILE,
    Adapter,
    changes_between,
    hash_of,
    read_adapter,
    write_adapter,
)
from midirnn.errors import CheckpointError, DatasetError, OptionError
from midirnn.live import LiveConfig
from midirnn.live.output import scheduler
from midirnn.live.rig import Rig
from midirnn.models.checkpoint import write_checkpoint
from midirnn.performance import Part
from midirnn.ports import MemoryOutput
from midirnn.training import tuning
from midirnn.training.tuning import (
    TuningConfig,
    base_music,
    base_name,
    split,
    split_by_time,
    tune,
)
from tests.live.stage import write_tiny_model


def playing(notes: int = 3000, seed: int = 0) -> Performance:
    """A player who repeats a figure, a little different each time."""
    rng = np.random.default_rng(seed)
    figure = np.array([60, 64, 67, 72, 67, 64])
    start = np.arange(notes) * 0.11
    return Performance(
        pitch=np.resize(figure, notes),
        velocity=70 + rng.integers(0, 8, notes),
        start=start,
        end=start + 0.1,
        part=np.zeros(notes),
        parts=(Part(),),
    )


@pytest.fixture(autouse=True)
def no_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A tuned model of the tiny one, and what the command printed."""
    folder = tmp_path_factory.mktemp("tuned")
    write_midi(playing(), folder / "mine.mid")
    printed = io.StringIO()
    flags = ["--steps", "40", "--learning-rate", "0.01", "--rank", "4"]
    with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "OWN_PIECES", 7)
        patch.setattr(command, "OWN_SECONDS", 8.0)
        files = [str(folder / "mine.mid"), "-o", str(folder / "mine")]
        code = main(["tune", *files, "--model", str(base), *flags])
    assert code == 0
    return folder / "mine", printed.getvalue()


def test_a_tuned_model_knows_the_player_better_and_says_at_what_price(
    tuned: tuple[Path, str],
) -> None:
    folder, printed = tuned
    lines = printed.splitlines()
    yours = [float(word) for word in lines[1].removeprefix("your playing, kept aside").split()]
    assert yours[1] < yours[0]
    assert yours[2] == pytest.approx(yours[1] - yours[0], abs=0.002)
    assert lines[2].startswith("the model's own music")
    assert lines[4].startswith("different figures of 4")
    assert lines[5].startswith("longest copy, notes")
    info = read_adapter(folder).info
    assert info["kind"] == "adapter"
    assert info["nats"]["yours"] == pytest.approx(yours[:2], abs=0.001)


def test_a_tuned_model_is_loaded_like_any_other(tuned: tuple[Path, str], base: Path) -> None:
    folder, _ = tuned
    model, before = load(folder), load(base)
    assert model.config == before.config
    assert any((model.weights[name] != before.weights[name]).any() for name in before.weights)
    assert model.info["tuned"]["base"] == str(base)


def test_a_tuned_model_plays_from_the_command_line(tuned: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = tuned
    target = tmp_path / "x.mid"
    assert main(["generate", "--model", str(folder), "--seconds", "5", "-o", str(target)]) == 0
    assert read_midi(target).duration <= 5.0


def test_info_says_what_a_tuned_model_is(tuned: tuple[Path, str], base: Path, capsys: Any) -> None:
    assert main(["info", str(tuned[0]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [found] = found if isinstance(found, list) else [found]
    assert found["info"]["tuned"]["base"] == str(base)
    before, after = found["info"]["tuned"]["nats"]["yours"]
    assert after < before


def test_a_session_with_a_tuned_model_is_recorded_and_replayed(
    tuned: tuple[Path, str], tmp_path: Path
) -> None:
    config = LiveConfig(
        mode="autopilot", model=str(tuned[0]), seed=1, record=tmp_path, spare=False, seconds=3.0
    )
    with Rig(config, output=MemoryOutput()) as rig:
        rig.run()
    [log] = tmp_path.glob("*.jsonl")
    assert main(["replay", str(log)]) == 0


def test_another_base_is_refused(tuned: tuple[Path, str], base: Path, tmp_path: Path) -> None:
    folder, _ = tuned
    other = tmp_path / "base"
    shutil.copytree(base, other)
    model = load(base)
    weights = {name: array * 1.5 for name, array in model.weights.items()}
    write_checkpoint(other, model.config, model.codec, weights, {})
    mine = tmp_path / "mine"
    shutil.copytree(folder, mine)
    content = json.loads((mine / ADAPTER_FILE).read_text())
    (mine / ADAPTER_FILE).write_text(json.dumps(content | {"base": str(other)}))
    with pytest.raises(CheckpointError, match="was tuned from another"):
        load(mine)


@pytest.mark.parametrize("damage", ["cut", "lonely", "json", "version"])
def test_a_damaged_adapter_is_told_in_a_line(
    tuned: tuple[Path, str], tmp_path: Path, damage: str
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(tuned[0], mine)
    changes, about = mine / CHANGES_FILE, mine / ADAPTER_FILE
    if damage == "cut":
        changes.write_bytes(changes.read_bytes()[:-50])
    elif damage == "lonely":
        adapter = read_adapter(mine)
        kept = {key: array for key, array in adapter.changes.items() if not key.endswith(".down")}
        write_adapter(mine, Adapter(adapter.base, adapter.base_hash, kept, {}))
    elif damage == "json":
        about.write_text("{")
    else:
        content = json.loads(about.read_text())
        about.write_text(json.dumps(content | {"format_version": 9}))
    with pytest.raises(CheckpointError, match=r"damaged adapter|format version 9"):
        load(mine)


def test_the_rank_is_exact_where_the_change_has_it() -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(size=(40, 30)), "b": rng.normal(size=40), "same": np.ones((9, 9))}
    base = {name: array.astype(np.float32) for name, array in base.items()}
    change = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30))
    after = base | {"w": (base["w"] + change).astype(np.float32), "b": base["b"] + 1}
    changes = changes_between(base, after, 2)
    assert set(changes) == {"w.up", "w.down", "b.change"}
    applied = Adapter("base", "", changes, {}).apply(base)
    for name in base:
        np.testing.assert_allclose(applied[name], after[name], atol=1e-4)


def test_a_base_is_found_again_from_another_folder(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base.parent)
    assert base_name(load(base.name)) == str(base)
    assert base_name(load("piano-small")) == "piano-small"


def test_playing_is_split_by_time_in_what_is_learned_stops_and_measures() -> None:
    first, second = playing(60), playing(40, seed=1)
    train, validation, test = split_by_time([first, second], (0.3, 0.2))
    whole = first.duration + second.duration
    assert sum(piece.duration for piece in train) == pytest.approx(0.5 * whole, abs=0.2)
    assert [len(piece) for piece in train] == [50]
    assert [len(piece) for piece in validation] == [10, 20]
    assert [len(piece) for piece in test] == [20]


def test_too_little_playing_is_refused(base: Path) -> None:
    with pytest.raises(DatasetError, match="about three minutes of playing"):
        split(load(base), [playing(100)], TuningConfig())


class Measured:
    """Notes each weighing of a piece of tokens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lengths: list[int] = []
        original = tuning.evaluate

        def noting(network: Any, codec: Any, pieces: Any, **more: Any) -> Any:
            self.lengths += [len(piece) for piece in pieces]
            return original(network, codec, pieces, **more)

        monkeypatch.setattr(tuning, "evaluate", noting)


def test_the_gain_is_measured_where_nothing_was_learned_or_chosen(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, config = load(base), TuningConfig(steps=10, learning_rate=0.01)
    parts = split(model, [playing()], config)
    measured, original = Measured(monkeypatch), tuning.best_share

    def unmeasured_yet(*args: Any) -> float:
        found = original(*args)
        assert len(parts.test[0]) not in measured.lengths
        return found

    monkeypatch.setattr(tuning, "best_share", unmeasured_yet)
    tune(model, parts, base_music(model, [playing(300, seed=5)] * 2), config)
    assert measured.lengths.count(len(parts.test[0])) == 2


def test_most_of_the_models_own_music_is_mixed_in_and_one_piece_in_six_is_measured(
    base: Path,
) -> None:
    model = load(base)
    own = [playing(20 + number) for number in range(13)]
    lengths = [len(model.codec.encode(piece)) for piece in own]
    music = base_music(model, own)
    assert [len(piece) for piece in music.own] == lengths[::6]
    assert [len(piece) for piece in music.mixed] == lengths[1:6] + lengths[7:12]


def test_only_the_initial_state_takes_kilobytes_and_is_begun_from(
    base: Path, tmp_path: Path
) -> None:
    model, config = load(base), TuningConfig(kind="state", steps=20)
    tuned = tune(model, split(model, [playing()], config), base_music(model, []), config)
    begun = tuned.changes["beginnings"]
    assert begun.after < begun.before
    assert set(tuned.adapter.changes) == {"initial.0", "initial.1"}
    folder = tmp_path / "mine"
    folder.mkdir()
    write_adapter(folder, tuned.adapter)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10_000
    mine = load(folder)
    assert mine.initial is not None
    for kind in ("numpy", "auto"):
        [engine] = mine.lanes(1, kind) if kind == "numpy" else [mine.engine(kind)]
        assert not np.array_equal(engine.logits(), model.engine(kind).logits())
    np.testing.assert_allclose(mine.engine("numpy").logits(), mine.lanes(2)[1].logits(), atol=1e-5)


def test_the_price_of_an_initial_state_is_measured_too(base: Path) -> None:
    model, config = load(base), TuningConfig(kind="state", steps=20)
    parts = split(model, [playing()], config)
    music = base_music(model, [playing(200)] * 6, [model.codec.encode(playing(200, seed=3))])
    found = tune(model, parts, music, config).changes
    assert set(found) == {"yours", "own", "base_test", "beginnings"}
    assert found["base_test"].after != found["base_test"].before


def test_an_initial_state_that_does_not_help_is_an_error(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midirnn.training.initial_state.LEARNING_RATE", 0.0)
    model, config = load(base), TuningConfig(kind="state", steps=1)
    with pytest.raises(DatasetError, match="tuning did not help: no initial state"):
        tune(model, split(model, [playing()], config), base_music(model, []), config)


def test_what_measures_a_tuned_model_begins_in_its_state(
    base: Path, tmp_path: Path, capsys: Any
) -> None:
    model, piece = load(base), playing(40)
    adapter = Adapter(str(base), hash_of(base), {}, {})
    layout = [np.full_like(part, 20.0) for part in model.engine("numpy").initial]
    changes = {f"initial.{number}": part for number, part in enumerate(layout)}
    (tmp_path / "mine").mkdir()
    write_adapter(tmp_path / "mine", replace(adapter, changes=changes))
    (tmp_path / "music").mkdir()
    write_midi(piece, tmp_path / "music" / "a.mid")
    shares = ["--validation-share", "0", "--test-share", "0"]
    assert main(["encode", str(tmp_path / "music"), "-o", str(tmp_path / "data"), *shares]) == 0
    nats: dict[str, list[float]] = {"base": [], "mine": []}
    for name, folder in (("base", base), ("mine", tmp_path / "mine")):
        for measuring in (
            ["evaluate", str(folder), str(tmp_path / "data"), "--split", "train"],
            ["likelihood", str(tmp_path / "music" / "a.mid"), "--model", str(folder)],
        ):
            capsys.readouterr()
            assert main([*measuring, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            found = found.get("all", found)
            nats[name].append(found["nats_per_token"])
    assert nats["mine"] == pytest.approx([nats["mine"][0]] * 2, rel=1e-5)
    assert nats["base"] == pytest.approx([nats["base"][0]] * 2, rel=1e-5)
    assert abs(nats["mine"][0] - nats["base"][0]) > 1e-4


def test_a_state_of_another_model_is_refused(tuned: tuple[Path, str], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(tuned[0], mine)
    adapter = read_adapter(mine)
    write_adapter(mine, replace(adapter, changes={"initial.0": np.zeros((3, 5), np.float32)}))
    with pytest.raises(CheckpointError, match="begins in a state of another model"):
        load(mine)


def test_all_weights_may_change(base: Path, tmp_path: Path) -> None:
    model, config = load(base), TuningConfig(kind="all", steps=20, learning_rate=0.01)
    tuned = tune(model, split(model, [playing()], config), base_music(model, []), config)
    assert tuned.changes["yours"].difference < 0
    assert not any(key.endswith(".up") for key in tuned.adapter.changes)


def test_a_share_of_an_adapter_makes_a_share_of_the_change() -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(size=(40, 30)).astype(np.float32), "b": np.zeros(4, np.float32)}
    after = {name: array + rng.normal(size=array.shape) for name, array in base.items()}
    adapter = Adapter("base", "", changes_between(base, after, 3), {})
    whole, half = adapter.apply(base), adapter.scaled(0.5).apply(base)
    for name in base:
        np.testing.assert_allclose(
            half[name] - base[name], 0.5 * (whole[name] - base[name]), atol=1e-5
        )


@pytest.mark.parametrize(
    ("price", "best"),
    [
        (0.0, 1.0),
        (0.05, 0.55),  # 0.7 of it would cost 0.035
        (9.0, 0.25),  # all are too dear: then the cheapest
    ],
)
def test_the_share_of_a_change_is_the_best_whose_price_may_be(
    monkeypatch: pytest.MonkeyPatch, base: Path, price: float, best: float
) -> None:
    def nats(model: Any, weights: Any, pieces: Any, *, bf16: bool = False) -> float:
        share = float(weights["w"][0])
        return 3.0 - share if pieces == "validation" else 2.0 + price * share

    monkeypatch.setattr(tuning, "nats", nats)
    model = replace(load(base), weights={"w": np.zeros(1, np.float32)})
    whole = Adapter("base", "", {"w.change": np.ones(1, np.float32)}, {})
    assert tuning.best_share(model, whole, "validation", "own") == best  # type: ignore[arg-type]


def test_a_smaller_share_that_is_nearly_as_good_is_taken(
    monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    gains = {0.0: 0.0, 0.25: 0.10, 0.4: 0.15, 0.55: 0.18, 0.7: 0.197, 0.85: 0.2, 1.0: 0.199}

    def nats(model: Any, weights: Any, pieces: Any, *, bf16: bool = False) -> float:
        return 3.0 - gains[round(float(weights["w"][0]), 2)]

    monkeypatch.setattr(tuning, "nats", nats)
    model = replace(load(base), weights={"w": np.zeros(1, np.float32)})
    whole = Adapter("base", "", {"w.change": np.ones(1, np.float32)}, {})
    assert tuning.best_share(model, whole, []) == 0.7


def test_a_tuning_ends_by_steps_or_minutes_whichever_comes_first() -> None:
    recipe = tuning._recipe(TuningConfig(minutes=2.0), longest=1000)
    half = recipe.total_steps // 2
    assert recipe.done(half, 30.0) == 0.5
    assert recipe.done(0, 60.0) == 0.5
    assert recipe.done(half, 90.0) == 0.75
    assert tuning._recipe(TuningConfig(steps=30), longest=1000).done(15, 1e6) == 0.5


def test_a_blend_is_played_from_the_command_line(tuned: tuple[Path, str], tmp_path: Path) -> None:
    made = {}
    for blend in ("0", "0.5", "1"):
        target = tmp_path / f"{blend}.mid"
        flags = ["--blend", blend, "--seconds", "5", "--seed", "1", "-o", str(target)]
        assert main(["generate", "--model", str(tuned[0]), *flags]) == 0
        made[blend] = target.read_bytes()
    assert len(set(made.values())) == 3
    base = tmp_path / "base.mid"
    flags = ["--seconds", "5", "--seed", "1", "-o", str(base)]
    assert main(["generate", "--model", load(tuned[0]).base.name, *flags]) == 0  # type: ignore[union-attr]
    assert base.read_bytes() == made["0"]


def test_what_is_not_tuned_cannot_be_blended(base: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "x.mid"
    assert main(["generate", "--model", str(base), "--blend", "0.5", "-o", str(target)]) == 1
    assert "is no tuned model" in capsys.readouterr().err
    assert not target.exists()


def test_tuning_that_does_not_help_writes_nothing(
    base: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_midi(playing(1500), tmp_path / "a.mid")
    target = tmp_path / "mine"
    monkeypatch.setattr(command, "OWN_PIECES", 7)
    monkeypatch.setattr(command, "OWN_SECONDS", 5.0)
    flags = ["--steps", "1", "--learning-rate", "1e-6", "--rank", "1"]
    arguments = [str(tmp_path / "a.mid"), "-o", str(target), "--model", str(base), *flags]
    code = main(["tune", *arguments])
    told = capsys.readouterr().err
    assert (code, "did not help" in told) in ((0, False), (1, True))
    assert target.exists() is (code == 0)


def recording(folder: Path) -> Path:
    """A recorded session: the performer's notes and the model's on parts of their own."""
    mine, theirs = playing(1500), playing(1500, seed=1).transpose(12)
    both = Performance(
        pitch=np.concatenate([mine.pitch, theirs.pitch]),
        velocity=np.concatenate([mine.velocity, theirs.velocity]),
        start=np.concatenate([mine.start, theirs.start + 0.05]),
        end=np.concatenate([mine.end, theirs.end + 0.05]),
        part=np.repeat([0, 1], 1500),
        parts=(Part(name="performer"), Part(name="model")),
    )
    path = folder / "session.mid"
    write_midi(both, path)
    return path


def test_of_a_recorded_session_the_performers_notes_are_taken(tmp_path: Path, base: Path) -> None:
    path, model = recording(tmp_path), load(base)
    mine, both = (command._played(model.codec, path, of) for of in ("performer", "both"))
    assert (len(mine), len(both)) == (1500, 3000)
    assert set(mine.pitch) == {60, 64, 67, 72}


def test_of_a_folder_what_cannot_be_learned_from_is_left_out(
    tmp_path: Path, base: Path, capsys: Any
) -> None:
    codec, folder = load(base).codec, tmp_path / "takes"
    folder.mkdir()
    session = read_midi(recording(tmp_path))
    write_midi(session, folder / "a.mid")
    write_midi(session.select(session.part == 1), folder / "b.mid")
    (folder / "c.mid").write_bytes(b"MThd\0\0")
    (folder / "a.jsonl").write_text("{}")
    [piece] = command._all_played(codec, [folder], "performer")
    assert len(piece) == 1500
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[0].startswith("left out: ") and "no note of the performer" in told[0]
    (folder / "a.mid").unlink()
    with pytest.raises(OptionError, match="all files were left out"):
        command._all_played(codec, [folder], "performer")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--kind", "foo"),
        ("--rank", "0"),
        ("--price-on", "no-data"),
        *(
            ("--kind", "state", flag, "1")
            for flag in ("--minutes", "--learning-rate", "--rank", "--base-share")
        ),
        ("--kind", "all", "--rank", "16"),
    ],
)
def test_a_wrong_setting_is_told_before_any_file_is_read(
    tmp_path: Path, base: Path, capsys: Any, wrong: tuple[str, ...]
) -> None:
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "broken.mid").write_bytes(b"MThd")
    write_midi(playing(1500), tmp_path / "takes" / "a.mid")
    argv = ["tune", str(tmp_path / "takes"), "-o", str(tmp_path / "m"), "--model", str(base)]
    assert main([*argv, *wrong]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "left out" not in line


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["missing.mid", "-o", "m"], "missing.mid"),
        (["take.jsonl", "-o", "m"], "is not a MIDI file"),
        ([".", "-o", "m"], "holds no MIDI file"),
        (["a.mid", "-o", "m", "--of", "me"], "allowed are performer, both"),
        (["a.mid", "-o", "m", "--rank", "-1"], "allowed are 1 to 4,096"),
        (["a.mid", "-o", "m", "--kind", "some"], "allowed are state, adapter, all"),
        (["a.mid", "-o", "m", "--price-on", "no-such-data"], "no-such-data"),
        (["broken.mid", "-o", "m"], "broken.mid"),
        (["silent.mid", "-o", "m"], "too little to learn from"),
        (["guest.mid", "-o", "m"], "holds no note of the performer"),
        (["a.mid", "-o", "m", "--model", "folk"], "midirnn tune"),
        (["a.mid", "-o", "full"], "holds something else"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    base: Path,
    arguments: list[str],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    name = arguments[0]
    if name == "broken.mid":
        Path(name).write_bytes(b"MThd\0\0")
    elif name == "take.jsonl":
        Path(name).write_text("{}")
    elif name == "silent.mid":
        write_midi(playing(0), Path(name))
    elif name == "guest.mid":
        session = read_midi(recording(tmp_path))
        write_midi(session.select(session.part == 1), Path(name))
    elif name == "a.mid":
        write_midi(playing(1500), Path(name))
    model = [] if "--model" in arguments else ["--model", str(base)]
    assert main(["tune", *arguments, *model]) != 0
    told = capsys.readouterr().err
    assert why in told
    assert told.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_the_hash_of_a_tuned_model_depends_on_its_changes(tuned: tuple[Path, str]) -> None:
    assert len(hash_of(tuned[0])) == 64
    assert TuningConfig().rank == 16
