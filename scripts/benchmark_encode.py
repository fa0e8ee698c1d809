"""Compare how fast midirnn and other libraries encode the same MIDI files as tokens.

    python3 scripts/benchmark_encode.py FOLDER [--files 100] [--note-seq] [--json]

Every library reads and encodes each file in one process; processor time is measured. pretty_midi
only reads. MidiTok (its MIDILike tokenizer) takes part if it is installed. note-seq (Performance
RNN's tokens) needs old versions of other libraries: with --note-seq it is measured in a virtual
environment of its own, which is made once and kept in the user's cache folder, and the report
counts how many files have the same tokens in both.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import OtherLoad, installed, processor_name

from midirnn import MidiFileError, PerformanceCodec, read_midi
from midirnn.midifile import SUFFIXES
from midirnn.native import cache_folder

LIBRARIES = ("midirnn", "numpy", "pretty_midi", "miditok", "symusic")

NOTE_SEQ = ("note-seq==0.0.5", "numpy<1.24", "setuptools<81")
"""The requirements of note-seq's environment; they can be installed up to Python 3.11."""

COMPLETE = "complete"
"""The file that marks a complete environment."""

PYTHONS = ("python3.11", "python3.10")

Encode = Callable[[bytes], Any]


@dataclass(frozen=True)
class Timing:
    """The files per second of processor time of a library, and the median time of a file."""

    library: str
    files: int
    files_per_second: float
    median_ms: float


def midirnn_encoder() -> Encode:
    codec = PerformanceCodec()
    return lambda data: codec.encode(read_midi(data))


def pretty_midi_reader() -> Encode:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds FluidSynth
        import pretty_midi

    return lambda data: pretty_midi.PrettyMIDI(io.BytesIO(data))


def miditok_encoder() -> Encode:
    import miditok
    import symusic

    tokenizer = miditok.MIDILike()
    return lambda data: tokenizer(symusic.Score.from_midi(data))


ENCODERS: dict[str, Callable[[], Encode]] = {
    "midirnn": midirnn_encoder,
    "pretty_midi (reads only)": pretty_midi_reader,
    "MidiTok": miditok_encoder,
}


def note_seq_python() -> Path:
    """Return the Python of note-seq's environment, which is made if necessary.

    Raises :class:`ImportError` if it cannot be made.
    """
    folder = cache_folder() / "note-seq"
    if not (folder / COMPLETE).exists():
        make_environment(folder)
    return folder / "bin/python"


def make_environment(folder: Path) -> None:
    """Install note-seq into a fresh environment, which appears only when it is complete."""
    python = next(filter(None, map(shutil.which, PYTHONS)), None)
    if python is None:
        raise ImportError(f"it needs one of {', '.join(PYTHONS)}, and none is installed")
    print("installing note-seq: some minutes, once", file=sys.stderr)
    try:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True, capture_output=True)
        install = ("-m", "pip", "install", "--quiet", *NOTE_SEQ)
        subprocess.run(
            [folder / "bin/python", *install], check=True, capture_output=True, text=True
        )
        (folder / COMPLETE).touch()
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        told = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise ImportError(f"it cannot be installed ({told})") from None


def measure_note_seq(python: Path, datas: list[bytes]) -> tuple[Timing, str]:
    """Time note-seq; also return for how many files its tokens equal midirnn's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.mid" for number in range(len(datas))]
        for path, data in zip(paths, datas, strict=True):
            path.write_bytes(data)
        files, result = folder / "files.json", folder / "result.json"
        files.write_text(json.dumps(list(map(str, paths))), encoding="utf-8")
        script = Path(__file__).with_name("note_seq_tokens.py")
        subprocess.run([python, script, files, result], check=True, capture_output=True)
        found = json.loads(result.read_text(encoding="utf-8"))
    codec = PerformanceCodec(overlaps="keep")
    same = sum(
        codec.encode(read_midi(data)).tolist() == theirs
        for data, theirs in zip(datas, found["tokens"], strict=True)
    )
    return timing("note-seq", found["seconds"]), f"{same} of {len(datas)}"


def main() -> int:
    arguments = parse_arguments()
    files = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    random.Random(0).shuffle(files)
    datas = [data for path in files[: arguments.files] for data in readable(path)]
    if not datas:
        print(f"{arguments.folder} holds no MIDI files that can be read", file=sys.stderr)
        return 1
    others = OtherLoad()
    timings, absent = [], {}
    for name, make in ENCODERS.items():
        try:
            timings.append(measure(name, make(), datas))
        except ImportError as error:
            absent[name] = str(error)
    agreement = {}
    try:
        if not arguments.note_seq:
            raise ImportError("give --note-seq, which makes an environment for it")
        measured, same = measure_note_seq(note_seq_python(), datas)
        timings.append(measured)
        agreement["same_tokens_as_note_seq"] = same
    except ImportError as error:
        absent["note-seq"] = str(error)
    report = {
        "processor": processor_name(),
        "versions": {name: installed(name) for name in LIBRARIES if installed(name)},
        "other_processes_cores": round(others.cores(), 2),
        "bytes": sum(map(len, datas)),
        "timings": [asdict(timing) for timing in timings],
        "absent": absent,
        **agreement,
    }
    print(json.dumps(report, indent=2) if arguments.json else table(report))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100, help="so many files, chosen at random")
    parser.add_argument(
        "--note-seq", action="store_true", help="measure note-seq too, in an environment of its own"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def readable(path: Path) -> list[bytes]:
    """Return a list with the bytes of a file, empty if it cannot be read."""
    data = path.read_bytes()
    try:
        read_midi(data)
    except MidiFileError:
        return []
    return [data]


def measure(name: str, encode: Encode, datas: list[bytes]) -> Timing:
    """Time each file once, after one to warm up."""
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encode(datas[0])
        for data in datas:
            begun = time.process_time()
            encode(data)
            seconds.append(time.process_time() - begun)
    return timing(name, seconds)


def timing(name: str, seconds: list[float]) -> Timing:
    """Return the timing from the seconds that each file took."""
    median = sorted(seconds)[len(seconds) // 2]
    return Timing(name, len(seconds), len(seconds) / sum(seconds), 1000 * median)


def table(report: dict[str, Any]) -> str:
    """Return the report as text."""
    first = report["timings"][0]["files_per_second"]
    lines = [
        f"{report['processor']}; others use {report['other_processes_cores']} cores",
        f"{'':<26} {'files/s':>8} {'median ms':>10} {'midirnn is':>11}",
    ]
    lines += [
        f"{t['library']:<26} {t['files_per_second']:>8.1f} {t['median_ms']:>10.2f} "
        f"{first / t['files_per_second']:>10.1f}x"
        for t in report["timings"]
    ]
    lines += [f"{name:<26} not measured: {why}" for name, why in report["absent"].items()]
    if same := report.get("same_tokens_as_note_seq"):
        lines.append(f"same tokens as note-seq: {same} files")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
