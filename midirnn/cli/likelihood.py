"""``midirnn likelihood``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_music
from midirnn.cli.parameters import JsonOutput, ModelName, MusicFiles
from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError
from midirnn.files import one_line_errors, write_file

if TYPE_CHECKING:
    from midirnn.sampling.surprise import Likelihood

Measured = tuple[Path, "Likelihood"]


def likelihood(
    *files: MusicFiles,
    model: ModelName = "piano",
    engine: Annotated[
        str,
        Parameter(
            help="What runs the model: numpy (exact), or, faster and some thousandths of a nat "
            "off, onnxruntime (int8 weights) or native (the same in C++, compiled on first use)."
        ),
    ] = "numpy",
    notes: Annotated[
        Path | None,
        Parameter(help="Also write the surprise of every note into this CSV file."),
    ] = None,
    plot: Annotated[
        Path | None,
        Parameter(help="Also draw a piano roll coloured by surprise. (One MIDI file only.)"),
    ] = None,
    json_output: JsonOutput = False,
) -> None:
    """Print how likely music is under a model: nats per token, per note and per second.

    Lower is more likely. Each file is read from its start to its end, as midirnn evaluate reads the
    pieces of a data set: the pedal is applied and times are rounded to the codec's grid. The
    surprise of a note is the negative log-likelihood of its tokens.
    """
    from midirnn.codecs import NoteStream, require
    from midirnn.engines.load import load
    from midirnn.sampling.surprise import likelihood as measure

    for target, suffixes in ((notes, (".csv",)), (plot, ())):
        if target is not None:
            check_file(target, suffixes)
    if plot is not None:
        from midirnn.plots.saving import check_suffix

        check_suffix(plot)
        if len(files) > 1:
            raise OptionError(f"--plot draws one file; {len(files)} were given")
    loaded = load(model)
    loaded.engine(engine)  # an engine that cannot be used is not the fault of a file
    if notes is not None or plot is not None:
        require(loaded.codec, NoteStream, "--plot and --notes", "notes")
    measured: list[Measured] = []
    for path in files:
        with progress_bar(path.name) as progress:
            try:
                piece = read_music(path) if path == STDIN else path
                found = measure(piece, loaded, engine=engine, progress=progress)
            except OptionError as error:
                raise OptionError(f"{path}: {error}") from error
        measured.append((path, found))
    print(_as_json(measured) if json_output else "\n".join(_table(measured)))
    if notes is not None:
        _write_notes(notes, measured)
    if plot is not None:
        from midirnn.plots import plot_piano_roll

        [(path, found)] = measured
        assert found.performance is not None and found.notes is not None
        surprise = found.notes.total
        plot_piano_roll(found.performance, plot, title=path.stem, surprise=surprise)


def _table(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield a heading, a line for each file, and one for all if there are several."""
    yield "{:>14}{:>10}{:>12}{:>10}".format("nats per token", "per note", "per second", "tokens")
    rows = [(str(path), found.to_dict()) for path, found in measured]
    if len(rows) > 1:
        rows.append(("all of them", _together([figures for _, figures in rows])))
    for name, figures in rows:
        note, second = (
            f"{figures[per]:.3f}" if per in figures else ""
            for per in ("nats_per_note", "nats_per_second")
        )
        count = f"{figures['tokens']:,}"
        yield f"{figures['nats_per_token']:>14.4f}{note:>10}{second:>12}{count:>10}  {name}"


def _together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all files: sums, and means over all tokens, notes and seconds."""
    sums = {
        name: sum(row[name] for row in rows)
        for name in ("nats", "tokens", "notes", "seconds")
        if name in rows[0]
    }
    means = {
        f"nats_per_{name[:-1]}": sums["nats"] / max(sums[name], 1e-9)
        for name in sums.keys() - {"nats"}
    }
    return sums | means


def _as_json(measured: Sequence[Measured]) -> str:
    figures = {str(path): found.to_dict() for path, found in measured}
    return json.dumps({"files": figures, "all": _together(list(figures.values()))}, indent=2)


def _write_notes(target: Path, measured: Sequence[Measured]) -> None:
    """Write a row for each note, with the parts and the sum of its surprise in nats."""
    from midirnn.sampling.surprise import NOTE_COLUMNS

    text = io.StringIO(newline="")
    rows = csv.writer(text)
    nats = [f"{column}_nats" for column in NOTE_COLUMNS]
    rows.writerow(["file", "start", "end", "pitch", "velocity", *nats, "nats"])
    for path, found in measured:
        played, surprise = found.performance, found.notes
        assert played is not None and surprise is not None
        columns = [getattr(surprise, column) for column in NOTE_COLUMNS]
        for note in range(len(played)):
            rows.writerow(
                [
                    path,
                    f"{played.start[note]:.2f}",
                    f"{played.end[note]:.2f}",
                    played.pitch[note],
                    played.velocity[note],
                    *(f"{column[note]:.4f}" for column in columns),
                    f"{surprise.total[note]:.4f}",
                ]
            )
    with one_line_errors(target, OptionError):
        write_file(target, text.getvalue())
