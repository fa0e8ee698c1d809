"""Every public name says in types and in a docstring what it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import midirnn


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, and public methods of public classes."""
    for name in midirnn.__all__:
        found = getattr(midirnn, name)
        if inspect.isclass(found):
            for own, value in vars(found).items():
                if inspect.isfunction(value) and not own.startswith("_"):
                    yield f"{name}.{own}", value
        elif callable(found):
            yield name, found


FUNCTIONS = dict(functions())


@pytest.mark.parametrize("name", midirnn.__all__)
def test_a_public_name_has_a_docstring(name: str) -> None:
    found = getattr(midirnn, name)
    assert found.__doc__ and not found.__doc__.startswith(f"{name}(")  # made by a dataclass


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_has_a_docstring_and_types(name: str) -> None:
    function = FUNCTIONS[name]
    assert function.__doc__, name
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty
