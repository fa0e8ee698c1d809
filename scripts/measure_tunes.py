"""Measure whether a model's tunes are valid ABC, and keep to their metre and key.

    python3 scripts/measure_tunes.py MODEL [--count N] [--seed S] [--no-primers] [--tunes FILE]

N tunes are generated without a primer, and N with a metre and a key (PRIMERS in turn), unless
--no-primers is given: primers only work for models whose tunes begin with both. With --tunes the
first N tunes of an ABC file are measured, too. A tune is accepted if Debian's abc2midi writes a
MIDI file of it without a line 'Error'; without abc2midi only midirnn's own reader is used. The
metre is measured by the bars that fill it, the key by the notes in its scale. Of the tunes with
primers this is also shown for each metre and each key.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from midirnn.abcfile import Keeping, measure_keeping, parse_tune, played
from midirnn.codecs.passages import find_tunes
from midirnn.engines.load import load
from midirnn.errors import CodecError
from midirnn.sampling.filters import SamplingConfig
from midirnn.sampling.generate import continue_piece
from midirnn.sampling.requests import Request
from midirnn.sampling.sampler import Sampler

METRES = ("6/8", "4/4", "2/4", "3/4", "9/8")
KEYS = ("D", "G", "Am", "Edor")
PRIMERS = tuple(f"M:{metre}\nK:{key}\n" for metre in METRES for key in KEYS)


def tunes(model: str, count: int, seed: int, primers: tuple[str, ...] | None) -> list[str]:
    """Return tunes of a model, cycling through the primers, if there are any."""
    loaded = load(model)
    engine, config = loaded.engine(), SamplingConfig()
    made = []
    for number in range(count):
        sampler = Sampler(engine, loaded.codec, config, seed=seed + number)
        primer = primers[number % len(primers)] if primers else None
        made.append(continue_piece(sampler, Request(), primer).piece)
    return made


def accepted_by_abc2midi(tune: str) -> bool:
    """Return True if abc2midi writes a MIDI file of a tune and finds no error in it."""
    with tempfile.TemporaryDirectory() as folder:
        path, midi = Path(folder, "tune.abc"), Path(folder, "tune.mid")
        header = "" if tune.startswith("X:") else "X:1\nT:tune\n"
        path.write_text(header + tune, encoding="utf-8")
        run = subprocess.run(
            ["abc2midi", str(path), "-o", str(midi)], capture_output=True, timeout=60
        )
        said = run.stdout + run.stderr  # abc2midi may cut a character in two
        return run.returncode == 0 and midi.is_file() and b"Error" not in said


def accepted_by_midirnn(tune: str) -> bool:
    try:
        played(parse_tune(tune))
    except CodecError:
        return False
    return True


def keeping(made: list[str]) -> list[Keeping]:
    return [measure_keeping(parse_tune(tune)) for tune in made if accepted_by_midirnn(tune)]


def report(title: str, made: list[str]) -> None:
    measured = keeping(made)
    print(f"{title}: {len(made)} tunes of {sum(map(len, made)) / len(made):.0f} characters")
    print(f"  accepted by midirnn   {len(measured) / len(made):7.1%}")
    if shutil.which("abc2midi"):
        accepted = sum(map(accepted_by_abc2midi, made))
        print(f"  accepted by abc2midi  {accepted / len(made):7.1%}")
    print(f"  bars of the metre     {share_of_bars(measured):7.1%}")
    print(f"  notes of the key      {share_of_notes(measured):7.1%}")
    whole = sum(k.bars == k.right_bars for k in measured)
    print(f"  tunes with all bars   {whole / len(made):7.1%}")


def share_of_bars(measured: list[Keeping]) -> float:
    return sum(k.right_bars for k in measured) / max(sum(k.bars for k in measured), 1)


def share_of_notes(measured: list[Keeping]) -> float:
    return sum(k.notes_in_key for k in measured) / max(sum(k.notes for k in measured), 1)


def report_each(made: list[str]) -> None:
    """Print how closely the tunes keep to each metre and each key of the primers."""
    for field, values, share in (("M", METRES, share_of_bars), ("K", KEYS, share_of_notes)):
        for value in values:
            asked = [tune for tune in made if f"{field}:{value}\n" in tune]
            print(f"  {field}:{value:<19} {share(keeping(asked)):7.1%}  of {len(asked)} tunes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-primers", action="store_true")
    parser.add_argument("--tunes", type=Path, help="measure the tunes of an ABC file beside them")
    arguments = parser.parse_args()
    report("from nothing", tunes(arguments.model, arguments.count, arguments.seed, None))
    if not arguments.no_primers:
        seed = arguments.seed + arguments.count
        primed = tunes(arguments.model, arguments.count, seed, PRIMERS)
        report("from a metre and a key", primed)
        report_each(primed)
    if arguments.tunes is not None:
        real = [tune.text for tune in find_tunes(arguments.tunes.read_text(encoding="utf-8"))]
        report(str(arguments.tunes), real[: arguments.count])


if __name__ == "__main__":
    main()
