"""Bases and policies of normal rewards whose limit is known, as draws and as rollouts."""

import numpy as np

import klimit
from klimit.estimate.bridge import Draws

PROMPTS, SCALES = 40, np.resize([0.5, 1.0, 1.5, 1.0], 40)[:, None]
SECOND = float(np.mean(SCALES**2))


def normal(rng, *, base=64, policy=64, kl=3.0, noise=0.0, scored=False, cut=-np.inf):
    """Normal rewards, a policy tilted to `kl` nats, noise in its log-ratio; drawn only above `cut`."""
    tilt = np.sqrt(2 * kl / SECOND)
    ours = rng.normal(size=(PROMPTS, base)) * SCALES
    theirs = rng.normal(size=(PROMPTS, policy)) * SCALES + tilt * SCALES**2
    second = [rng.normal(size=ours.shape), rng.normal(size=theirs.shape) + noise]
    while (second[1] < cut).any():
        low = second[1] < cut
        second[1][low] = rng.normal(size=low.sum()) + noise
    ratios = [
        tilt * r - tilt**2 * SCALES**2 / 2 + noise * z - noise**2 / 2
        for r, z in zip((ours, theirs), second, strict=True)
    ]
    if not scored:
        ratios[0] = np.full(ours.shape, np.nan)
    return tuple(of(r, x) for r, x in zip((ours, theirs), ratios, strict=True))


def of(rewards, *ratios):
    lengths = np.full(len(rewards), rewards.shape[1])
    return Draws(rewards.ravel(), lengths, np.stack([x.ravel() for x in ratios]))


def rollouts(draws, *, scored=True):
    number = len(draws.lengths)
    table = {
        "prompt_id": [f"p{i}" for i in np.repeat(np.arange(number), draws.lengths)],
        "reward": draws.rewards,
    }
    if scored:
        reference = np.full(len(draws.rewards), -90.0)
        table |= {"ref_logprob": reference, "logprob": reference + draws.log_ratios[0]}
    return klimit.read(table)
