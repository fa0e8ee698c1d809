"""The outcome of encoding files, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from midirnn.datasets.filters import FILTERED
from midirnn.datasets.sources import Refusal
from midirnn.datasets.store import SplitCounts
from midirnn.wording import counted

REFUSALS_SHOWN = 5

KINDS = (
    ("is a duplicate", "duplicates"),
    ("is cut off", "cut off"),
    ("is not a MIDI file", "not MIDI"),
    ("is empty", "empty"),
    ("holds no notes", "no notes"),
    ("there is no such file", "not there"),
    ("cannot be read", "cannot be read"),
    ("cannot be listed", "folders that cannot be listed"),
    ("cannot be encoded (it takes longer", "too slow"),
    ("cannot be encoded (it needs more", "too much memory"),
    ("cannot be encoded (the process", "ended their process"),
    ("cannot be encoded", "errors of the codec"),
    ("is damaged", "damaged"),
    ("lasts", "damaged"),
    ("has ", "damaged"),
)
"""The beginnings of reasons, and the kind of each; all others are of the kind "other"."""

_SINGULAR = {
    "duplicates": "duplicate",
    "errors of the codec": "error of the codec",
    "folders that cannot be listed": "folder that cannot be listed",
}
"""The singulars of kinds that are plurals."""

_WITHOUT = {
    "train": "a model cannot be trained on this data set",
    "validation": "midirnn train will not validate",
    "test": "midirnn evaluate needs --split with another split",
}
"""What is not possible without a split."""


def kind_of(reason: str) -> str:
    """Return the kind of a reason; for a filter's reason, what it is about: "too short"."""
    kind = next((kind for begin, kind in KINDS if reason.startswith(begin)), "other")
    return reason.removeprefix(FILTERED).split(" (")[0] if reason.startswith(FILTERED) else kind


def count_kinds(refused: Iterable[Refusal]) -> dict[str, int]:
    """Return the number of files for each kind of reason, the largest first."""
    return dict(Counter(kind_of(refusal.reason) for refusal in refused).most_common())


def kinds_line(refused: Iterable[Refusal]) -> str:
    """Return the number of files for each kind of reason: "4 too short, 1 duplicate"."""
    return ", ".join(
        counted(count, _SINGULAR.get(kind, kind), kind)
        for kind, count in count_kinds(refused).items()
    )


def refusal_lines(refused: Sequence[Refusal], listed: str | None) -> list[str]:
    """Return how many files were refused for each kind of reason, and the first ones."""
    if not refused:
        return []
    where = f", listed in {listed}" if listed else ""
    lines = [f"refused: {counted(len(refused))} ({kinds_line(refused)}){where}"]
    lines += [f"  {r.path}: {r.reason}" for r in refused[:REFUSALS_SHOWN]]
    return lines + (["  ..."] if len(refused) > REFUSALS_SHOWN else [])


@dataclass(frozen=True)
class EncodeReport:
    """The outcome of :func:`encode_files`."""

    output: Path | str
    """The folder of the data set, or its URL."""
    counts: Mapping[str, SplitCounts]
    """The size of each split."""
    refused: tuple[Refusal, ...]
    """Files that could not be used, with reasons."""
    left_out: int
    """Number of files that the table of splits does not name."""
    missing: int
    """Number of rows of the table of splits without a file."""
    duplicates: int
    """Number of files with the same bytes as an earlier one (they are in the data set)."""
    duplicates_across_splits: int
    """Number of those whose earlier file is in another split."""
    recovered: tuple[Refusal, ...] = ()
    """Damaged files whose intact part is in the data set, with what is lost."""
    empty: tuple[str, ...] = ()
    """Splits that have a share of the files, but got none."""

    def table(self) -> str:
        """Return the size of each split as a table."""
        has_notes = any(count.notes for count in self.counts.values())
        columns = ["files", "tokens", *(["notes", "hours"] if has_notes else [])]
        row = "{:<12} {:>9} {:>13}" + (" {:>12} {:>9}" if has_notes else "")
        lines = [f"{self.output}:", row.format("split", *columns)]
        for split, count in self.counts.items():
            shown = {
                "files": f"{count.files:,}",
                "tokens": f"{count.tokens:,}",
                "notes": f"{count.notes:,}",
                "hours": f"{count.hours:,.2f}",
            }
            lines.append(row.format(split, *(shown[column] for column in columns)))
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """Return what was not used or looks wrong, a line each."""
        lines: list[str] = []
        if self.empty:
            lines.append(
                f"no file is in {' or '.join(self.empty)}: {_WITHOUT[self.empty[0]]}. Add files, "
                "or name the splits in a table (--splits)"
            )
        if self.left_out:
            lines.append(f"left out: {counted(self.left_out)} that the table does not name")
        if self.missing:
            lines.append(f"missing: {counted(self.missing)} that the table names")
        if self.duplicates:
            across = self.duplicates_across_splits
            warning = f", {across:,} of them in another split" if across else ""
            equal = counted(self.duplicates, "file equals", "files equal")
            lines.append(f"duplicates: {equal} an earlier one{warning}")
        if self.recovered:
            count = counted(len(self.recovered), "damaged file", "damaged files")
            lines.append(f"recovered: {count}, listed in dataset.json")
            lines += [f"  {r.path}: {r.reason}" for r in self.recovered[:REFUSALS_SHOWN]]
        return lines + refusal_lines(self.refused, f"{self.output}/refused.jsonl")

    def __str__(self) -> str:
        return "\n".join([self.table(), *self.remarks()])
