"""``midirnn style``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.inputs import midi_files, read_music
from midirnn.cli.outputs import STDOUT, check_output
from midirnn.cli.parameters import (
    EngineName,
    JsonOutput,
    ModelName,
    Sampling,
    Seed,
    given_sampling,
    refuse_given,
    seed_or_random,
    write_music,
)
from midirnn.cli.progress import counted_bar
from midirnn.cli.targets import check_file
from midirnn.errors import MidiFileError, OptionError
from midirnn.wording import counted

if TYPE_CHECKING:
    from midirnn.engines.load import Model
    from midirnn.performance import Performance
    from midirnn.probing.style_map import Place


def style(
    *sources: Annotated[
        Path,
        Parameter(
            name="SOURCE",
            required=True,
            allow_leading_hyphen=True,
            help="Two MIDI files; with --map folders of MIDI files, one for each composer.",
        ),
    ],
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="The MIDI file to write. A dash (-) writes to standard output.",
        ),
    ] = None,
    blend: Annotated[
        float | None,
        Parameter(help="The share of the second state in the mixture, 0 to 1. [0.5]"),
    ] = None,
    seconds: Annotated[
        float | None, Parameter(help="Length of the new music in seconds. [30]")
    ] = None,
    primer_seconds: Annotated[
        float, Parameter(help="How many seconds of each file the model hears, from its start.")
    ] = 30.0,
    follow: Annotated[
        float | None,
        Parameter(
            help="How closely the controls also keep the music to the style between the two, 0 to "
            "1. At 0 all comes from the state. [0]"
        ),
    ] = None,
    map_picture: Annotated[
        Path | None,
        Parameter(
            name="--map",
            help="Draw the states after the pieces of each folder, in two dimensions, into this "
            "file: .png, .svg or .pdf.",
        ),
    ] = None,
    seed: Seed = None,
    model: ModelName = "piano",
    engine: EngineName = "auto",
    sampling: Sampling = None,
    json_output: JsonOutput = False,
) -> None:
    """Continue from a mixture of the states after two pieces, or map the states after many.

    The state of the network after a piece is all that it knows of its style. The mean of two such
    states is a state too: the model continues from it, and only the new music is written.

    With --map the states after the first seconds of many pieces are projected to two dimensions
    (PCA) and coloured by folder, with the path of a continuation of one piece from each of the
    first two folders. It prints how often the nearest piece is from the same folder.
    """
    if map_picture is not None:
        if output is not None:
            raise OptionError("--map draws a picture and -o writes music: give one of them")
        refuse_given(
            {
                "blend": blend is not None,
                "seconds": seconds is not None,
                "follow": follow is not None,
                "engine": engine != "auto",
                **given_sampling(sampling),
            },
            "has no effect with --map, which plays no mixture; leave it out",
        )
        _map(sources, map_picture, model, primer_seconds, seed, as_json=json_output)
        return
    if len(sources) != 2:
        given = counted(len(sources), "source was", "sources were")
        raise OptionError(f"{given} given; a mixture needs two MIDI files (--map maps many)")
    if output is None:
        raise OptionError("choose a file for the music with -o, or for a picture with --map")
    check_output(output, None)
    if json_output and output == STDOUT:
        raise OptionError("--json and -o - both write to standard output: name a file with -o")
    from midirnn.composing.style import blended, check_share, hear, measures_of
    from midirnn.engines.load import load
    from midirnn.sampling.requests import DEFAULT_SECONDS, Request

    blend, follow = 0.5 if blend is None else blend, 0.0 if follow is None else follow
    seconds = DEFAULT_SECONDS if seconds is None else seconds
    check_share(blend, "--blend")
    first_seed = seed_or_random(seed)
    request = Request(seconds, sampling)
    loaded = load(model)
    check_output(output, loaded.codec)
    stepping, heard = loaded.engine(engine), []
    for path in sources:
        try:
            heard.append(hear(stepping, loaded.codec, read_music(path), primer_seconds))
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from error
    a, b = heard
    made = blended(stepping, loaded.codec, a, b, blend, follow, request, first_seed)
    new = made.continuation
    measured = {
        str(path): measures_of(one.primer, min(primer_seconds, max(one.primer.duration, 1e-9)))
        for path, one in zip(sources, heard, strict=True)
    }
    measured[str(output)] = measures_of(new, seconds)
    if json_output:
        loaded.codec.write(new, output)
        print(json.dumps({"blend": blend, "seed": first_seed, "measures": measured}, indent=2))
        return
    told = f"{made.summary()} (blend {blend:g}, seed {first_seed})"
    write_music(loaded.codec, new, output, told)
    if output == STDOUT:
        return
    print("{:>10}{:>10}{:>10}".format("notes/s", "velocity", "pitch"))
    for name, values in measured.items():
        print("".join(f"{value:>10.1f}" for value in values.values()) + f"  {name}")


def _map(
    folders: Sequence[Path],
    picture: Path,
    model: str,
    primer_seconds: float,
    seed: int | None,
    *,
    as_json: bool,
) -> None:
    """Draw the states after the pieces of some folders, and print how often neighbours match."""
    from midirnn.engines.load import load
    from midirnn.plots.saving import check_suffix
    from midirnn.plots.style_map import plot_style_map
    from midirnn.probing.style_map import StyleMap, path_of, recognize

    check_file(check_suffix(picture))
    files = _files_of(folders)
    loaded = load(model)
    places, primers = _places(files, loaded, primer_seconds)
    fitted = StyleMap.fit([place.state for place in places])
    at = fitted.project([place.state for place in places])
    first_seed = seed_or_random(seed)
    ways = []
    for folder in folders[:2]:
        first = next(index for index, place in enumerate(places) if place.label == folder.name)
        way = path_of(loaded, primers[first], 600, first_seed)
        ways.append((f"{places[first].name}, continued", fitted.project(way)))
    found = recognize(places)
    plot_style_map(
        at,
        [place.label for place in places],
        picture,
        ways=ways,
        explained=fitted.explained[:2].tolist(),
        title=f"states of {model} after {primer_seconds:g} s",
    )
    if as_json:
        report = {
            "model": model,
            "seed": first_seed,
            "nearest": found.to_dict(),
            "places": [
                {"file": place.name, "label": place.label, "at": where[:2].tolist()}
                for place, where in zip(places, at, strict=True)
            ],
        }
        print(json.dumps(report, indent=2))
        return
    print(f"{picture}: {len(places)} pieces of {len(folders)} folders (seed {first_seed})")
    print(
        f"nearest piece of the same folder: {found.right:.0%} of {found.pieces} pieces; guessing "
        f"gives {found.guessed:.0%}, the most frequent folder {found.most_frequent:.0%}"
    )


def _files_of(folders: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return each MIDI file, with the folder that it was found in."""
    if len({folder.name for folder in folders}) < max(len(folders), 2):
        raise OptionError("--map compares two folders or more, which have different names")
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise OptionError(f"{folder} is no folder: --map takes a folder of MIDI files for each")
        found += [(path, folder) for path in midi_files(folder)]
    return found


def _places(
    files: Sequence[tuple[Path, Path]], model: Model, seconds: float
) -> tuple[list[Place], list[list[int]]]:
    """Return the place of each piece and the tokens of its primer. Print what cannot be read."""
    from midirnn.probing.style_map import Place, place_of
    from midirnn.probing.tracing import trace

    places, primers = [], []
    for path, folder in counted_bar("pieces", files, len(files)):
        try:
            piece: Performance = read_music(path)
            one = trace(piece, model, seconds=seconds, states=("h",))
        except (MidiFileError, OptionError) as error:
            print(f"left out: {path}: {error}", file=sys.stderr)
            continue
        # Performances in the same subfolder are of one composition.
        group = str(path if path.parent == folder else path.parent)
        places.append(Place(folder.name, path.name, group, place_of(one)))
        primers.append(one.tokens.tolist())
    for _, folder in files:
        if not any(place.label == folder.name for place in places):
            raise OptionError(f"no file of {folder} can be read")
    return places, primers
