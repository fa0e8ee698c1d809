"""Tuned models in the model process: loaded in the background, exchanged between two tokens."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from midirnn.engines.base import RecurrentEngine
from midirnn.engines.blended import BlendedEngine
from midirnn.engines.load import Model, load
from midirnn.errors import CheckpointError


class TunedModels:
    """The tuned models of a session. Owns the loaded engines, and the thread that loads them.

    ``model`` is the initial model, tuned or not, and ``engine`` plays it. :meth:`take_up` waits for
    a model that is still loading, so that what is played does not depend on how long that takes.
    """

    def __init__(self, engine: BlendedEngine, model: Model, kind: str) -> None:
        self.folder: str | None = None
        """The folder of the tuned model that plays; None for the initial model."""
        self._engine = engine
        self._base = model.base or model
        self._kind = kind
        self._first = None if model.base is None else engine.tuned
        self._loaded: dict[str, Future[RecurrentEngine]] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="midirnn loads")

    def blend(self, share: float) -> None:
        """Set the share of the tuned model, from the next token on."""
        self._engine.set_share(share)

    def prepare(self, folder: str) -> None:
        """Begin to load the tuned model in a folder, unless it has been loaded already."""
        if folder not in self._loaded:
            self._loaded[folder] = self._loader.submit(self._load, folder)

    def take_up(self, folder: str | None) -> None:
        """Play that tuned model from the next token on; None for the initial model.

        Raises whatever loading raises.
        """
        if folder is None:
            self._engine.set_tuned(self._first)
        else:
            self.prepare(folder)
            self._engine.set_tuned(self._loaded[folder].result())
        self.folder = folder

    def _load(self, folder: str) -> RecurrentEngine:
        """Load a tuned model. Raises :class:`CheckpointError` if it has another base."""
        model = load(folder)
        if model.base is None or model.base.folder != self._base.folder:
            raise CheckpointError(f"{folder} is not tuned from {self._base.name}, which plays")
        return model.engine(self._kind)
