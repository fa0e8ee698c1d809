"""Resume a set of pieces: the settings that they are made with are stored next to them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.errors import OptionError
from midirnn.files import one_line_errors, write_file

if TYPE_CHECKING:
    from midirnn.engines.load import Model

SUFFIX = ".settings.json"

FLAGS = {"pitch_range": "range"}
"""The flags whose names differ from those of their fields."""

LEFT_OUT = (
    *("count", "workers", "resume"),
    *("primer", "primer_text", "primer_from", "primer_seconds", "primer_drums"),
)
"""Flags that do not change the music of a seed, and those that only choose the primer."""


def settings_of(
    model: Model, primer: Any, engine: str, groups: Sequence[Any], **others: Any
) -> dict[str, Any]:
    """Return all that the pieces of a seed depend on, as JSON values by flag.

    ``groups`` are dataclasses of flags.
    """
    fields: dict[str, Any] = dict(others)
    for group in groups:
        fields |= {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    if fields.get("batch") is not None:  # how many at once does not matter
        fields["batch"], engine = True, "numpy" if engine == "auto" else engine
    settings = {
        f"--{FLAGS.get(name, name).replace('_', '-')}": value
        for name, value in fields.items()
        if name not in LEFT_OUT
    }
    heard = b"" if primer is None else model.codec.encode(primer).tobytes()
    settings |= {
        "--engine": _resolved(engine),
        "--model": _digest(*(array.tobytes() for _, array in sorted(model.weights.items()))),
        "--primer": _digest(heard),
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain


def missing_pieces(
    output: Path, paths: Sequence[Path], settings: Mapping[str, Any], *, resume: bool
) -> list[int]:
    """Return the indices of the pieces to make.

    With ``resume`` those are the pieces whose files are missing. Raises :class:`OptionError` if
    those that exist were made with other settings.
    """
    wanted = [number for number, path in enumerate(paths) if not (resume and path.exists())]
    if len(wanted) < len(paths):
        check_settings(output, settings)
        kept = len(paths) - len(wanted)
        print(f"{kept} of {len(paths)} files exist and are kept", file=sys.stderr)
    return wanted


def store_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Store the settings of a set of pieces next to them."""
    with one_line_errors(settings_file(output), OptionError):
        write_file(settings_file(output), json.dumps(settings, indent=2) + "\n")


def settings_file(output: Path) -> Path:
    """Return the file in which the settings of a set of pieces are stored."""
    return output.with_suffix(SUFFIX)


def check_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` if the pieces that exist were made with other settings."""
    path = settings_file(output)
    if not path.exists():
        print(f"{path} is missing: whether the settings are the same is unknown", file=sys.stderr)
        return
    with one_line_errors(path, OptionError, "cannot be read"):
        text = path.read_text(encoding="utf-8")
    try:
        before = dict(json.loads(text))
    except (ValueError, TypeError):
        raise OptionError(
            f"{path} holds no settings; without it --resume keeps any files"
        ) from None
    for flag in settings:
        if flag in before and before[flag] != settings[flag]:
            raise OptionError(_difference(flag, before[flag], settings[flag], path))


def _difference(flag: str, before: Any, now: Any, path: Path) -> str:
    if flag in ("--model", "--primer"):
        return f"{flag} is another than in the run to resume ({path}); give the same one"
    was, is_now = ("not given" if value is None else value for value in (before, now))
    return f"{flag} was {was} in the run to resume ({path}), and is {is_now} now"


def _resolved(engine: str) -> str:
    """Return the engine that "auto" selects."""
    if engine != "auto":
        return engine
    from importlib.util import find_spec

    return "onnxruntime" if find_spec("onnxruntime") else "numpy"


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]
