"""Few different answers a prompt, with rewards of its own: what is told of them, and how far."""

import numpy as np
import pytest

import klimit
from klimit import theory
from klimit.estimate.repeats import repeats
from klimit.estimate.samples import collect


def of(rewards):
    rewards = np.asarray(rewards, dtype=float)
    return repeats(collect(rewards.ravel(), np.full(len(rewards), rewards.shape[1])))


def answers(rng, prompts, number):
    """Rewards and chances of so many answers to each prompt."""
    scale = rng.uniform(0.5, 1.5, (prompts, 1))
    return rng.normal(size=(prompts, number)) * scale, rng.dirichlet([1] * number, prompts)


def drawn(rng, chances, samples):
    number = chances.shape[1]
    return np.stack([rng.choice(number, samples, p=each) for each in chances])


def test_prompts_repeat_themselves_where_their_best_comes_back():
    rng = np.random.default_rng(0)
    values, chances = answers(rng, 100, 4)
    few = np.take_along_axis(values, drawn(rng, chances, 16), 1)
    smooth = rng.normal(size=(100, 16))
    assert of(few) == 1.0
    assert of(smooth) == 0.0
    assert of(few[:3]) < 1.0  # three prompts show little
    assert of(smooth.round(1)) == 0.0  # of many values the best is rare, however many repeat


def test_prompts_whose_samples_all_differ_keep_the_model_for_all():
    rng = np.random.default_rng(1)
    values, chances = answers(rng, 75, 4)
    few = np.take_along_axis(values, drawn(rng, chances, 16), 1)
    assert of([*few, *rng.exponential(size=(25, 16))]) == 0.0
    assert 0.0 < of([*few, *few[:15], *rng.exponential(size=(10, 16))]) < 1.0


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("number", [2, 4])
def test_few_answers_a_prompt_are_trusted_and_nearer_the_truth_than_the_plug_in(number, budget):
    rng, kls = np.random.default_rng(2), np.array([0.1, 0.25, 0.5])
    values, chances = answers(rng, 100, number)
    known = theory.frontier(chances, values, budget=budget)
    truth = np.array([known.gain(kl) for kl in kls])
    errors, plain = [], []
    for _ in range(6):
        rewards = np.take_along_axis(values, drawn(rng, chances, 16), 1)
        limit = klimit.frontier(rewards, prompts="fixed", budget=budget)
        gain = limit.gain(kls)
        assert limit.trusted_kl > 0.5
        assert ((gain.low < truth) & (truth < gain.high)).all()
        errors.append(gain.value / truth - 1)
        plain.append(
            klimit.frontier(rewards, estimator="plugin", budget=budget).gain(kls).value / truth - 1
        )
    assert abs(np.mean(errors, axis=0)).max() < 0.02
    assert (np.std(errors, axis=0) < 0.05).all()
    assert (abs(np.mean(errors, axis=0)) < abs(np.mean(plain, axis=0))).all()


def test_gold_of_few_answers_a_prompt_is_not_read_off_other_prompts():
    rng, prompts, kl = np.random.default_rng(3), 80, 1.0
    proxy, chances = answers(rng, prompts, 4)
    gold = 0.6 * proxy + 0.8 * rng.normal(size=proxy.shape)
    tilted = theory.tilt(chances, proxy, beta=theory.frontier(chances, proxy).beta(kl))
    truth = ((tilted.policy - chances) * gold).sum(axis=1).mean()
    errors = []
    for _ in range(4):
        hands = drawn(rng, chances, 16)
        base = klimit.read({
            "prompt_id": np.repeat(np.arange(prompts), 16),
            "proxy": np.take_along_axis(proxy, hands, 1).ravel(),
            "gold": np.take_along_axis(gold, hands, 1).ravel(),
        })  # fmt: skip
        found = klimit.hacking(base, proxy="proxy", gold="gold", prompts="fixed").gold_gain(kl)
        assert found.low < truth < found.high
        errors.append(found.value / truth - 1)
    assert np.sqrt(np.mean(np.square(errors))) < 0.1
