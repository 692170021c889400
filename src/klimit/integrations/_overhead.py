"""What a callback costs, beside the training that it watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Overhead:
    """What the callback cost so far: seconds of the training, of gains and limits, of the KL, of the base."""

    steps: int = 0
    seconds: float = 0.0
    placing: float = 0.0
    scoring: float = 0.0
    base: float = 0.0

    def __str__(self) -> str:
        """Shares of the rest of the training, and the amortised cost of a step."""
        steps, rest = max(self.steps, 1), self.seconds - self.placing - self.scoring
        share, kl = (x / rest if rest > 0 else float("nan") for x in (self.placing, self.scoring))
        return (
            f"klimit took {self.placing / steps:.3g} s a step ({share:.2%} of it), KL scoring "
            f"{self.scoring / steps:.3g} s a step ({kl:.1%}), the limit of the base {self.base:.2g} s once"
        )


class Clock:
    """Adds up seconds by what they were spent on."""

    def __init__(self) -> None:
        self._spent = {"placing": 0.0, "scoring": 0.0, "base": 0.0}
        self._began = time.perf_counter()

    def start(self) -> None:
        """Training begins."""
        self._began = time.perf_counter()

    @contextmanager
    def spent_on(self, what: str) -> Iterator[None]:
        """Count the time inside; the base's counts once, also inside another."""
        began, base = time.perf_counter(), self._spent["base"]
        try:
            yield
        finally:
            within = 0.0 if what == "base" else self._spent["base"] - base
            self._spent[what] += time.perf_counter() - began - within

    def overhead(self, steps: int) -> Overhead:
        """What was spent after so many steps."""
        return Overhead(steps, time.perf_counter() - self._began, **self._spent)
