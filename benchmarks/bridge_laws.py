"""Bases and policies whose limit and log-ratios are known, to try bridges on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from klimit.estimate.bridge import Draws

SCALES = np.array([0.5, 1.0, 1.5, 1.0])
TOP = -0.5  # where the second coordinate is cut by top-p: 69 % are kept


@dataclass(frozen=True)
class Case:
    """A policy at some KL.

    Attributes
    ----------
    rewards : "normal", "uniform" or "pass rates"
    flaw : "" or what is wrong with the policy's samples
    kl : of the optimal tilt that the policy is made from, nats
    noise : standard deviation s of the log-ratio that the reward does not decide; costs s^2 / 2 nats
    scored : whether the base's samples are scored under the policy
    """

    rewards: str
    flaw: str
    kl: float
    noise: float
    scored: bool


def parameters(rewards: str, rng: np.random.Generator, prompts: int) -> np.ndarray:
    """(prompts, 1) scale of each prompt, or its pass rate."""
    if rewards == "pass rates":
        return rng.beta(0.6, 1.2, size=(prompts, 1)).clip(2e-4, 1 - 2e-4)
    return rng.choice(SCALES, size=(prompts, 1))


def population(rewards: str) -> np.ndarray:
    """(prompts, 1) prompts whose mean is that of the population."""
    if rewards == "pass rates":
        from scipy.stats import beta

        return beta(0.6, 1.2).ppf((np.arange(500) + 0.5) / 500)[:, None].clip(2e-4, 1 - 2e-4)
    return SCALES[:, None]


def log_mgf(rewards: str, at: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Log E exp(tilt r) of rewards with mean 0 (pass rates: as they are)."""
    if rewards == "normal":
        return tilt**2 * at**2 / 2
    if rewards == "uniform":
        half = np.maximum(tilt * at * 3**0.5, 1e-9)
        return half + np.log1p(-np.exp(-2 * half)) - np.log(2 * half)
    return np.logaddexp(np.log1p(-at), np.log(at) + tilt)


def truth(rewards: str, at: np.ndarray, kl: np.ndarray) -> np.ndarray:
    """The limit of these prompts at budgets, by the dual on a fine grid of tilts."""
    tilts = np.geomspace(1e-2, 1e5, 4000)
    mean = log_mgf(rewards, at, tilts).mean(axis=0)
    centre = at.mean() if rewards == "pass rates" else 0.0
    return ((kl[:, None] + mean) / tilts).min(axis=1) - centre


def tilt_of(rewards: str, kl: float) -> float:
    """The tilt that spends `kl` on the whole population."""
    tilts = np.geomspace(1e-2, 60.0, 1000)
    mean = log_mgf(rewards, population(rewards), tilts).mean(axis=0)
    spent = tilts * np.gradient(mean, tilts) - mean
    return float(np.interp(kl, spent, tilts))


def draw(rewards: str, at: np.ndarray, tilt: float, u: np.ndarray) -> np.ndarray:
    """Rewards of the tilted law from uniform numbers."""
    if rewards == "normal":
        return ndtri(u) * at + tilt * at**2
    if rewards == "uniform":
        width = 2 * 3**0.5 * at
        if tilt == 0:
            return width * (u - 0.5)
        return np.log1p(u * np.expm1(tilt * width)) / tilt - width / 2
    rate = at * np.exp(tilt - log_mgf(rewards, at, np.array(tilt)))
    return (u < rate).astype(float)


def sample(
    case: Case, at: np.ndarray, base: int, policy: int, rng: np.random.Generator
) -> tuple[Draws, Draws]:
    """Samples of base and policy; a second coordinate, normal under the base, carries the noise."""
    prompts = len(at)
    tilt = tilt_of(case.rewards, case.kl)
    s = case.noise
    ours = draw(case.rewards, at, 0.0, rng.random((prompts, base)))
    theirs = draw(case.rewards, at, tilt, rng.random((prompts, policy)))
    own = rng.normal(size=ours.shape)
    u = rng.random(theirs.shape)
    other = ndtri(u) + s
    cut = {"half": 0.0, "top-p": TOP, "top-p, not renormalised": TOP}.get(case.flaw)
    if cut is not None:
        other = s - ndtri(u * ndtr(s - cut))

    def ratio(reward: np.ndarray, second: np.ndarray) -> np.ndarray:
        found = tilt * reward - log_mgf(case.rewards, at, np.array(tilt)) + s * second - s * s / 2
        if case.flaw in ("half", "top-p"):
            found = np.where(second > cut, found - log_ndtr(s - cut), -np.inf)
        if case.flaw == "stale scores":
            found = found + 0.15 * (tilt * reward - 2 * case.kl)
        return found

    if case.flaw == "narrow":  # half the base's spread, as after long training
        theirs = ndtri(rng.random(theirs.shape)) * at / 2 + tilt * at**2

        def ratio(reward: np.ndarray, second: np.ndarray) -> np.ndarray:
            del second
            z = (reward - tilt * at**2) / at
            return np.log(2) - 2 * z**2 + (reward / at) ** 2 / 2

    if case.flaw == "never the best":  # the policy keeps below 1.5 deviations
        most = (1.5 * at - tilt * at**2) / at
        theirs = ndtri(rng.random(theirs.shape) * ndtr(most)) * at + tilt * at**2

        def ratio(reward: np.ndarray, second: np.ndarray) -> np.ndarray:
            del second
            found = tilt * reward - tilt**2 * at**2 / 2 - log_ndtr(most)
            return np.where(reward <= 1.5 * at, found, -np.inf)

    scores = ratio(ours, own) if case.scored else np.full(ours.shape, np.nan)
    return _draws(ours, scores), _draws(theirs, ratio(theirs, other))


def _draws(rewards: np.ndarray, ratios: np.ndarray) -> Draws:
    lengths = np.full(len(rewards), rewards.shape[1], dtype=np.int64)
    return Draws(rewards.ravel(), lengths, ratios.reshape(1, -1))
