"""Parameters that the commands that make music share, and what they do with them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from midirnn.cli.outputs import STDOUT, print_piece
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from midirnn.codecs import Codec

MusicFile = Annotated[
    Path,
    Parameter(name="FILE", allow_leading_hyphen=True, help="A MIDI file (-: standard input)."),
]

MusicFiles = Annotated[
    Path,
    Parameter(
        name="FILE",
        required=True,
        allow_leading_hyphen=True,
        help="MIDI files (-: standard input), or text for a text model.",
    ),
]

MidiOutput = Annotated[
    Path,
    Parameter(
        name=["--output", "-o"],
        allow_leading_hyphen=True,
        help="The MIDI file to write. A dash (-) writes to standard output.",
    ),
]

Seed = Annotated[
    int | None,
    Parameter(help="Random seed: the same seed gives the same music. [random, and printed]"),
]

ModelName = Annotated[
    str, Parameter(help="Name of a model, or the folder of one or of a training run.")
]

JsonOutput = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")
]

EngineName = Annotated[
    str,
    Parameter(
        help="What runs the model: onnxruntime (fast, int8 weights), native (the same in C++, "
        "compiled on first use) or numpy (exact). Each gives different music for the same seed. "
        "[auto: onnxruntime if it is installed; in batches numpy]",
        show_default=False,
    ),
]

Sampling = Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")]


def seed_or_random(seed: int | None) -> int:
    """Return the seed that was given, or a random one."""
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    return secrets.randbelow(2**32) if seed is None else seed


def given_sampling(sampling: SamplingConfig | None) -> dict[str, bool]:
    """Return which sampling flags differ from their defaults."""
    given = sampling or SamplingConfig()
    return {
        field.name.replace("_", "-"): getattr(given, field.name) != field.default
        for field in fields(SamplingConfig)
    }


def refuse_given(flags: Mapping[str, bool], why: str) -> None:
    """Raise :class:`OptionError` for the first flag that was given, and has no effect."""
    for flag, is_given in flags.items():
        if is_given:
            raise OptionError(f"--{flag} {why}")


def write_music(codec: Codec[Any], piece: Any, output: Path, told: str) -> None:
    """Write a piece to a file or to standard output, and print a line about it."""
    if output == STDOUT:
        print_piece(codec, piece, codec.suffixes[0])
        print(told, file=sys.stderr)
        return
    codec.write(piece, output)
    print(f"{output}: {told}")
