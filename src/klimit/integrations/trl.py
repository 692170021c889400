"""Where a run stands while it trains: a callback for TRL's GRPO, RLOO and PPO trainers.

::

    from klimit.integrations.trl import FrontierCallback

    frontier = FrontierCallback("base.parquet", reward="quality")
    trainer = GRPOTrainer(..., reward_funcs=frontier.wrap([quality]), callbacks=[frontier])
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, EstimateWarning, warn
from klimit._estimate import Estimate
from klimit.integrations._base import Base, from_first_step, from_rollouts
from klimit.integrations._batch import (
    Batch,
    Recorder,
    everywhere,
    gathered,
    joined,
    processes,
    total,
)
from klimit.integrations._kl import (
    PPO,
    AdapterOff,
    base_of,
    check_sampling,
    from_log,
    mean_kl,
    sequence_kl,
)
from klimit.integrations._overhead import Clock, Overhead
from klimit.integrations._stop import Stop, TrainingStopped
from klimit.integrations._text_reward import text_reward

try:
    from transformers import TrainerCallback
except ImportError:  # then there is no trainer either
    TrainerCallback = object

__all__ = ["FrontierCallback", "Overhead", "Stop", "text_reward"]

PREFIX = "frontier/"


class FrontierCallback(TrainerCallback):  # type: ignore[misc]
    """How much of what its KL could buy has the policy got, step by step?

    Logs under ``frontier/``, through the trainer: gain and least_kl at every step; where the KL is known
    also kl, limit, efficiency, nats_from_optimal and trusted; gold_gain where there is gold. ``_low`` and
    ``_high`` stand beside what has an interval. ``docs/training.md`` says what each means.

    Parameters
    ----------
    base : samples of the base: a path, or `Rollouts`; None: the rollouts of the first step, before any
        update, are the base
    reward : the column of `base` that is trained; None where it has one, or one named as the function
    base_model : folder of the base model, to score the KL against. None: the model with its adapters
        off (peft); else the KL that the trainer logs, if any
    kl_samples, kl_every : the KL is measured on so many completions, every so many steps
    stop : when to end the training
    gold : name of the wrapped reward function that is gold, of weight 0, which `stop` may watch
    reward_range, level, seed : as for `klimit.frontier`

    Attributes
    ----------
    history : what was found at each step of training, by name
    stopped : why the training was stopped; empty where it was not
    overhead : what the callback cost

    Raises
    ------
    ArgumentError
        Where a setting is off.

    Notes
    -----
    Numbers leave through ``log_metric``, which GRPO and RLOO pass to reward functions, and the logs of
    PPO. The KL is measured between generation and update, so policy and rollouts belong together.
    """

    def __init__(
        self,
        base: Any = None,
        *,
        reward: str | None = None,
        base_model: str | os.PathLike[str] | None = None,
        kl_samples: int = 8,
        kl_every: int = 20,
        stop: Stop | None = None,
        gold: str | None = None,
        reward_range: tuple[float, float] | None = None,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        for name, value in (("kl_samples", kl_samples), ("kl_every", kl_every)):
            if value < 1 or int(value) != value:
                raise ArgumentError(f"{name}={value!r} was given; 1, 2, ... was expected.")
        if stop is not None and stop.gold_drop is not None and gold is None:
            raise ArgumentError("stop= watches the gold reward; name its function with gold=.")
        self.stop, self.gold, self.reward = stop, gold, reward
        self.kl_samples, self.kl_every = int(kl_samples), int(kl_every)
        self.history: list[dict[str, float]] = []
        self.stopped = ""
        self.overhead = Overhead()
        self._given, self._base_model, self._level = base, base_model, level
        self._how: dict[str, Any] = {"reward_range": reward_range, "level": level, "seed": seed}
        self._recorder: Recorder | None = None
        self._weights: Sequence[float] | None = None
        self._base: Base | None = None
        self._gold_at_first = np.nan
        self._scored_at = 0
        self._logged_kl: Estimate | None = None
        self._waiting: list[Batch] = []  # rollouts of PPO, until its log says their KL
        self._unlogged: dict[str, float] = {}
        self._against: Any = None
        self._trainer: Any = None
        self._now: dict[str, Any] = {}
        self._clock = Clock()

    # What the user calls

    def wrap(self, reward_funcs: Any, *, weights: Sequence[float] | None = None) -> Any:
        """The reward functions, one or a list, so that the callback sees their answers.

        Parameters
        ----------
        weights : of the functions; None: the trainer's ``reward_weights``, or 1 each

        Raises
        ------
        ArgumentError
            For a reward model (call it inside a function), or a name that `gold` does not find.
        """
        several = isinstance(reward_funcs, (list, tuple))
        functions = list(reward_funcs) if several else [reward_funcs]
        self._recorder, self._weights = Recorder(functions, self._seen), weights
        if weights is not None and len(weights) != len(functions):
            raise ArgumentError(
                f"weights= has {len(weights)} numbers for {len(functions)} reward functions."
            )
        if self.gold is not None and self.gold not in self._recorder.names:
            raise ArgumentError(
                f"gold={self.gold!r} is none of the reward functions {', '.join(self._recorder.names)}."
            )
        return self._recorder.wrapped if several else self._recorder.wrapped[0]

    @contextmanager
    def watch(self, trainer: Any) -> Iterator[None]:
        """Around ``trainer.train()`` of PPO, whose trainer neither takes metrics nor heeds a stop.

        With GRPO and RLOO it changes nothing.
        """
        self._trainer = trainer
        try:
            yield
        except TrainingStopped:
            pass
        finally:
            self._trainer = None

    # What the trainer calls

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Read the base, look at the settings."""
        if self._recorder is None:
            raise ArgumentError(
                "the callback sees no rewards: pass the trainer callback.wrap(reward_funcs) too."
            )
        theirs, ours = getattr(args, "reward_weights", None), len(self._recorder.names)
        if theirs is not None and len(theirs) != ours and self._weights is None:
            raise ArgumentError(
                f"reward_weights has {len(theirs)} numbers for {ours} wrapped functions; wrap all."
            )
        check_sampling(args)
        if self._given is not None and self._base is None:
            names = [one for one in self._recorder.names if one != self.gold]
            with self._clock.spent_on("base"):
                self._base = from_rollouts(self._given, self.reward, names, self._how)
        elif self._base is None and state.global_step:
            raise ArgumentError(
                f"training goes on at step {state.global_step}, whose rollouts are not the base's; pass "
                "base= samples of the base model."
            )
        model = given.get("model")
        model = getattr(model, "policy", model)  # PPO pairs it with values
        self._now = {"args": args, "state": state, **given, "model": model}
        self._against = None if model is None else base_of(model, self._base_model)
        if isinstance(self._against, AdapterOff) and not (
            state.global_step or self._against.is_start()
        ):
            warn(
                "the adapter was trained before, and the KL is to the model without it; pass base_model= "
                "the model that training starts from.",
                EstimateWarning,
            )
        self._clock.start()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **given: Any
    ) -> None:
        """Take the trainer's own KL; of PPO it is the moment to place the step."""
        if not logs:
            return
        if PPO in logs:
            self._place_ppo(args, logs)
        elif self._against is None:
            self._logged_kl = from_log(args, logs, self._level) or self._logged_kl

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Log what PPO's own log could not take; stop where a rule says so."""
        self.overhead = self._clock.overhead(state.global_step)
        row, self._unlogged = self._unlogged, {}
        if row and self._trainer is not None:
            self._trainer.log(row)
        if not self.stopped:
            return control
        control.should_training_stop = True
        if row and self._trainer is not None:
            self.on_train_end(args, state, control)
            raise TrainingStopped(self.stopped)
        if row:
            warn(
                f"{self.stopped}, but PPO heeds no callback; train it inside `with "
                "callback.watch(trainer):` and it will stop.",
                EstimateWarning,
            )
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Say why it stopped, and what the callback cost."""
        import click

        if getattr(state, "is_world_process_zero", True):
            if self.stopped:
                click.echo(
                    f"klimit stopped the training at step {state.global_step}: {self.stopped}"
                )
            if self.overhead.steps:
                click.echo(str(self.overhead), err=True)

    # What happens at a step

    def _seen(self, batch: Batch) -> None:
        if not self._now:
            return
        if batch.log is None:
            self._waiting.append(batch)
            return
        for name, value in self._place(batch, None).items():
            batch.log(PREFIX + name, value)

    def _place_ppo(self, args: Any, logs: dict[str, Any]) -> None:
        batch = joined(self._waiting, last=getattr(args, "local_batch_size", None))
        self._waiting = []
        if batch is None:
            return
        row = self._place(batch, from_log(args, logs, self._level))
        self._unlogged = {PREFIX + name: value for name, value in row.items()}
        if self._trainer is None:
            logs.update(self._unlogged)

    def _place(self, batch: Batch, kl: Estimate | None) -> dict[str, float]:
        learning = getattr(self._now["model"], "training", True)  # as TRL tells evaluation apart
        if kl is None and learning:
            kl, self._logged_kl = self._measured(batch) or self._logged_kl, None
        with self._clock.spent_on("placing"):
            row = self._numbers(batch, kl, learning)
        if learning and row:
            self.history.append(row)
            if self.stop is not None and not self.stopped:
                self.stopped = self.stop.reason(self.history)
        return row

    def _numbers(self, batch: Batch, kl: Estimate | None, learning: bool) -> dict[str, float]:
        assert self._recorder is not None
        names, every = everywhere(batch.names, batch.rewards)
        weights = self._weights or getattr(self._now["args"], "reward_weights", None)
        rewards = total(every, weights)
        row: dict[str, float] = {}
        if self._base is None:
            if not learning:
                return {}
            with self._clock.spent_on("base"):
                self._base = from_first_step(names, rewards, self._how)
        elif np.isfinite(rewards).any() and not np.isinf(rewards).any():
            row = self._base.place(self._base.gain(names, rewards), kl)
        if self.gold is not None:
            gold = every[self._recorder.names.index(self.gold)]
            gold = gold[~np.isnan(gold)]
            mean = float(gold.mean()) if gold.size else np.nan
            if learning and np.isnan(self._gold_at_first):
                self._gold_at_first = mean
            row["gold_gain"] = mean - self._gold_at_first
        return {name: float(value) for name, value in row.items() if np.isfinite(value)}

    def _measured(self, batch: Batch) -> Estimate | None:
        """The KL on this batch, where it is due and can be."""
        step = int(self._now["state"].global_step)
        due = step - self._scored_at >= self.kl_every
        if self._against is None or batch.completion_ids is None or not due:
            return None
        self._scored_at = step
        with self._clock.spent_on("scoring"):
            own = sequence_kl(
                self._now["model"], self._against, self._now["processing_class"], batch,
                samples=-(-self.kl_samples // processes()),
                template=getattr(self._now["args"], "chat_template_kwargs", None) or {},
            )  # fmt: skip
            return mean_kl(gathered(own), self._level)
