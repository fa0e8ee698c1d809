"""Tuned models inside the model process: loaded beside the music, taken up between two tokens."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from midirnn.engines.base import RecurrentEngine
from midirnn.engines.blended import BlendedEngine
from midirnn.engines.load import Model, load
from midirnn.errors import CheckpointError


class TunedModels:
    """What a model is tuned to. Owns the engines that were loaded, and the thread that loads.

    ``model`` is the one of the start, tuned or not, and ``engine`` plays it. Whether a tuned model
    is ready when it is taken up depends on the clock, but not what it plays from then on: taking it
    up waits for it.
    """

    def __init__(self, engine: BlendedEngine, model: Model, kind: str) -> None:
        self.folder: str | None = None
        """The tuned model that plays; None: the model of the start."""
        self._engine = engine
        self._base = model.base or model
        self._kind = kind
        self._first = None if model.base is None else engine.tuned
        self._loaded: dict[str, Future[RecurrentEngine]] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="midirnn loads")

    def blend(self, share: float) -> None:
        """Mix in so much of the tuned model from the next token on."""
        self._engine.set_share(share)

    def prepare(self, folder: str) -> None:
        """Begin to load the tuned model in a folder, unless that was done."""
        if folder not in self._loaded:
            self._loaded[folder] = self._loader.submit(self._load, folder)

    def take_up(self, folder: str | None) -> None:
        """Play that tuned model from the next token on; None: the model of the start.

        Raises what loading it raises.
        """
        if folder is None:
            self._engine.set_tuned(self._first)
        else:
            self.prepare(folder)
            self._engine.set_tuned(self._loaded[folder].result())
        self.folder = folder

    def _load(self, folder: str) -> RecurrentEngine:
        """Load a tuned model. Raises :class:`CheckpointError` for one of another base."""
        model = load(folder)
        if model.base is None or model.base.folder != self._base.folder:
            raise CheckpointError(f"{folder} is not tuned from {self._base.name}, which plays")
        return model.engine(self._kind)
