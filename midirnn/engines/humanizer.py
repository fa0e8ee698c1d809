"""The humanizer in numpy: reads a score and plays it, without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import threadpoolctl

from midirnn.engines.load import find_model
from midirnn.engines.numpy_cells import State, SummedLayer
from midirnn.errors import CheckpointError
from midirnn.models.cells import CELLS, SummedCell
from midirnn.models.checkpoint import Weights, read_checkpoint
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.scores.expression import Expression
from midirnn.scores.quantities import HISTORY, QUANTITIES, Quantity, history_of
from midirnn.scores.score import Score
from midirnn.scores.traits import traits_of

Array = npt.NDArray[np.float32]

Choose = Callable[[Quantity, Array], float]
"""Returns the value of a quantity for one note, given its classes' probabilities."""


class HumanizerEngine:
    """Plays scores with the weights of a trained humanizer, in fp32."""

    def __init__(self, config: HumanizerConfig, weights: Weights, info: dict[str, Any]) -> None:
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        self.config, self.info = config, info
        self._weights = weights
        self._encoder = [
            [_Layer(weights, f"{name}.{layer}") for name in ("forwards", "backwards")]
            for layer in range(config.encoder_layers)
        ]
        self._decoder = _Layer(weights, "decoder")
        edges = np.cumsum(list(config.outputs.values()))
        self._classes = [
            slice(e - n, e) for e, n in zip(edges, config.outputs.values(), strict=True)
        ]

    def encode(self, traits: Array) -> tuple[Array, Array]:
        """Return the states s (N, S) and the context C (S,) for traits (N, F)."""
        x = np.tanh(self._linear("embedding", traits))
        for ahead, behind in self._encoder:
            forwards, last = ahead.run(x)
            backwards, first = behind.run(x[::-1])
            x = np.concatenate([forwards, backwards[::-1]], axis=1)
        return x, np.concatenate([last, first])

    def play(
        self, score: Score, choose: Choose, progress: Callable[[int, int], None] | None = None
    ) -> Expression:
        """Return an expression whose values are chosen note by note, given the notes before."""
        begins = np.diff(score.chord, prepend=-1) > 0
        return _expression(score, self.values(traits_of(score), begins, choose, progress))

    def values(
        self,
        traits: Array,
        begins: npt.NDArray[np.bool_],
        choose: Choose,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Return the value of each quantity at each note, (N, Q), chosen note by note.

        ``begins`` (N,) is true for the first note of each chord: the others have its tempo and
        pedal.
        """
        states, context = self.encode(traits)
        values = np.full((len(traits), len(QUANTITIES)), np.nan, np.float32)
        before = [np.zeros(HISTORY, np.float32)]
        for note, logits in self._steps(states, context, before):
            for index, quantity in enumerate(QUANTITIES):
                if quantity.of_chord and not begins[note]:
                    values[note, index] = values[note - 1, index]
                else:
                    probabilities = _softmax(logits[self._classes[index]])
                    values[note, index] = choose(quantity, probabilities)
            if progress is not None:
                progress(note + 1, len(traits))
            before[0] = history_of(values[note])
        return values

    def means(self, traits: Array) -> Array:
        """Return the mean of each quantity at each note, given the score alone; ``(N, Q)``."""
        states, context = self.encode(traits)
        nothing = [np.zeros(HISTORY, np.float32)]
        rows = np.stack([logits for _, logits in self._steps(states, context, nothing)])
        columns = [
            _softmax(rows[:, classes]) @ np.array(quantity.centres)
            for quantity, classes in zip(QUANTITIES, self._classes, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _steps(
        self, states: Array, context: Array, before: Sequence[Array]
    ) -> Iterator[tuple[int, Array]]:
        """Yield each note and its logits; ``before`` holds how the last note was played."""
        config = self.config
        begin = np.tanh(self._linear("start", context))
        state: State = list(begin.reshape(2, -1))
        read = states if config.aligned else states[:, :0]
        # What the states contribute is computed for all notes at once.
        given = read @ self._decoder.w_ih[:, HISTORY:].T + self._decoder.bias
        heads = self._weights["heads.weight"]
        seen = read @ heads[:, config.decoder_size :].T + self._weights["heads.bias"]
        w_history = np.ascontiguousarray(self._decoder.w_ih[:, :HISTORY])
        w_heads = np.ascontiguousarray(heads[:, : config.decoder_size])
        for note in range(len(states)):
            h, state = self._decoder.step(given[note] + w_history @ before[0], state)
            yield note, seen[note] + w_heads @ h

    def _linear(self, name: str, x: Array) -> Array:
        y: Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return y


class _Layer:
    """An LSTM layer that takes its input already projected."""

    def __init__(self, weights: Weights, name: str) -> None:
        cell = CELLS["lstm"]
        assert isinstance(cell, SummedCell)
        own = {part: weights[f"{name}.{part}"] for part in ("weight_ih", "weight_hh", "bias")}
        self._layer = SummedLayer(cell, own, is_first=True)
        self.w_ih = own["weight_ih"] * self._layer.scale[:, None]
        self.bias = own["bias"] * self._layer.scale
        self._size = own["weight_hh"].shape[1]

    def step(self, projected: Array, state: State) -> tuple[Array, State]:
        """Return the output and the next state, given the scaled projection of the input."""
        return self._layer.step_projected([projected], state)

    def run(self, x: Array) -> tuple[Array, Array]:
        """Return the outputs (N, H) for inputs (N, I), and the last of them."""
        projected = x @ self.w_ih.T + self.bias
        outputs = np.empty((len(x), self._size), np.float32)
        zeros = np.zeros(self._size, np.float32)
        state: State = (zeros, zeros)
        for index, row in enumerate(projected):
            outputs[index], state = self.step(row, state)
        return outputs, outputs[-1]


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def _expression(score: Score, values: Array) -> Expression:
    """Return the values (N, Q) of notes as an expression; a chord takes those of its first note."""
    columns = {
        quantity.name: values[score.firsts if quantity.of_chord else slice(None), index]
        for index, quantity in enumerate(QUANTITIES)
    }
    return Expression(**{name: column.astype(np.float64) for name, column in columns.items()})


def load_humanizer(model: str | os.PathLike[str] = "humanize") -> HumanizerEngine:
    """Load the humanizer with this name, or in this folder (a checkpoint or a training run).

    Raises :class:`CheckpointError` if there is none, or if it is a model of another architecture.
    """
    folder = find_model(model, names=["humanize"])
    checkpoint = read_checkpoint(folder)
    if not isinstance(checkpoint.config, HumanizerConfig):
        raise CheckpointError(
            f"{folder} holds a model of the architecture {checkpoint.config.architecture!r}; "
            f"scores are played by models of {HumanizerConfig.architecture!r}"
        )
    return HumanizerEngine(checkpoint.config, checkpoint.weights, checkpoint.info)
