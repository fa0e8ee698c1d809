"""A step in torch as one would write it with nn.LSTM: what the engines are measured against."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.engines.base import EngineState, FloatVector
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

# Leaving mkldnn.flags sets what this build has not, and says so.
warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)


class TorchEngine:
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
        torch.set_num_threads(1)
        self._config = config
        self._one_dnn = one_dnn
        self._tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
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

    @property
    def config(self) -> ModelConfig:
        return self._config

    def reset(self) -> None:
        shape = (self._config.num_layers, self._config.hidden_size)
        self._h, self._c = torch.zeros(shape), torch.zeros(shape)
        self.feed(self._config.start_token, np.zeros(NUM_PITCHES, dtype=bool))

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        with torch.inference_mode(), self._libraries():
            self._step(token, torch.from_numpy(held))

    def _libraries(self) -> AbstractContextManager[None]:
        return nullcontext() if self._one_dnn else torch.backends.mkldnn.flags(enabled=False)

    def _step(self, token: int, held: Tensor) -> None:
        x = self._tensors["embedding.weight"][token]
        if self._config.held_input:
            x = x + self._tensors["held.weight"] @ held.float()
        hs, cs = [], []
        for index, layer in enumerate(self._layers):
            y, (h, c) = layer(x[None], (self._h[index][None], self._c[index][None]))
            x = x + y[0] if self._config.residual and index else y[0]
            hs.append(h[0])
            cs.append(c[0])
        self._h, self._c = torch.stack(hs), torch.stack(cs)
        logits = nn.functional.linear(
            x, self._tensors["output.weight"], self._tensors["output.bias"]
        )
        self._logits: FloatVector = logits.numpy()

    def logits(self) -> FloatVector:
        return self._logits

    def snapshot(self) -> EngineState:
        return self._h.numpy(), self._c.numpy(), self._logits

    def restore(self, state: EngineState) -> None:
        h, c, self._logits = state
        self._h, self._c = torch.from_numpy(h), torch.from_numpy(c)
