"""midirnn: a real-time MIDI music generator on recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names

__version__ = "0.1.0"

# Imported on first use, so that `import midirnn` is fast.
_MODULES = {
    "CheckpointError": "errors",
    "CodecError": "errors",
    "Dataset": "datasets",
    "EncodeReport": "datasets",
    "PieceFilter": "datasets",
    "SplitShares": "datasets",
    "SplitTable": "datasets",
    "encode_files": "datasets",
    "Controls": "codecs.controls",
    "DatasetError": "errors",
    "MidiFileError": "errors",
    "MidirnnError": "errors",
    "MissingExtraError": "errors",
    "Likelihood": "sampling",
    "Model": "engines.load",
    "ModelLostError": "errors",
    "Note": "performance",
    "OptionError": "errors",
    "Part": "performance",
    "Performance": "performance",
    "PerformanceCodec": "codecs",
    "PortError": "errors",
    "RecordingError": "errors",
    "Score": "scores",
    "ScoreError": "errors",
    "Sampler": "sampling",
    "SamplingConfig": "sampling",
    "Tempo": "performance",
    "from_pretty_midi": "midifile",
    "generate": "sampling",
    "humanize": "composing.humanize",
    "likelihood": "sampling",
    "load": "engines.load",
    "read_midi": "midifile",
    "read_score": "scores",
    "to_pretty_midi": "midifile",
    "write_midi": "midifile",
    "Constraints": "sampling.constraints",
    "Candidate": "composing.choice",
    "Generated": "sampling.generated",
    "InForm": "composing.form",
    "Infilled": "composing.infill",
    "Request": "sampling.requests",
    "Section": "composing.form",
    "beam_search": "composing.beam",
    "best_of": "composing.choice",
    "generate_form": "composing.form",
    "infill": "composing.infill",
    "parse_chart": "sampling.constraints",
    "parse_scale": "sampling.constraints",
    "render": "audio.rendering",
    "vary": "composing.vary",
}

__all__ = [
    "Candidate",
    "CheckpointError",
    "CodecError",
    "Constraints",
    "Controls",
    "Dataset",
    "DatasetError",
    "EncodeReport",
    "Generated",
    "InForm",
    "Infilled",
    "Likelihood",
    "MidiFileError",
    "MidirnnError",
    "MissingExtraError",
    "Model",
    "ModelLostError",
    "Note",
    "OptionError",
    "Part",
    "Performance",
    "PerformanceCodec",
    "PieceFilter",
    "PortError",
    "RecordingError",
    "Request",
    "Sampler",
    "SamplingConfig",
    "Score",
    "ScoreError",
    "Section",
    "SplitShares",
    "SplitTable",
    "Tempo",
    "beam_search",
    "best_of",
    "encode_files",
    "from_pretty_midi",
    "generate",
    "generate_form",
    "humanize",
    "infill",
    "likelihood",
    "load",
    "parse_chart",
    "parse_scale",
    "read_midi",
    "read_score",
    "render",
    "to_pretty_midi",
    "vary",
    "write_midi",
]

if TYPE_CHECKING:
    from midirnn.audio.rendering import render
    from midirnn.codecs import PerformanceCodec
    from midirnn.codecs.controls import Controls
    from midirnn.composing.beam import beam_search
    from midirnn.composing.choice import Candidate, best_of
    from midirnn.composing.form import InForm, Section, generate_form
    from midirnn.composing.humanize import humanize
    from midirnn.composing.infill import Infilled, infill
    from midirnn.composing.vary import vary
    from midirnn.datasets import (
        Dataset,
        EncodeReport,
        PieceFilter,
        SplitShares,
        SplitTable,
        encode_files,
    )
    from midirnn.engines.load import Model, load
    from midirnn.errors import (
        CheckpointError,
        CodecError,
        DatasetError,
        MidiFileError,
        MidirnnError,
        MissingExtraError,
        ModelLostError,
        OptionError,
        PortError,
        RecordingError,
        ScoreError,
    )
    from midirnn.midifile import from_pretty_midi, read_midi, to_pretty_midi, write_midi
    from midirnn.performance import Note, Part, Performance, Tempo
    from midirnn.sampling import Sampler, SamplingConfig
    from midirnn.sampling.constraints import Constraints, parse_chart, parse_scale
    from midirnn.sampling.generate import generate
    from midirnn.sampling.generated import Generated
    from midirnn.sampling.requests import Request
    from midirnn.sampling.surprise import Likelihood, likelihood
    from midirnn.scores import Score, read_score


__getattr__ = _lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
