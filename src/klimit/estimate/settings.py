"""What to type in a trainer so that it spends a KL budget.

Our beta is in reward units per nat of the KL of whole completions. The optimal policy at it is the tilt
``base * exp(reward / beta) / Z``. No trainer's coefficient means just that; each is found by asking where the mean
gradient of the trainer's own loss is zero.

Write ``g_t`` for the gradient of the log-probability of token t, ``k1_t = log(policy / base)`` of that token, and
``rho_t = exp(-k1_t)``. Under the policy itself ``E g_t = 0`` at every prefix, so three kinds of penalty remain:

KL in the reward
    (RLOO, PPO, verl's ``use_kl_in_reward``, OpenRLHF by default.) The return is ``reward - c sum of k1_t``, and its
    policy gradient is the gradient of ``E reward - c KL``. The optimum is the tilt at beta = c: there the penalised
    return ``reward - beta log(policy / base) = beta log Z`` is the same for all completions of a prompt, every
    advantage is zero, and no baseline, whitening or group scaling of penalised returns moves it.
KL in the loss, k2 or importance-weighted
    (TRL's GRPO, verl with ``mse`` or ``k3+``, OpenRLHF with k2.) The gradient is ``E sum of k1_t g_t``: it pulls each
    token back to the base where it stands, but no token answers for the KL of those after it. The optimum is
    ``policy(a | prefix) ~ base(a | prefix) exp(E[reward | prefix, a] / c)``, the expectation under the policy.
    That is the tilt at beta = c to first order in 1 / c, and exactly if a completion's reward adds up over independent
    tokens; for rare successes it spends several times the KL of the tilt (``docs/tables/trainers.md``).
KL in the loss, plain k3
    The gradient is ``E sum of (1 - rho_t) g_t``, that of the KL from base to policy at each prefix. The optimum is
    ``policy ~ base * c / (c + mean - reward)`` for one token, the tilt at beta = c to first order again.
    Plain k1 in a loss has the gradient ``E sum of g_t = 0``: it does not pull at all.

Two factors then enter. A group mean that contains the completion itself shrinks the reward's gradient by
``1 - 1/G`` and leaves the KL's alone. A reward divided by s needs a coefficient divided by s.

Token or sequence means do not matter where both terms are averaged with one weight for all tokens; a mean within each
completion first weighs short ones more, and then no coefficient gives the tilt unless all are equally long.
Clipping does not move an optimum (there policy and sampler agree). All of this is for temperature 1, no top-p, no top-k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit.estimate.tilted import tilt_prompts

if TYPE_CHECKING:
    from klimit.estimate.samples import Samples


@dataclass(frozen=True)
class Setting:
    """What to type in one trainer.

    Attributes
    ----------
    trainer : with the way it is used
    options : what to type: names and values, the coefficient among them
    value : the coefficient; None where no single number does
    exact : whether the trainer's optimum is the tilt at our beta; else it is so to first order in 1 / beta
    logs : the trainer's own KL metric, and what it reads when the budget is spent
    logged : that reading; None where the length of completions is not known
    note : the derivation in a sentence
    """

    trainer: str
    options: Mapping[str, Any]
    value: float | None
    exact: bool
    logs: str
    logged: float | None
    note: str

    def __str__(self) -> str:
        lines = ", ".join(_as_typed(name, value) for name, value in self.options.items())
        return f"{self.trainer}: {lines}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {
            name: getattr(self, name)
            for name in ("trainer", "value", "exact", "logs", "logged", "note")
        }
        return found | {"options": dict(self.options)}


@dataclass(frozen=True)
class Target:
    """What a trainer is to be set to.

    Attributes
    ----------
    beta : reward units per nat
    kl : nats per completion
    group : completions of a prompt in a training batch
    batch_sd : standard deviation of rewards over a batch, within and between prompts, at the optimum
    base_sd : the same before training
    tokens : mean length of a completion; None if unknown
    """

    beta: float
    kl: float
    group: int
    batch_sd: float
    base_sd: float
    tokens: float | None

    @property
    def own_mean(self) -> float:
        """What a group mean that contains the completion leaves of the reward's gradient."""
        return 1 - 1 / self.group

    @property
    def per_token(self) -> float | None:
        """The budget as a mean over tokens, which is what most trainers log."""
        return None if self.tokens is None else self.kl / self.tokens

    @property
    def group_scaled(self) -> float:
        """The coefficient that spends the budget on every prompt, to second order, if groups are scaled.

        Scaling by each group's standard deviation makes beta_x = c sd_x / (1 - 1/G), and a tilt at beta_x spends
        ``sd_x^2 / (2 beta_x^2)`` nats (theory.md H-10): the same on every prompt.
        """
        return self.own_mean / float(np.sqrt(2 * self.kl))


def spread_of_rewards(samples: Samples, tilt: float) -> float:
    """Standard deviation of all rewards of a batch when every prompt is tilted, within and between prompts."""
    found = tilt_prompts(samples, tilt)
    means = np.empty(samples.prompts)
    means[samples.rank] = samples.means + found.gain
    within = np.empty(samples.prompts)
    within[samples.rank] = found.variance
    return float(np.sqrt(within.mean() + means.var()))


def typed(value: float) -> float:
    """Four digits: more would not change a training run."""
    return float(f"{value:.4g}")


def shown(value: Any) -> str:
    """A value as it is typed."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _as_typed(name: str, value: Any) -> str:
    flag = value is True and name.startswith("--")
    return name if flag else f"{name}={shown(value)}"


def trainer_settings(target: Target) -> tuple[Setting, ...]:
    """Every trainer's settings, those whose optimum is the tilt first."""
    from klimit.estimate.trainers import openrlhf, trl, verl

    found = [*trl(target), *verl(target), *openrlhf(target)]
    return tuple(sorted(found, key=lambda setting: (setting.value is None, not setting.exact)))
