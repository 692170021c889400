"""Rollouts of one training step, as the reward functions of the trainer see them, on each process."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError
from klimit.estimate.kernel import Floats

ID = "prompt_id"  # a column of the training data that names prompts as the base does


@dataclass(frozen=True)
class Batch:
    """What one call of all reward functions saw, on this process.

    Attributes
    ----------
    rewards : (functions, samples), NaN where a function had nothing to say
    prompts : (samples,) texts or messages, as the trainer gives them
    ids : (samples,) ids of prompts, where the training data has them
    completion_ids : (samples,) token ids, where the trainer passes them
    log : how the trainer takes metrics; None where it does not
    """

    rewards: Floats
    prompts: Sequence[Any]
    ids: Sequence[Any] | None
    completion_ids: Sequence[Any] | None
    log: Callable[[str, float], None] | None

    @property
    def names(self) -> list[tuple[str, ...]]:
        """(samples,) what each prompt may be called in the base, best first."""
        ids = self.ids or [None] * len(self.prompts)
        return [_names(one, prompt) for one, prompt in zip(ids, self.prompts, strict=True)]


class Recorder:
    """Wrap reward functions so that each finished round of them is seen as one `Batch`."""

    def __init__(self, functions: Sequence[Any], seen: Callable[[Batch], None]) -> None:
        for at, function in enumerate(functions):
            if not callable(function) or hasattr(function, "state_dict"):
                raise ArgumentError(
                    f"reward function {at + 1} is {type(function).__name__}; a function was expected. "
                    "Call a reward model inside a function of prompts and completions, and wrap that."
                )
        self.names = [_called(function) for function in functions]
        self.wrapped = [self._wrap(at, function) for at, function in enumerate(functions)]
        self._seen = seen
        self._round: dict[int, Floats] = {}

    def _wrap(self, at: int, function: Any) -> Any:
        async def waited(**given: Any) -> Any:
            answer = await function(**given)
            self._record(at, answer, given)
            return answer

        def called(**given: Any) -> Any:
            answer = function(**given)
            self._record(at, answer, given)
            return answer

        slow = any(map(inspect.iscoroutinefunction, (function, function.__call__)))
        wrapped = functools.wraps(function)(waited if slow else called)
        wrapped.__name__ = self.names[at]
        return wrapped

    def _record(self, at: int, answer: Any, given: dict[str, Any]) -> None:
        if at in self._round:  # the last round was left unfinished
            self._round = {}
        values = [np.nan if one is None else float(one) for one in answer]
        if len(values) != len(given["prompts"]):
            return  # of which the trainer complains
        self._round[at] = np.array(values, dtype=float)
        if len(self._round) < len(self.wrapped):
            return
        rewards = np.stack([self._round[i] for i in range(len(self.wrapped))])
        self._round = {}
        ids = given.get(ID)
        self._seen(
            Batch(
                rewards, given["prompts"], ids, given.get("completion_ids"), given.get("log_metric")
            )
        )


def joined(batches: Sequence[Batch], *, last: int | None = None) -> Batch | None:
    """Several batches as one: their last samples, since an evaluation may have come before."""
    if not batches:
        return None
    rewards = np.concatenate([one.rewards for one in batches], axis=1)
    prompts = [prompt for one in batches for prompt in one.prompts]
    ids = [name for one in batches for name in (one.ids or [None] * len(one.prompts))]
    start = 0 if last is None else max(len(prompts) - last, 0)
    return Batch(rewards[:, start:], prompts[start:], ids[start:], None, None)


def total(rewards: Floats, weights: Sequence[float] | None) -> Floats:
    """The reward that is trained: the weighted sum over functions, leaving out what is missing.

    Examples
    --------
    >>> total(np.array([[1.0, np.nan], [2.0, np.nan]]), [1.0, 0.5]).tolist()
    [2.0, nan]
    """
    factors = np.ones(len(rewards)) if weights is None else np.asarray(weights, dtype=float)
    known = ~np.isnan(rewards)
    weighed = np.nansum(rewards * factors[:, None], axis=0)
    return np.where(known.any(axis=0), weighed, np.nan)


def processes() -> int:
    """How many processes train."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def gathered(items: list[Any]) -> list[Any]:
    """Items of all processes, in one order; each process has to call it."""
    if processes() == 1:
        return items
    from accelerate.utils import gather_object

    found: list[Any] = gather_object(items)
    return found


def everywhere(names: list[Any], rewards: Floats) -> tuple[list[Any], Floats]:
    """Names (samples,) and rewards (rows, samples) of all processes."""
    rows = gathered(list(zip(names, rewards.T.tolist(), strict=True)))
    return [row[0] for row in rows], np.array([row[1] for row in rows], dtype=float).T


def _called(function: Any) -> str:
    """The name under which TRL logs a reward function."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _names(given: Any, prompt: Any) -> tuple[str, ...]:
    found = [] if given is None else [str(given)]
    if isinstance(prompt, str):
        return (*found, prompt)
    said = [str(turn.get("content")) for turn in prompt]
    asked = [text for turn, text in zip(prompt, said, strict=True) if turn.get("role") == "user"]
    found += asked if len(asked) == 1 else []
    return (*found, "\x1f".join(said))
