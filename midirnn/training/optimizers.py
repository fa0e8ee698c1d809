"""The optimisers, and the weights that each of them updates."""

from __future__ import annotations

import torch

from midirnn.training.config import TrainingConfig


def make_optimizers(model: torch.nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a recipe; each group keeps its peak rate as ``initial_lr``.

    Muon gets the matrices whose names start with ``layers.``.
    """
    recurrent = [p for n, p in model.named_parameters() if n.startswith("layers.") and p.ndim == 2]
    muon = recurrent if config.optimizer == "muon" else []
    chosen = {id(parameter) for parameter in muon}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            rest,
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
    ]
    if muon:
        optimizers.append(
            torch.optim.Muon(
                muon,
                lr=config.muon_learning_rate,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
