"""What one process sends another by a pipe."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from midirnn.live.model_process.inbox import LENGTH_BYTES, Inbox, has_come, parcel

BIG = b"x" * 300_000
"""More than a pipe takes at once."""


class Pipe:
    """Both ends of a pipe, the reading one with an inbox."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.inbox = Inbox(self.reading)

    def send(self, data: bytes) -> None:
        assert os.write(self.writing, data) == len(data)

    def end(self) -> None:
        os.close(self.writing)
        self.writing = -1

    def close(self) -> None:
        os.close(self.reading)
        if self.writing >= 0:
            os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    both = Pipe()
    yield both
    both.close()


def test_things_are_taken_in_the_order_in_which_they_were_sent(pipe: Pipe) -> None:
    for thing in ("a", (), {"b": 2}):
        pipe.send(parcel(thing))
    assert [pipe.inbox.take() for _ in range(3)] == ["a", (), {"b": 2}]


def test_a_thing_that_comes_in_pieces_is_taken_when_it_is_whole(pipe: Pipe) -> None:
    data = parcel("first") + parcel("second")
    for cut in range(1, len(data)):
        pipe.send(data[:cut])
        pipe.inbox.look()
        pipe.send(data[cut:])
        assert [pipe.inbox.take(), pipe.inbox.take()] == ["first", "second"]


def test_a_thing_that_fills_the_pipe_several_times_arrives(pipe: Pipe) -> None:
    def send() -> None:
        with os.fdopen(os.dup(pipe.writing), "wb") as stream:
            stream.write(parcel(BIG) + parcel("behind"))

    sender = threading.Thread(target=send)
    sender.start()
    assert pipe.inbox.take() == BIG
    assert pipe.inbox.take() == "behind"
    sender.join()


def test_looking_waits_for_nothing_and_takes_nothing(pipe: Pipe) -> None:
    assert list(pipe.inbox.look()) == []
    pipe.send(parcel("a") + parcel("b") + b"\xff" * LENGTH_BYTES)
    assert list(pipe.inbox.look()) == ["a", "b"]
    assert pipe.inbox.take() == "a"
    assert list(pipe.inbox.look()) == ["b"]


def test_what_comes_in_is_taken_before_there_is_another_meanwhile(pipe: Pipe) -> None:
    calls = 0

    def meanwhile() -> bool:
        nonlocal calls
        calls += 1
        if calls == 3:
            pipe.send(parcel("a"))
        return True

    assert pipe.inbox.take(meanwhile) == "a"
    assert calls == 3
    pipe.send(parcel("b") + parcel("c"))
    assert [pipe.inbox.take(meanwhile) for _ in "bc"] == ["b", "c"]
    assert calls == 3


def test_where_nothing_is_of_use_meanwhile_it_sleeps_until_something_comes(pipe: Pipe) -> None:
    later = threading.Timer(0.2, pipe.send, [parcel("a")])
    later.start()
    before = time.thread_time()
    assert pipe.inbox.take() == "a"
    assert time.thread_time() - before < 0.1
    later.join()


def test_none_is_the_end_even_if_something_waits(pipe: Pipe) -> None:
    pipe.send(parcel("a") + parcel(None))
    assert pipe.inbox.take() is None
    assert pipe.inbox.ended
    assert not pipe.inbox.orphaned


@pytest.mark.parametrize("left", [b"", parcel("cut off")[:-1], parcel("cut off")[:2]])
def test_a_pipe_that_ends_leaves_an_orphan(pipe: Pipe, left: bytes) -> None:
    pipe.send(parcel("a") + left)
    assert pipe.inbox.take() == "a"
    pipe.end()
    assert pipe.inbox.take() is None
    assert pipe.inbox.orphaned
    assert has_come(pipe.reading)  # that it has ended
