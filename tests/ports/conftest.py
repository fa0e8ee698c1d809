from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jack import JackServer, jack_is_installed


@pytest.fixture(scope="module")
def jack_server() -> Iterator[JackServer]:
    if not jack_is_installed():
        pytest.skip("jackd is not installed: scripts/install-system-packages --tests")
    with JackServer(period=1024) as server:
        yield server
