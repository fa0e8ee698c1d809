"""torch's random generators, used for dropout: seeded differently in each process of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def seed_dropout(seed: int, rank: int, step: int) -> None:
    """Seed dropout differently in each process; the first keeps its present seed."""
    if rank:
        seeds = np.random.SeedSequence([seed, rank, step])
        torch.manual_seed(int(seeds.generate_state(1)[0]))


def random_state(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the random generators that a process on this device uses."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def restore_random_state(state: Sequence[torch.Tensor], device: torch.device) -> None:
    """Continue where :func:`random_state` was taken."""
    cpu, *cuda = state
    torch.set_rng_state(cpu)
    if cuda and device.type == "cuda":
        torch.cuda.set_rng_state(cuda[0], device)
