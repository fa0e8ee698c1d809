"""Train a network that plays scores, on the output of scripts/recipes/humanize_pairs.py.

    python3 scripts/recipes/humanize_train.py PAIRS.npz RUN

Ctrl-C saves and stops; the same command continues. RUN holds `last`, `best` (by the validation
split) and metrics.jsonl, as the runs of `midirnn train` do.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from midirnn.engines.load import find_model
from midirnn.models.checkpoint import read_checkpoint
from midirnn.models.humanizer_config import HumanizerConfig
from midirnn.scores.pairs import load_pairs
from midirnn.training.config import TrainingConfig
from midirnn.training.folder import Report, holds_run
from midirnn.training.humanizer_task import HumanizerTask
from midirnn.training.run import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--encoder-size", type=int, default=96)
    parser.add_argument("--decoder-size", type=int, default=128)
    parser.add_argument("--context-only", action="store_true", help="a decoder that has C alone")
    parser.add_argument("--start-from", help="begin with the weights of another run")
    parser.add_argument("--notes", type=int, default=15_000_000)
    parser.add_argument("--minutes", type=float, default=0.0, help="train so long, not by --notes")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--decay-start", type=float, default=0.4)
    parser.add_argument("--validation-steps", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = HumanizerConfig(
        encoder_size=arguments.encoder_size,
        decoder_size=arguments.decoder_size,
        aligned=not arguments.context_only,
    )
    recipe = TrainingConfig(
        tokens=arguments.notes,
        minutes=arguments.minutes,
        batch_size=arguments.batch_size,
        window=arguments.window,
        learning_rate=arguments.learning_rate,
        decay_start=arguments.decay_start,
        weight_decay=0.02,
        ema_decay=0.995,
        transpose=4,
        seed=arguments.seed,
        validation_steps=arguments.validation_steps,
        validation_tokens=60_000,
    )
    task = HumanizerTask(config, recipe, load_pairs(arguments.pairs))
    trainer = Trainer(arguments.run, task, recipe, report=tell)
    if holds_run(arguments.run):
        trainer.resume()
    elif arguments.start_from:
        checkpoint = read_checkpoint(find_model(arguments.start_from))
        trainer.start_from(arguments.start_from, checkpoint)
    stop = Stop()
    progress = trainer.run(lambda: stop.asked)
    print(f"{arguments.run}: {progress.step:,} steps, best {progress.best_nats:.4f} nats per note")


class Stop:
    """Requested by the first Ctrl-C; the second stops at once."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def tell(report: Report) -> None:
    """Print every validation, and the loss from time to time."""
    if "loss" not in report.values or report.step % 100 == 0:
        values = ", ".join(f"{name} {value:.4g}" for name, value in report.values.items())
        print(f"of {report.total_steps:,}: {values}", flush=True)


if __name__ == "__main__":
    main()
