"""The folder of a run: who may write to it, what it holds, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midirnn.errors import CheckpointError
from midirnn.files import one_line_errors, reason_of, recover_folder, remove_folder, write_file
from midirnn.locks import FileLock

METRICS_FILE = "metrics.jsonl"
TRAINING_STATE_FILE = "training.pt"
LAST, BEST = "last", "best"

_LOCK_FILE = ".lock"


@dataclass(frozen=True)
class Report:
    """A line of progress, as written to metrics.jsonl."""

    step: int
    total_steps: int
    values: dict[str, float]


def lock_of(folder: Path) -> FileLock:
    """Return a lock on a folder, so that only one process trains into it at a time.

    Its error is a :class:`CheckpointError`.
    """
    taken = (
        f"another process is training into {folder}: wait until it ends, or choose another --output"
    )
    return FileLock(folder / _LOCK_FILE, CheckpointError, taken)


def holds_run(folder: Path) -> bool:
    """Return whether there is a run that can be resumed, changing nothing in the folder."""
    return last_checkpoint(folder).exists()


def last_checkpoint(folder: Path) -> Path:
    """Return where a run's last checkpoint is, even while it is being replaced."""
    old = folder / f".{LAST}.old"
    return old if old.exists() and not (folder / LAST).exists() else folder / LAST


def recover_run(folder: Path) -> None:
    """Restore a checkpoint that was being replaced when the run was killed."""
    for name in (LAST, BEST):
        recover_folder(folder / name)


def clear_run(folder: Path) -> None:
    """Remove the remains of a run that was killed before it could be resumed.

    These may be metrics and a first best checkpoint.
    """
    (folder / METRICS_FILE).unlink(missing_ok=True)
    remove_folder(folder / BEST)


def read_training_state(path: Path, needed: Collection[str], types: list[Any]) -> dict[str, Any]:
    """Read what a run saved besides its weights. Runs no code that the file may hold.

    ``needed`` are the keys that it must have, ``types`` all types that it may consist of, besides
    tensors and built-in types.
    """
    import torch  # only here: a run's folder is inspected before torch is loaded

    try:
        with torch.serialization.safe_globals(types):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} cannot be resumed: {path.name} is missing") from None
    except Exception as error:  # whatever pickle and zip raise for a damaged file
        raise CheckpointError(f"{path} cannot be read ({reason_of(error)})") from None
    missing = set(needed) - set(state if isinstance(state, dict) else ())
    if missing:
        raise CheckpointError(f"{path} cannot be read ({', '.join(sorted(missing))} missing)")
    return state


def writing(path: Path) -> AbstractContextManager[None]:
    """Raise errors of the file system as :class:`CheckpointError`."""
    return one_line_errors(path, CheckpointError)


def refuse_difference(have: dict[str, Any], want: dict[str, Any], folder: Path) -> None:
    """Raise :class:`CheckpointError` if any setting differs, naming both values."""
    for name in sorted(have.keys() | want.keys()):
        if have.get(name) != want.get(name):
            raise CheckpointError(
                f"{folder} was made with {name} = {have.get(name)!r}, not {want.get(name)!r}: "
                "resume with the same settings, or train into another folder"
            )


def trim_metrics(path: Path, step: int) -> None:
    """Drop the lines of later steps, which the resumed run will write again."""
    if not path.exists():
        return
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    write_file(path, "".join(line + "\n" for line in kept))
