"""Members of an ensemble whose errors are known."""

import numpy as np

TAU2, RHO, MEMBERS = 1.0, 0.4, 4


def normal_ensemble(rng, prompts, samples, *, members=MEMBERS, tau2=TAU2, rho=RHO):
    """Gold and members of normal rewards: gold plus a shared error plus errors of their own."""
    gold, shared = rng.normal(size=(2, prompts, samples))
    own = rng.normal(size=(members, prompts, samples))
    rewards = gold + np.sqrt(tau2 * rho) * shared + np.sqrt(tau2 * (1 - rho)) * own
    return {f"rm{i}": x for i, x in enumerate(rewards)} | {"gold": gold}
