"""Takes are read from where they began, however long the session was before."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from midirnn.errors import RecordingError
from midirnn.live.base.messages import ModelSettings
from midirnn.live.output.ledger import MODEL
from midirnn.web.takes import BEFORE_BYTES, Keeper, Take, notes_of_take, read_log_of, read_take
from tests.live.stage import write_tiny_model
from tests.web.jams import until


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "model").mkdir()
    model = str(write_tiny_model(tmp_path / "model"))
    found = Keeper(tmp_path, dict, lambda line: None)
    found.started(ModelSettings(model, start_seconds=0.0), 0.0)
    return found


def play(keeper: Keeper, first: int, last: int) -> None:
    """A note of the performer and one of the model in each second."""
    for second in range(first, last):
        keeper.heard((0x90, 60, 80), second)
        keeper.heard((0x80, 60, 0), second + 0.5)
        keeper.sent((0x90, 72, 80), second + 0.25, second + 0.25, MODEL)
        keeper.sent((0x80, 72, 0), second + 0.75, second + 0.75, MODEL)


def take_after_a_long_session(keeper: Keeper) -> Take:
    play(keeper, 0, 3000)
    assert keeper._log is not None
    until(keeper._log._queue.empty)
    keeper.begin(3000.0)
    play(keeper, 3000, 3004)
    take = keeper.end(3004.0)
    assert take is not None
    play(keeper, 3005, 3010)
    keeper.close_log(3010.0)
    return take


def test_a_take_has_its_notes_and_no_others(keeper: Keeper) -> None:
    take = take_after_a_long_session(keeper)
    assert 0 < take.offset < take.log.stat().st_size - BEFORE_BYTES
    music = read_take(take)
    assert sorted(music.start.tolist()) == [0, 0.25, 1, 1.25, 2, 2.25, 3, 3.25]
    assert music.pitch.tolist().count(72) == 4


def test_drums_of_a_take_are_kept_and_not_played_back_as_a_piano(keeper: Keeper) -> None:
    keeper.begin(0.0)
    play(keeper, 1, 2)
    keeper.heard((0x99, 36, 90), 1.5)
    keeper.heard((0x99, 36, 0), 1.6)
    take = keeper.end(2.0)
    assert take is not None
    keeper.close_log(4.0)
    assert sorted(read_take(take).pitch.tolist()) == [36, 60, 72]
    assert [each[2] for each in notes_of_take(take)] == [60, 72]


def test_what_came_long_before_a_take_is_not_read(keeper: Keeper) -> None:
    take = take_after_a_long_session(keeper)
    with take.log.open("r+b") as file:
        file.seek(5000)
        file.write(b"x" * 1000)
    assert len(read_take(take)) == 8
    with pytest.raises(RecordingError, match="damaged"):
        read_take(Take(take.number, take.log, take.start, take.end))


def test_the_log_of_a_take_goes_from_the_beginning_to_its_end(keeper: Keeper) -> None:
    take = take_after_a_long_session(keeper)
    lines = read_log_of(take).splitlines()
    assert lines == take.log.read_text().splitlines()[: len(lines)]
    assert json.loads(lines[-1])["note"].startswith("take 1: from")
    assert len(lines) == 1 + 1 + 4 * 3004 + 1


def test_a_take_is_waited_for_until_it_is_written(keeper: Keeper) -> None:
    take = take_after_a_long_session(keeper)
    whole = take.log.read_bytes()
    end = whole.index(b'"take 1: from')
    take.log.write_bytes(whole[:end])
    found: list[int] = []
    reading = threading.Thread(target=lambda: found.append(len(read_take(take))))
    reading.start()
    with take.log.open("ab") as file:
        file.write(whole[end:])
    reading.join(20)
    assert found == [8]
