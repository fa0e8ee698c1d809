"""A model that dies, hangs and answers late, at a manual clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from midirnn.codecs import PerformanceCodec
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.errors import ModelLostError
from midirnn.live import ManualClock
from midirnn.live.base.messages import ModelSettings, Reply, Request
from midirnn.live.improviser.server import ModelServer
from midirnn.sampling import SamplingConfig
from tests.live.stage import CheckingSampler, WrappedEngine, tiny_model

START_SECONDS = 0.7
"""So long a new one takes to be ready."""


class FlakyModel:
    """An implementation of ``ModelLink`` whose answers come ``delay_seconds`` later."""

    can_be_lost = True
    settings: ModelSettings | None = None

    def __init__(
        self,
        clock: ManualClock,
        *,
        codec: PerformanceCodec | None = None,
        delay_seconds: float = 0.001,
        seed: int = 0,
    ) -> None:
        self.codec = tiny_model(codec).codec
        self.start_seconds = clock.now()
        self.max_note_seconds = 20.0
        self.lost: Exception | None = None
        self.ready = True
        self.delay_seconds = delay_seconds
        self.step_seconds = 0.0
        self.restarts = 0
        self.asked: list[Request] = []
        self.sampler: CheckingSampler
        self.server: ModelServer
        self._clock = clock
        self._seed = seed
        self._life = 0
        self._hangs = False
        self._on_reply: Callable[[], None] = lambda: None
        self._waiting: deque[float] = deque()
        self._replies: deque[Reply] = deque()
        self._free_at = clock.now()
        self._serve()

    def _serve(self) -> None:
        model = tiny_model(self.codec)
        engine = WrappedEngine(NumpyEngine(model.config, model.weights), self._step)
        sampling = SamplingConfig(max_note_seconds=self.max_note_seconds)
        self.sampler = CheckingSampler(engine, model.codec, sampling, seed=self._seed)
        self.server = ModelServer(self.sampler, start_seconds=self.start_seconds)

    def _step(self) -> None:
        self._free_at += self.step_seconds

    def connect(self, on_reply: Callable[[], None]) -> None:
        self._on_reply = on_reply

    @property
    def waiting_since(self) -> float:
        return self._waiting[0] if self._waiting else math.inf

    @property
    def has_replies(self) -> bool:
        return bool(self._replies)

    def ask(self, requests: Sequence[Request]) -> None:
        self.asked += requests
        self._waiting.append(self._clock.now())
        if self._hangs or self.lost:
            return
        self._free_at = max(self._free_at, self._clock.now()) + self.delay_seconds
        replies = [reply for request in requests for reply in self.server.handle(request)]
        life = self._life

        def arrive() -> None:
            if life == self._life and not self._hangs and not self.lost:
                self._waiting.popleft()
                self._replies.extend(replies)
                self._on_reply()

        self._clock.at(self._free_at, arrive)

    def take(self) -> list[Reply]:
        replies = list(self._replies)
        self._replies.clear()
        return replies

    def kill(self) -> None:
        """Die."""
        self.lost = ModelLostError("the model process has died")
        self.ready = False
        self._on_reply()

    def hang(self) -> None:
        """Answer nothing more."""
        self._hangs = True

    def restart(self) -> None:
        self.restarts += 1
        self._life += 1
        self.lost, self.ready, self._hangs = None, False, False
        self._waiting.clear()
        self._waiting.append(self._clock.now())
        self._replies.clear()
        self._serve()
        life = self._life

        def start() -> None:
            if life == self._life and self.lost is None:
                self._waiting.popleft()
                self._free_at = self._clock.now()
                self.ready = True
                self._on_reply()

        self._clock.at(self._clock.now() + START_SECONDS, start)
