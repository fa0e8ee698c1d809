"""A step in torch as one would write it with nn.LSTM: what the engines are measured against."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.engines.base import (
    Advance,
    EngineState,
    FloatVector,
    RecurrentEngine,
    feature_weights,
    head_weights,
)
from midirnn.models.config import ModelConfig

# Leaving mkldnn.flags sets what this build has not, and says so.
warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)


class TorchEngine(RecurrentEngine):
    """One step of the language model, batch 1, through nn.LSTM: an implementation of StepEngine.

    torch computes on one thread from then on in the whole process.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, npt.NDArray[np.float32]],
        *,
        one_dnn: bool,
    ) -> None:
        super().__init__(config)
        torch.set_num_threads(1)
        self._one_dnn = one_dnn
        self._tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        self._heads = {
            head: torch.from_numpy(head_weights(config, weights, head))
            for head in (["output", "trust"] if config.recall_notes else ["output"])
        }
        self._beside = torch.from_numpy(feature_weights(config, weights))
        self._layers = [self._make_layer(layer) for layer in range(config.num_layers)]
        self.reset()

    def _make_layer(self, layer: int) -> nn.LSTM:
        made = nn.LSTM(self._config.layer_input_size(layer), self._config.hidden_size)
        bias = self._tensors[f"layers.{layer}.bias"]
        made.load_state_dict(
            {
                "weight_ih_l0": self._tensors[f"layers.{layer}.weight_ih"],
                "weight_hh_l0": self._tensors[f"layers.{layer}.weight_hh"],
                "bias_ih_l0": bias,
                "bias_hh_l0": torch.zeros_like(bias),
            }
        )
        return made.eval()

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        with torch.inference_mode(), self._libraries():
            return self._run(before, token, torch.from_numpy(features))

    def _read(self, x: Tensor, layer: int) -> Tensor:
        """What a layer reads of those below it; the output is the last."""
        if not self._config.layer_norm or layer == 0:
            return x
        scale, bias = (self._tensors[f"norms.{layer - 1}.{part}"] for part in ("weight", "bias"))
        return nn.functional.layer_norm(x, x.shape, scale, bias)

    def _head(self, head: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self._heads[head], self._tensors[f"{head}.bias"])

    def _libraries(self) -> AbstractContextManager[None]:
        return nullcontext() if self._one_dnn else torch.backends.mkldnn.flags(enabled=False)

    def _run(self, before: EngineState, token: int, features: Tensor) -> Advance:
        h_before, c_before = (torch.from_numpy(part) for part in (before.h, before.c))
        x = self._tensors["embedding.weight"][token] + self._beside @ features
        hs, cs = [], []
        for index, layer in enumerate(self._layers):
            read = self._read(x, index)
            y, (h, c) = layer(read[None], (h_before[index][None], c_before[index][None]))
            x = x + y[0] if self._config.residual and index else y[0]
            hs.append(h[0])
            cs.append(c[0])
        x = self._read(x, len(self._layers))
        logits = self._head("output", x)
        trust = self._head("trust", x) if self._config.recall_notes else None
        return Advance(
            torch.stack(hs).numpy(),
            torch.stack(cs).numpy(),
            logits.numpy(),
            None if trust is None else trust.numpy(),
        )
