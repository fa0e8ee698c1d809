"""MIDI files become a data set: what is read, what is refused, what is written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.datasets import Dataset, SplitShares, encode_files
from midirnn.errors import CodecError, DatasetError, OptionError
from midirnn.midifile import read_midi, write_midi
from midirnn.performance import Part, Performance
from tests.datasets.songs import song, write_song, write_songs

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ALL_TRAIN = SplitShares(validation=0.0, test=0.0)


def test_every_piece_has_the_tokens_that_the_codec_gives_its_file(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 5)
    encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    dataset = Dataset.open(tmp_path / "out")
    rows, pieces = dataset.rows("train"), dataset.pieces("train")
    assert [row["path"] for row in rows] == sorted(
        (p.relative_to(songs).as_posix() for p in songs.rglob("*.mid")),
        key=lambda path: ("/" in path, path),
    )
    for row, piece in zip(rows, pieces, strict=True):
        data = (songs / row["path"]).read_bytes()
        performance = read_midi(data)
        np.testing.assert_array_equal(piece, PerformanceCodec().encode(performance))
        assert row["notes"] == len(performance)
        assert row["duration"] == performance.duration
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["split"] == "train"


def test_the_report_and_the_data_set_count_the_same(tmp_path: Path) -> None:
    report = encode_files([write_songs(tmp_path / "songs", 6)], tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.counts == report.counts
    for split, count in report.counts.items():
        pieces, rows = dataset.pieces(split), dataset.rows(split)
        assert count.files == len(pieces) == len(rows)
        assert count.tokens == sum(map(len, pieces))
        assert count.notes == sum(row["notes"] for row in rows)
        assert count.hours == pytest.approx(sum(row["duration"] for row in rows) / 3600)


def test_codec_settings_are_kept(tmp_path: Path) -> None:
    codec = PerformanceCodec(steps_per_second=50, max_shift_steps=40, velocity_bins=8)
    encode_files([write_song(tmp_path / "a.mid")], tmp_path / "out", codec=codec, splits=ALL_TRAIN)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.codec == codec
    expected = codec.encode(read_midi(tmp_path / "a.mid"))
    np.testing.assert_array_equal(dataset.pieces("train")[0], expected)


def test_the_manifest_names_versions_and_options_but_no_time_and_no_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_songs(tmp_path / "songs", 2)
    monkeypatch.chdir(tmp_path)
    encode_files(["songs"], "out")
    text = (tmp_path / "out" / "dataset.json").read_text()
    manifest = json.loads(text)
    assert manifest["format_version"] == 1
    assert set(manifest["versions"]) == {"midirnn", "python", "numpy", "pyarrow"}
    assert manifest["options"] == {
        "sources": ["songs"],
        "splits": {"by": "hash", "validation": 0.05, "test": 0.05},
    }
    assert str(tmp_path) not in text


def test_suffixes_count_in_capitals_too_and_other_files_do_not(tmp_path: Path) -> None:
    for name in ("a.mid", "b.MIDI", "c.Mid", "d.txt", "e.mid.bak"):
        write_song(tmp_path / "songs" / name, seed=ord(name[0]))
    report = encode_files([tmp_path / "songs"], tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 3
    assert report.refused == ()


def test_karaoke_files_and_files_in_a_riff_wrapper_are_found(tmp_path: Path) -> None:
    for name in ("a.kar", "b.rmi", "c.KAR"):
        write_song(tmp_path / "songs" / name, seed=ord(name[0]))
    report = encode_files([tmp_path / "songs"], tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 3
    assert report.refused == ()


def test_a_file_that_is_named_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.bin")
    assert encode_files([path], tmp_path / "out").counts


def test_sources_that_overlap_give_each_file_once(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 4)
    sources = [songs, songs / "deep", songs / "deep" / "song01.mid"]
    report = encode_files(sources, tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 4
    assert report.duplicates == 0


def test_links_that_go_round_in_a_circle_end(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 4)
    (songs / "deep" / "round").symlink_to(songs)
    elsewhere = write_songs(tmp_path / "elsewhere", 1)
    write_song(elsewhere / "other.mid", seed=99)
    (songs / "linked").symlink_to(elsewhere)
    (songs / "dead.mid").symlink_to(tmp_path / "nowhere")
    report = encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 6
    assert [(r.path, r.reason) for r in report.refused] == [
        ("dead.mid", "cannot be read (No such file or directory)")
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_with_the_name_of_a_midi_file_does_not_hang_the_run(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 1)
    os.mkfifo(songs / "pipe.mid")
    assert encode_files([songs], tmp_path / "out").refused == ()


def test_bad_files_are_reported_and_do_not_stop_the_run(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 3)
    good = (songs / "song00.mid").read_bytes()
    (songs / "cut.mid").write_bytes(good[: len(good) // 2])
    (songs / "empty.mid").write_bytes(b"")
    (songs / "text.mid").write_text("this is no MIDI file")
    write_midi(Performance(), songs / "silent.mid")
    drums = song(5).replace(parts=(Part(channel=9),))
    write_midi(drums, songs / "drums.mid")
    report = encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 3
    reasons = {refusal.path: refusal.reason for refusal in report.refused}
    assert set(reasons) == {"cut.mid", "empty.mid", "text.mid", "silent.mid", "drums.mid"}
    assert "is cut off" in reasons["cut.mid"]
    assert reasons["empty.mid"] == "is empty (0 bytes)"
    assert "is not a MIDI file" in reasons["text.mid"]
    assert reasons["silent.mid"] == reasons["drums.mid"] == "holds no notes (drums are left out)"
    lines = (tmp_path / "out" / "refused.jsonl").read_text().splitlines()
    assert {row["path"]: row["reason"] for row in map(json.loads, lines)} == reasons


def test_files_and_folders_without_read_permission_are_reported(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 3)
    (songs / "song00.mid").chmod(0)
    if os.access(songs / "song00.mid", os.R_OK):
        pytest.skip("this user (root) may read everything")
    (songs / "deep").chmod(0)
    try:
        report = encode_files([songs], tmp_path / "out", splits=ALL_TRAIN)
    finally:
        (songs / "deep").chmod(0o755)
    reasons = {refusal.path: refusal.reason for refusal in report.refused}
    assert reasons["song00.mid"] == "cannot be read (Permission denied)"
    assert reasons[(songs / "deep").as_posix()] == "cannot be listed (Permission denied)"


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_is_stored_with_its_bytes_written_out(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/songs/caf\xe9.mid"))
    try:
        write_song(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    encode_files([tmp_path / "songs"], tmp_path / "out", splits=ALL_TRAIN)
    assert Dataset.open(tmp_path / "out").rows("train")[0]["path"] == r"caf\xe9.mid"


def test_equal_files_are_counted_and_kept(tmp_path: Path) -> None:
    write_song(tmp_path / "songs" / "a.mid")
    write_song(tmp_path / "songs" / "b.mid")
    report = encode_files([tmp_path / "songs"], tmp_path / "out", splits=ALL_TRAIN)
    assert report.counts["train"].files == 2
    assert (report.duplicates, report.duplicates_across_splits) == (1, 0)


def test_progress_is_told_for_each_file(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    encode_files(
        [write_songs(tmp_path / "songs", 3)],
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_usable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "empty.mid").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"the only file cannot be used: empty\.mid"):
        encode_files([tmp_path / "songs"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]


def test_a_folder_without_midi_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no files \*\.mid, \*\.midi, \*\.kar, \*\.rmi in "):
        encode_files([tmp_path], tmp_path / "out")


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        encode_files([tmp_path / "nowhere"], tmp_path / "out")


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(OptionError, match="at least 1"):
        encode_files([write_song(tmp_path / "a.mid")], tmp_path / "out", workers=workers)


def test_settings_that_make_no_codec_are_refused() -> None:
    with pytest.raises(CodecError, match="steps_per_second"):
        PerformanceCodec(steps_per_second=0)


def test_real_performances_can_be_encoded(tmp_path: Path) -> None:
    files = sorted((SHARED / "pop909").glob("*.mid"))[:3] if SHARED.is_dir() else []
    if not files:
        pytest.skip(f"there is no data set at {SHARED}")
    report = encode_files(files, tmp_path / "out", splits=ALL_TRAIN, workers=1)
    assert report.refused == ()
    pieces = Dataset.open(tmp_path / "out").pieces("train")
    assert all(len(piece) > 1000 for piece in pieces)
