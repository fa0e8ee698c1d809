"""Progress bars: they count what is done, and are drawn on terminals only."""

from __future__ import annotations

import sys

import pytest

from midirnn.cli.progress import counted_bar


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_counted_comes_back_and_a_bar_is_only_for_terminals(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert list(counted_bar("pieces", "abc", 3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert (out, "pieces" in err, "3/3" in err) == ("", is_terminal, is_terminal)
