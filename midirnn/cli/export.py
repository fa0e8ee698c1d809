"""``midirnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.same_codec import check_same_codec
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.files import one_line_errors, write_file

if TYPE_CHECKING:
    from midirnn.engines.load import Model

SUFFIXES = (".onnx",)
CHECK_PIECES, CHECK_TOKENS = 8, 500


def export(
    model: Annotated[str, Parameter(name="MODEL", help="A model's name, folder or training run.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The ONNX file.")],
    check: Annotated[
        Path | None,
        Parameter(
            help="A data set: compare the log-likelihood of its validation split under the file "
            "and under the exact model."
        ),
    ] = None,
) -> None:
    """Write a model as an ONNX file: one step, with weights in int8.

    The file runs in ONNX Runtime 1.23 or newer, from any language. Its inputs are a token, its
    additional features (held notes, for example) and the state; its outputs are the logits and the
    next state. midirnn itself does not need such a file.
    """
    from midirnn.engines.export import export_onnx
    from midirnn.engines.load import load

    check_file(output, SUFFIXES)
    loaded = load(model)
    content = export_onnx(loaded.config, loaded.weights, codec_settings=loaded.codec.settings())
    checked = _check(loaded, content, check) if check is not None else ""
    with one_line_errors(output, OptionError):
        write_file(output, content)
    weights = sum(array.size for array in loaded.weights.values())
    print(f"{output}: {len(content) / 1e6:.1f} MB, {weights:,} weights")
    if checked:
        print(checked)


def _check(model: Model, content: bytes, dataset: Path) -> str:
    """Return a line with the log-likelihood of the same music under the file and the model."""
    from midirnn.datasets import Dataset
    from midirnn.datasets.draws import evenly
    from midirnn.engines.onnx_engine import OnnxEngine
    from midirnn.sampling.engine_comparison import compare_engines

    opened = Dataset.open(dataset)
    check_same_codec(model, opened)
    chosen = evenly(opened.pieces("validation"), CHECK_PIECES)
    found = compare_engines(
        {"exact": model.engine("numpy"), "file": OnnxEngine(model.config, content)},
        model.codec,
        [piece[:CHECK_TOKENS] for piece in chosen],
    )
    nats = found.nats_per_token
    return (
        f"{found.tokens:,} tokens: {nats['file']:.4f} nats per token, "
        f"{nats['exact']:.4f} with exact weights"
    )
