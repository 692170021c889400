"""The same work on many parts, by as many threads as there are cores.

Numpy lets other threads run while it works on large arrays. Parts are cut by their size alone and
their results come in order, so that no digit depends on how many threads there are.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def mapped(work: Callable[[T], R], parts: Iterable[T], few: int = 2) -> Iterator[R]:
    """What the work makes of every part, in order, as it comes; alone where there are but few parts.

    Examples
    --------
    >>> list(mapped(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    todo = list(parts)
    workers = min(len(todo), _cores())
    if workers < 2 or len(todo) < few:
        yield from map(work, todo)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, todo)


def in_threads(work: Callable[[T], None], parts: Iterable[T]) -> None:
    """Do the work on every part; for fewer than four of a few microseconds threads are no help."""
    for _ in mapped(work, parts, few=4):
        pass


def _cores() -> int:
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
