"""Train a humanizer: predict how each note of a score is played, given the notes before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from midirnn.errors import DatasetError
from midirnn.files import usable_processors
from midirnn.models.humanizer import Humanizer
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.scores.pairs import Pair
from midirnn.scores.quantities import HISTORY, QUANTITIES, history_of
from midirnn.scores.traits import DYNAMICS_TRAITS, PITCH_TRAIT
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import ALONE, Team
from midirnn.training.task import Task

HIDDEN_SHARE = 0.4
"""Share of the windows in which the decoder is not told how the notes before were played. From
these it learns what to expect of a note from the score alone."""

WITHOUT_DYNAMICS_SHARE = 0.25
"""Share of the windows in which written dynamics are hidden, as in scores that have none."""

_UNKNOWN = -1
_VALIDATION_ROWS = 64


Array = npt.NDArray[Any]

Row = tuple[Array, Array, Array]
"""The traits (T, F), the history (T, HISTORY) and the classes (T, Q) of a window."""


@dataclass(frozen=True)
class Notes:
    """Windows of notes, (T, B, ...) each."""

    traits: Tensor
    history: Tensor
    classes: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Notes:
        """Return a batch of windows."""
        return cls(*(torch.from_numpy(np.stack(c, axis=1)) for c in zip(*rows, strict=True)))

    def to(self, device: torch.device) -> Notes:
        """Return the same on a device."""
        return Notes(self.traits.to(device), self.history.to(device), self.classes.to(device))


class HumanizerTask(Task):
    """Windows of scores with their performances, drawn at random.

    A title is drawn, more often the longer it is and the more performances it has, then one of its
    performances, then a place. The recipe's ``transpose`` shifts the pitches of a window.
    """

    model: Humanizer
    codec: None
    objective = "validation_nats_per_note"
    state_keys: ClassVar[frozenset[str]] = frozenset({"generator"})

    def __init__(
        self,
        config: HumanizerConfig,
        recipe: TrainingConfig,
        pairs: Sequence[Pair],
        team: Team = ALONE,
    ) -> None:
        torch.set_num_threads(min(recipe.threads, usable_processors()))
        torch.manual_seed(recipe.seed)
        self.config, self.codec, self.recipe = config, None, recipe
        self.rows = team.rows(recipe.batch_size)
        self.device = team.device
        self.model = Humanizer(config).to(team.device)
        self._rank = team.rank
        self.validation = _excerpts(pairs, recipe)
        self.has_validation = bool(self.validation)
        self._titles: dict[str, list[Pair]] = {}
        for pair in pairs:
            if pair.split == "train" and len(pair) >= recipe.window:
                self._titles.setdefault(pair.title, []).append(pair)
        if not self._titles:
            raise DatasetError(
                f"no performance of the train split has {recipe.window} notes: take a shorter "
                "--window"
            )
        self._chances = _chances(self._titles.values())
        self._classes: dict[str, Array] = {}
        self._generator = np.random.default_rng([recipe.seed, team.rank])
        self.data = {
            "train_performances": sum(map(len, self._titles.values())),
            "train_notes": sum(len(pair) for each in self._titles.values() for pair in each),
            "validation_notes": len(self.validation) * recipe.window,
        }

    def next_batch(self) -> Notes:
        """Return the next windows."""
        return Notes.of([self._draw() for _ in self.rows]).to(self.device)

    def _draw(self) -> Row:
        """Draw a window at random."""
        random, window = self._generator, self.recipe.window
        each = list(self._titles.values())[random.choice(len(self._titles), p=self._chances)]
        pair = each[random.integers(len(each))]
        begin = int(random.integers(len(pair) - window + 1))
        place = slice(begin, begin + window)
        if pair.name not in self._classes:
            self._classes[pair.name] = pair.classes().astype(np.int8)
        traits, history, classes = _window(pair, place, self._classes[pair.name])
        most = self.recipe.transpose
        traits[:, PITCH_TRAIT] += random.integers(-most, most + 1) / 12
        if random.random() < HIDDEN_SHARE:
            history[:] = 0.0
        if random.random() < WITHOUT_DYNAMICS_SHARE:
            traits[:, DYNAMICS_TRAITS] = 0.0
        return traits, history, classes

    def loss(self, batch: Notes, *, bf16: bool) -> tuple[Tensor, int]:
        """Return the mean negative log-likelihoods, summed over quantities, and the note count."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            logits = self.model(batch.traits, batch.history)
        losses = [
            _total(of_quantity, batch.classes[..., index])
            for index, of_quantity in enumerate(logits)
        ]
        return torch.stack([total / max(n, 1) for total, n in losses]).sum(), len(
            batch.traits
        ) * batch.traits.shape[1]

    @torch.no_grad()
    def validate(self, rank: int, size: int, *, bf16: bool) -> Array:
        """Return sums and counts (2, 2, Q), with the notes before known and with them hidden."""
        sums = np.zeros((2, 2, len(QUANTITIES)))
        self.model.eval()
        mine = self.validation[rank::size]
        for begin in range(0, len(mine), _VALIDATION_ROWS):
            notes = Notes.of(mine[begin : begin + _VALIDATION_ROWS]).to(self.device)
            states, context = self.model.encode(notes.traits)
            for row, history in enumerate((notes.history, torch.zeros_like(notes.history))):
                logits = self.model.decode(states, context, history)
                for index, of_quantity in enumerate(logits):
                    total, count = _total(of_quantity, notes.classes[..., index])
                    sums[row, :, index] += float(total), count
        self.model.train()
        return sums

    def metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """Return the objective, the nats with the notes before hidden, and those of each quantity.

        The objective is the mean of the sums with the notes before known and with them hidden.
        """
        sums = np.sum(results, axis=0)
        known, hidden = sums[:, 0] / np.maximum(sums[:, 1], 1)
        values = {self.objective: float(known.sum() + hidden.sum()) / 2}
        values["nats_hidden"] = float(hidden.sum())
        named = zip(QUANTITIES, known, strict=True)
        return values | {f"nats_{quantity.name}": float(nats) for quantity, nats in named}

    def state(self) -> Any:
        """Return the state of the generator."""
        return self._generator.bit_generator.state

    def join(self, states: Sequence[Any]) -> dict[str, Any]:
        """Return the generators of all processes."""
        return {"generator": list(states)}

    def read_on(self, state: Mapping[str, Any]) -> None:
        """Continue with a saved generator: windows do not depend on one another."""
        self.restore(state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with this process's generator."""
        generators = state["generator"]
        self._generator.bit_generator.state = generators[min(self._rank, len(generators) - 1)]


def _window(pair: Pair, place: slice, classes: Array) -> Row:
    """Return the window at a place in a performance."""
    traits = pair.traits[place].astype(np.float32)
    return traits, _history(pair.values, place), classes[place].astype(np.int64)


def _history(values: Array, place: slice) -> Array:
    """Return how the note before each one was played; zeros at the start of a piece."""
    if place.start:
        return history_of(values[place.start - 1 : place.stop - 1])
    first = np.zeros((1, HISTORY), np.float32)
    return np.concatenate([first, history_of(values[: place.stop - 1])])


def _excerpts(pairs: Sequence[Pair], recipe: TrainingConfig) -> list[Row]:
    """Return windows spread over the validation split, of as many notes as the recipe allows."""
    places = [
        (pair, begin)
        for pair in pairs
        if pair.split == "validation"
        for begin in range(0, len(pair) - recipe.window + 1, recipe.window)
    ]
    most = max(1, recipe.validation_tokens // recipe.window)
    kept = places[:: max(1, -(-len(places) // most))]
    return [
        _window(pair, slice(begin, begin + recipe.window), pair.classes()) for pair, begin in kept
    ]


def _chances(titles: Collection[Sequence[Pair]]) -> Array:
    """Return each title's probability: higher for longer and more often performed ones."""
    weights = np.array([len(each) ** 0.5 * len(each[0]) ** 0.7 for each in titles])
    chances: Array = weights / weights.sum()
    return chances


def _total(logits: Tensor, classes: Tensor) -> tuple[Tensor, int]:
    """Return the sum of the known classes' negative log-likelihoods, and their number."""
    flat = classes.reshape(-1)
    total = functional.cross_entropy(
        logits.reshape(len(flat), -1).float(), flat, ignore_index=_UNKNOWN, reduction="sum"
    )
    return total, int((flat != _UNKNOWN).sum())
