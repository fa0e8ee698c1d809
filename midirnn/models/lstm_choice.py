"""Which way to compute an LSTM layer on this CPU: measured once for each size, and remembered.

There are three ways. The loop in C++ (:mod:`midirnn.models.lstm_native`) is taken wherever a
compiler made it; the loop in PyTorch (:mod:`midirnn.models.lstm`) where none did, and for steps so
small that nothing is worth compiling; torch's own LSTM layer where it is the faster one. Only the
last is a matter of measuring: forward and backward of a short window, in turns, at the sizes at
hand. The layer is torch's only if it wins clearly (:data:`LEAD`).

All three give the same up to rounding, but not to the last bit, so a run has to keep its choice.
What was measured is remembered in the process, in the user's cache folder by processor and version
of torch, and in each run's training state (:func:`choices`, :func:`restore`), which counts most.
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

LEAD = 1.05
"""How many times as fast torch's layer must be in a measurement to be taken."""

STEPS, ROUNDS = 32, 4
"""Of a measurement: how long its window is, and how often each way is timed."""

_remembered: dict[str, bool] = {}
"""Whether torch's layer is the faster one, by the name of what was measured."""


def loop(
    projected: Tensor, weight_hh: Tensor, recurrent_bias: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """Run the cell over time on a CPU; see :func:`midirnn.models.layers.loop`."""
    path = _path(projected.numel(), projected.dtype)
    if path is None:
        return lstm.loop(projected, weight_hh, recurrent_bias, state)
    return lstm_native.loop(path, projected, weight_hh, state)


def layer(x: Tensor, weights: tuple[Tensor, Tensor, Tensor], state: State) -> tuple[Tensor, State]:
    """Run a layer over inputs (T, B, I) on a CPU: the same as projecting them, and :func:`loop`.

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
"""Gates of a window (T * B * 4H) from which on the loop in C++ is worth compiling."""


def _path(gates: int, dtype: torch.dtype) -> lstm_native.LoopPath | None:
    """Return the path in C++ for a window of so many gates; None: the loop in PyTorch."""
    return lstm_native.best_path(dtype) if gates >= SMALLEST_NATIVE else None


def torch_is_faster(x: Tensor, weights: list[Tensor], ours: Layer, theirs: Layer) -> bool:
    """Return whether torch's layer beats ours at inputs like ``x`` (T, B, I).

    ``weights`` are those of both; the first is the input's (4H, I). Batches are measured at the
    next power of two, so that a few measurements serve all.
    """
    _, batch, inputs = x.shape
    hidden = weights[0].shape[0] // 4
    if batch * 4 * hidden < lstm.SMALLEST_COMPILED:
        return False
    batch = 1 << (batch - 1).bit_length()
    name = _name(batch, inputs, hidden, _product_type(x))
    if name not in _remembered:
        if name not in (kept := _read()):
            our_time, their_time = _measure((batch, inputs, hidden), weights, (ours, theirs))
            kept[name] = our_time > LEAD * their_time
            _write(kept)
        _remembered[name] = kept[name]
    return _remembered[name]


def _name(batch: int, inputs: int, hidden: int, dtype: torch.dtype) -> str:
    """Return what a measurement holds for, in words."""
    path = _path(STEPS * batch * 4 * hidden, dtype)
    return (
        f"{_processor()}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"loop {path.name if path else 'torch'}: batch {batch}, {inputs} inputs, {hidden} cells, "
        f"{str(dtype).removeprefix('torch.')}"
    )


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
    """Return the seconds that each layer takes, forward and backward: the least of several."""
    batch, inputs, hidden = sizes
    lower, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    best = [float("inf")] * len(layers)
    # Nothing of the caller's changes: no gradient, no random generator, no cached weight.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", dtype=dtype, enabled=lower, cache_enabled=False),
    ):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn((STEPS, batch, inputs), generator=generator).requires_grad_()
        state = tuple(torch.zeros(batch, hidden) for _ in range(2))
        for _ in range(1 + ROUNDS):
            for index, layer in enumerate(layers):
                begun = time.perf_counter()
                y, _ = layer(x, state)
                torch.autograd.grad(y.float().sum(), [x, *weights])
                best[index] = min(best[index], time.perf_counter() - begun)
    return best


def choices() -> dict[str, bool]:
    """Return what this process has chosen so far: a run keeps it beside its weights."""
    return dict(_remembered)


def restore(kept: Mapping[str, bool]) -> None:
    """Choose again as a run did that is resumed."""
    _remembered.update(kept)


def _file() -> Path:
    return native.cache_folder() / "lstm-choices.json"


def _read() -> dict[str, bool]:
    """Return what is kept in the user's cache folder; nothing of a file that is damaged."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(kept: Mapping[str, bool]) -> None:
    with contextlib.suppress(OSError):  # a full disk: the next process measures again
        write_file(_file(), json.dumps(kept, indent=2) + "\n")
