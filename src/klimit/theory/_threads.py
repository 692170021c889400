"""The same work on many parts, by as many threads as there are cores.

Numpy lets other threads run while it works on large arrays. Parts are cut by their size alone and
write to places of their own, so that results do not depend on how many threads there are.
"""

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

_FEW = 4


def in_threads(work: Callable[[T], None], parts: Iterable[T]) -> None:
    """Do the work on every part, in any order; for a few parts threads are not worth starting."""
    todo = list(parts)
    workers = min(len(todo), _cores())
    if workers < 2 or len(todo) < _FEW:
        for part in todo:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, todo):
            pass


def _cores() -> int:
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
