"""Text: a token for each character; files, tunes, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import TextCodec
from midirnn.codecs.passages import Passage, cut_passages, find_tunes, place_in
from midirnn.errors import CodecError

BOOK = "A heading\n\nX:1\nM:6/8\nK:D\nd2 A |\n\nX:2\nK:G\nG2 |\n   \n\nX:3\nno key here\n"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)


@given(texts)
def test_a_text_comes_back_from_its_tokens(text: str) -> None:
    codec = TextCodec().fit([Passage(text)])
    tokens = codec.encode(text)
    assert tokens.dtype == np.uint16
    assert codec.decode(tokens) == text
    assert codec.vocab_size == len(set(text))


@given(texts)
def test_a_text_comes_back_from_a_file(text: str) -> None:
    from tempfile import TemporaryDirectory

    text = text.removeprefix("\ufeff")  # at the start of a file it only says that it is UTF-8
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        TextCodec().write(text, path)
        assert TextCodec().read(path) == text


@given(st.lists(texts, min_size=1, max_size=5), st.floats(0.0, 1.0), st.booleans())
def test_the_parts_of_a_file_are_all_of_it_in_order(
    pieces: list[str], share: float, whole: bool
) -> None:
    passages = [Passage(text) for text in pieces]
    parts = cut_passages(passages, [share / 2, share, 1.0], whole=whole)
    assert "".join(p.text for part in parts for p in part) == "".join(pieces)
    if whole:
        assert [p for part in parts for p in part] == passages
    else:
        wanted = len("".join(pieces)) * share / 2
        assert len("".join(p.text for p in parts[0])) == pytest.approx(wanted, abs=1)


@given(texts, st.data())
def test_a_passage_knows_where_it_begins(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(text)))
    first, second = Passage(text).split(index)
    assert first.text + second.text == text
    before = text[:index].split("\n")
    assert (second.line, second.column) == (len(before), len(before[-1]) + 1)
    assert place_in(text[:index]) == (second.line, second.column)


def test_a_tune_book_is_cut_into_its_tunes() -> None:
    first, second = find_tunes(BOOK)
    assert first == Passage("X:1\nM:6/8\nK:D\nd2 A |\n\n", 3)
    assert second == Passage("X:2\nK:G\nG2 |\n\n", 8)


def test_a_tune_ends_at_an_empty_line_and_a_text_never() -> None:
    tunes, text = TextCodec(unit="tune"), TextCodec(unit="file")
    assert tunes.ends(tunes.encode("K:D\nd2\n\n").tolist())
    assert not tunes.ends(tunes.encode("K:D\nd2\n").tolist())
    assert not tunes.ends([])
    assert not text.ends(text.encode("a\n\n").tolist())


def test_files_named_abc_are_tune_books() -> None:
    assert TextCodec().for_files([Path("a.abc"), Path("b.ABC")]).unit == "tune"
    assert TextCodec().for_files([Path("a.abc"), Path("b.txt")]).unit == "file"
    assert TextCodec(unit="file").for_files([Path("a.abc")]).unit == "file"


def test_an_alphabet_that_was_given_is_kept() -> None:
    assert TextCodec("abc").fit([Passage("xyz")]).alphabet == "abc"


def test_a_character_that_is_not_known_is_told_with_its_place() -> None:
    codec = TextCodec("\nab")
    with pytest.raises(CodecError, match=r"line 2, column 3: the character 'é' does not occur"):
        codec.encode("ab\nabé")
    with pytest.raises(CodecError, match=r"line 7, column 12: the character '\?'"):
        codec.encode_passage(Passage("ab?", line=7, column=10))
    with pytest.raises(CodecError, match="line 1, column 1000001: "):
        codec.encode("a" * 1_000_000 + "c")


def test_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert TextCodec().read(tmp_path / "a.txt") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty: there is nothing to learn from"),
        ("a.txt", b" \n\n", "is empty: .*; name a file with text in it"),
        ("a.txt", b"ab\nc\xffd", r"is not text in UTF-8 \(byte 0xff in line 2, column 2\)"),
        ("a.txt", "ab".encode("utf-16"), "is text in UTF-16, not in UTF-8; convert it: iconv -f"),
        ("a.txt", b"MThd\0\0\0\6", r"is a binary file, not text \(a null byte in line 1, column 5"),
        ("a.txt", b"\0\xff", "is a binary file, not text .*; leave it out, or encode MIDI files"),
        (
            "a.abc",
            b"\nX:1\nM:6/8\nK:D\nA ?? B\n\nX:2\nK:D\n",
            r"none of the tunes in it \(2\) can be read; the first, in line 2, is no tune in ABC "
            r"notation: line 4, column 3: .*; correct it, or read it as plain text",
        ),
        ("a.abc", b"X:1\nT:no key\nabc\n", "holds no tune in ABC notation: a tune has a line K:"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CodecError, match=message) as told:
        TextCodec().for_files([path]).passages(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphabet": ""}, "the alphabet is empty"),
        ({"alphabet": "abca"}, "the alphabet has the character 'a' twice"),
        ({"unit": "word"}, "unit is 'word'; allowed are file, tune"),
        ({"alphabet": "".join(map(chr, range(0x10000, 0x20000)))}, "at most 65535 can be told"),
    ],
)
def test_settings_that_make_no_codec_are_told(settings: dict[str, str], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        TextCodec(**settings)


def test_a_tune_is_written_as_a_tune_book_and_as_midi(tmp_path: Path) -> None:
    codec = TextCodec(unit="tune")
    codec.write("M:6/8\nK:D\nd2 A |\n\n", tmp_path / "a.abc")
    assert (tmp_path / "a.abc").read_text() == "X:1\nM:6/8\nK:D\nd2 A |\n\n"
    codec.write("M:6/8\nK:D\nd2 A |\n\n", tmp_path / "a.mid")
    assert (tmp_path / "a.mid").read_bytes().startswith(b"MThd")
    with pytest.raises(CodecError, match="no tune in ABC notation: it has no line K:"):
        codec.write("To be, or not to be", tmp_path / "b.mid")
    assert not (tmp_path / "b.mid").exists()
