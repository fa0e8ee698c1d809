"""A model as an ONNX file: what is in it, and how near its int8 weights are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.engines.export import export_onnx
from midirnn.engines.onnx_engine import make_session
from midirnn.engines.quantized import BLOCK_SIZE, QuantizedMatrix, quantize
from midirnn.engines.state import FloatMatrix
from midirnn.models.cells import CELLS
from midirnn.models.config import ModelConfig
from tests.engines.stepping import CODEC, CONFIGS, trained_weights


def as_floats(matrix: QuantizedMatrix, columns: int) -> FloatMatrix:
    values = (matrix.values.astype(np.float32) - 128) * matrix.scales[:, :, None]
    return values.reshape(len(values), -1)[:, :columns]


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 70),
    block_size=st.sampled_from([16, 32, 128]),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_no_weight_is_further_off_than_half_a_step(
    rows: int, columns: int, block_size: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = (scale * rng.standard_normal((rows, columns))).astype(np.float32)
    quantized = quantize(matrix, block_size)
    step = np.repeat(quantized.scales, block_size, axis=1)[:, :columns]
    assert (np.abs(as_floats(quantized, columns) - matrix) <= 0.501 * step).all()
    assert quantized.values.min() >= 1  # -127 to 127, which no instruction set lets overflow


def test_weights_too_small_for_a_scale_become_zeros() -> None:
    matrix = np.full((2, 64), 1e-44, np.float32)
    assert not as_floats(quantize(matrix, 32), 64).any()


def test_a_block_of_zeros_and_what_lies_behind_the_last_column_are_zero() -> None:
    matrix = np.zeros((2, 40), np.float32)
    matrix[0, :32] = 1.0
    quantized = quantize(matrix, 32)
    assert quantized.values.shape == (2, 2, 32)
    assert (quantized.values[0, 0] == 255).all()
    assert (quantized.values[0, 1] == 128).all()
    assert (quantized.values[1] == 128).all()
    assert np.isfinite(quantized.scales).all()


def test_a_large_weight_makes_only_its_own_block_coarser() -> None:
    matrix = np.full((1, 64), 0.01, np.float32)
    matrix[0, 0] = 100.0
    found = as_floats(quantize(matrix, 32), 64)
    assert found[0, 1] == 0.0
    np.testing.assert_allclose(found[0, 32:], 0.01, rtol=1e-6)


def test_equal_models_are_equal_files() -> None:
    config = CONFIGS[1]
    one, other = (export_onnx(config, trained_weights(config)) for _ in range(2))
    assert one == other
    assert one != export_onnx(config, trained_weights(config, seed=1))


def test_a_file_takes_about_a_byte_for_each_weight_of_a_matrix() -> None:
    config = ModelConfig(hidden_size=256)
    weights = trained_weights(config)
    table = 4 * 4 * config.hidden_size * (config.vocab_size + 1)  # fp32: a row for each token
    matrices = sum(
        array.size
        for name, array in weights.items()
        if array.ndim == 2 and name not in ("embedding.weight", "layers.0.weight_ih")
    )
    held = 4 * config.hidden_size * 128  # replaces held.weight, which is smaller
    size = len(export_onnx(config, weights))
    assert size == pytest.approx(table + (matrices + held) * (1 + 4 / BLOCK_SIZE), rel=0.03)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_says_what_goes_in_and_what_comes_out(config: ModelConfig) -> None:
    pytest.importorskip("onnxruntime", reason="reads the file")
    session = make_session(export_onnx(config, trained_weights(config)))
    state = [config.num_layers, config.hidden_size]
    inputs = {found.name: (found.type, found.shape) for found in session.get_inputs()}
    floats = "tensor(float)"
    parts = (
        (config.held_input, 128),
        (config.recall_notes, 167),
        (config.control_inputs, 28),
        (config.style_inputs, 47),
    )
    width = sum(size for part, size in parts if part)
    features = {"features": (floats, [1, width])} if width else {}
    names = CELLS[config.cell].states
    states = dict.fromkeys(names, (floats, state))
    assert inputs == features | {"token": ("tensor(int64)", [])} | states
    outputs = [(found.name, found.shape) for found in session.get_outputs()]
    trust = [("trust", [1, 39])] if config.recall_notes else []
    terms = [("terms", [1, config.heads["terms"]])] if config.term_notes else []
    logits = ("logits", [1, config.vocab_size])
    assert outputs == [logits, *trust, *terms, *((f"{name}_next", state) for name in names)]


def test_a_file_says_which_model_and_codec_it_holds() -> None:
    pytest.importorskip("onnxruntime", reason="reads the file")
    config = CONFIGS[0]
    content = export_onnx(config, trained_weights(config), codec_settings=CODEC.settings())
    metadata = make_session(content).get_modelmeta().custom_metadata_map
    assert ModelConfig.from_dict(json.loads(metadata["midirnn.model"])) == config
    assert json.loads(metadata["midirnn.codec"]) == CODEC.settings()
