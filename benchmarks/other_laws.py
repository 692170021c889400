"""Prompts of which all is known: laws of a proxy and a gold reward, of rules of choosing, of policies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.audit_laws import Known, Population, best_of_n, draw, measured, policies

Array = NDArray[np.float64]

PROMPTS, OUTCOMES = 40, 400
SIZES = (1, 2, 8)  # of best-of-N
BETAS = (2.0, 0.5, 0.1)  # of soft best-of-N and pessimism
KL = 0.3
POLICIES = ("noisy tilt", "wrong betas", "half the prompts")


@dataclass(frozen=True)
class World:
    """Prompts, each with equally likely answers; all (prompts, answers)."""

    name: str
    proxy: Array
    gold: Array
    tokens: Array

    @cached_property
    def base(self) -> Population:
        """The law of the proxy."""
        return Population(self.name, np.full(self.proxy.shape, 1 / OUTCOMES), self.proxy)

    @property
    def ties(self) -> bool:
        """Whether answers of a prompt share their proxy."""
        return len(np.unique(self.proxy[0])) < OUTCOMES

    @cached_property
    def served(self) -> dict[int, Known]:
        """Best-of-N by the proxy: its table and the truth about it."""
        return {n: measured(self.base, f"best of {n}", best_of_n(self.base, n)) for n in SIZES}

    @cached_property
    def rules(self) -> dict[tuple[str, float], Array]:
        """The law of the answer that each rule keeps of the largest number of candidates."""
        from klimit.select import pessimism, soft_best_of_n

        rng, n = np.random.default_rng(0), SIZES[-1]
        rules = {"soft best-of-n": soft_best_of_n, "pessimism": pessimism}
        found = {(name, beta): np.empty(self.proxy.shape) for name in rules for beta in BETAS}
        for i, own in enumerate(self.proxy):
            sets = np.empty((300, OUTCOMES, n))
            sets[..., 0], sets[..., 1:] = own, own[rng.integers(OUTCOMES, size=(300, 1, n - 1))]
            for (name, beta), table in found.items():
                kept = rules[name](sets, beta=beta)[..., 0].mean(axis=0)
                table[i] = kept / kept.sum()
        return found

    @cached_property
    def trained(self) -> list[Known]:
        """Policies to audit."""
        return [one for one in policies(self.base, KL, 1) if one.name in POLICIES]

    @cached_property
    def own_limits(self) -> dict[str, Array]:
        """(prompts,) the most that each prompt could gain with the KL that a policy spends on it."""
        tilts = np.exp(np.linspace(-5, 5, 400))
        log_mgf = np.array([self.part([i]).log_partition(tilts) for i in range(PROMPTS)])
        top = self.proxy.max(axis=1) - self.proxy.mean(axis=1)
        found = {}
        for one in (*self.served.values(), *self.trained):
            spent = spends(one.table)
            best = np.minimum(((spent[:, None] + log_mgf) / tilts).min(axis=1), top)
            found[one.name] = np.where(spent > 1e-12, best, 0.0)
        return found

    def truth(self, policy: Known, at: Any) -> dict[str, float]:
        """All that is true of a policy on these prompts."""
        one = policy.of(self.base, at)
        gap, apart = (
            one.limit - one.gain,
            one.limit - float(self.own_limits[policy.name][at].mean()),
        )
        return {
            "kl": one.kl, "gain": one.gain, "limit": one.limit, "efficiency": one.efficiency,
            "gap_reward": gap, "gap_nats": one.nats, "least_kl": one.least,
            "excess_kl": one.kl - one.least, "allocation": apart, "shape": gap - apart,
        }  # fmt: skip

    def of_base(self, at: Array, samples: int, rng: np.random.Generator) -> dict[str, Array]:
        """A row per sample of these prompts; where no number is said, 8 to 64 of each."""
        drawn = rng.integers(OUTCOMES, size=(len(at), samples or 64))
        many = rng.integers(8, 65, size=(len(at), 1)) if not samples else samples + 0 * at[:, None]
        there = np.arange(drawn.shape[1]) < many
        columns = {"proxy": self.proxy, "gold": self.gold, "tokens": self.tokens}
        rows = {name: np.take_along_axis(x[at], drawn, 1)[there] for name, x in columns.items()}
        if not self.ties:
            rows["proxy"] += 1e-6 * rng.random(len(rows["proxy"]))
        return {
            "prompt_id": np.broadcast_to(np.arange(len(at))[:, None], there.shape)[there],
            **rows,
        }

    def of_policy(self, policy: Known, at: Array, rng: np.random.Generator) -> dict[str, Array]:
        """Eight answers of a policy to each of these prompts, scored as `klimit.rescore` does."""
        drawn = draw(rng, policy.table[at], 8)
        logs, base = np.log(policy.table), np.full(policy.table.shape, -np.log(OUTCOMES))
        columns = {"proxy": self.proxy, "logprob": logs, "ref_logprob": base}
        columns["kl_rb"] = kl_by_token(policy.table)
        rows = {name: np.take_along_axis(x[at], drawn, 1).ravel() for name, x in columns.items()}
        return {"prompt_id": np.repeat(np.arange(len(at)), 8), **rows}

    def part(self, chosen: Any) -> Population:
        """Some of the prompts."""
        return Population(self.name, self.base.base[chosen], self.proxy[chosen])

    def over(self, table: Array, values: Array) -> float:
        """How much more of something answers of this law have than those of the base."""
        return float(((table - 1 / OUTCOMES) * values).sum(axis=1).mean())

    def wins(self, table: Array) -> float:
        """Chance to beat an answer of the base by gold, ties half."""
        sides = [
            [np.searchsorted(np.sort(g), g, side) for g in self.gold] for side in ("left", "right")
        ]
        below = np.mean(sides, axis=0) / OUTCOMES
        return float((table * below).sum(axis=1).mean())


def spends(table: Array) -> Array:
    """(prompts,) KL from the base."""
    found: Array = special.rel_entr(table, 1 / OUTCOMES).sum(axis=1)
    return found


def kl_by_token(table: Array) -> Array:
    """KL of both tokens of each answer, summed: 20 first tokens, each with 20 that may follow."""
    pairs = table.reshape(len(table), 20, -1)
    first = pairs.sum(axis=2)
    after = special.rel_entr(pairs / first[..., None], 20 / OUTCOMES).sum(axis=2)
    found: Array = special.rel_entr(first, 1 / 20).sum(axis=1)[:, None] + after
    return np.repeat(found, OUTCOMES // 20, axis=1)


def worlds() -> list[World]:
    """Normal, exponential, skewed, graded and passed rewards; the gold one agrees with the proxy in part."""
    rng = np.random.default_rng(0)
    share = (np.arange(OUTCOMES) + 0.5) / OUTCOMES
    even = (np.arange(PROMPTS) + 0.5) / PROMPTS
    scale = 0.5 + even[:, None]
    noise = scale * rng.normal(size=(PROMPTS, OUTCOMES))
    tokens = np.round(scale * 100 * rng.exponential(size=(PROMPTS, OUTCOMES))) + 1
    passes = (share > 1 - 0.9 * even[:, None] ** 2).astype(float)
    grades = np.clip(np.round(special.ndtri(share) + 4 * even[:, None]), 0.0, 4.0)
    right = np.where(rng.random(passes.shape) < 0.85, passes, 1 - passes)
    normal, late = scale * special.ndtri(share), -scale * np.log1p(-share)
    verdict = (noise > scale * (0.7 - share)).astype(float)
    pairs = {
        "normal": (normal, 0.7 * (normal + noise)),
        "exponential": (late, 0.5 * late + noise),
        "beta(1, 5)": (3 * scale * (1 - (1 - share) ** 0.2), verdict),
        "5 grades": (grades, 0.5 * grades + noise),
        "0/1": (passes, right),
    }
    return [World(name, *pair, tokens) for name, pair in pairs.items()]
