"""A softmax policy over a handful of short completions: mean gradients of losses by enumeration.

A loss is written as its trainer writes it, as a function of the token log-probabilities of the
policy (`new`), of the policy that sampled (`old`, detached) and of the base (`ref`). Its mean over
all groups of completions is differentiated by complex steps, which are exact to rounding.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

END = 2
VOCABULARY = 3


@dataclass(frozen=True)
class Completions:
    """All completions of one prompt.

    prefix, token : (completions, longest) which logits a token is drawn from, and which it is
    mask : (completions, longest) 1 for a token, 0 beyond the end
    logits : (prefixes, vocabulary) of the base
    reward : (completions,)
    """

    prefix: np.ndarray
    token: np.ndarray
    mask: np.ndarray
    logits: np.ndarray
    reward: np.ndarray

    def token_logps(self, logits):
        """(completions, longest), 0 beyond the end."""
        log_sum = np.log(np.exp(logits).sum(axis=1))
        return (logits[self.prefix, self.token] - log_sum[self.prefix]) * self.mask

    def probabilities(self, logits):
        return np.exp(self.token_logps(logits).sum(axis=1))

    def logits_of(self, probabilities):
        """The logits whose completions have these probabilities."""
        mass = np.full(self.logits.shape, 1e-300)
        for row, chance in enumerate(probabilities):
            for at in range(int(self.mask[row].sum())):
                mass[self.prefix[row, at], self.token[row, at]] += chance
        return np.log(mass)

    def tilt(self, beta):
        """The logits of the optimal policy at our beta."""
        weight = self.probabilities(self.logits) * np.exp(self.reward / beta)
        return self.logits_of(weight / weight.sum())

    def mean(self, values, logits):
        return float(self.probabilities(logits) @ values)

    def kl(self, logits):
        chance = self.probabilities(logits)
        return float(chance @ np.log(chance / self.probabilities(self.logits)))

    def with_reward(self, reward):
        return replace(self, reward=np.asarray(reward, dtype=float))

    def gradient(self, loss, logits, group):
        """Mean over groups sampled from `logits` of the loss's gradient, (parameters,).

        loss : (new, old, ref, rows) -> (groups,), each of the first three (groups, group, longest)
        """
        rows = np.array(list(product(range(len(self.reward)), repeat=group)))
        chance = self.probabilities(logits)[rows].prod(axis=1)
        old, ref = self.token_logps(logits)[rows], self.token_logps(self.logits)[rows]
        out = np.empty(logits.size)
        for place in range(logits.size):
            moved = logits.astype(complex)
            moved.flat[place] += 1e-30j
            new = self.token_logps(moved)[rows]
            out[place] = (chance @ loss(new, old, ref, rows)).imag / 1e-30
        return out


def branching(seed, longest=3):
    """Completions of one to `longest` tokens, with random base and rewards."""
    rng = np.random.default_rng(seed)
    prefixes, paths = {(): 0}, []
    queue = [()]
    while queue:
        prefix = queue.pop(0)
        for token in range(VOCABULARY):
            path = (*prefix, token)
            if token == END or len(path) == longest:
                paths.append(path)
            else:
                prefixes[path] = len(prefixes)
                queue.append(path)
    return _completions(prefixes, paths, rng, rng.normal(size=len(paths)))


def additive(seed, longest=2):
    """Completions of equal length whose rewards add up over tokens, drawn independently."""
    rng = np.random.default_rng(seed)
    paths = list(product(range(VOCABULARY), repeat=longest))
    prefixes = {}
    for path in paths:
        for at in range(longest):
            prefixes.setdefault(path[:at], len(prefixes))
    value = rng.normal(size=(longest, VOCABULARY))
    reward = [sum(value[at, token] for at, token in enumerate(path)) for path in paths]
    found = _completions(prefixes, paths, rng, reward)
    start = rng.normal(size=(longest, VOCABULARY))
    logits = np.array([start[len(prefix)] for prefix in prefixes])
    return replace(found, logits=logits)


def _completions(prefixes, paths, rng, reward):
    longest = max(map(len, paths))
    shape = (len(paths), longest)
    prefix, token, mask = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
    for row, path in enumerate(paths):
        for at, choice in enumerate(path):
            prefix[row, at], token[row, at], mask[row, at] = prefixes[path[:at]], choice, 1
    logits = rng.normal(size=(len(prefixes), VOCABULARY))
    return Completions(prefix, token, mask, logits, np.asarray(reward, float))
