"""Write the tunes that the weights `folk` were trained on: plain ABC, one file for each split.

    python3 scripts/recipes/folk_tunes.py ABC OUTPUT

ABC is a folder with the tune books ``by_source/NAME.abc`` and with ``train.abc``,
``validation.abc`` and ``test.abc``, whose tunes define the splits.
"""

from __future__ import annotations

import sys
from pathlib import Path

from midirnn.abcfile import measure_keeping, parse_tune, plain_tune
from midirnn.codecs.passages import Passage, find_tunes
from midirnn.errors import CodecError
from midirnn.files import write_file

BOOKS = ("oneills1850", "ryans_mammoth", "airds_airs")
SPLITS = ("train", "validation", "test")
RIGHT_BARS = 0.9
"""Minimum share of bars of the right length: other tunes have errors, or a free metre."""
LENGTHS = range(60, 1200)
"""Allowed lengths of a tune, in characters."""


def main() -> None:
    folder, output = map(Path, sys.argv[1:])
    wanted = {
        tune.text for book in BOOKS for tune in tunes_in(folder / "by_source" / f"{book}.abc")
    }
    for split in SPLITS:
        tunes = [tune.text for tune in tunes_in(folder / f"{split}.abc") if tune.text in wanted]
        kept = [plain for tune in tunes if (plain := usable(tune)) is not None]
        write_file(output / f"{split}.abc", "".join(kept))
        print(f"{split}: {len(kept):,} of {len(tunes):,} tunes, {sum(map(len, kept)):,} characters")
    rows = "".join(f"{split}.abc,{split}\n" for split in SPLITS)
    write_file(output / "splits.csv", f"path,split\n{rows}")


def tunes_in(path: Path) -> list[Passage]:
    return find_tunes(path.read_text(encoding="utf-8"))


def usable(text: str) -> str | None:
    """Return the tune in plain form; None if it is not suitable for training."""
    try:
        plain = plain_tune(text)
        keeping = measure_keeping(parse_tune(plain))
    except CodecError:
        return None
    keeps = keeping.bars >= 6 and keeping.right_bars >= RIGHT_BARS * keeping.bars
    return plain if keeps and len(plain) in LENGTHS else None


if __name__ == "__main__":
    main()
