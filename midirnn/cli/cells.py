"""``midirnn cells``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import STDIN, read_music
from midirnn.cli.parameters import JsonOutput, ModelName, MusicFiles, refuse_given
from midirnn.cli.progress import progress_bar
from midirnn.cli.targets import check_file
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.engines.load import Model
    from midirnn.probing.probes import Probe
    from midirnn.probing.tracing import Trace
    from midirnn.probing.units import FoundUnit


def cells(
    model: Annotated[ModelName, Parameter(name="MODEL")],
    /,
    *files: MusicFiles,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="Also draw the units of the (first) file over time: .png, .svg or .pdf.",
        ),
    ] = None,
    state: Annotated[
        str | None,
        Parameter(help="Look only at this state of the cells: h or, for an LSTM, c. [all]"),
    ] = None,
    each: Annotated[int | None, Parameter(help="List this many units for each signal. [1]")] = None,
    heat: Annotated[
        int | None,
        Parameter(
            help="With --output: draw this many other units too, those that change most. [24]"
        ),
    ] = None,
    seconds: Annotated[
        float | None, Parameter(help="Read only the first SECONDS of music. [all]")
    ] = None,
    probe: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Fit a linear probe on every other file instead, and print how much of each "
            "signal the state of each layer holds: R2 on the other files.",
        ),
    ] = False,
    beside: Annotated[
        tuple[str, ...],
        Parameter(
            negative_iterable=(),
            help="With --probe: a further model to compare. Can be repeated.",
        ),
    ] = (),
    save: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Also write the units into the model's folder, as units.json: live sessions then "
            "show their values.",
        ),
    ] = False,
    json_output: JsonOutput = False,
) -> None:
    """Show which hidden units of a model follow which features of the music.

    The model reads each file from its start. For loudness, density, register, pitch class, time
    since the last onset, position in the phrase and the pedal (for text: quotes, nesting, length of
    the line and of the bar), the unit whose value correlates most with it is listed. It is chosen
    on the first half of the file, and its correlation is also shown on the second half. With
    several files, it is chosen on every other file, and shown on the first, third and so on.
    """
    from midirnn.engines.load import PRETRAINED, load
    from midirnn.probing.units import check_state, find_units, liveliest, strongest

    if probe:
        given = {"state": state, "each": each, "heat": heat, "save": save or None}
        refuse_given(
            {flag: value is not None for flag, value in given.items()},
            "has no effect with --probe, which lists no units; leave it out",
        )
    each, heat = 1 if each is None else each, 24 if heat is None else heat
    for name, number, least in (("each", each, 1), ("heat", heat, 0)):
        if number < least:
            raise OptionError(f"--{name} is {number}; it must be at least {least}")
    if seconds is not None and not seconds > 0:
        raise OptionError(f"--seconds is {seconds:g}; it must be above 0")
    if output is not None:
        from midirnn.plots.saving import check_suffix

        check_file(check_suffix(output))
    if beside and not probe:
        raise OptionError("--beside compares models by their probes: add --probe")
    if probe:
        _probe((model, *beside), files, seconds, output, as_json=json_output)
        return
    loaded = load(model)
    if save and loaded.folder.is_relative_to(PRETRAINED):
        raise OptionError(f"{model} comes with midirnn: --save needs a model of your own")
    traces = [_read(path, loaded, seconds) for path in files]
    check_state(traces[0], state)
    found = find_units(traces, state=state, each=each)
    if not found:
        raise OptionError(f"nothing changes in {files[0]} that a unit could follow")
    print(_as_json(model, files, traces, found) if json_output else "\n".join(_table(found)))
    if save:
        from midirnn.probing.watching import UNITS_FILE, watched_of, write_watched

        watched = watched_of(traces, found)
        write_watched(loaded.folder, watched)
        if not json_output:
            print(f"{loaded.folder / UNITS_FILE}: {len(watched)} units")
    if output is not None:
        from midirnn.plots.units import plot_units

        chosen = strongest(found)
        others = liveliest(traces[0], heat, state=state or "h")
        title = f"{model} reads {files[0].name}"
        plot_units(
            traces[0], chosen, output, others=others, title=title, is_halved=len(traces) == 1
        )
        if not json_output:
            print(f"{output}: {len(chosen)} units that follow something, and {len(others)} others")


def _read(path: Path, model: Model, seconds: float | None) -> Trace:
    """Read a file with the model, under a progress bar."""
    from midirnn.codecs import NoteStream
    from midirnn.probing.tracing import trace

    is_music = isinstance(model.codec, NoteStream)
    if seconds is not None and not is_music:
        raise OptionError(f"--seconds is for music; the codec {model.codec.name!r} has no time")
    piece = read_music(path) if is_music else path
    with progress_bar(path.name) as progress:
        try:
            return trace(piece, model, seconds=seconds, progress=progress)
        except OptionError as error:
            raise OptionError(f"{'standard input' if path == STDIN else path}: {error}") from error


def _probe(
    models: Sequence[str],
    files: Sequence[Path],
    seconds: float | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print, and draw, how much of each signal the layers of some models hold."""
    from midirnn.engines.load import load
    from midirnn.probing.probes import probe

    found: dict[str, list[Probe]] = {}
    for model in dict.fromkeys(models):
        loaded = load(model)
        traces = [_read(path, loaded, seconds) for path in files]
        found[_short_name(model, models)] = probe(
            traces, None if found else loaded.config.vocab_size
        )
    if as_json:
        print(
            json.dumps(
                {name: [one.to_dict() for one in probes] for name, probes in found.items()},
                indent=2,
            )
        )
    else:
        for name, probes in found.items():
            print("\n".join(_probe_table(name, probes)))
    if output is not None:
        from midirnn.plots.probes import plot_probes

        title = f"R2 on {len(files[::2])} unseen files"
        plot_probes(found, output, title=title)
        if not as_json:
            print(f"{output}: the same as a picture")


def _short_name(model: str, models: Sequence[str]) -> str:
    """Return the last part of a model's path, if no other model has the same."""
    short = [Path(name).name for name in dict.fromkeys(models)]
    own = Path(model).name
    return own if short.count(own) == 1 else model


def _probe_table(name: str, probes: Sequence[Probe]) -> Iterator[str]:
    """Yield a heading, and a line for each signal with the R2 of each layer."""
    layers = list(dict.fromkeys(one.layer for one in probes))
    titles = ["token" if layer is None else f"layer {layer + 1}" for layer in layers]
    yield f"{name:<16}" + "".join(f"{title:>9}" for title in titles)
    for signal in dict.fromkeys(one.signal for one in probes):
        of_signal = {one.layer: one.r2 for one in probes if one.signal == signal}
        yield f"{signal:<16}" + "".join(
            f"{of_signal[layer]:>9.2f}" if layer in of_signal else " " * 9 for layer in layers
        )


def _table(found: dict[str, list[FoundUnit]]) -> Iterator[str]:
    """Yield a heading, and a line for each unit."""
    yield f"{'signal':<16} {'unit':<9} {'chosen on':>10} {'shown on':>9}"
    for signal, units in found.items():
        for one in units:
            yield f"{signal:<16} {one.unit!s:<9} {one.fitted:>+10.2f} {one.shown:>+9.2f}"


def _as_json(
    model: str, files: Sequence[Path], traces: Sequence[Trace], found: dict[str, list[FoundUnit]]
) -> str:
    report = {
        "model": model,
        "files": {str(path): len(one) for path, one in zip(files, traces, strict=True)},
        "units": [one.to_dict() for units in found.values() for one in units],
    }
    return json.dumps(report, indent=2)
