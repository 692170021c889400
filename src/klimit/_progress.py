"""A bar on stderr for work that takes more than a few seconds, where somebody is looking."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0  # seconds before the bar appears


class Steps:
    """Names of the steps of a job, and which of them runs."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.done = list(names), 0
        self.lock = threading.Lock()
        self.bar: Progress | None = None

    def next(self) -> None:
        """One step is done, the next begins."""
        with self.lock:
            self.done += 1
            if self.bar is not None:
                self.bar.update(self.bar.task_ids[0], completed=self.done, description=self._name())

    def _name(self) -> str:
        return self.names[min(self.done, len(self.names) - 1)]

    def show(self) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(pulse_style="bar.pulse"),
                   MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
        with self.lock:
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.add_task(self._name(), total=len(self.names), completed=self.done)
            self.bar.start()

    def hide(self) -> None:
        """Remove the bar, if it was drawn."""
        with self.lock:
            if self.bar is not None:
                self.bar.stop()


@contextmanager
def steps(*names: str) -> Iterator[Steps]:
    """Show which step of a job runs, once the job has taken `PATIENCE` seconds."""
    job = Steps(names)
    timer = threading.Timer(PATIENCE, job.show)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield job
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()
        job.hide()
