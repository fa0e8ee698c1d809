"""What pages may ask, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.web.protocol import REQUESTS, RequestError, line_of, read_request

ALLOWED: list[dict[str, Any]] = [
    {"t": "midi", "m": [144, 60, 80], "at": 12.5},
    {"t": "midi", "m": [128, 60, 0], "at": -1},
    {"t": "midi", "m": [176, 64, 127], "at": 0.0},
    {"t": "midi", "m": [180, 20, 127], "at": 0.0},
    {"t": "midi", "m": [153, 36, 100], "at": 0.0},
    {"t": "midi", "m": [137, 36, 0], "at": 0.0},
    {"t": "midi", "m": [193, 5], "at": 0.0},
    {"t": "turn", "knob": "density", "value": None},
    {"t": "turn", "knob": "key", "value": "C major"},
    {"t": "press", "name": "panic"},
    {"t": "store", "preset": 1},
    {"t": "load", "preset": 8},
    {"t": "model", "name": "piano"},
    {"t": "record", "on": True},
    {"t": "play_here"},
    {"t": "ping", "c": 1.0},
]

REFUSED = [
    "",
    "null",
    "[]",
    "7",
    '"midi"',
    "{",
    "[" * 900,
    "{}",
    '{"t": 1}',
    '{"t": ["midi"]}',
    '{"t": "shutdown"}',
    '{"t": "ping"}',
    '{"t": "ping", "c": "1"}',
    '{"t": "ping", "c": NaN}',
    '{"t": "ping", "c": Infinity}',
    '{"t": "ping", "c": 1e999}',
    '{"t": "ping", "c": %s}' % ("9" * 400),
    '{"t": "turn", "knob": "density", "value": -%s}' % ("9" * 400),
    '{"t": "ping", "c": true}',
    '{"t": "ping", "c": 1, "d": 2}',
    '{"t": "midi", "m": [144, 60, 128], "at": 0}',
    '{"t": "midi", "m": [144, -1, 1], "at": 0}',
    '{"t": "midi", "m": [144, 60], "at": 0}',
    '{"t": "midi", "m": [145, 60, 1], "at": 0}',
    '{"t": "midi", "m": [144, 60.0, 1], "at": 0}',
    '{"t": "midi", "m": [176, 123, 0], "at": 0}',
    '{"t": "midi", "m": [180, 64, 127], "at": 0}',
    '{"t": "midi", "m": [192, 5, 0], "at": 0}',
    '{"t": "midi", "m": [400, 60, 80], "at": 0}',
    '{"t": "midi", "m": [-103, 60, 80], "at": 0}',
    '{"t": "midi", "m": [224, 0, 64], "at": 0}',
    '{"t": "midi", "m": [], "at": 0}',
    '{"t": "midi", "m": [255, 0, 0], "at": 0}',
    '{"t": "midi", "m": "abc", "at": 0}',
    '{"t": "store", "preset": 1000}',
    '{"t": "store", "preset": true}',
    '{"t": "store", "preset": 0}',
    '{"t": "press", "name": ["panic"]}',
    '{"t": "press", "name": "store"}',
    '{"t": "turn", "knob": "density", "value": [1]}',
    '{"t": "turn", "knob": "", "value": 1}',
    '{"t": "model", "name": "a\\u0000b"}',
    json.dumps({"t": "model", "name": "x" * 300}),
    '{"t": "record", "on": 1}',
]


@pytest.mark.parametrize("request_", ALLOWED, ids=str)
def test_what_a_page_sends_is_read(request_: dict[str, Any]) -> None:
    assert read_request(json.dumps(request_)) == request_


def test_every_request_is_among_the_examples() -> None:
    assert {each["t"] for each in ALLOWED} == set(REQUESTS)


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(RequestError) as raised:
        read_request(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.sampled_from([*REQUESTS, "", "x"]),
    st.dictionaries(
        st.sampled_from(["m", "at", "knob", "value", "name", "preset", "on", "c"]), JSON
    ),
)
def test_no_json_does_more_than_be_refused(kind: str, fields: dict[str, Any]) -> None:
    text = json.dumps({"t": kind, **fields})
    try:
        found = read_request(text)
    except RequestError:
        return
    assert found["t"] in REQUESTS
    assert set(found) == {"t", *REQUESTS[found["t"]]}


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(RequestError):
        read_request("\x00" + data.decode("latin-1"))


@given(JSON)
def test_a_message_is_one_line_of_the_pipe(value: Any) -> None:
    line = line_of([value])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
