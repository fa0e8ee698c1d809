"""Which way to compute an LSTM layer on this CPU: measured once for each size, and remembered.

There are three ways. The loop in C++ (:mod:`midirnn.models.lstm_native`) is used wherever it could
be compiled; the loop in PyTorch (:mod:`midirnn.models.lstm`) where it could not, and for windows
too small to be worth compiling; torch's own LSTM layer where it is faster. Only the last choice
needs a measurement: forward and backward passes of a short window, alternating, at the given sizes.

The first layer has another choice before that: its input can be looked up in a table that holds the
projection of each token and feature, or be embedded and projected like any other layer's. The
table pays off where a window has many more tokens than the table has rows. This is measured, too
(:func:`embedding_is_faster`). In both cases the second way is taken only if it is clearly faster
(:data:`LEAD`).

All ways agree up to rounding, but not to the last bit, so a run has to keep its choice. The
measurements are remembered in the process, in the user's cache folder by processor and version of
torch, and in each run's training state (:func:`choices`, :func:`restore`), which takes precedence.
A resumed run therefore gives the same numbers on the same machine, even if the cache was emptied.
On another processor it measures anew.
"""

from __future__ import annotations

import contextlib
import functools
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from midirnn import native
from midirnn.files import write_file
from midirnn.models import lstm, lstm_native

State = tuple[Tensor, ...]
Layer = Callable[[Tensor, State], tuple[Tensor, State]]

Way = Callable[[], tuple[Tensor, State]]
"""A function that runs a layer on given inputs."""

LEAD = 1.05
"""The second way is taken only if it measures this many times as fast as the first."""

STEPS, ROUNDS = 32, 4
"""The length of a layer's measured window, and how often each way is timed after the first time."""

LONGEST_SECONDS = 3.0
"""A measurement that has taken this long starts no further round."""

_remembered: dict[str, bool] = {}
"""Whether the second way is the faster one, by the name of what was measured."""


def loop(
    projected: Tensor, weight_hh: Tensor, recurrent_bias: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """Run the cell over time on a CPU; see :func:`midirnn.models.layers.loop`."""
    path = _path(projected.numel(), projected.dtype)
    if path is None:
        return lstm.loop(projected, weight_hh, recurrent_bias, state)
    return lstm_native.loop(path, projected, weight_hh, state)


def layer(x: Tensor, weights: tuple[Tensor, Tensor, Tensor], state: State) -> tuple[Tensor, State]:
    """Run a layer over inputs (T, B, I) on a CPU: their projection and :func:`loop` in one.

    ``weights`` are the input's (4H, I), its bias and the recurrent (4H, H).
    """
    weight_ih, bias, weight_hh = weights
    steps, batch, _ = x.shape
    path = _path(steps * batch * weight_ih.shape[0], _product_type(x))
    if path is None:
        return loop(nn.functional.linear(x, weight_ih, bias), weight_hh, None, state)
    return lstm_native.layer(path, x, weights, state)


def _product_type(x: Tensor) -> torch.dtype:
    """Return the type in which matrices are multiplied."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


SMALLEST_NATIVE = 1 << 15
"""Number of gates in a window (T * B * 4H) from which the loop in C++ is worth compiling."""


def _path(gates: int, dtype: torch.dtype) -> lstm_native.LoopPath | None:
    """Return the C++ path for a window of this many gates; None for the loop in PyTorch."""
    return lstm_native.best_path(dtype) if gates >= SMALLEST_NATIVE else None


def torch_is_faster(x: Tensor, weights: list[Tensor], ours: Layer, theirs: Layer) -> bool:
    """Return whether torch's layer beats ours at inputs like ``x`` (T, B, I).

    ``weights`` are those of both; the first is the input's (4H, I). Batch sizes are rounded up to a
    power of two, so that few measurements are needed.
    """
    _, batch, inputs = x.shape
    hidden = weights[0].shape[0] // 4
    if batch * 4 * hidden < lstm.SMALLEST_COMPILED:
        return False
    batch = 1 << (batch - 1).bit_length()
    sizes = batch, inputs, hidden
    return _second_is_faster(
        f"batch {batch}, {inputs} inputs, {hidden} cells",
        _path(STEPS * batch * 4 * hidden, dtype := _product_type(x)),
        dtype,
        lambda: _measure(sizes, weights, (ours, theirs)),
    )


def embedding_is_faster(
    tokens: Tensor, weights: list[Tensor], by_table: Way, by_embedding: Way
) -> bool:
    """Return whether a first layer that embeds ``tokens`` (T, B) beats one that has a table.

    ``weights`` are those of both: the embedding's (V, E), the features' (E, F) and the layer's, of
    which the first is the input's (4H, E). False without gradients, as in evaluation.
    """
    (steps, batch), (rows, _), (_, features) = tokens.shape, weights[0].shape, weights[1].shape
    gates = weights[2].shape[0]
    if batch * gates < lstm.SMALLEST_COMPILED or not torch.is_grad_enabled():
        return False
    return _second_is_faster(
        f"batch {batch}, {steps} steps of {rows} tokens and {features} features, "
        f"{gates // 4} cells",
        _path(steps * batch * gates, dtype := _product_type(weights[0])),
        dtype,
        lambda: _seconds((by_table, by_embedding), weights),
    )


def _second_is_faster(
    what: str,
    path: lstm_native.LoopPath | None,
    dtype: torch.dtype,
    measure: Callable[[], Sequence[float]],
) -> bool:
    """Return whether the second of two ways is clearly faster: as remembered, or measured now."""
    name = (
        f"{_processor()}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"loop {path.name if path else 'torch'}: {what}, {str(dtype).removeprefix('torch.')}"
    )
    if name not in _remembered:
        if name not in (kept := _read()):
            first, second = measure()
            kept = _read() | {name: first > LEAD * second}
            _write(kept)
        _remembered[name] = kept[name]
    return _remembered[name]


@functools.cache
def _processor() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _measure(
    sizes: tuple[int, int, int], weights: list[Tensor], layers: Sequence[Layer]
) -> list[float]:
    """Return the seconds that each layer takes for a short window of random inputs."""
    batch, inputs, hidden = sizes
    generator = torch.Generator().manual_seed(0)  # the caller's generator does not change
    with torch.inference_mode(False):
        x = torch.randn((STEPS, batch, inputs), generator=generator).requires_grad_()
        state = tuple(torch.zeros(batch, hidden) for _ in range(2))
    return _seconds([functools.partial(layer, x, state) for layer in layers], [x, *weights])


def _seconds(ways: Sequence[Way], weights: list[Tensor]) -> list[float]:
    """Return the seconds that each way takes, forward and backward: the best of several rounds.

    The caller's gradients and autocast cache are not touched.
    """
    lower, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    learned = [weight for weight in weights if weight.requires_grad]  # others are frozen
    best = [float("inf")] * len(ways)
    end = time.perf_counter() + LONGEST_SECONDS
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", dtype=dtype, enabled=lower, cache_enabled=False),
    ):
        for round_ in range(1 + ROUNDS):
            if round_ > 1 and time.perf_counter() > end:
                break
            for index, way in enumerate(ways):
                begun = time.perf_counter()
                y, _ = way()
                if learned:
                    torch.autograd.grad(y.float().sum(), learned)
                best[index] = min(best[index], time.perf_counter() - begun)
    return best


def choices() -> dict[str, bool]:
    """Return the choices this process has made so far, for a run to save with its state."""
    return dict(_remembered)


def restore(kept: Mapping[str, bool]) -> None:
    """Restore the choices of a run that is resumed."""
    _remembered.update(kept)


def _file() -> Path:
    return native.cache_folder() / "lstm-choices.json"


def _read() -> dict[str, bool]:
    """Return what is kept in the user's cache folder; empty if the file is missing or damaged."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(kept: Mapping[str, bool]) -> None:
    with contextlib.suppress(OSError):  # a full disk: the next process measures again
        write_file(_file(), json.dumps(kept, indent=2) + "\n")
