"""Encode very many small MIDI files and report the peak memory of all processes together.

    python3 scripts/measure_encoding_memory.py FOLDER [--files 1000000] [--workers 2] [--json]

The files are made in FOLDER/midi unless they exist; a million take 4 GB on most disks. Each has
four notes, and no two are equal. The data set in FOLDER/data is replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from midirnn import encode_files

FILES_PER_FOLDER = 1000
SAMPLE_SECONDS = 0.5


def main() -> int:
    arguments = parse_arguments()
    songs = arguments.folder / "midi"
    make_files(songs, arguments.files)
    memory = MemoryWatch()
    begun = time.monotonic()
    with memory:
        report = encode_files(
            [songs],
            arguments.folder / "data",
            workers=arguments.workers,
            overwrite=True,
            progress=memory.note,
        )
    seconds = time.monotonic() - begun
    files = sum(count.files for count in report.counts.values())
    measured = {
        "files": files,
        "refused": len(report.refused),
        "workers": arguments.workers,
        "seconds": round(seconds, 1),
        "files_per_second": round(files / seconds),
        "most_megabytes": round(memory.most / 1e6),
        "most_megabytes_of_this_process": round(memory.most_own / 1e6),
        "its_growth_in_bytes_per_file": round(memory.growth_per_file()),
    }
    print(json.dumps(measured) if arguments.json else table(measured))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def make_files(folder: Path, count: int) -> None:
    """Write ``count`` files, a thousand per folder."""
    for begin in range(0, count, FILES_PER_FOLDER):
        inside = folder / f"{begin // FILES_PER_FOLDER:06d}"
        if not inside.exists():
            inside.mkdir(parents=True)
            for number in range(begin, min(begin + FILES_PER_FOLDER, count)):
                (inside / f"{number:09d}.mid").write_bytes(song(number))


def song(number: int) -> bytes:
    """Return a file with four notes, which differ for every number."""
    digits = [number >> 7 * place & 0x7F for place in range(4)]  # the lengths of the notes in ticks
    notes = b"".join(
        bytes([0, 0x90, 60 + place, 64, 0x81, digit, 0x80, 60 + place, 0])
        for place, digit in enumerate(digits)
    )
    body = notes + b"\x00\xff\x2f\x00"
    header = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60"
    return header + b"MTrk" + len(body).to_bytes(4, "big") + body


class MemoryWatch:
    """Samples the resident memory of this process and its children every half second.

    Shared pages are counted for each process, so the sum is an overestimate. Owns a thread.
    """

    def __init__(self) -> None:
        self.most = 0
        self.most_own = 0
        self._noted: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def note(self, done: int, total: int) -> None:
        """Note the memory of this process after a fifth of the files, and after all."""
        if done in (total // 5, total):
            self._noted[done] = resident(os.getpid())

    def growth_per_file(self) -> float:
        """Return the growth of this process per file, since a fifth of the files."""
        if len(self._noted) < 2:
            return 0.0
        (first, less), (last, more) = sorted(self._noted.items())
        return (more - less) / (last - first)

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(SAMPLE_SECONDS)
            own, *others = (resident(process) for process in (os.getpid(), *children(os.getpid())))
            self.most_own = max(self.most_own, own)
            self.most = max(self.most, own + sum(others))


def children(process: int) -> list[int]:
    """Return the children of a process, and their children."""
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid", "--ppid", str(process)], capture_output=True, text=True
    )
    found = [int(line) for line in listed.stdout.split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def resident(process: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it no longer exists."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def table(measured: dict[str, int]) -> str:
    """Return the figures as text."""
    return "\n".join(
        f"{name.replace('_', ' '):<32} {value:>12,}" for name, value in measured.items()
    )


if __name__ == "__main__":
    sys.exit(main())
