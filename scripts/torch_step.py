"""A step through torch.nn's recurrent layers, to compare the engines with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from midirnn.engines.base import Advance, RecurrentEngine, feature_weights, head_weights
from midirnn.engines.state import EngineState, FloatVector
from midirnn.models.config import ModelConfig

# Leaving mkldnn.flags sets options that this build lacks, and warns.
warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)


LAYERS: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class TorchEngine(RecurrentEngine):
    """One step of the language model, batch 1: an implementation of ``StepEngine``.

    Creating one makes torch run on one thread in the whole process.
    """

    name = "torch"

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
            head: torch.from_numpy(head_weights(config, weights, head)) for head in config.heads
        }
        self._beside = torch.from_numpy(feature_weights(config, weights))
        self._layers = [self._make_layer(layer) for layer in range(config.num_layers)]
        self.reset()

    def _make_layer(self, layer: int) -> nn.RNNBase:
        config, name = self._config, f"layers.{layer}"
        made = LAYERS[config.cell](config.layer_input_size(layer), config.hidden_size)
        bias = self._tensors[f"{name}.bias"]
        made.load_state_dict(
            {
                "weight_ih_l0": self._tensors[f"{name}.weight_ih"],
                "weight_hh_l0": self._tensors[f"{name}.weight_hh"],
                "bias_ih_l0": bias,
                "bias_hh_l0": self._tensors.get(f"{name}.recurrent_bias", torch.zeros_like(bias)),
            }
        )
        return made.eval()

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        with torch.inference_mode(), self._libraries():
            return self._run(before, token, torch.from_numpy(features))

    def _read(self, x: Tensor, layer: int) -> Tensor:
        """Return the input of a layer, or of the output, from the layers below."""
        if not self._config.layer_norm or layer == 0:
            return x
        scale, bias = (self._tensors[f"norms.{layer - 1}.{part}"] for part in ("weight", "bias"))
        return nn.functional.layer_norm(x, x.shape, scale, bias)

    def _head(self, head: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self._heads[head], self._tensors[f"{head}.bias"])

    def _libraries(self) -> AbstractContextManager[None]:
        return nullcontext() if self._one_dnn else torch.backends.mkldnn.flags(enabled=False)

    def _run(self, before: EngineState, token: int, features: Tensor) -> Advance:
        x = self._tensors["embedding.weight"][token] + self._beside @ features
        states = [torch.from_numpy(part) for part in before.state]
        behind = []
        for index, (layer, *parts) in enumerate(zip(self._layers, *states, strict=True)):
            given = tuple(part[None] for part in parts)
            y, after = layer(self._read(x, index)[None], given if len(given) > 1 else given[0])
            x = x + y[0] if self._config.residual and index else y[0]
            behind.append(after if len(given) > 1 else (after,))
        x = self._read(x, len(self._layers))
        return Advance(
            tuple(torch.cat(parts).numpy() for parts in zip(*behind, strict=True)),
            [self._head(head, x).numpy() for head in self._heads],
        )
