"""Train on a GPU for a number of minutes, from a pack; write the results in small files.

    python3 scripts/recipes/gpu/train.py PACK OUT --minutes 10 [--from RETURNED] [--work FOLDER]

OUT gets the best weights in bf16 in parts of less than 16 MB, the metrics, and the state that a
second run needs to continue (--from). README.md in this folder describes all steps.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import torch
from device import DeviceTask
from packing import read_pack
from returning import join_state, write_returned

from midirnn.errors import MidirnnError
from midirnn.models.config import ModelConfig
from midirnn.training.config import TrainingConfig
from midirnn.training.distributed import Team
from midirnn.training.folder import Report
from midirnn.training.run import Trainer


def main() -> int:
    arguments = parse_arguments()
    try:
        train(arguments)
    except MidirnnError as error:
        print(f"train: error: {error}", file=sys.stderr)
        return 1
    return 0


def train(arguments: argparse.Namespace) -> None:
    begun = time.monotonic()
    codec, sources = read_pack(arguments.pack)
    config = model_config(arguments).for_codec(codec)
    recipe = training_config(arguments)
    torch.set_num_threads(recipe.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.manual_seed(recipe.seed)
    task = DeviceTask(config, recipe, codec, sources, Team())
    run = arguments.work or arguments.out.with_name(arguments.out.name + "-run")
    if arguments.going_on is not None:
        join_state(arguments.going_on, run)
    trainer = Trainer(run, task, recipe, report=report)
    if arguments.going_on is not None and arguments.decay:
        earlier = run.rename(run.with_name(run.name + "-earlier"))
        trainer.decay_from(earlier)
    elif arguments.going_on is not None:
        trainer.resume()
    print(f"{Team().device}, ready after {time.monotonic() - begun:.0f} s", flush=True)
    trained = time.monotonic()
    progress = trainer.run()
    seconds = time.monotonic() - trained
    write_returned(run, arguments.out)
    if arguments.work is None:
        shutil.rmtree(run)
    print(
        f"{progress.tokens:,} tokens so far, {seconds:.0f} s in this run, best validation "
        f"{progress.best_nats:.4f} nats per token, in {arguments.out}"
    )


def report(line: Report) -> None:
    figures = "  ".join(f"{name} {value:.5g}" for name, value in line.values.items())
    print(figures, flush=True)


def model_config(arguments: argparse.Namespace) -> ModelConfig:
    return ModelConfig(
        hidden_size=arguments.hidden_size,
        num_layers=arguments.num_layers,
        embedding_size=arguments.embedding_size,
        recall_notes=arguments.recall_notes,
        term_notes=arguments.term_notes,
        control_inputs=True,
        style_inputs=True,
        dropout=arguments.dropout,
    )


def training_config(arguments: argparse.Namespace) -> TrainingConfig:
    recipe = TrainingConfig(
        minutes=arguments.minutes,
        batch_size=arguments.streams,
        window=arguments.window,
        segment=arguments.segment,
        accumulate=arguments.accumulate,
        transpose=arguments.transpose,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        ema_decay=arguments.ema_decay,
        warmup_steps=arguments.warmup_steps,
        decay_start=arguments.decay_start,
        steered=0.9,
        validation_steps=arguments.validation_steps,
        validation_tokens=arguments.validation_tokens,
        seed=arguments.seed,
    )
    return recipe.decaying() if arguments.decay else recipe


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--minutes", type=float, required=True, help="in all, earlier runs included"
    )
    parser.add_argument(
        "--from", type=Path, dest="going_on", help="go on with what an earlier run returned"
    )
    parser.add_argument(
        "--decay", action="store_true", help="with --from: decay that run, in --minutes of its own"
    )
    parser.add_argument("--work", type=Path, help="keep the run's folder here")
    for name, value in {
        "hidden-size": 512,
        "num-layers": 3,
        "embedding-size": 256,
        "recall-notes": 2048,
        "term-notes": 0,
        "streams": 512,
        "window": 128,
        "segment": 2048,
        "accumulate": 1,
        "transpose": 3,
        "warmup-steps": 300,
        "validation-steps": 500,
        "validation-tokens": 150_000,
        "seed": 0,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, share in {
        "dropout": 0.1,
        "learning-rate": 4e-3,
        "weight-decay": 0.05,
        "ema-decay": 0.999,
        "decay-start": 0.4,
    }.items():
        parser.add_argument(f"--{name}", type=float, default=share)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
