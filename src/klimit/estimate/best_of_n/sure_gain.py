"""What best-of-N surely gains: no limit lies below it, however little the samples show of the limit."""

from __future__ import annotations

import numpy as np

from klimit.estimate.best_of_n.order_weights import order_weights
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.estimate.best_of_n.ranked import ranked_samples
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Samples


def sure_gain(samples: Samples, level: float, *, per_prompt: bool = False) -> tuple[Floats, Floats]:
    """KL (nats) and lower limit of the gain for N = 1, 2, 4, ... up to the most samples of a prompt.

    A prompt with fewer than N samples keeps the best of all that it has. The KL is the one without
    ties, which no tie exceeds: the mean over prompts, or `per_prompt` the largest of them. Which N
    stands at a KL does not depend on the rewards, so at every KL it is one interval's end and not the
    best of many; between two N the limit, which is concave, lies above the straight line.
    """
    counts, prompts = np.unique(samples.counts, return_counts=True)
    sizes = 2 ** np.arange(int(counts[-1]).bit_length())
    kept = np.minimum(sizes[:, None], counts)
    spent = np.log(kept) - (kept - 1) / kept
    spent = spent[:, -1] if per_prompt else spent @ (prompts / prompts.sum())
    weights = {
        int(count): np.stack([order_weights(int(n), int(count)) for n in ns])
        for count, ns in zip(counts, kept.T, strict=True)
    }
    gain = np.empty((len(sizes), samples.prompts))
    for chunk in ranked_samples(samples):
        gain[:, chunk.prompts] = np.einsum("ij,kj->ki", chunk.rewards, weights[chunk.samples])
    low = mean_of_prompts(gain, level).low
    return spent, np.maximum.accumulate(np.maximum(low, 0.0))
