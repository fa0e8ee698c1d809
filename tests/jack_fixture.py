"""A JACK server as a fixture. (Scripts start servers too, where there may be no pytest.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from tests.jack import JackServer, jack_is_installed


def need_jack() -> None:
    """Skip the test where there is no JACK server to start."""
    if not jack_is_installed():
        pytest.skip("jackd is not installed: scripts/install-system-packages --tests")


def jack_fixture(*, period: int = 1024, scope: Literal["function", "module"] = "function") -> Any:
    """Return a fixture: a JACK server of its own for each test, or for those of a module."""

    @pytest.fixture(scope=scope)
    def jack_server() -> Iterator[JackServer]:
        need_jack()
        with JackServer(period=period) as server:
            yield server

    return jack_server
