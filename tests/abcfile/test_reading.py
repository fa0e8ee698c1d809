"""ABC notation is read as the standard says: pitches, lengths, repeats, and what is wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest

from midirnn.abcfile import Tune, measure_keeping, parse_tune, plain_tune, read_abc
from midirnn.abcfile.header import parse_key, parse_metre, parse_tempo
from midirnn.abcfile.reading import Sound
from midirnn.errors import CodecError
from midirnn.performance import KeySignature, TimeSignature


def tune(body: str, key: str = "C", metre: str = "4/4", unit: str = "1/4") -> str:
    return f"X:1\nT:A tune\nM:{metre}\nL:{unit}\nK:{key}\n{body}\n"


def sounds(parsed: Tune) -> list[Sound]:
    return [event for event in parsed.events if isinstance(event, Sound)]


def pitches(body: str, key: str = "C") -> list[int]:
    return read_abc(tune(body, key)).pitch.tolist()


def lengths(body: str, **fields: str) -> list[str]:
    return [str(sound.length) for sound in sounds(parse_tune(tune(body, **fields)))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C D E c b c' B,", [60, 62, 64, 72, 83, 84, 59]),
        ("^F _B =f __A ^^G", [66, 70, 77, 67, 69]),
        ("^F F | F", [66, 66, 65]),
        ("^F f | f", [66, 78, 77]),
        ("[CEG] z [ce]2", [60, 64, 67, 72, 76]),
        ('"Am"A {b}c !trill!d .e ~f (ab) u"4"g', [69, 72, 74, 76, 77, 81, 83, 79]),
        ("A-A A-|A", [69, 69]),
        ("A-B", [69, 71]),
    ],
)
def test_pitches(body: str, expected: list[int]) -> None:
    assert pitches(body) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("D", [66, 67, 61, 71]),
        ("Bm", [66, 67, 61, 71]),
        ("F", [65, 67, 60, 70]),
        ("D mix", [66, 67, 60, 71]),
        ("Ddorian", [65, 67, 60, 71]),
        ("HP", [66, 67, 61, 71]),
        ("none", [65, 67, 60, 71]),
        ("G ^c", [66, 67, 61, 71]),
    ],
)
def test_keys(key: str, expected: list[int]) -> None:
    performance = read_abc(tune("F G C B", key))
    order = performance.start.argsort(kind="stable")
    assert performance.pitch[order].tolist() == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A A2 A/ A/2 A3/2 A// A/4", ["1/4", "1/2", "1/8", "1/8", "3/8", "1/16", "1/16"]),
        ("A>A A<A A>>A", ["3/8", "1/8", "1/8", "3/8", "7/16", "1/16"]),
        ("(3AAA A", ["1/6", "1/6", "1/6", "1/4"]),
        ("(3:2:2A2A A", ["1/3", "1/6", "1/4"]),
        ("(2AA (4AAAA", ["3/8", "3/8", *["3/16"] * 4]),
        ("z Z x2 A", ["1/4", "1", "1/2", "1/4"]),
        ("A[L:1/8]A", ["1/4", "1/8"]),
    ],
)
def test_lengths(body: str, expected: list[str]) -> None:
    assert lengths(body) == expected


@pytest.mark.parametrize(
    ("metre", "expected"), [("6/8", "1/8"), ("2/4", "1/16"), ("C", "1/8"), ("none", "1/8")]
)
def test_without_a_unit_length_the_metre_gives_one(metre: str, expected: str) -> None:
    assert str(sounds(parse_tune(f"M:{metre}\nK:C\nA\nM:3/8\nA"))[1].length) == expected


@pytest.mark.parametrize(
    ("body", "heard"),
    [
        ("C|:D:|E|", "CDDE"),
        ("C:|D", "CCD"),
        ("|:C:|:D:|", "CCDD"),
        ("|:C::D:|", "CCDD"),
        ("|:C|1D:|2E||F", "CDCEF"),
        ("|:C[1 D:|[2 E|]F:|", "CDCEFF"),
        ("|:C|1,3D:|2E:|", "CDCECD"),
        ("C||D:|E", "CDCDE"),
    ],
)
def test_repeats_and_endings_are_played_as_written(body: str, heard: str) -> None:
    names = dict(zip([60, 62, 64, 65], "CDEF", strict=True))
    performance = read_abc(tune(body))
    assert "".join(names[pitch] for pitch in performance.pitch.tolist()) == heard


def test_times_are_those_of_the_tempo() -> None:
    performance = read_abc("X:1\nM:6/8\nL:1/8\nQ:3/8=60\nK:D\nA3 d3|[Q:1/4=120]A2\n")
    assert performance.start.tolist() == [0.0, 1.0, 2.0]
    assert performance.end.tolist() == [1.0, 2.0, 2.5]
    assert [(t.seconds, t.bpm) for t in performance.tempos] == [(0.0, 90.0), (2.0, 120.0)]
    assert TimeSignature(0.0, 6, 8) in performance.signatures
    assert KeySignature(0.0, 2) in performance.signatures
    assert parse_tempo("Allegro", Fraction(1, 8)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no line K:"),
        ("To be, or not to be", "it has no line K:"),
        ("X:1\nK:D\n", "it has no notes"),
        ("X:1\nK:H\nabc", "line 2, the key 'H' is not known"),
        ("X:1\nK:Gfoo\nabc", "line 2, the key 'Gfoo' has the mode 'foo'"),
        ("K:C\nab?c", r"line 2, column 3: '\?' means nothing there"),
        ("M:5/7\nK:C\nabc", "line 1, the metre '5/7' is not known"),
        ("L:eighth\nK:C\nabc", "line 1, the unit length 'eighth' is not known"),
        ("K:C\na/0", "line 2, column 1: the length '/0' divides by 0"),
        ("K:C\nc''''''''", "line 2, column 1: the note .* is outside the range of MIDI"),
        ("K:C\n>a", "line 2, column 1: '>' stands before any note"),
        ("K:C\na9999", "line 2, column 1: a note of"),
        ("K:C\n" + "a" * 20_000 + "?", "line 2, column 20001: "),
    ],
)
def test_what_is_no_tune_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as told:
        read_abc(text)
    assert str(told.value).startswith("no tune in ABC notation: ")
    assert "\n" not in str(told.value) and len(str(told.value)) < 200


def test_a_plain_tune_sounds_like_the_tune() -> None:
    text = (
        "X:3\nT:Title\nM:C\nL:1/4\nR:reel\nK:D Major % bright\n"
        '"D"d>f (3A/B/c/ {e}d-d | [1 (A-B) "G"G z :|2 !fermata!a4 |]\nw:words\n'
    )
    plain = plain_tune(text)
    assert plain == "M:4/4\nK:D\nd2>f2 (3ABc d2-d2 | [1 A2B2 G2 z2 :|[2 a8 |]\n\n"
    assert read_abc(plain).pitch.tolist() == read_abc(text).pitch.tolist()
    assert read_abc(plain).end.tolist() == read_abc(text).end.tolist()
    for changing in ("K:C\nabc\nM:3/4\nabc", "K:C\nab[K:D]c", "M:4/4\nM:3/4\nK:C\nabc"):
        if "M:4/4\nM:3/4" in changing or "[K:" in changing:
            with pytest.raises(CodecError, match="changes its field"):
                plain_tune(changing)


def test_bars_and_notes_that_keep_to_metre_and_key_are_counted() -> None:
    keeping = measure_keeping(parse_tune(tune("c|cdef|gab|c'bag|^f4:|", metre="4/4")))
    assert (keeping.bars, keeping.right_bars) == (4, 3)
    assert (keeping.notes, keeping.notes_in_key) == (13, 12)


def test_keys_and_metres_have_their_notes_and_lengths() -> None:
    assert parse_key("Em").pitch_classes == frozenset({4, 6, 7, 9, 11, 0, 2})
    assert parse_metre("6/8").bar == Fraction(3, 4)
    assert parse_metre("(2+3)/8").bar == Fraction(5, 8)
    assert parse_metre("none").bar is None
