"""Write the tunes of ABC files in plain form, so that a network only learns music from them.

    python3 scripts/plain_tunes.py FILE.abc... -o PLAIN.abc

The metre, the key and the notes of each tune are kept. Titles, remarks, chord names, ornaments and
program-specific fields are left out, because a network copies their mistakes. Tunes that midirnn
cannot read, or that change their key, metre or unit length, are left out and counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from midirnn.abcfile import plain_tune
from midirnn.codecs.passages import find_tunes
from midirnn.errors import CodecError
from midirnn.files import write_file


def plainly(text: str) -> str | None:
    """Return the tune in plain form; None if this is not possible."""
    try:
        return plain_tune(text)
    except CodecError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    tunes = [tune for path in arguments.files for tune in find_tunes(path.read_text("utf-8"))]
    plain = [made for tune in tunes if (made := plainly(tune.text)) is not None]
    write_file(arguments.output, "".join(plain))
    print(f"{arguments.output}: {len(plain):,} of {len(tunes):,} tunes")


if __name__ == "__main__":
    main()
