"""A tuned model in the model process: blended by a knob, taken up and given back between tokens."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from midirnn import load
from midirnn.errors import CheckpointError
from midirnn.live.base.messages import (
    Adopt,
    Begin,
    Knobs,
    ModelSettings,
    Plan,
    Planned,
    PlannedEvent,
    Prepare,
    Request,
    Rewind,
    Save,
    Saved,
    TakeUp,
)
from midirnn.live.improviser.server import ModelServer
from midirnn.models.checkpoint import write_checkpoint
from midirnn.sampling.filters import SamplingConfig
from tests.live.stage import write_tiny_model
from tests.live.tunings import write_tuned

PLAN = Plan(sent=-1, earliest_step=0, until_step=300, tokens=200)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tuned(tmp_path_factory.mktemp("tuned") / "mine", base)


def server_of(model: Path | str, *, tunable: bool = False, blend: float = 1.0) -> ModelServer:
    settings = ModelSettings(str(model), "numpy", seed=1, tunable=tunable, blend=blend)
    return ModelServer.load(settings)


def ask(server: ModelServer, *requests: Request) -> list[PlannedEvent]:
    replies = [reply for request in requests for reply in server.handle(request)]
    return [event for reply in replies if isinstance(reply, Planned) for event in reply.events]


def plan_of(server: ModelServer, *first: Request) -> list[PlannedEvent]:
    return ask(server, *first, Begin(0), PLAN)


def knobs(blend: float) -> Knobs:
    return Knobs(SamplingConfig(), blend=blend)


def test_the_knob_goes_from_the_base_to_the_tuned_model(tuned: str) -> None:
    plans = [plan_of(server_of(tuned), knobs(blend)) for blend in (0.0, 0.5, 1.0)]
    assert all(a != b for a, b in pairwise(plans))
    assert plans[-1] == plan_of(server_of(tuned))


def test_a_session_begins_at_the_blend_of_its_settings(base: Path, tuned: str) -> None:
    assert plan_of(server_of(tuned, blend=0.0)) == plan_of(server_of(base))


def test_a_model_that_is_not_tuned_ignores_the_knob(base: Path) -> None:
    assert plan_of(server_of(base), knobs(0.3)) == plan_of(server_of(base))


@pytest.mark.parametrize("prepared", [True, False])
def test_a_tuned_model_is_taken_up_and_given_back(base: Path, tuned: str, prepared: bool) -> None:
    first: Iterable[Request] = (Prepare(tuned), TakeUp(tuned)) if prepared else (TakeUp(tuned),)
    untouched = plan_of(server_of(base))
    server = server_of(base, tunable=True)
    assert plan_of(server) == untouched
    changed = ask(server, Rewind(1, -1), *first, Begin(0), PLAN)
    assert changed
    back = ask(server, Rewind(2, -1), TakeUp(None), Begin(0), PLAN)
    other = server_of(base)
    plan_of(other)
    ask(other, Rewind(1, -1))
    assert changed != ask(other, Begin(0), PLAN)
    assert back == ask(other, Rewind(2, -1), Begin(0), PLAN)


def test_what_was_tuned_before_the_session_is_what_is_gone_back_to(
    tuned: str, base: Path, tmp_path: Path
) -> None:
    other = write_tuned(tmp_path / "other", base, seed=7)
    server, plain = server_of(tuned, tunable=True), server_of(tuned)
    assert plan_of(server, TakeUp(other)) != plan_of(plain)
    ask(plain, Rewind(1, -1))
    assert ask(server, Rewind(1, -1), TakeUp(None), Begin(0), PLAN) == ask(plain, Begin(0), PLAN)


def test_a_process_that_takes_over_goes_on_with_the_tuned_model(base: Path, tuned: str) -> None:
    server = server_of(base, tunable=True)
    ask(server, TakeUp(tuned), knobs(0.7))
    [saved] = server.handle(Save())
    assert isinstance(saved, Saved)
    heir = server_of(base, tunable=True)
    assert ask(heir, Adopt(saved.state), Begin(0), PLAN) == ask(server, Begin(0), PLAN)


def test_a_model_tuned_from_another_base_is_refused(base: Path, tuned: str, tmp_path: Path) -> None:
    other = tmp_path / "base"
    shutil.copytree(base, other)
    model = load(base)
    weights = {name: np.float32(1.5) * array for name, array in model.weights.items()}
    write_checkpoint(other, model.config, model.codec, weights, {})
    server = server_of(other, tunable=True)
    with pytest.raises(CheckpointError, match="is not tuned from"):
        ask(server, TakeUp(tuned))
