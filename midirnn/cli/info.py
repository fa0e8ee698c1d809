"""``midirnn info``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_music
from midirnn.cli.parameters import JsonOutput
from midirnn.codecs.style import RHYTHM_EDGES
from midirnn.errors import OptionError
from midirnn.pitch_names import PITCH_CLASS_NAMES, tonic_name

if TYPE_CHECKING:
    from midirnn.codecs.style import Style
    from midirnn.performance import KeySignature, Performance

Rows = Mapping[str, Any]

LOG_SUFFIX = ".jsonl"
"""The suffix of the event logs that midirnn live --record writes."""

ROLL = "piano_roll"
"""The lines of a piano roll, which are printed after the figures, and are not in the JSON."""


def info(
    *sources: Annotated[
        str,
        Parameter(
            name="SOURCE",
            required=True,
            allow_leading_hyphen=True,
            help="MIDI files (-: standard input), event logs of recorded sessions, names or "
            "folders of models and training runs, or data sets.",
        ),
    ],
    json_output: JsonOutput = False,
) -> None:
    """Print what is in MIDI files, recordings, models and data sets.

    For a MIDI file: its length, notes, parts, tempos and signatures, its style, the style of its
    last 20 s (which generate --primer keeps to), and a piano roll. For a recording: who played how
    much. For a model: its network, codec, weights, and how it was trained and evaluated. For a data
    set: its splits and its codec.
    """
    found = {source: _describe(source) for source in sources}
    rolls = {source: rows.get(ROLL, []) for source, rows in found.items()}
    found = {s: {k: v for k, v in rows.items() if k != ROLL} for s, rows in found.items()}
    if json_output:
        print(json.dumps(found if len(found) > 1 else next(iter(found.values())), indent=2))
        return
    for number, (source, rows) in enumerate(found.items()):
        print(f"{chr(10) if number else ''}{source}")
        for line in _lines(_without_samples(rows)):
            print(f"  {line}")
        for line in rolls[source]:
            print(line)


def _describe(source: str) -> Rows:
    from midirnn.datasets.store import MANIFEST

    if (Path(source) / MANIFEST).is_file():
        return _dataset(Path(source))
    if Path(source).suffix == LOG_SUFFIX and Path(source).is_file():
        return _recording(Path(source))
    if Path(source) == STDIN or Path(source).is_file() or _is_named_like_midi(source):
        return _midi(Path(source))
    if os.sep in source and not Path(source).exists():
        raise OptionError(f"{source}: there is no such file or folder")
    return _model(source)


def _is_named_like_midi(source: str) -> bool:
    from midirnn.midifile import SUFFIXES

    return Path(source).suffix.lower() in SUFFIXES and not Path(source).is_dir()


def _recording(path: Path) -> Rows:
    """Return who played how much in a recorded session."""
    from midirnn.live.output.ledger import MODEL, PERFORMER
    from midirnn.live.recording.event_log import read_log
    from midirnn.live.recording.midi import notes_of

    log = read_log(path)
    performance = log.recording().performance()
    return {
        "kind": "recording of a session",
        "seconds": performance.duration,
        "notes": {who: notes_of(performance, who) for who in (PERFORMER, MODEL)},
        "events": len(log.records),
        "cut_off": log.cut_off,
        ROLL: _roll(performance),
    }


def _roll(performance: Performance) -> list[str]:
    from midirnn.sketch import piano_roll_text

    return piano_roll_text(performance.start, performance.end, performance.pitch)


def _midi(path: Path) -> Rows:
    """Return the figures of a MIDI file; histograms of its style are lists of shares."""
    from midirnn.codecs import PerformanceCodec
    from midirnn.performance import KeySignature, TimeSignature
    from midirnn.sampling.following import HEARD_SECONDS
    from midirnn.sampling.primer import dropped_drums

    piece = read_music(path, drums=True)
    if dropped := dropped_drums(piece):
        print(f"{path}: {dropped}, and the style is without them", file=sys.stderr)
    heard = piece.without_drums()
    tokens = PerformanceCodec().encode(heard)
    return {
        "kind": "MIDI file",
        "seconds": piece.duration,
        "notes": len(piece),
        "drum_notes": len(piece) - len(heard),
        "pedal_events": len(piece.pedal_time),
        "parts": list(_parts(piece)),
        "tempos": [{"seconds": t.seconds, "bpm": t.bpm} for t in piece.tempos],
        "time_signatures": [
            {"seconds": s.seconds, "signature": f"{s.numerator}/{s.denominator}"}
            for s in piece.signatures
            if isinstance(s, TimeSignature)
        ],
        "key_signatures": [
            {"seconds": s.seconds, "key": _key(s)}
            for s in piece.signatures
            if isinstance(s, KeySignature)
        ],
        "tokens": len(tokens),
        "style": _style(_style_of(heard, max(heard.apply_sustain().duration, 1.0))),
        f"style_of_the_last_{HEARD_SECONDS:g}_seconds": _style(_style_of(heard, HEARD_SECONDS)),
        ROLL: _roll(heard),
    }


def _style_of(piece: Performance, seconds: float) -> Style:
    """Return the style of the last ``seconds`` of a piece, with its exact velocities.

    Those of the codec are rounded down to the edges of its bins.
    """
    from midirnn.codecs import PerformanceCodec
    from midirnn.codecs.style import Style

    codec = PerformanceCodec()
    values = dict(codec.recent_style(codec.encode(piece), seconds).values)
    sustained = piece.apply_sustain()
    velocity = sustained.velocity[sustained.start >= sustained.duration - seconds]
    if len(velocity):
        values["loudness"] = float(velocity.mean())
    if len(velocity) > 1:
        values["loudness_spread"] = float(velocity.std())
    return Style(values)


_UNITS: dict[str, tuple[str, Callable[[float], float]]] = {
    "density": ("notes_per_second", lambda value: 2.0**value - 1.0),
    "loudness": ("mean_velocity", float),
    "loudness_spread": ("deviation_of_velocity", float),
    "register": ("mean_pitch", float),
    "register_spread": ("deviation_of_pitch", float),
    "polyphony": ("notes_at_once", lambda value: 2.0**value - 1.0),
    "articulation": ("duration_to_next_onset", lambda value: 2.0**value),
}
"""The numeric traits: the name of the figure, and how to compute it from the trait's value."""


def _style(style: Style) -> Rows:
    """Return a style in units that a musician knows; histograms are shares by name."""
    rows: dict[str, Any] = {}
    for name, value in style.values.items():
        if not isinstance(value, tuple):
            unit, convert = _UNITS[name]
            rows[unit] = round(convert(value), 3)
    edges = [f"{2.0**edge:.2g} s" for edge in RHYTHM_EDGES[1:-1]]
    bins = [f"below {edges[0]}", *(f"from {edge}" for edge in edges)]
    for name, names in (("pitch_classes", PITCH_CLASS_NAMES), ("rhythm", bins)):
        shares = style.values.get(name, ())
        if isinstance(shares, tuple):
            rows[name] = {n: round(x, 3) for n, x in zip(names, shares, strict=False) if x}
    return rows


def _parts(piece: Performance) -> Iterator[Rows]:
    for number, part in enumerate(piece.parts):
        notes = piece.pitch[piece.part == number]
        yield {
            "name": part.name,
            "program": part.program,
            "channel": part.channel + 1,
            "notes": len(notes),
            "lowest": int(notes.min()) if len(notes) else None,
            "highest": int(notes.max()) if len(notes) else None,
        }


def _key(signature: KeySignature) -> str:
    tonic = tonic_name(signature.sharps, minor=signature.minor)
    return f"{tonic} {'minor' if signature.minor else 'major'}"


def _model(source: str) -> Rows:
    from midirnn.engines.load import PRETRAINED, find_model, read_model
    from midirnn.models.checkpoint import CONFIG_FILE

    known = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG_FILE}"))
    folder = find_model(source, names=known)
    checkpoint = read_model(folder)
    codec = checkpoint.codec
    return {
        "kind": "model",
        "folder": str(folder),
        "architecture": checkpoint.config.architecture,
        "weights": sum(weights.size for weights in checkpoint.weights.values()),
        "model": checkpoint.config.to_dict(),
        "codec": codec and {"name": codec.name, **codec.settings()},
        "info": checkpoint.info,
    }


def _dataset(folder: Path) -> Rows:
    from midirnn.datasets import Dataset

    dataset = Dataset.open(folder)
    return {
        "kind": "data set",
        "splits": dataset.manifest["splits"],
        "codec": {"name": dataset.codec.name, **dataset.codec.settings()},
        "options": dataset.manifest.get("options", {}),
        "refused": dataset.manifest.get("refused", 0),
    }


# ---- the table --------------------------------------------------------------------------------


def _without_samples(rows: Rows) -> Rows:
    """Return the figures without those measured on samples, which would fill pages."""
    if not isinstance(rows.get("info"), Mapping):
        return rows
    measured = rows["info"].get("evaluation", {})
    kept = {name: found for name, found in measured.items() if "nats_per_token" in found}
    return {**rows, "info": {**rows["info"], "evaluation": kept}}


MOST_ROWS = 8
"""The most rows that are printed of a list, such as tempos; the rest is counted."""


def _lines(rows: Rows, indent: str = "") -> Iterator[str]:
    """Yield a line for each figure, with nested figures indented below it."""
    for name, value in rows.items():
        label = f"{indent}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping) and value:
            yield label
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield label
            for row in value[:MOST_ROWS]:
                yield f"{indent}  {_on_one_line(row)}"
            if len(value) > MOST_ROWS:
                yield f"{indent}  ... and {len(value) - MOST_ROWS} more"
        elif not isinstance(value, list | Mapping) or value:
            yield f"{label:<28} {_shown(value)}"


def _on_one_line(row: Rows) -> str:
    return "  ".join(f"{name} {_shown(value)}" for name, value in row.items() if value is not None)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(_shown(each) for each in value)
    return str(value) or "''"
