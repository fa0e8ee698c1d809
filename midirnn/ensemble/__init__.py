"""Several players: a network decides what each does next, and the piano model plays it."""

from __future__ import annotations

from midirnn.ensemble.conductor import Conductor, load_network
from midirnn.ensemble.generate import generate_ensemble
from midirnn.ensemble.seats import Seats, channel_of
from midirnn.ensemble.source import EnsembleSource

__all__ = [
    "Conductor",
    "EnsembleSource",
    "Seats",
    "channel_of",
    "generate_ensemble",
    "load_network",
]
