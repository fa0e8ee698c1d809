"""``midirnn encode``."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.progress import progress_bar
from midirnn.cli.workers import chosen_workers
from midirnn.codecs import (
    CODECS,
    DEFAULT_CODEC,
    FOREIGN_CODECS,
    FORMATS,
    Codec,
    codec_from_settings,
    find_codec,
)
from midirnn.datasets.filters import PieceFilter
from midirnn.errors import CodecError, OptionError

if TYPE_CHECKING:
    from midirnn.datasets import SplitShares, SplitTable


def encode(
    *sources: Annotated[
        str,
        Parameter(
            name="SOURCE",
            required=True,
            help="Files to encode, folders and archives (.zip, .tar.gz) of them, and URLs "
            "(s3://...).",
        ),
    ],
    output: Annotated[
        str, Parameter(name=["--output", "-o"], help="The folder of the data set, or its URL.")
    ],
    splits: Annotated[
        Path | None,
        Parameter(
            help="A CSV file with columns 'path' (relative to its own folder or to SOURCE) and "
            "'split'. Files that it does not name are left out. Without it, files are split at "
            "random, by their contents; each text is cut by position."
        ),
    ] = None,
    where: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Use only the rows of --splits with COLUMN=VALUE. Can be repeated.",
        ),
    ] = (),
    validation_share: Annotated[
        float | None,
        Parameter(
            help="Share of the files, or of each text, for validation, without --splits. [0.05]"
        ),
    ] = None,
    test_share: Annotated[
        float | None,
        Parameter(
            help="Share of the files, or of each text, for testing, without --splits. [0.05]"
        ),
    ] = None,
    codec: Annotated[
        str,
        Parameter(
            group="Codec",
            help=f"How pieces become tokens: {', '.join([*CODECS, *FOREIGN_CODECS])}.",
        ),
    ] = DEFAULT_CODEC,
    format: Annotated[
        str | None,
        Parameter(
            group="Codec",
            help="Write the token ids of another library: magenta (Performance RNN in note-seq) "
            "or miditok (MIDILike).",
        ),
    ] = None,
    codec_setting: Annotated[
        tuple[str, ...],
        Parameter(
            group="Codec",
            negative="",
            show_default=False,
            help="A setting of the codec, as NAME=VALUE. Can be repeated.",
        ),
    ] = (),
    steps_per_second: Annotated[
        int | None,
        Parameter(group="Codec", help="Steps of the time grid per second. [performance: 100]"),
    ] = None,
    max_shift_steps: Annotated[
        int | None,
        Parameter(group="Codec", help="Steps of the longest time shift. [performance: 100]"),
    ] = None,
    velocity_bins: Annotated[
        int | None,
        Parameter(
            group="Codec",
            help="Number of velocities that are distinguished; 0 for none. [performance: 32]",
        ),
    ] = None,
    workers: Annotated[
        int | None, Parameter(help="Number of worker processes. [one per processor]")
    ] = None,
    dask: Annotated[
        str | None,
        Parameter(
            help="The address of a Dask scheduler (tcp://HOST:8786), whose workers encode instead."
        ),
    ] = None,
    file_seconds: Annotated[
        float, Parameter(help="Set aside files that take longer than this, in seconds.")
    ] = 30.0,
    on_damage: Annotated[
        str,
        Parameter(help="Damaged files: refuse them, or recover what is intact (refuse, recover)."),
    ] = "refuse",
    file_gigabytes: Annotated[
        float, Parameter(help="Set aside files that need more memory than this, in gigabytes.")
    ] = 4.0,
    group_compositions: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Keep all performances of a composition in one split, by comparing their notes.",
        ),
    ] = False,
    duplicates: Annotated[
        str,
        Parameter(
            help="Further versions of a performance, and parts of it: keep them, or drop them "
            "(keep, drop)."
        ),
    ] = "keep",
    pieces: Annotated[PieceFilter | None, Parameter(name="*", group="Filters", negative="")] = None,
    part_tokens: Annotated[
        int,
        Parameter(help="Begin another Parquet file of a split after about this many tokens."),
    ] = 100_000_000,
    overwrite: Annotated[
        bool, Parameter(negative="", show_default=False, help="Replace the data set at --output.")
    ] = False,
) -> None:
    """Encode MIDI files, or texts with --codec text, as a data set of tokens.

    The vocabulary of texts is the characters of the training text. A text is split by position: the
    first 90 % are for training. In .abc files each tune is a piece of its own.

    Writes Parquet files for each split, dataset.json, and refused.jsonl, which lists the files
    that could not be used and why. The folder appears when it is complete.
    """
    from midirnn.datasets import encode_files

    named = {
        "steps_per_second": steps_per_second,
        "max_shift_steps": max_shift_steps,
        "velocity_bins": velocity_bins,
    }
    given = {name: value for name, value in named.items() if value is not None}
    if format is not None:
        codec, given = _named_format(format, codec, given)
    made = _make_codec(codec, given | dict(map(_parse_setting, codec_setting)))
    rule = _split_rule(splits, where, validation_share, test_share)
    with chosen_workers(workers, dask) as (executor, tasks), progress_bar("encoding") as progress:
        report = encode_files(
            sources,
            output,
            codec=made,
            splits=rule,
            workers=tasks,
            executor=executor,
            overwrite=overwrite,
            file_seconds=file_seconds,
            file_gigabytes=file_gigabytes,
            part_tokens=part_tokens,
            on_damage=on_damage,
            filter=pieces,
            group_compositions=group_compositions,
            duplicates=duplicates,
            progress=progress,
        )
    print(report.table())
    for line in report.remarks():
        print(line, file=sys.stderr)


def _named_format(format: str, codec: str, given: dict[str, int]) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings of the codec of a format."""
    if format not in FORMATS:
        raise OptionError(f"--format is {format!r}; it can be {' or '.join(FORMATS)}")
    if codec != DEFAULT_CODEC:
        raise OptionError("a format is a codec with its settings; give --format or --codec")
    settings = dict(FORMATS[format])
    return settings.pop("name"), {**settings, **given}


def _parse_setting(text: str) -> tuple[str, int | float | str]:
    """Return the name and the value in ``NAME=VALUE``: a number, true or false, or a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--codec-setting is {text!r}; write it as NAME=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    for number in (int, float):
        with suppress(ValueError):
            return name, number(value)
    return name, value


def _make_codec(name: str, settings: dict[str, Any]) -> Codec[Any]:
    """Return the codec of that name with these settings.

    Raises :class:`CodecError` for an unknown codec, or settings that it does not have.
    """
    known = find_codec(name)().settings()
    unknown = [setting for setting in settings if setting not in known or setting == "name"]
    if unknown:
        has = ", ".join(setting for setting in known if setting != "name") or "none"
        raise CodecError(f"the codec {name!r} has no setting {unknown[0]!r}; its settings: {has}")
    return codec_from_settings({"name": name, **settings})


def _split_rule(
    table: Path | None,
    where: tuple[str, ...],
    validation_share: float | None,
    test_share: float | None,
) -> SplitShares | SplitTable:
    """Return the rule by which files are split."""
    from midirnn.datasets import SplitShares, SplitTable

    if table is None:
        if where:
            raise OptionError("--where selects rows of a table; name the table with --splits")
        given = {"validation": validation_share, "test": test_share}
        return SplitShares(**{name: share for name, share in given.items() if share is not None})
    if validation_share is not None or test_share is not None:
        raise OptionError("the table decides the splits; give --splits or shares, not both")
    return SplitTable.read(table, where)
