"""Resume a set of pieces: the settings that they are made with are stored next to them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.errors import OptionError
from midirnn.files import one_line_errors, write_file
from midirnn.locks import FileLock

if TYPE_CHECKING:
    from midirnn.engines.load import Model

SUFFIX, LOCK_SUFFIX = ".settings.json", ".settings.lock"

PIECES = "pieces"
"""The name, in the settings file, of the number of pieces that are of the set."""

FLAGS = {"pitch_range": "range"}
"""The flags whose names differ from those of their fields."""

NETWORK = "network"
FILES = ("chords", "curves", "by", NETWORK)
"""The flags that can name a file; its contents are a setting too."""

SUFFIXES = (".txt", ".csv", ".toml", ".py", ".safetensors")
"""The suffixes of these files. Other values are no files, even if there is one of that name."""

LEFT_OUT = (
    *("count", "workers", "resume"),
    *("primer", "primer_text", "primer_from", "primer_drums"),
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
    settings |= {
        _contents(name): _digest(file.read_bytes())
        for name in FILES
        if (file := _file_in(name, fields.get(name))) is not None
    }
    heard = b"" if primer is None else model.codec.encode(primer).tobytes()
    settings |= {
        "--engine": _resolved(engine),
        "--model": _digest(*(array.tobytes() for _, array in sorted(model.weights.items()))),
        "--primer": _digest(heard),
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain


class PieceSet:
    """A set of numbered pieces with the same settings. Owns the file that the settings are in.

    The file also says how many pieces, counted from the first, are of the set: files beyond them
    may have been made with other settings.
    """

    def __init__(
        self,
        output: Path,
        count: int,
        path_of: Callable[[int], Path],
        settings: Mapping[str, Any],
    ) -> None:
        self._file, self._settings = settings_file(output), settings
        self._count, self._path_of = count, path_of
        self._own = 0
        self._stored: int | None = None
        self._lock = FileLock(
            output.with_suffix(LOCK_SUFFIX),
            OptionError,
            f"another process is writing the set {output}: wait until it ends, or choose another "
            "--output",
        )

    def missing(self, *, resume: bool) -> Sequence[int]:
        """Return the indices of the pieces to make.

        With ``resume`` those are the pieces whose files are missing. Raises :class:`OptionError` if
        those that exist are not of this set, or were made with other settings, and if another
        process is making the set.
        """
        self._lock.acquire()
        exist = [number for number in range(self._count) if self._path_of(number).exists()]
        if resume and exist:
            self._own = self._known()
            self._refuse([number for number in exist if number >= self._own])
            print(f"{len(exist)} of {self._count} files exist and are kept", file=sys.stderr)
        elif not resume and self._file.exists():
            with suppress(OptionError):  # of other settings, so none of its pieces is ours
                self._own = self._known()
        others = (number for number in exist if number >= self._own)
        self._own = next(others, max(self._own, self._count))
        if not resume:
            return range(self._count)
        kept = set(exist)
        return [number for number in range(self._count) if number not in kept]

    def store(self, count: int) -> None:
        """Store the settings, unless they are, and that the first ``count`` pieces have them."""
        self._own = max(self._own, count)
        if self._stored == self._own:
            return
        content = {**self._settings, PIECES: self._own}
        with one_line_errors(self._file, OptionError):
            write_file(self._file, json.dumps(content, indent=2) + "\n")
        self._stored = self._own

    def _known(self) -> int:
        """Return how many pieces are known to be of this set: all, where nothing says otherwise."""
        before = read_settings(self._file, self._settings)
        count = before.get(PIECES)
        return count if isinstance(count, int) else self._count

    def _refuse(self, others: Sequence[int]) -> None:
        if others:
            raise OptionError(
                f"{self._path_of(others[0])} is not of the set to resume: by {self._file} only the "
                f"first {self._own} files are; move the others away, or leave out --resume to make "
                "all again"
            )


def settings_file(output: Path) -> Path:
    """Return the file in which the settings of a set of pieces are stored."""
    return output.with_suffix(SUFFIX)


def read_settings(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the pieces that exist; empty, with a line about it, if unknown.

    Raises :class:`OptionError` if they are others than ``settings``.
    """
    if not path.exists():
        print(f"{path} is missing: whether the settings are the same is unknown", file=sys.stderr)
        return {}
    with one_line_errors(path, OptionError, "cannot be read"):
        text = path.read_text(encoding="utf-8")
    try:
        before: dict[str, Any] = dict(json.loads(text))
    except (ValueError, TypeError):
        raise OptionError(
            f"{path} holds no settings; without it --resume keeps any files"
        ) from None
    for flag in settings:
        if flag in before and before[flag] != settings[flag]:
            raise OptionError(_difference(flag, before[flag], settings[flag], path))
    return before


def _contents(name: str) -> str:
    """Return the name of the setting that holds the digest of a flag's file."""
    return f"the file of --{name}"


def _file_in(name: str, value: Any) -> Path | None:
    """Return the file that the value of a flag names, if any.

    That is FILE, FILE:function or, for a network, the weights in its folder.
    """
    if value is None:
        return None
    text = str(value)
    path = Path(text.rpartition(":")[0] if ".py:" in text else text)
    if name == NETWORK:
        from midirnn.engines.load import find_model
        from midirnn.models.checkpoint import WEIGHTS_FILE

        path = find_model(text) / WEIGHTS_FILE
    return path if path.suffix in SUFFIXES and path.is_file() else None


def _difference(flag: str, before: Any, now: Any, path: Path) -> str:
    if flag in ("--model", "--primer", *map(_contents, FILES)):
        return f"{flag} is another than in the run to resume ({path}); give the same one"
    was, is_now = (_named(flag, value) for value in (before, now))
    return f"{flag} was {was} in the run to resume ({path}), and is {is_now} now"


def _named(flag: str, value: Any) -> Any:
    """Return the value of a flag as an error names it; of --batch only whether it was given."""
    if value is None:
        return "not given"
    return "given" if flag == "--batch" else value


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
