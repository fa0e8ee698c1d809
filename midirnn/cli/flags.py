"""Flags made from the options of a dataclass, so that each is declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter, Token, convert

from midirnn.live.base.options import Option

F = TypeVar("F", bound=Callable[..., Any])


def with_flags(
    options: Iterable[Option],
    *others: inspect.Parameter,
    help_of: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Give a command that takes ``**given`` a flag for each option; ``others`` are its own flags.

    The command is called only with the flags that were given. ``help_of`` replaces the help that
    options have in their declaration.
    """

    def decorate(command: F) -> F:
        flags = [_flag(option, (help_of or {}).get(option.name)) for option in options]
        parameters = [*flags, *others]
        # cyclopts reads the signature and, for types, the annotations.
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate


def flag(keyword: str, hint: Any, default: Any, /, **about: Any) -> inspect.Parameter:
    """Return a flag that is not from a dataclass; ``about`` is for cyclopts' ``Parameter``."""
    annotation = Annotated[hint, Parameter(**about)]
    return inspect.Parameter(
        keyword, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _flag(option: Option, help: str | None) -> inspect.Parameter:
    about: dict[str, Any] = {"help": help or option.help, "negative_iterable": ()}
    if option.flags:
        about["name"] = list(option.flags)
    if option.group:
        about["group"] = option.group
    if option.default is False or option.default == ():
        about["show_default"] = False
    if option.old_values:
        about["converter"] = _read_old_values_too(option.old_values)
    return flag(option.name, option.hint, option.default, **about)


def _read_old_values_too(old_values: tuple[str, ...]) -> Callable[[Any, Sequence[Token]], Any]:
    """Return a converter to the flag's type that also accepts old values, unlike the help."""

    def read(hint: Any, tokens: Sequence[Token]) -> Any:
        return tokens[0].value if tokens[0].value in old_values else convert(hint, tokens)

    return read
