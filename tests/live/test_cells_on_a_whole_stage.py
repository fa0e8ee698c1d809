"""Whole sessions with small models of other cells: presets, following, recovery, and silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.engines.load import Model
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.base.messages import Blend, Knobs, Recall, Store
from midirnn.live.improviser.server import ModelServer
from midirnn.models.checkpoint import expected_shapes
from midirnn.models.config import ModelConfig
from midirnn.ports import MemoryOutput
from midirnn.sampling import Sampler, SamplingConfig
from tests.live.flaky import FlakyModel
from tests.live.stage import note, note_ons, sounding

CODEC = PerformanceCodec()


def model_of(cell: str) -> Model:
    """A small model of that cell with all inputs, whose weights are random."""
    rng = np.random.default_rng(0)
    config = ModelConfig(
        vocab_size=CODEC.vocab_size,
        cell=cell,
        embedding_size=12,
        hidden_size=12,
        num_layers=2,
        held_input=True,
        recall_notes=64,
        control_inputs=True,
        style_inputs=True,
    )
    weights = {
        name: (rng.standard_normal(shape) * 0.2).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    shifts = CODEC.vocabulary.slice_of(TokenType.TIME_SHIFT)
    weights["output.bias"][shifts] += 1.0 - 0.1 * np.arange(shifts.stop - shifts.start)
    return Model(cell, Path(), config, CODEC, weights, {})


class OfCell(FlakyModel):
    """A model of some cell that can be lost."""

    def __init__(self, clock: ManualClock, cell: str) -> None:
        self._model = model_of(cell)
        super().__init__(clock)

    def _serve(self) -> None:
        engine = NumpyEngine(self._model.config, self._model.weights)
        sampling = SamplingConfig(max_note_seconds=self.max_note_seconds)
        self.sampler = Sampler(engine, CODEC, sampling, seed=self._seed)  # type: ignore[assignment]
        self.server = ModelServer(self.sampler, start_seconds=self.start_seconds)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_a_whole_session_with_presets_and_recovery(cell: str) -> None:
    clock, troubles = ManualClock(200.0), list[str]()
    output, model = MemoryOutput(clock=clock.now), OfCell(clock, cell)
    config = LiveConfig(answer_seconds=4.0, guard=False)
    session = Session(
        model, output, "call_and_response", config, clock=clock, on_trouble=troubles.append
    )

    def play(phrase: list[tuple[float, tuple[int, ...]]], seconds: float) -> int:
        """The number of notes that the model answers with."""
        begin, before = clock.now(), len(output.sent)
        for at, message in phrase:
            when = begin + at
            clock.at(when, lambda when=when, message=message: session.receive(message, when))  # type: ignore[misc]
        session.run(seconds, sending_thread=False)
        return len(note_ons(output.sent[before:]))

    phrase = [event for i in range(10) for event in note(0.2 * i, 0.2 * i + 0.15, 60 + i)]
    with session:
        assert play(phrase, 8.0) > 3
        session.store_preset(1)
        assert play(phrase[:8], 8.0) > 3
        session.store_preset(2)
        session.load_preset(1)
        session.turn("crossfade", 0.5)
        session.turn("density", 12.0)
        assert play(phrase, 8.0) > 10
        clock.at(clock.now() + 4.0, model.kill)  # in the midst of an answer
        play(phrase, 8.0)
        assert model.restarts == 1
        assert troubles == ["the model process has died: it is started again"]
        session.load_preset(2)  # the model that took over has it
        session.undo()
        session.set_mode("duet")
        assert play(phrase, 8.0) > 10
    assert sounding(message for _, message in output.sent) == set()
    kinds = {type(request) for request in model.asked}
    assert {Store, Recall, Blend, Knobs} <= kinds
    styles = [r.controls.style for r in model.asked if isinstance(r, Knobs)]
    assert any(style is not None for style in styles)
