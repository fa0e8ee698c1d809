"""The options of a session as flags and as a TOML file, read from the fields that declare them."""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from midirnn.errors import OptionError
from midirnn.files import reason_of
from midirnn.live.base.config import CLOCKS, LiveConfig, check_option

KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "a path in quotes",
    tuple: "a list of whole numbers, such as [1, 2]",
}
"""Descriptions of what a value in a file must be, by type."""


@dataclass(frozen=True)
class Option:
    """An option: its Python name, type, default, help text, group, and flags if not its name."""

    name: str
    hint: Any
    default: Any
    help: str
    group: str
    flags: tuple[str, ...] = ()
    part: str = ""
    """The field of :class:`LiveConfig` that holds it, if it belongs to a nested dataclass."""
    old_values: tuple[str, ...] = ()
    """Values that now belong to another option: see :func:`renamed`."""

    @property
    def kind(self) -> Any:
        """The type of a value: one of :data:`KINDS`."""
        hints = [hint for hint in get_args(self.hint) if hint is not type(None)]
        if self.hint == tuple[int, ...]:
            return tuple
        return hints[0] if hints else self.hint


@cache
def live_options() -> dict[str, Option]:
    """Return all options of :class:`LiveConfig` by name, including those of its parts."""
    found: dict[str, Option] = {}
    for option in _options_of(LiveConfig):
        if is_dataclass(option.hint):
            found |= {o.name: o for o in _options_of(option.hint, option.name, option.group)}
        else:
            found[option.name] = option
    return found


def _options_of(kind: Any, part: str = "", group: str = "") -> list[Option]:
    hints, docs = get_type_hints(kind), attribute_docs(kind)
    return [
        Option(
            each.name,
            hints[each.name],
            None if each.default is MISSING else each.default,
            docs[each.name],
            each.metadata.get("group", group),
            each.metadata.get("flags", ()),
            part,
            each.metadata.get("old_values", ()),
        )
        for each in fields(kind)
    ]


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the docstrings below the fields of a class, each joined into one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        above.target.id: " ".join(str(below.value.value).split())
        for above, below in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(above, ast.AnnAssign)
        and isinstance(above.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def renamed(given: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Return options by their present names; report each old name.

    ``follow`` used to be the clock. Now it is how closely the model keeps to the performer's style.
    """
    clock = given.get("follow")
    if clock not in CLOCKS:
        return dict(given)
    tell(f"--follow {clock} is now --clock {clock} (--follow is how closely to keep to your style)")
    return {name: value for name, value in given.items() if name != "follow"} | {"clock": clock}


def live_config(given: Mapping[str, Any]) -> LiveConfig:
    """Return the configuration with these options, named as in :func:`live_options`."""
    known, parts = live_options(), get_type_hints(LiveConfig)
    top = {name: value for name, value in given.items() if not known[name].part}
    for part in {known[name].part for name in given} - {""}:
        mine = {name: value for name, value in given.items() if known[name].part == part}
        top[part] = parts[part](**mine)
    return LiveConfig(**top)


def read_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read options from a TOML file: ``silence_seconds = 0.5``, one a line, without tables.

    Names are those of the flags, with hyphens or underscores. Raises :class:`OptionError`, which
    names the line, for an unknown name or a value that is not allowed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot read the configuration {path}: {reason_of(error)}") from None
    except ValueError:
        raise OptionError(f"the configuration {path} is not text in UTF-8") from None
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise OptionError(f"the configuration {path} is not TOML: {error}") from None
    options: dict[str, Any] = {}
    for key, value in table.items():
        try:
            name, options_value = _checked(key, value)
        except OptionError as error:
            raise OptionError(f"{path}, line {_line_of(key, text)}: {error}") from None
        options[name] = options_value
    return options


def _checked(key: str, value: Any) -> tuple[str, Any]:
    """Return the checked name and value of an option in a file."""
    known, name = live_options(), key.replace("-", "_")
    if name not in known:
        raise OptionError(_unknown(key, value))
    converted = _converted(known[name], value)
    if converted in known[name].old_values:
        return name, converted
    if known[name].part:
        live_config({name: converted})
    else:
        check_option(name, converted)
    return name, converted


def _unknown(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"[{key}] is a table; options stand at the top of the file, without tables"
    close = get_close_matches(key.replace("-", "_"), live_options(), n=1, cutoff=0.0)
    return f"unknown option {key!r}. Did you mean {close[0]!r}? See: midirnn live --help"


def _converted(option: Option, value: Any) -> Any:
    """Return a TOML value converted to the option's type."""
    kind = option.kind
    if value in option.old_values:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is tuple and isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    if type(value) is not kind:
        raise OptionError(f"{option.name} is {value!r}; it must be {KINDS[kind]}")
    return value


def _line_of(key: str, text: str) -> int:
    """Return the number of the line with a key or table."""
    pattern = re.compile(rf"\s*(\[\s*)?[\"']?{re.escape(key)}\b")
    numbers = (n for n, line in enumerate(text.splitlines(), start=1) if pattern.match(line))
    return next(numbers, 1)
