"""A run in several processes: each reads its share of the rows, and all make the same step.

torchrun starts the processes, on one machine or on many, and gives each its rank in environment
variables. All hold the whole model: a step sums the gradients of all over the network. That is one
``all_reduce`` of one flat tensor rather than DistributedDataParallel: the loss is a mean over the
tokens of the whole batch, of which the processes have unequal shares, and DDP would weight them
equally; and a model of a few million weights is sent in one piece, so there is nothing to overlap.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from midirnn.errors import CheckpointError, OptionError
from midirnn.files import reason_of

Value = TypeVar("Value")

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another one, which may be compiling or writing a checkpoint."""


@dataclass(frozen=True)
class Team:
    """The processes of a run, as seen by one of them: number ``rank`` of ``size``.

    With ``size`` 1 nothing is sent and nothing is copied.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """The number of the process on its machine, and that of the GPU that it uses."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device on which this process computes."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else _CPU

    def rows(self, batch_size: int) -> range:
        """Return the rows of the whole batch that this process reads."""
        if batch_size < self.size:
            raise OptionError(
                f"batch_size is {batch_size}; {self.size} processes need at least one row each"
            )
        first, behind = (rank * batch_size // self.size for rank in (self.rank, self.rank + 1))
        return range(first, behind)

    def average(self, parameters: Sequence[Tensor], loss: Tensor, tokens: int) -> tuple[float, int]:
        """Average the gradients; return the loss and the number of tokens of the whole batch.

        ``loss`` and the gradients are means over the ``tokens`` of this process.
        """
        if self.size == 1:
            return float(loss.detach()), tokens
        gradients = [p.grad for p in parameters if p.grad is not None]
        ends = torch.ones(1, device=loss.device)
        flat = torch.cat([*(g.flatten() for g in gradients), loss.detach().view(1), ends]) * tokens
        with _one_line_errors():
            dist.all_reduce(flat)
        total = int(flat[-1])
        flat /= flat[-1].clone()
        means = torch.split(flat[:-2], [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return float(flat[-2]), total

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is set in any process."""
        if self.size == 1:
            return flags
        votes = torch.tensor(flags, dtype=torch.int32)
        with _one_line_errors():
            dist.all_reduce(votes)
        return tuple(vote > 0 for vote in votes.tolist())

    def longest(self, seconds: float) -> float:
        """Return the longest time that any process has measured, so that all use the same."""
        return max(self.gather(seconds))

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Value] = [value] * self.size
        with _one_line_errors():
            dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return what ``make`` returns in the first process, which alone reads the run's files."""
        if self.size == 1:
            return make()
        box = [make() if self.is_first else None]
        with _one_line_errors():
            dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def share_weights(self, parameters: Sequence[Tensor]) -> None:
        """Send the first process's weights to all: machines may differ in the last bit."""
        if self.size == 1:
            return
        with _one_line_errors(), torch.no_grad():
            for parameter in parameters:
                dist.broadcast(parameter, 0)


_CPU = torch.device("cpu")
ALONE = Team()


@contextmanager
def join(tell: Callable[[str], None]) -> Iterator[Team]:
    """Connect this process with the others that torchrun started; alone, it is the whole team.

    An error in one process ends them all, and is reported once: the first process raises it,
    another one passes it to ``tell``. All others exit with 1. Before they are connected, each
    process reports its own error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    try:
        team, store = _connect()
    except OptionError as error:
        rank, size = os.environ.get("RANK", "0"), os.environ["WORLD_SIZE"]
        if rank == "0":
            raise
        tell(f"process {rank} of {size}: {error}")
        raise SystemExit(1) from None
    try:
        yield team
    except (Exception, KeyboardInterrupt) as error:
        with suppress(ValueError):  # torchrun ends the others at once; report first
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        first_to_tell = _is_first_to_tell(store, team)
        if first_to_tell and team.is_first:
            raise
        if first_to_tell:
            tell(_in_words(error, team))
        raise SystemExit(1) from None
    dist.destroy_process_group()


def _connect() -> tuple[Team, Store]:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if cuda:
        _check_gpus(local_rank)
        torch.cuda.set_device(local_rank)
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=_PATIENCE)))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise OptionError(
            f"the processes of the run do not find each other ({reason_of(error)}); "
            "start them with torchrun"
        ) from None
    return Team(rank, size, local_rank), store


def _check_gpus(local_rank: int) -> None:
    """Raise :class:`OptionError` if there is no GPU for this process."""
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        processes = os.environ.get("LOCAL_WORLD_SIZE", local_rank + 1)
        raise OptionError(
            f"{processes} processes on this machine, and only {gpus} GPU{'s' * (gpus != 1)}: "
            f"start them with --nproc-per-node {gpus}"
        )


def _is_first_to_tell(store: Store, team: Team) -> bool:
    """Return whether no other process has reported an error yet: if one fails, all do."""
    rank = str(team.rank)
    try:
        return bool(store.compare_set("told", "", rank) == rank.encode())
    except RuntimeError:  # the process that kept the store has gone
        return False


def _in_words(error: BaseException, team: Team) -> str:
    """Return what went wrong and where; Ctrl-C goes to the whole run and names no process."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"process {team.rank} of {team.size}: {str(error) or type(error).__name__}"


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Raise torch's errors about a lost process as a :class:`CheckpointError`."""
    try:
        yield
    except RuntimeError as error:
        raise CheckpointError(
            "another process of the run has ended, or does not answer: start all of them again, "
            "with --resume where there is a checkpoint"
        ) from error
