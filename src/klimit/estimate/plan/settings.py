"""What to type in a trainer so that it spends a KL budget.

Our beta is in reward units per nat of the KL of whole completions, and the optimal policy at it is
the tilt ``base * exp(reward / beta) / Z``. No trainer's coefficient means just that. Each is found
by asking where the mean gradient of the trainer's own loss is zero.

Write ``g_t`` for the gradient of the log-probability of token t, ``k1_t = log(policy / base)`` of
that token, and ``rho_t = exp(-k1_t)``. Under the policy itself the mean of ``g_t`` is zero at
every prefix, so three kinds of penalty remain:

KL in the reward (RLOO, PPO, verl's ``use_kl_in_reward``, OpenRLHF by default)
    The return is ``reward - c * sum of k1_t``, and its policy gradient is the gradient of
    ``E reward - c KL``. The optimum is the tilt at beta = c. There the penalised return,
    ``reward - beta log(policy / base) = beta log Z``, is the same for all completions of a prompt,
    so every advantage is zero, whatever the baseline, whitening or scaling of penalised returns.
KL in the loss, k2 or k3 with importance weights
    The gradient is ``E sum of k1_t g_t``: each token is pulled back to the base where it
    stands, but none answers for the KL of those after it. The optimum is ``policy(a | prefix) ~
    base(a | prefix) exp(E[reward | prefix, a] / c)``, the mean taken under the policy. This is the
    tilt at beta = c to first order in 1 / c, and exactly where rewards add up over independent
    tokens. Where few completions are good it spends several times the budget.
KL in the loss, plain k3
    The gradient is ``E sum of (1 - rho_t) g_t``, that of the KL from base to policy at each prefix.
    For one token the optimum is ``base * c / (c + mean - reward)``, again the tilt at beta = c to
    first order; it stays nearer the budget (``docs/tables/trainers.md``).

Plain k1 in a loss has the gradient ``E sum of g_t = 0``: it does not pull at all. Plain k3 in a
reward has the right mean and the wrong gradient.

Two factors then enter. A group mean that contains the completion itself shrinks the reward's
gradient by ``1 - 1/G`` and leaves the KL's alone. A reward divided by s needs a coefficient divided
by s.

Means over tokens or over completions do not matter where reward and KL are averaged with one weight
for all tokens. A mean within each completion first weighs short ones more, and then no coefficient
gives the tilt unless all are equally long. Clipping moves no optimum, as policy and sampler agree
there. All of this is for temperature 1, no top-p, no top-k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit.estimate.kernel import Floats
from klimit.estimate.rates_by_prompt import Passes
from klimit.estimate.samples import Samples, ordered_mean
from klimit.estimate.statistics import deal

if TYPE_CHECKING:
    from klimit.estimate.result import Frontier

_STEP = 1.05  # from tilt to tilt, where a slope is taken


@dataclass(frozen=True)
class Setting:
    """What to type in one trainer.

    Attributes
    ----------
    trainer : with the way it is used
    options : what to type: names and values, the coefficient among them
    value : the coefficient; None where no single number does
    exact : whether the trainer's optimum is the tilt at our beta; if not, it is to first order in
        1 / beta
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
        """The trainer and what to type."""
        lines = ", ".join(_as_typed(name, value) for name, value in self.options.items())
        return f"{self.trainer}: {lines}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("trainer", "value", "exact", "logs", "logged", "note")
        return {name: getattr(self, name) for name in names} | {"options": dict(self.options)}


@dataclass(frozen=True)
class Target:
    """What a trainer is to be set to.

    Attributes
    ----------
    beta : reward units per nat
    kl : nats per completion
    group : completions of a prompt in a training batch, G
    batch_sd : standard deviation of the rewards of a batch, within and between prompts, at the
        optimum
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
    def plain(self) -> float:
        """Our beta, where a group's mean contains the completion itself and nothing is scaled."""
        return self.beta * (1 - 1 / self.group)

    @property
    def per_token(self) -> float | None:
        """The budget as a mean over tokens, which is what most trainers log."""
        return None if self.tokens is None else self.kl / self.tokens

    @property
    def group_scaled(self) -> float:
        """The coefficient that spends the budget on every prompt if groups are scaled (2nd order).

        Scaling by the group's own standard deviation makes ``beta_x = c sd_x / (1 - 1/G)``, and a
        tilt at beta_x spends ``sd_x^2 / (2 beta_x^2)`` nats: the same on every prompt.
        """
        return (1 - 1 / self.group) / float(np.sqrt(2 * self.kl))


def spread_of_rewards(limit: Frontier, tilt: float) -> float:
    """Standard deviation of a batch's rewards, every prompt tilted, within and between prompts.

    Within prompts the mean variance is the slope of the gain in the tilt, which the
    limit has corrected: a few tilted samples would show too little of it. Rewards of two levels
    deviate by no more than half the way between them.
    """
    samples = limit.samples
    gain = 0.0
    if tilt > 0:
        low, gain, high = limit.curve.at_tilt(tilt * np.array([1 / _STEP, 1.0, _STEP])).gain
        within = float(high - low) / (tilt * (_STEP - 1 / _STEP))
    else:
        whole = samples.variances * samples.counts / (samples.counts - 1)
        within = ordered_mean(whole, samples)
    spread = float(np.sqrt(max(within, 0.0) + max(_between(samples, tilt, float(gain)), 0.0)))
    passes = Passes.of(samples)
    return spread if passes is None else min(spread, passes.step / 2)


def _between(samples: Samples, tilt: float, gain: float) -> float:
    """Variance of prompts' tilted means: the covariance of random halves, which share no noise.

    Gains of halves are scaled to the corrected mean gain. Where prompts differ much in spread this
    still falls short of the truth: those of the largest spread lack most.
    """
    halves = np.empty((2, 2, samples.prompts))  # of either half the base mean, and the gain
    for block in samples.blocks:
        tops = block.rewards[:, -1:]
        rng = np.random.default_rng([12, int(samples.rank[block.prompts[0]]), tops.size])
        hands, _ = deal(block.rewards - tops, block.counts, rng)
        for half, part in zip(halves, (hands[:, ::2], hands[:, 1::2]), strict=True):
            gaps = part.reshape(len(part), -1)
            plain = _tilted_mean(gaps, 0.0)
            half[0, block.prompts] = samples.means[block.prompts] + tops[:, 0] + plain
            half[1, block.prompts] = _tilted_mean(gaps, tilt) - plain
    seen = float(np.sort(halves[:, 1].mean(axis=0)).mean())
    one, other = halves[:, 0] + halves[:, 1] * (gain / seen if seen > 0 else 1.0)
    product = (one - np.sort(one).mean()) * (other - np.sort(other).mean())
    return float(np.sort(product).sum() / (len(one) - 1))


def _tilted_mean(gaps: Floats, tilt: float) -> Floats:
    """(rows,) tilted mean of each row's samples, -inf where there is none."""
    there = gaps > -np.inf
    with np.errstate(invalid="ignore"):
        weights = np.where(there, np.exp(tilt * (gaps - gaps.max(axis=1, keepdims=True))), 0.0)
        found: Floats = (weights * np.where(there, gaps, 0.0)).sum(axis=1) / weights.sum(axis=1)
    return found


def trainer_settings(target: Target) -> tuple[Setting, ...]:
    """Every trainer's settings, those whose optimum is the tilt first, without a number last."""
    from klimit.estimate.plan.trainers import openrlhf, trl, verl

    found = [*trl(target), *verl(target), *openrlhf(target)]
    return tuple(sorted(found, key=lambda setting: (setting.value is None, not setting.exact)))


def rounded(value: float) -> float:
    """Four digits, to be typed: more would not change a training run."""
    return float(f"{value:.4g}")


def shown(value: Any) -> str:
    """A value as it is typed."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _as_typed(name: str, value: Any) -> str:
    flag = value is True and name.startswith("--")
    return name if flag else f"{name}={shown(value)}"
