"""Where a run stands while it trains: a callback for TRL's GRPO, RLOO and PPO trainers.

::

    from klimit.integrations.trl import FrontierCallback

    frontier = FrontierCallback("base.parquet", reward="quality")
    trainer = GRPOTrainer(..., reward_funcs=frontier.wrap([quality]), callbacks=[frontier])
    trainer.train()

See ``docs/training.md``.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, EstimateWarning
from klimit._estimate import Estimate
from klimit.integrations._base import Base, from_first_step, from_rollouts
from klimit.integrations._batch import Batch, Recorder, total
from klimit.integrations._sequence_kl import base_of, mean_by_prompt, sequence_kl
from klimit.integrations._stop import Stop, TrainingStopped
from klimit.integrations._text_reward import text_reward

try:
    from transformers import TrainerCallback
except ImportError:  # then there is no trainer either
    TrainerCallback = object

__all__ = ["FrontierCallback", "Overhead", "Stop", "text_reward"]

PREFIX = "frontier/"
PPO_KL = "objective/kl"  # what marks a log of TRL's PPO trainer


@dataclass(frozen=True)
class Overhead:
    """What the callback cost so far.

    Attributes
    ----------
    steps : of training
    seconds : all of the training
    placing : seconds spent on gains and limits
    scoring : seconds spent on the KL, both models
    base : seconds for the limit of the base, once
    """

    steps: int = 0
    seconds: float = 0.0
    placing: float = 0.0
    scoring: float = 0.0
    base: float = 0.0

    def __str__(self) -> str:
        """Shares of the training time, and the amortised cost of a step."""
        steps, rest = max(self.steps, 1), self.seconds - self.placing - self.scoring
        share, kl = (x / rest if rest > 0 else float("nan") for x in (self.placing, self.scoring))
        return (
            f"klimit took {self.placing / steps:.3g} s a step ({share:.2%} of it), KL scoring "
            f"{self.scoring / steps:.3g} s a step ({kl:.1%}), the limit of the base {self.base:.2g} s once"
        )


class FrontierCallback(TrainerCallback):  # type: ignore[misc]
    """How much of what its KL could buy has the policy got, step by step?

    Logs, through the trainer to whatever it reports to, under ``frontier/``:

    ==================== ==========================================================================
    gain                 mean reward of the step's rollouts over the base's, prompt by prompt where
                         the base has the prompts; with ``gain_low`` and ``gain_high``
    least_kl             nats that the best policy would have spent for it
    kl                   KL(policy || base) in nats per completion, with ``kl_low``, ``kl_high``
    limit                the most that any policy of this KL gains
    efficiency           gain / limit; with ``efficiency_low`` and ``efficiency_high``
    nats_from_optimal    KL(policy || the best policy of this KL)
    trusted              1 where the limit is trusted; at 0 it is a lower bound, efficiency an upper
    gold_gain            of the gold reward over the first step's
    ==================== ==========================================================================

    ``gain`` and ``least_kl`` are there at every step, the rest where the KL is known. What is not
    known is not logged.

    Parameters
    ----------
    base : samples of the base: a path, or `Rollouts`; None: the rollouts of the first step, before any
        update, are the base
    reward : the column of `base` that is trained; None where it has one, or one named as the function
    base_model : folder of the base model, to score the KL against. None: the model with its adapters
        off, where it has some (peft); else the KL that the trainer itself logs, where beta is not 0
    kl_samples, kl_every : the KL is measured on so many completions, every so many steps
    stop : when to end the training
    gold : name of the wrapped reward function that is gold: it is logged, and `stop` may watch it. Give
        it weight 0 in the trainer's ``reward_weights``
    reward_range, level, seed : as for `klimit.frontier`

    Raises
    ------
    ArgumentError
        Where a setting is off.

    Notes
    -----
    Rewards come from the functions that `wrap` wraps, and numbers leave through the trainer's public
    interface alone: ``log_metric``, which GRPO and RLOO pass to reward functions, and the logs of
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
        self._given, self._base_model = base, base_model
        self._level = level
        self._how: dict[str, Any] = {"reward_range": reward_range, "level": level, "seed": seed}
        self._recorder: Recorder | None = None
        self._base: Base | None = None
        self._gold_base: float | None = None
        self._scored_at = 0
        self._logged_kl: Estimate | None = None
        self._recent: list[Batch] = []
        self._against: Any = None
        self._trainer: Any = None
        self._now: dict[str, Any] = {}
        self._began = time.perf_counter()
        self._spent = {"placing": 0.0, "scoring": 0.0, "base": 0.0}

    # What the user calls

    def wrap(self, reward_funcs: Any) -> Any:
        """The reward functions, one or a list, so that the callback sees their answers.

        Raises
        ------
        ArgumentError
            For a reward model (call it inside a function), or a name that `gold` does not find.
        """
        several = isinstance(reward_funcs, (list, tuple))
        functions = list(reward_funcs) if several else [reward_funcs]
        self._recorder = Recorder(functions, self._seen)
        if self.gold is not None and self.gold not in self._recorder.names:
            raise ArgumentError(
                f"gold={self.gold!r} is none of the reward functions {', '.join(self._recorder.names)}."
            )
        return self._recorder.wrapped if several else self._recorder.wrapped[0]

    @contextmanager
    def watch(self, trainer: Any) -> Iterator[None]:
        """Around ``trainer.train()`` of PPO, which neither takes metrics nor heeds a stop.

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
        self._now = {"args": args, "state": state, **given}
        _check_sampling(args)
        if self._given is not None and self._base is None:
            names = [one for one in self._recorder.names if one != self.gold]
            with self._timed("base"):
                self._base = from_rollouts(self._given, self.reward, names, self._how)
        elif self._base is None and state.global_step:
            raise ArgumentError(
                f"training goes on at step {state.global_step}, whose rollouts are not the base's; pass "
                "base= samples of the base model."
            )
        model = getattr(given.get("model"), "policy", given.get("model"))
        if model is not None:
            self._against = base_of(model, self._base_model)
        self._began, self._spent = (
            time.perf_counter(),
            self._spent | dict.fromkeys(("placing", "scoring"), 0.0),
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Stop where that was found right; log what PPO's own log could not take."""
        self.overhead = Overhead(
            state.global_step, time.perf_counter() - self._began, **self._spent
        )
        rows = self.history[-1:] if self._now.pop("unlogged", False) else []
        for row in rows if self._trainer is not None else []:
            self._trainer.log({PREFIX + name: value for name, value in row.items()})
        if self.stopped:
            control.should_training_stop = True
            if self._is_ppo and self._trainer is not None:
                self.on_train_end(args, state, control)
                raise TrainingStopped(self.stopped)
            if self._is_ppo and not self._now.get("warned"):
                self._now["warned"] = True
                warnings.warn(
                    f"{self.stopped}, but PPO does not heed a callback; train it inside `with "
                    "callback.watch(trainer):` and it will stop.",
                    EstimateWarning,
                    stacklevel=2,
                )
        return control

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **given: Any
    ) -> None:
        """Take the trainer's own KL; of PPO also the moment to place the step."""
        if not logs:
            return
        if PPO_KL in logs:
            self._place_ppo(args, logs)
        elif self._against is None and isinstance(logs.get("kl"), (int, float)):
            self._logged_kl = _from_log(args, logs, self._level)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Say why it stopped, and what the callback cost."""
        import click

        if getattr(state, "is_world_process_zero", True):
            if self.stopped:
                click.echo(
                    f"klimit stopped the training at step {state.global_step}: {self.stopped}"
                )
            click.echo(str(self.overhead), err=True)

    # What happens at a step

    def _seen(self, batch: Batch) -> None:
        if not self._now:
            return
        if batch.log is None:  # PPO: the log of the step will say its KL
            self._recent.append(batch)
            return
        row = self._placed(batch, None)
        for name, value in row.items():
            batch.log(PREFIX + name, value)

    def _place_ppo(self, args: Any, logs: dict[str, Any]) -> None:
        from klimit.audit.kl import logged_kl

        size = getattr(args, "local_batch_size", None) or sum(len(b.prompts) for b in self._recent)
        batch = _last(self._recent, size)
        self._recent = []
        if batch is None:
            return
        kl = logged_kl(logs[PPO_KL], framework="trl-ppo", level=self._level)
        row = self._placed(batch, kl)
        self._now["unlogged"] = True
        if self._trainer is None:
            logs.update({PREFIX + name: value for name, value in row.items()})

    def _placed(self, batch: Batch, kl: Estimate | None) -> dict[str, float]:
        """The numbers of this batch, by name."""
        model = getattr(self._now.get("model"), "policy", self._now.get("model"))
        learning = getattr(model, "training", True)
        if kl is None and learning:
            kl = self._measured(model, batch) or self._take_logged()
        with self._timed("placing"):
            row = self._numbers(batch, kl, learning)
        if learning and row:
            self.history.append(row)
            if self.stop is not None and not self.stopped:
                self.stopped = self.stop.reason(self.history)
        return row

    def _numbers(self, batch: Batch, kl: Estimate | None, learning: bool) -> dict[str, float]:
        recorder = self._recorder
        assert recorder is not None
        weights = getattr(self._now["args"], "reward_weights", None)
        rewards = total(batch.rewards, weights)
        if weights is None and self.gold is not None:
            rest = [at for at, name in enumerate(recorder.names) if name != self.gold]
            rewards = total(batch.rewards[rest or [0]], None)
        names, rewards, gold = _everywhere(batch.names, rewards, self._gold_of(batch))
        if self._base is None:
            with self._timed("base"):
                self._base = from_first_step(names, rewards, self._how)
            row = {}
        elif np.isnan(rewards).all():
            row = {}
        else:
            row = _row(self._base, self._base.gain(names, rewards), kl)
        if gold is not None and not np.isnan(gold).all():
            mean = float(np.nanmean(gold))
            if learning and self._gold_base is None:
                self._gold_base = mean
            row["gold_gain"] = mean - (mean if self._gold_base is None else self._gold_base)
        return row

    def _measured(self, model: Any, batch: Batch) -> Estimate | None:
        """The KL on this batch, where it is due and can be."""
        step = int(self._now["state"].global_step)
        due = step - self._scored_at >= self.kl_every
        if self._against is None or batch.completion_ids is None or not due:
            return None
        self._scored_at = step
        with self._timed("scoring"):
            samples = -(-self.kl_samples // _processes())
            found = _gathered(
                sequence_kl(model, self._against, self._now["processing_class"], batch, samples)
            )
        from klimit.estimate.best_of_n.prompt_means import mean_of_prompts

        mean = mean_of_prompts(mean_by_prompt(found)[None], self._level, least=0.0)
        return Estimate(float(mean.value[0]), float(mean.low[0]), float(mean.high[0]), mean.level)

    def _take_logged(self) -> Estimate | None:
        """The trainer's own KL, once."""
        found, self._logged_kl = self._logged_kl, None
        return found

    def _gold_of(self, batch: Batch) -> Any:
        if self.gold is None or self._recorder is None:
            return None
        return batch.rewards[self._recorder.names.index(self.gold)]

    @property
    def _is_ppo(self) -> bool:
        return hasattr(self._now.get("args"), "num_ppo_epochs")

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        before = self._spent["base"]
        yield
        inner = self._spent["base"] - before if what != "base" else 0.0
        self._spent[what] += time.perf_counter() - began - inner


def _row(base: Base, gain: Estimate, kl: Estimate | None) -> dict[str, float]:
    """The numbers of one placement that are known."""
    found = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    found["least_kl"] = base.limit.kl(float(gain.value)).value
    if kl is not None:
        value, low, high = (max(float(x), 0.0) for x in (kl.value, kl.low, kl.high))
        spent = Estimate(value, low, high, kl.level)
        placed = base.limit.place(kl=spent, gain=gain)
        share = placed.efficiency
        found |= {
            "kl": kl.value, "kl_low": kl.low, "kl_high": kl.high, "limit": placed.limit.value,
            "efficiency": share.value, "efficiency_low": share.low, "efficiency_high": share.high,
            "nats_from_optimal": placed.gap_nats.value, "trusted": bool(placed.limit.trusted),
        }  # fmt: skip
        if kl.low < kl.high:  # a trainer's own number comes without an interval
            found |= {"kl_low": kl.low, "kl_high": kl.high}
    return {name: float(x) for name, x in found.items() if np.isfinite(float(x))}


def _last(batches: Sequence[Batch], size: int) -> Batch | None:
    """The last `size` samples, as one batch: evaluation may have come before."""
    if not batches:
        return None
    rewards = np.concatenate([one.rewards for one in batches], axis=1)[:, -size:]
    prompts = [prompt for one in batches for prompt in one.prompts][-size:]
    ids = [i for one in batches for i in (one.ids or [None] * len(one.prompts))][-size:]
    return Batch(rewards, prompts, ids, None, None)


def _from_log(args: Any, logs: dict[str, Any], level: float) -> Estimate | None:
    """The KL of sequences from what GRPO or RLOO logs as the mean over tokens."""
    from klimit.audit.kl import logged_kl

    tokens = logs.get("completions/mean_length")
    framework = "trl-rloo" if "RLOO" in type(args).__name__ else "trl-grpo"
    if tokens is None:
        return None
    return logged_kl(float(logs["kl"]), framework=framework, tokens=float(tokens), level=level)


def _check_sampling(args: Any) -> None:
    """Warn where the policy is sampled at settings that make it another policy."""
    odd = [
        f"{name} {value:g}"
        for name, plain in (("temperature", 1.0), ("top_p", 1.0))
        if isinstance(value := getattr(args, name, None), (int, float)) and value != plain
    ]
    if odd:
        warnings.warn(
            f"rollouts are drawn at {' and '.join(odd)}, from another policy than the one whose KL is "
            "measured; the limit is that of a base drawn at temperature 1.",
            EstimateWarning,
            stacklevel=3,
        )


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _gathered(items: list[Any]) -> list[Any]:
    """Items of all processes, in one order."""
    if _processes() == 1:
        return items
    from accelerate.utils import gather_object

    found: list[Any] = gather_object(items)
    return found


def _everywhere(names: Any, rewards: Any, gold: Any) -> tuple[Any, Any, Any]:
    """The same of all processes together, so that each logs the same numbers."""
    if _processes() == 1:
        return names, rewards, gold
    kept = gold if gold is not None else np.full(len(rewards), np.nan)
    rows = _gathered(list(zip(names, rewards.tolist(), kept.tolist(), strict=True)))
    every = [row[0] for row in rows]
    values, golds = (np.array([row[i] for row in rows]) for i in (1, 2))
    return every, values, None if gold is None else golds
