"""Policies that are tables of chances, and dumps of samples of them."""

import numpy as np

import klimit


def rows(values, *, mark="p", name="rm", **columns):
    """Return a row per sample, as a dump has them."""
    values = np.asarray(values, dtype=float)
    prompts, samples = values.shape
    named = {key: np.asarray(column).ravel() for key, column in columns.items()}
    return {
        "prompt_id": np.repeat([f"{mark}{i}" for i in range(prompts)], samples),
        name: values.ravel(),
    } | named


def read(values, **said):
    """Return the same as `Rollouts`."""
    return klimit.read(rows(values, **said))


def shifted(rng, prompts, samples, *, shift=0.8, aside=0.0, mark="p", **said):
    """Samples of a policy that shifts normal rewards by `shift`, and a hidden direction by `aside`.

    Its KL is ``(shift^2 + aside^2) / 2``, its gain `shift`; the best of its KL gains sqrt(2 KL).
    """
    z = rng.normal(size=(prompts, samples)) + shift
    y = rng.normal(size=(prompts, samples)) + aside
    own = -((z - shift) ** 2 + (y - aside) ** 2) / 2 - 20
    return read(z, mark=mark, logprob=own, ref_logprob=-(z**2 + y**2) / 2 - 20, **said)


def enumerated(base, policy, rewards, size=1000):
    """Base samples, policy samples and log-ratios that hold the laws exactly, times `size`.

    All (prompts, outcomes); chances must be multiples of 1 / size.
    """
    found = []
    for p, q, r in zip(base, policy, rewards, strict=True):
        many, few = (np.rint(np.asarray(x) * size).astype(int) for x in (p, q))
        ratio = np.log(np.maximum(q, 1e-300)) - np.log(p)
        found.append((np.repeat(r, many), np.repeat(r, few), np.repeat(ratio, few)))
    return tuple(np.array(part) for part in zip(*found, strict=True))
