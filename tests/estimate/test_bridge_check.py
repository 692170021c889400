"""Whether samples belong to the law that scored them: what raises the check, and what must not."""

import numpy as np
import pytest

from klimit.estimate.bridge import bridge
from klimit.estimate.frontier import frontier
from tests.estimate.bridges import PROMPTS, of

GOLD = {
    "the reward that was trained on": lambda x, rng: x,
    "a noisy one": lambda x, rng: x + 0.7 * rng.normal(size=x.shape),
    "one that turns": lambda x, rng: x - x**2 / 4 + 0.5 * rng.normal(size=x.shape),
    "one that only loses": lambda x, rng: -np.abs(x) + 0.3 * rng.normal(size=x.shape),
}


def checked(rng, shift, gold):
    """Why a policy N(shift, 1) of a base N(0, 1) does not carry its limit."""
    ours, x = rng.normal(size=(PROMPTS, 64)), shift + rng.normal(size=(PROMPTS, 16))
    base = of(GOLD[gold](ours, rng), np.full(ours.shape, np.nan))
    limit = frontier(base.rewards.reshape(PROMPTS, -1))
    return bridge(limit, base, [of(GOLD[gold](x, rng), shift * x - shift**2 / 2)]).reason


def raised(reason):
    return "not from the law that scored them" in reason


@pytest.mark.parametrize("gold", GOLD)
def test_exact_runs_far_from_their_base_are_not_said_to_be_scored_wrongly(gold):
    """Of 120 runs at 2 to 6 nats as many as chance may make: 5 %; all that turn were, once."""
    found = [
        checked(np.random.default_rng([seed, int(10 * shift)]), shift, gold)
        for shift in (2.0, 2.4, 2.8, 3.4)
        for seed in range(30)
    ]
    assert np.mean([raised(reason) for reason in found]) <= 0.05
    if gold == "one that turns":
        assert sum("as is usual far from it" in reason for reason in found) > 20


def softmax(logits):
    found = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return found / found.sum(axis=-1, keepdims=True)


def answers(rng, law, size):
    """(prompts, size, tokens) drawn from (prompts, tokens, vocabulary)."""
    ends = law.cumsum(axis=-1)[:, None, :, :-1]
    return (rng.random((len(law), size, law.shape[1], 1)) > ends).sum(axis=-1)


def of_tokens(table, drawn):
    """(prompts, size, tokens) what a table (prompts, tokens, vocabulary) has of each token."""
    return np.take_along_axis(table[:, None], drawn[..., None], axis=-1)[..., 0]


def scored_wrongly(seed, wrong, strength, noise):
    """The reason for answers of 24 tokens whose log-probabilities are wrong in one way, or exact."""
    rng = np.random.default_rng([seed, 9])
    logits, worth = rng.normal(size=(2, PROMPTS, 24, 6))
    base, law = softmax(logits), softmax(logits + strength * worth)
    cold = {name: softmax(np.log(one) / 0.7) for name, one in (("base", base), ("policy", law))}
    ours = answers(rng, base, 64)
    theirs = answers(rng, cold["policy"] if wrong == "drawn at temperature 0.7" else law, 16)
    scorers = {
        "scored at temperature 0.7": (cold["policy"], cold["base"]),
        "scores of an earlier step": (softmax(logits + 0.7 * strength * worth), base),
    }
    top, bottom = (np.log(of_tokens(one, theirs)) for one in scorers.get(wrong, (law, base)))
    ratio = (top - bottom)[..., : 12 if wrong == "the first half of the tokens" else 24].sum(
        axis=-1
    )
    if wrong == "scores of the next answer":
        ratio = np.roll(ratio, 1, axis=1)
    if wrong == "the policy's last token forgotten":
        ratio = ratio - top[..., -1]
    rewards = [of_tokens(worth, x).sum(axis=-1) for x in (ours, theirs)]
    rewards = [x + noise * rng.normal(size=x.shape) for x in rewards]
    draws = of(rewards[0], np.full(rewards[0].shape, np.nan))
    limit = frontier(draws.rewards.reshape(PROMPTS, -1))
    return bridge(limit, draws, [of(rewards[1], ratio)]).reason


NEAR, FAR = 0.3, 0.55  # about 1 and 3 nats
WRONG = {
    "drawn at temperature 0.7": (NEAR, FAR),
    "scored at temperature 0.7": (FAR,),
    "scores of an earlier step": (NEAR, FAR),
    "the first half of the tokens": (NEAR, FAR),
    "the policy's last token forgotten": (NEAR, FAR),
    "scores of the next answer": (NEAR,),  # further out they weigh next to nothing
}


@pytest.mark.parametrize(("wrong", "strength"), [(w, s) for w, many in WRONG.items() for s in many])
def test_log_probabilities_of_another_law_are_still_found_out(wrong, strength):
    found = [scored_wrongly(seed, wrong, strength, noise=0.0) for seed in range(5)]
    assert np.mean([raised(reason) for reason in found]) >= 0.8


@pytest.mark.parametrize("strength", [NEAR, FAR])
def test_exact_log_probabilities_of_tokens_are_not(strength):
    found = [
        scored_wrongly(seed, "", strength, noise) for noise in (0.0, 2.0) for seed in range(10)
    ]
    assert sum(map(raised, found)) <= 1
