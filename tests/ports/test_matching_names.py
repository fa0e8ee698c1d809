from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midirnn.errors import PortError
from midirnn.ports import Direction, PortRow, best_matches, choose_port, stable_name

SCARLETT = "Scarlett 2i4 USB:Scarlett 2i4 USB MIDI 1 20:0"
THROUGH = "Midi Through:Midi Through Port-0 14:0"
KEYS = "Launchkey MK3 49:Launchkey MK3 49 LKMK3 MIDI In 24:0"
KEYS_DAW = "Launchkey MK3 49:Launchkey MK3 49 LKMK3 DAW In 24:1"
ALL = (THROUGH, SCARLETT, KEYS, KEYS_DAW)


@pytest.mark.parametrize(
    ("query", "names", "meant"),
    [
        pytest.param(SCARLETT, ALL, [SCARLETT], id="the full name"),
        pytest.param("scarlett", ALL, [SCARLETT], id="a beginning, in any case"),
        pytest.param("2i4", ALL, [SCARLETT], id="a middle"),
        pytest.param("midi scarlett", ALL, [SCARLETT], id="words in any order"),
        pytest.param("  SCARLETT   2i4 ", ALL, [SCARLETT], id="loose spaces"),
        pytest.param(SCARLETT.replace("20:0", "36:0"), ALL, [SCARLETT], id="other ALSA numbers"),
        pytest.param(SCARLETT.removesuffix(" 20:0"), ALL, [SCARLETT], id="no ALSA numbers"),
        pytest.param("launchkey", ALL, [KEYS, KEYS_DAW], id="a beginning that two share"),
        pytest.param("launchkey daw", ALL, [KEYS_DAW], id="a word that tells two apart"),
        pytest.param("Scarlat", ALL, [], id="a misspelling"),
        pytest.param("20:0", ALL, [], id="ALSA numbers alone"),
        pytest.param("", ALL, [], id="nothing"),
        pytest.param(" ", ALL, [], id="a blank"),
        pytest.param("synth", ("synth 2", "synth", "my synth"), ["synth"], id="exact first"),
        pytest.param("synth", ("my synth", "synth 2"), ["synth 2"], id="then the beginning"),
        pytest.param("big synth", ("synth big", "a big synth"), ["a big synth"], id="then a part"),
        pytest.param("Synth", ("synth", "Synth"), ["Synth"], id="exact case before any case"),
        pytest.param("K 2:1", ("K 1:1", "K 2:1"), ["K 2:1"], id="numbers tell twins apart"),
        pytest.param("K", ("K 1:1", "K 2:1"), ["K 1:1", "K 2:1"], id="twins without numbers"),
    ],
)
def test_a_loose_name_means(query: str, names: tuple[str, ...], meant: list[str]) -> None:
    assert [names[index] for index in best_matches(query, names)] == meant


def test_only_trailing_client_and_port_numbers_are_taken_off() -> None:
    assert stable_name("Synth 2:1 Out 128:0") == "Synth 2:1 Out"
    assert stable_name("system:midi_capture_1") == "system:midi_capture_1"
    assert stable_name("Port 7") == "Port 7"


names = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=6)


@given(names, st.data())
def test_a_listed_name_opens_itself(listed: list[str], data: st.DataObject) -> None:
    assume(listed)
    name = data.draw(st.sampled_from(listed))
    assume(stable_name(name).strip())
    assert {listed[index] for index in best_matches(name, listed)} == {name}


plain_names = st.text(st.characters(categories=["Ll", "Lu", "Nd"], codec="ascii"), min_size=1)


@given(plain_names, st.lists(plain_names, max_size=5), st.data())
def test_a_part_of_a_listed_name_finds_names_that_have_it(
    name: str, others: list[str], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(name) - 1))
    part = name[start : data.draw(st.integers(start + 1, len(name)))]
    listed = [*others, name]
    found = best_matches(part.swapcase(), listed)
    assert found
    assert all(part.casefold() in listed[index].casefold() for index in found)


@given(st.text(max_size=12), names)
def test_matches_are_in_order_and_within_the_list(query: str, listed: list[str]) -> None:
    found = best_matches(query, listed)
    assert found == sorted(set(found))
    assert all(0 <= index < len(listed) for index in found)


@given(
    plain_names,
    st.tuples(st.integers(0, 200), st.integers(0, 9)),
    st.tuples(st.integers(0, 200), st.integers(0, 9)),
)
def test_a_name_saved_before_replugging_still_matches(
    name: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    saved, now = (f"{name} {client}:{port}" for client, port in (before, after))
    assert best_matches(saved, ["Midi Through:Midi Through Port-0 14:0", now]) == [1]


def rows(*names: str, api: str = "alsa", direction: Direction = "input") -> list[PortRow]:
    return [PortRow(api, direction, name) for name in names]


def test_no_match_lists_what_was_found_and_how_to_list_it() -> None:
    with pytest.raises(PortError) as caught:
        choose_port("Scarlet ", rows("Scarlett 2i4", "Midi Through")[1:], "input")
    assert str(caught.value) == (
        "no MIDI input matches 'Scarlet '. Found: 'Midi Through'. List them with: midirnn ports"
    )


def test_no_ports_at_all_says_why() -> None:
    with pytest.raises(PortError) as caught:
        choose_port("piano", [], "output", why_none="jack: no server is running")
    assert str(caught.value) == (
        "no MIDI output matches 'piano'. Found: none (jack: no server is running). "
        "List them with: midirnn ports"
    )


def test_an_ambiguous_name_lists_what_it_matches() -> None:
    with pytest.raises(PortError) as caught:
        choose_port("launchkey", rows(*ALL), "input")
    assert str(caught.value) == (
        f"'launchkey' matches several MIDI inputs: {KEYS!r}, {KEYS_DAW!r}. "
        "Give more of the name of one"
    )


def test_ports_with_one_and_the_same_name_are_not_ambiguous() -> None:
    assert choose_port("keys", rows("Keys", "Keys"), "input").name == "Keys"


def test_only_ports_of_the_direction_are_meant() -> None:
    both = [*rows("Synth", direction="output"), *rows("Keys")]
    assert choose_port("synth", both, "output").name == "Synth"
    with pytest.raises(PortError, match=r"no MIDI input matches 'synth'\. Found: 'Keys'"):
        choose_port("synth", both, "input")


def test_of_equal_matches_in_two_systems_the_first_system_wins() -> None:
    both = [*rows("Keys 20:0"), *rows("Keys in", api="jack")]
    assert choose_port("key", both, "input").api == "alsa"
    assert choose_port("keys in", both, "input").api == "jack"


def test_without_a_name_the_only_instrument_is_meant() -> None:
    assert choose_port(None, rows(THROUGH, SCARLETT, "midirnn:in"), "input").name == SCARLETT


def test_without_a_name_several_instruments_are_a_question() -> None:
    with pytest.raises(PortError, match=r"there are several MIDI inputs: .* Say which one to open"):
        choose_port(None, rows(*ALL), "input")


def test_without_a_name_and_without_an_instrument_there_is_nothing_to_open() -> None:
    with pytest.raises(PortError) as caught:
        choose_port(None, rows("Midi Through", "midirnn:in"), "input")
    assert str(caught.value) == (
        "there is no MIDI input to open. Found: none but midirnn's own and loops ('Midi Through', "
        "'midirnn:in'), which are opened only by name. List them with: midirnn ports. "
        "Without one: --virtual, or --mode autopilot"
    )
    with pytest.raises(PortError, match=r"Without one: --virtual, or --mode autopilot$"):
        choose_port(None, [], "input")


def test_a_number_means_the_port_of_that_number_in_the_listing() -> None:
    twins = [PortRow("alsa", "input", "Keys"), PortRow("alsa", "input", "Keys", 1)]
    assert choose_port("1", twins, "input") == twins[0]
    assert choose_port("2", twins, "input") == twins[1]
    with pytest.raises(PortError, match="no MIDI input matches '3'"):
        choose_port("3", twins, "input")
    named = rows("first", "1")
    assert choose_port("1", named, "input").name == "1"
    mixed = [*rows("Synth", direction="output"), *rows("Keys", "Pads")]
    assert choose_port("2", mixed, "input").name == "Pads"
