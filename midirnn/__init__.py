"""midirnn: a real-time MIDI music generator on recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midirnn.lazy import lazy_names as _lazy_names

__version__ = "0.1.0"

# Imported on first use, so that `import midirnn` is fast.
_MODULES = {
    "CheckpointError": "errors",
    "CodecError": "errors",
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
    "Sampler": "sampling",
    "SamplingConfig": "sampling",
    "Tempo": "performance",
    "from_pretty_midi": "midifile",
    "generate": "sampling",
    "likelihood": "sampling",
    "load": "engines.load",
    "read_midi": "midifile",
    "to_pretty_midi": "midifile",
    "write_midi": "midifile",
}

__all__ = [
    "CheckpointError",
    "CodecError",
    "Controls",
    "DatasetError",
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
    "PortError",
    "RecordingError",
    "Sampler",
    "SamplingConfig",
    "Tempo",
    "from_pretty_midi",
    "generate",
    "likelihood",
    "load",
    "read_midi",
    "to_pretty_midi",
    "write_midi",
]

if TYPE_CHECKING:
    from midirnn.codecs import PerformanceCodec
    from midirnn.codecs.controls import Controls
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
    )
    from midirnn.midifile import from_pretty_midi, read_midi, to_pretty_midi, write_midi
    from midirnn.performance import Note, Part, Performance, Tempo
    from midirnn.sampling import Sampler, SamplingConfig
    from midirnn.sampling.generate import generate
    from midirnn.sampling.surprise import Likelihood, likelihood


__getattr__ = _lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
