"""Windows for training that are made on the device, from the tokens.

All tokens of the data sets are in the memory of the GPU. A step gathers a window of each stream and
computes there what the windows of midirnn.datasets.windows hold: the grammar's masks, held notes,
recalled pitches and controls. The recall and style of each piece are computed once, before the
training. Only the terms of the structured output are prepared on the host, by threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from packing import NOTE_OFF, NOTE_ON, TIME_SHIFT, VELOCITY, first_tokens
from torch import Tensor

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.recall import NO_MATCHES
from midirnn.codecs.style import NUM_STYLE_INPUTS, SLICES, TRAITS
from midirnn.datasets.mixture import JoinedPieces, Source, chances_of
from midirnn.datasets.windows import Batch
from midirnn.features import Feature, Reader
from midirnn.features.style import held_style
from midirnn.files import usable_processors
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import Team
from midirnn.training.language_task import LanguageModelTask

LOWEST_KEY, HIGHEST_KEY = 21, 108
"""The range of a piano; transposed pieces stay within it."""

START = 4
"""The type of the input before a piece, after those of the vocabulary."""

REGISTER = next(trait for trait in TRAITS if trait.name == "register")


class Grammar:
    """The state of the grammar in each of B streams, on the device.

    ``scan`` is :meth:`midirnn.codecs.performance.grammar.PerformanceGrammar.scan` for all streams
    at once, without its check. Tokens are numbered as in the vocabulary, followed by the start
    token.
    """

    def __init__(self, codec: PerformanceCodec, streams: int, device: torch.device) -> None:
        self.codec = codec
        self.groups = codec.groups()
        ids = np.arange(codec.vocab_size + 1)
        types = np.searchsorted(first_tokens(codec), ids, side="right") - 1
        values = ids - first_tokens(codec)[types] + (types >= TIME_SHIFT)
        types[-1], values[-1] = START, 0
        self.types = torch.from_numpy(types).to(device)
        self.values = torch.from_numpy(values).to(device)
        self.onset_rank = torch.full((streams, NUM_PITCHES), -1, device=device)
        self.next_rank = torch.zeros(streams, dtype=torch.long, device=device)
        self.velocity = torch.zeros(streams, dtype=torch.long, device=device)
        self.last_off_rank = torch.full((streams,), -1, device=device)

    def open(self, rows: Sequence[int], before: Sequence[Tokens]) -> None:
        """Set some streams to the state after the tokens ``before`` them."""
        if not rows:
            return
        constraint = self.codec.constraint()
        states = []
        for tokens in before:
            state = constraint.start()
            constraint.skip(state, tokens)
            states.append(state)
        at = torch.tensor(rows, device=self.velocity.device)
        for mine, theirs in (
            (self.onset_rank, [state.onset_rank for state in states]),
            (self.next_rank, [state.next_rank for state in states]),
            (self.velocity, [state.velocity_bin for state in states]),
            (self.last_off_rank, [state.last_off_rank for state in states]),
        ):
            mine[at] = torch.from_numpy(np.array(theirs, np.int64)).to(mine.device)

    def scan(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Process ``inputs`` (B, T); return what may follow each (B, T, V), and what sounds."""
        types, values = self.types[inputs], self.values[inputs]
        rank = self._ranks(types, values)
        held = rank >= 0
        threshold = self._off_thresholds(types, values, rank)
        bins = _last(types == VELOCITY, values, self.velocity)
        free = types != VELOCITY
        masks = torch.zeros(
            (*inputs.shape, self.codec.vocab_size), dtype=torch.bool, device=inputs.device
        )
        on, off, shift, velocity = self.groups.values()
        may_end = (free & (types != NOTE_ON)).unsqueeze(2)
        full = values == shift.stop - shift.start
        masks[..., on] = ~held
        masks[..., off] = held & (rank > threshold.unsqueeze(2)) & may_end
        masks[..., shift] = (free & ((types != TIME_SHIFT) | full)).unsqueeze(2)
        other = torch.arange(1, velocity.stop - velocity.start + 1, device=inputs.device)
        silent = (free & ~held.all(dim=2)).unsqueeze(2)
        masks[..., velocity] = silent & (other != bins.unsqueeze(2))
        self.onset_rank, self.velocity = rank[:, -1], bins[:, -1]
        self.last_off_rank = threshold[:, -1]
        self.next_rank = self.next_rank + (types == NOTE_ON).sum(dim=1)
        return masks, held

    def _ranks(self, types: Tensor, values: Tensor) -> Tensor:
        """Return the number of the note that sounds at each pitch after each input; (B, T, 128)."""
        is_on = types == NOTE_ON
        numbers = self.next_rank.unsqueeze(1) + is_on.cumsum(dim=1) - 1
        rank_at = torch.where(is_on, numbers, -1)
        pitches = torch.arange(NUM_PITCHES, device=types.device)
        written = ((types <= NOTE_OFF).unsqueeze(2)) & (values.unsqueeze(2) == pitches)
        return _last(written, rank_at.unsqueeze(2).expand(written.shape), self.onset_rank)

    def _off_thresholds(self, types: Tensor, values: Tensor, rank: Tensor) -> Tensor:
        """Return the rank that note-offs must exceed: of the note last ended in the step (B, T)."""
        is_off = types == NOTE_OFF
        before = torch.cat([self.onset_rank.unsqueeze(1), rank[:, :-1]], dim=1)
        pitch = torch.where(types <= NOTE_OFF, values, 0).unsqueeze(2)
        off_rank = torch.where(is_off, before.gather(2, pitch).squeeze(2), -1)
        return _last(is_off | (types == TIME_SHIFT), off_rank, self.last_off_rank)


def _last(where: Tensor, values: Tensor, before: Tensor) -> Tensor:
    """Return the value at the last marked position up to each one (dim 1), or ``before``."""
    places = torch.arange(where.shape[1], device=where.device)
    places = places.view(1, -1, *[1] * (where.ndim - 2))
    found = torch.where(where, places, -1).cummax(dim=1).values
    return torch.where(found >= 0, values.gather(1, found.clamp_min(0)), before.unsqueeze(1))


class Pieces:
    """All pieces on the device: their tokens, recall and style."""

    def __init__(
        self, pieces: Sequence[Tokens], codec: PerformanceCodec, config: ModelConfig, device: Any
    ) -> None:
        self.on_host = [np.asarray(piece) for piece in pieces]
        self.first = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
        self.tokens = torch.from_numpy(np.concatenate(self.on_host).astype(np.int16)).to(device)
        self.keys = [_keys(piece) for piece in self.on_host]
        """The lowest and the highest pitch of each piece."""
        features = {feature.name: feature for feature in config.features}
        self.recall = self.style = None
        if "recall" in features:
            recalled = _of_each(partial(_recalled, codec, features["recall"]), self.on_host)
            self.recall = torch.from_numpy(np.concatenate(recalled)).to(device)
        if "controls" in features or "style" in features:
            sounds = _of_each(partial(_style, codec), self.on_host)
            self.style = torch.from_numpy(np.concatenate(sounds)).to(device)


def _keys(piece: Tokens) -> tuple[int, int]:
    pitches = piece[piece < NUM_PITCHES]
    return (int(pitches.min()), int(pitches.max())) if len(pitches) else (LOWEST_KEY, HIGHEST_KEY)


def _of_each(
    function: Callable[[Tokens], npt.NDArray[Any]], pieces: Sequence[Tokens]
) -> list[npt.NDArray[Any]]:
    """Return the results of a function for all pieces, in several processes if there are many."""
    if len(pieces) < 64 or usable_processors() < 2:
        return [function(piece) for piece in pieces]
    # Not forked, because this process may already use the GPU.
    with ProcessPoolExecutor(usable_processors(), get_context("spawn")) as pool:
        return list(pool.map(function, pieces, chunksize=16))


def _recalled(codec: PerformanceCodec, feature: Feature, piece: Tokens) -> npt.NDArray[np.uint8]:
    """Return the matches (N, 3, 2) after each token."""
    reader, rows = feature.reader(codec), np.zeros((len(piece), *NO_MATCHES.shape), np.int64)
    reader.open(piece, 0, len(piece), None)
    reader.read(rows, piece, 0)
    return rows.astype(np.uint8)


def _style(codec: PerformanceCodec, piece: Tokens) -> npt.NDArray[np.float16]:
    """Return all traits of the music after each position, as inputs (N, width)."""
    return held_style(codec, piece, 0, len(piece)).astype(np.float16)


class DeviceWindows:
    """The counterpart of :class:`midirnn.datasets.windows.TrainingWindows` on the device.

    Owns a random generator and a position in a piece for each stream. Pieces are transposed by up
    to ``transpose`` semitones, within the range of a piano, together with their recall.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        codec: PerformanceCodec,
        config: ModelConfig,
        recipe: TrainingConfig,
        device: torch.device,
    ) -> None:
        self.codec, self.config, self.recipe, self.device = codec, config, recipe, device
        self.pieces = Pieces(JoinedPieces([s.train for s in sources])[:], codec, config, device)
        self.ends = np.cumsum(chances_of(sources))
        streams = recipe.batch_size
        self.rngs = [np.random.default_rng([recipe.seed, row]) for row in range(streams)]
        self.piece, self.position, self.stop, self.shift = np.zeros((4, streams), np.int64)
        self.fresh = np.ones(streams, bool)
        self.shown = np.zeros((streams, NUM_STYLE_INPUTS), np.float32)
        self.grammar = Grammar(codec, streams, device)
        self.terms = _HostTerms(codec, config, streams)

    def __next__(self) -> Batch:
        self._open([int(row) for row in np.flatnonzero(self.position >= self.stop)])
        window = self.recipe.window
        counts = np.minimum(window, self.stop - self.position)
        first = self.pieces.first[self.piece]
        steps = torch.arange(window, device=self.device)
        place = self._on(first + self.position).unsqueeze(1) + steps  # (B, T)
        valid = steps < self._on(counts).unsqueeze(1)
        begins = (self._on(self.position).unsqueeze(1) + steps) == 0
        inputs = torch.where(begins, self.config.start_token, self._tokens(place - 1))
        mask, held = self.grammar.scan(inputs)
        batch = Batch(
            inputs=inputs,  # type: ignore[arg-type]
            targets=torch.where(valid, self._tokens(place), 0),  # type: ignore[arg-type]
            mask=mask | ~valid.unsqueeze(2),  # type: ignore[arg-type]
            valid=valid,  # type: ignore[arg-type]
            reset=self._on(self.fresh),  # type: ignore[arg-type]
            features=self._features(place, begins, held, counts),  # type: ignore[arg-type]
        )
        self.position += counts
        self.fresh[:] = False
        return batch

    def _open(self, rows: Sequence[int]) -> None:
        """Draw another piece, and a position in it, for some streams."""
        for row in rows:
            self._draw(row, self.rngs[row])
        self._begin(rows)

    def _draw(self, row: int, rng: np.random.Generator) -> None:
        number = np.searchsorted(self.ends, rng.random() * self.ends[-1], side="right")
        piece = min(int(number), len(self.pieces.on_host) - 1)
        length, segment = len(self.pieces.on_host[piece]), self.recipe.segment or 1 << 60
        begin = 0
        if length > segment:
            begin = max(0, int(rng.integers(-segment // 4, length - segment + 1)))
        low, high = self.pieces.keys[piece]
        down = min(self.recipe.transpose, max(0, low - LOWEST_KEY))
        up = min(self.recipe.transpose, max(0, HIGHEST_KEY - high))
        self.piece[row], self.position[row] = piece, begin
        self.stop[row] = min(length, begin + segment)
        self.shift[row] = rng.integers(-down, up + 1)
        self.fresh[row], self.shown[row] = True, self._choose(rng)

    def _choose(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return which inputs are shown: in a share of the pieces, each trait half the time."""
        shown = np.zeros(NUM_STYLE_INPUTS, np.float32)
        if rng.random() < self.recipe.steered:
            for trait in SLICES.values():
                shown[trait] = rng.random() < 0.5
        return shown

    def _begin(self, rows: Sequence[int]) -> None:
        """Set the grammar and the terms of some streams to their positions."""
        pieces = [_moved(self.pieces.on_host[self.piece[row]], self.shift[row]) for row in rows]
        before = [p[: max(self.position[r] - 1, 0)] for p, r in zip(pieces, rows, strict=True)]
        self.grammar.open(rows, before)
        for row, piece in zip(rows, pieces, strict=True):
            self.terms.open(row, piece, int(self.position[row]), int(self.stop[row]))

    def _tokens(self, place: Tensor) -> Tensor:
        """Return the tokens at some positions (B, T), transposed."""
        tokens = self.pieces.tokens[place.clamp(0, len(self.pieces.tokens) - 1)].long()
        return tokens + (tokens < 2 * NUM_PITCHES) * self._on(self.shift).unsqueeze(1)

    def _features(
        self, place: Tensor, begins: Tensor, held: Tensor, counts: npt.NDArray[np.int64]
    ) -> dict[str, Tensor]:
        """Return what the model reads in addition to the input tokens."""
        place = place.clamp_max(len(self.pieces.tokens) - 1)
        features = {"held": held}
        if self.pieces.recall is not None:
            features["recall"] = self._recalled((place - 1).clamp_min(0), begins)
        if self.pieces.style is not None:
            style = self._style(self.pieces.style[place].float())
            features["controls"] = style[..., :NUM_CONTROL_INPUTS]
            features["style"] = style[..., NUM_CONTROL_INPUTS:]
        if self.terms.feature is not None:
            rows = self.terms.read(self.position, counts, self.recipe.window)
            features["terms"] = rows.to(self.device, non_blocking=True)
        return features

    def _recalled(self, before: Tensor, begins: Tensor) -> Tensor:
        """Return the matches (B, T, 3, 2) after each input, transposed."""
        assert self.pieces.recall is not None
        matches = self.pieces.recall[before].long()
        pitch = matches[..., 0] + self._on(self.shift).view(-1, 1, 1)
        known = (matches[..., 1] > 0) & (pitch >= 0) & (pitch < NUM_PITCHES) & ~begins.unsqueeze(2)
        return torch.stack([pitch, matches[..., 1]], dim=3) * known.unsqueeze(3)

    def _style(self, inputs: Tensor) -> Tensor:
        """Return the traits as inputs (B, T, width) that are shown, transposed."""
        shift = self._on(self.shift)
        classes = SLICES["pitch_classes"]
        turned = (torch.arange(12, device=self.device) - shift.unsqueeze(1)) % 12
        turned = turned.unsqueeze(1).expand(*inputs.shape[:2], 12)
        register = SLICES["register"]
        knots = torch.tensor(REGISTER.knots, dtype=torch.float32, device=self.device)
        weights = inputs[..., register]
        pitch = (weights @ knots) + shift.unsqueeze(1)
        near = 1 - (pitch.clamp(REGISTER.low, REGISTER.high).unsqueeze(2) - knots).abs() / (
            knots[1] - knots[0]
        )
        known = weights.sum(dim=2, keepdim=True) > 0
        moved = inputs.clone()
        moved[..., classes] = inputs[..., classes].gather(2, turned)
        moved[..., register] = torch.where(known, near.clamp_min(0), 0.0)
        return moved * self._on(self.shown).unsqueeze(1)

    def _on(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self.device, non_blocking=True)

    def state(self) -> list[dict[str, Any]]:
        """Return everything that the following batches depend on: an entry for each stream."""
        return [
            {
                "rng": rng.bit_generator.state,
                "place": [int(a[row]) for a in (self.piece, self.position, self.stop, self.shift)],
                "fresh": bool(self.fresh[row]),
                "shown": self.shown[row].tolist(),
            }
            for row, rng in enumerate(self.rngs)
        ]

    def restore_randomness(self, state: list[dict[str, Any]]) -> None:
        """Restore only the random generators of a :meth:`state`."""
        for rng, of_row in zip(self.rngs, state, strict=True):
            rng.bit_generator.state = of_row["rng"]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Continue where :meth:`state` was taken."""
        self.restore_randomness(state)
        for row, kept in enumerate(state):
            self.piece[row], self.position[row], self.stop[row], self.shift[row] = kept["place"]
            self.fresh[row], self.shown[row] = kept["fresh"], kept["shown"]
        unfinished = np.flatnonzero(self.position < self.stop)
        self._begin([int(row) for row in unfinished])


def _moved(piece: Tokens, semitones: int) -> Tokens:
    """Return a piece transposed."""
    moved: Tokens = np.where(piece < 2 * NUM_PITCHES, piece + semitones, piece).astype(np.uint16)
    return moved


class _HostTerms:
    """The terms of all streams, if the model has any, read by threads while the GPU computes."""

    def __init__(self, codec: PerformanceCodec, config: ModelConfig, streams: int) -> None:
        self.feature = next((f for f in config.features if f.name == "terms"), None)
        if self.feature is not None:
            self._readers: list[Reader] = [self.feature.reader(codec) for _ in range(streams)]
            self._pieces: list[Tokens] = [np.zeros(0, np.uint16)] * streams
            self._pool = ThreadPoolExecutor(usable_processors())

    def open(self, row: int, piece: Tokens, position: int, stop: int) -> None:
        """Open another piece for a stream."""
        if self.feature is not None:
            self._pieces[row] = piece
            self._readers[row].open(piece, position, stop, None)

    def read(
        self, positions: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], window: int
    ) -> Tensor:
        """Return the windows (B, T, ...) of all streams."""
        assert self.feature is not None
        shape = (len(counts), window, *self.feature.window_shape)
        rows = torch.zeros(shape, dtype=torch.int16, pin_memory=torch.cuda.is_available())
        array = rows.numpy()

        def read(row: int) -> None:
            begin, count = int(positions[row]), int(counts[row])
            inputs = self._pieces[row][max(begin - 1, 0) : begin + count - 1]
            self._readers[row].read(array[row, :count], inputs, begin)

        list(self._pool.map(read, range(len(counts))))
        return rows


class DeviceTask(LanguageModelTask):
    """Next-token prediction on :class:`DeviceWindows`; in one process."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: TrainingConfig,
        codec: PerformanceCodec,
        sources: Sequence[Source],
        team: Team,
    ) -> None:
        super().__init__(config, recipe, codec, sources, team)
        self.windows = DeviceWindows(sources, codec, config, recipe, team.device)
