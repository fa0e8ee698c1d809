"""``midirnn generate``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.constraints import ConstraintFlags
from midirnn.cli.drawing import DrawingFlags
from midirnn.cli.ensemble import EnsembleFlags
from midirnn.cli.parameters import EngineName, ModelName, Sampling, Seed, seed_or_random
from midirnn.cli.pieces import OutputFlags
from midirnn.cli.primers import PrimerFlags
from midirnn.cli.progress import progress_bar
from midirnn.cli.resuming import PieceSet, settings_of
from midirnn.cli.steering import ControlFlags
from midirnn.errors import OptionError
from midirnn.sampling.filters import FILTERS, SamplingConfig

if TYPE_CHECKING:
    from midirnn.engines.load import Model
    from midirnn.sampling.generated import Generated
    from midirnn.sampling.requests import Request


def generate(
    *,
    target: Annotated[OutputFlags | None, Parameter(name="*")] = None,
    source: Annotated[PrimerFlags | None, Parameter(name="*")] = None,
    seconds: Annotated[
        float | None, Parameter(help="Length of the new music in seconds. [30]")
    ] = None,
    tokens: Annotated[
        int | None,
        Parameter(
            help="Number of new tokens, with a codec without time, such as text; a tune may end "
            "earlier. [1000]"
        ),
    ] = None,
    end: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Bring the music to a close at about its length, and let the last notes sound on "
            "for up to 4 s, instead of cutting them off.",
        ),
    ] = False,
    drawing: Annotated[DrawingFlags | None, Parameter(name="*")] = None,
    seed: Seed = None,
    model: ModelName = "piano",
    blend: Annotated[
        float,
        Parameter(help="Share of a tuned model, 0 to 1; the rest is the model it was tuned from."),
    ] = 1.0,
    engine: EngineName = "auto",
    steering: Annotated[ControlFlags | None, Parameter(name="*")] = None,
    rules: Annotated[ConstraintFlags | None, Parameter(name="*")] = None,
    sampling: Sampling = None,
    ensemble: Annotated[EnsembleFlags | None, Parameter(name="*")] = None,
) -> None:
    """Generate MIDI files, or texts, that continue a primer or start from scratch.

    The file begins with the primer. For MIDI, the primer's pedal is applied and its tempo map kept;
    the model ends the notes that still sound at its end, and the new notes are on a track of their
    own.
    """
    from midirnn.codecs import NoteStream
    from midirnn.engines.load import load
    from midirnn.sampling.requests import Request

    target, source = target or OutputFlags(), source or PrimerFlags()
    drawing, steering = drawing or DrawingFlags(), steering or ControlFlags()
    rules, ensemble = rules or ConstraintFlags(), ensemble or EnsembleFlags()
    drawing.check(seed, seconds, tokens)
    source.check()
    target.check()
    ensemble.check(drawing)
    first_seed = seed_or_random(seed)
    length = drawing.seconds(seconds)
    end = end or drawing.sections is not None
    request = Request(
        length,
        sampling,
        steering.controls(),
        steering.follow,
        steering.follow_seconds,
        end,
        rules.constraints(length),
    )
    loaded = load(model, blend=blend)
    target.check_codec(loaded.codec, drawing.count)
    heard, heard_seconds = source.read(loaded.codec)
    request = replace(request, primer_seconds=heard_seconds)
    if not isinstance(loaded.codec, NoteStream):
        _check_without_time(loaded.codec.name, steering, sampling)
    elif end and not loaded.config.style_inputs:
        print(f"{model}: {_end_of(loaded.config.control_inputs)}", file=sys.stderr)
    path_of = partial(target.path_of, count=drawing.count)
    wanted: Sequence[int] = range(drawing.count)
    pieces_of_set: PieceSet | None = None
    if drawing.count > 1 and target.writes_files:
        flags = [drawing.with_defaults(), rules.with_defaults()]
        groups: list[Any] = [source, steering, *flags, sampling or SamplingConfig()]
        groups += [ensemble] if ensemble.wanted else []
        others = {"seconds": length, "tokens": tokens, "end": end, "only_new": target.only_new}
        others["blend"] = blend
        settings = settings_of(loaded, heard, engine, groups, seed=first_seed, **others)
        pieces_of_set = PieceSet(target.path, drawing.count, path_of, settings)
        wanted = pieces_of_set.missing(resume=drawing.resume)
        if 0 not in wanted:
            target.show_written(path_of(0), heard, heard_seconds)
    elif drawing.resume:
        raise OptionError("--resume keeps the files that exist: name them with --output")
    seeds = [first_seed + number for number in wanted]
    pieces: Iterable[Generated] | None
    if ensemble.wanted:
        pieces = ensemble.draw(loaded, request, heard, seeds, engine)
    else:
        pieces = drawing.draw(loaded, request, heard, seeds, engine)
    if pieces is None:
        pieces = _one_by_one(loaded, request, heard, seeds, engine, seconds, tokens)
    for number, made in zip(wanted, pieces, strict=True):
        if pieces_of_set is not None:
            pieces_of_set.store(number)  # only now: a piece could be made, so they are valid
        target.write(loaded.codec, made, path_of(number), first_seed + number)
        if pieces_of_set is not None:
            pieces_of_set.store(number + 1)
        if number == 0:
            target.show(made, path_of(number), has_primer=heard is not None)


def _one_by_one(
    model: Model,
    request: Request,
    heard: Any,
    seeds: Sequence[int],
    engine: str,
    seconds: float | None,
    tokens: int | None,
) -> Iterator[Generated]:
    """Yield a piece for each seed, each under a progress bar."""
    from midirnn.sampling.generate import continue_piece
    from midirnn.sampling.sampler import Sampler

    stepping = model.engine(engine)
    for seed in seeds:
        sampler = Sampler(stepping, model.codec, request.sampling, seed=seed)
        with progress_bar("generating") as progress:
            made = continue_piece(
                sampler, request, heard, seconds=seconds, tokens=tokens, progress=progress
            )
        yield made


def _check_without_time(
    codec: str, steering: ControlFlags, sampling: SamplingConfig | None
) -> None:
    """Raise :class:`OptionError` for flags that have no effect on pieces without time."""
    settings = sampling or SamplingConfig()
    given = [
        field.name
        for flags, names in ((settings, fields(settings)), (steering, fields(steering)))
        for field in names
        if field.name not in FILTERS and getattr(flags, field.name) != field.default
    ]
    if given:
        flag = given[0].replace("_", "-")
        raise OptionError(f"--{flag} is for music; the codec {codec!r} has no notes")


def _end_of(has_controls: bool) -> str:
    """Return what --end does with a model that was not trained to know how far the end is."""
    untold = "it was not trained to know how far the end is (--style-inputs), so"
    if has_controls:
        return f"{untold} --end asks it for fewer notes and the tonic only"
    return f"{untold} --end only lets its last notes sound on"
