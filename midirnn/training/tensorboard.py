"""Write a run's metrics for TensorBoard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from midirnn.training.folder import METRICS_FILE, Report

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TENSORBOARD_FOLDER = "tensorboard"


class TensorBoard:
    """A context that writes a run's reports to ``RUN/tensorboard``.

    At the first report it writes everything in metrics.jsonl, so that a resumed run shows each step
    once.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self._make_writer = SummaryWriter
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def __call__(self, report: Report) -> None:
        """Write a report, which metrics.jsonl already holds."""
        if self._writer is not None:
            self._show(self._writer, report.values)
            return
        shutil.rmtree(self.folder / TENSORBOARD_FOLDER, ignore_errors=True)
        self._writer = self._make_writer(self.folder / TENSORBOARD_FOLDER)
        for line in (self.folder / METRICS_FILE).read_text(encoding="utf-8").splitlines():
            self._show(self._writer, json.loads(line))

    def _show(self, writer: SummaryWriter, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name != "step":
                writer.add_scalar(name, value, values["step"])
