from __future__ import annotations

from tests.jack_fixture import jack_fixture

jack_server = jack_fixture(scope="module")
