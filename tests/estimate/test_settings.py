"""Each trainer's coefficient, held against the mean gradient of that trainer's loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.estimate.plan.settings import Target, spread_of_rewards, trainer_settings
from tests.estimate import trainer_losses as losses
from tests.estimate.tiny_policy import additive, branching

GROUP = 2
BETA = 0.8


def coefficients(beta=BETA, group=GROUP, spread=1.0, tokens=None, kl=1.0):
    """What klimit says to type, by trainer."""
    target = Target(beta=beta, kl=kl, group=group, batch_sd=spread, base_sd=spread, tokens=tokens)
    return {setting.trainer: setting for setting in trainer_settings(target)}


def residual(world, loss, logits, group=GROUP):
    """The mean gradient over that of the reward alone."""
    reward = losses.trl_grpo(world, 0.0)
    whole = np.linalg.norm(world.gradient(loss, logits, group))
    return whole / np.linalg.norm(world.gradient(reward, logits, group))


RLOO = "TRL RLOO"
PPO = "TRL PPO (experimental, up to 1.12)"
VERL = "verl, KL in the reward (any advantage estimator but gdpo)"
OPEN = "OpenRLHF rloo, reinforce or gae, KL in the reward"
OPEN_OWN = "OpenRLHF dr_grpo or reinforce_baseline, KL in the reward"
EXACT = {
    "RLOO": (RLOO, losses.trl_rloo),
    "RLOO, normalized": (RLOO, lambda w, c: losses.trl_rloo(w, c, normalize=True)),
    "PPO": (PPO, lambda w, c: losses.trl_ppo(w, c, w.tilt(BETA))),
    "verl": (VERL, lambda w, c: losses.verl_kl_in_reward(w, c, scaled=False)),
    "verl, scaled by group": (VERL, lambda w, c: losses.verl_kl_in_reward(w, c, scaled=True)),
    "verl, means within completions": (
        VERL,
        lambda w, c: losses.verl_kl_in_reward(
            w, c, scaled=True, aggregate=losses.within_completions
        ),
    ),
    "OpenRLHF rloo": (OPEN, lambda w, c: losses.openrlhf_kl_in_reward(w, c, estimator="rloo")),
    "OpenRLHF reinforce": (
        OPEN,
        lambda w, c: losses.openrlhf_kl_in_reward(w, c, estimator="reinforce"),
    ),
    "OpenRLHF dr_grpo": (
        OPEN_OWN,
        lambda w, c: losses.openrlhf_kl_in_reward(w, c, estimator="dr_grpo"),
    ),
}
GRPO = "TRL GRPO, rewards not scaled"
FIRST_ORDER = {
    "GRPO": (GRPO, losses.trl_grpo),
    "GRPO, plain k3": (GRPO, lambda w, c: losses.trl_grpo(w, c, bias_correction=False)),
    "verl, k3+": ("verl GRPO, KL in the loss, rewards not scaled", losses.verl_kl_in_loss),
    "OpenRLHF, k2": ("OpenRLHF dr_grpo, KL in the loss", losses.openrlhf_kl_in_loss),
}


@pytest.mark.parametrize("case", EXACT)
def test_kl_in_the_reward_has_its_optimum_at_the_tilt(case):
    world = branching(seed=1)
    trainer, loss = EXACT[case]
    setting = coefficients()[trainer]
    assert setting.exact
    # scaled by group, rounding is divided by a spread that vanishes at the optimum
    assert residual(world, loss(world, setting.value), world.tilt(BETA)) < 1e-8


@pytest.mark.parametrize("case", EXACT)
def test_kl_in_the_reward_has_no_other_coefficient_for_that_tilt(case):
    world = branching(seed=1)
    trainer, loss = EXACT[case]
    wrong = 1.2 * coefficients()[trainer].value
    assert residual(world, loss(world, wrong), world.tilt(BETA)) > 0.02


@pytest.mark.parametrize("case", FIRST_ORDER)
def test_kl_in_the_loss_comes_near_the_tilt_as_the_budget_falls(case):
    world = branching(seed=2)
    trainer, loss = FIRST_ORDER[case]
    found = []
    for beta in (8.0, 16.0, 32.0):
        setting = coefficients(beta)[trainer]
        assert not setting.exact
        found.append(residual(world, loss(world, setting.value), world.tilt(beta)))
    assert found[0] < 0.2
    assert_allclose(np.divide(found[1:], found[:-1]), 0.5, atol=0.05)


@pytest.mark.parametrize("case", FIRST_ORDER)
def test_kl_in_the_loss_is_off_without_the_factor_of_the_own_mean(case):
    world = branching(seed=2)
    loss = FIRST_ORDER[case][1]
    assert residual(world, loss(world, 32.0), world.tilt(32.0)) > 0.5  # twice the pull for G = 2


@pytest.mark.parametrize("group", [2, 3])
@pytest.mark.parametrize("case", ["GRPO", "verl, k3+", "OpenRLHF, k2"])
def test_kl_in_the_loss_is_exact_for_rewards_that_add_up_over_independent_tokens(case, group):
    world = additive(seed=3)
    trainer, loss = FIRST_ORDER[case]
    value = coefficients(group=group)[trainer].value
    assert residual(world, loss(world, value), world.tilt(BETA), group) < 1e-10


def test_kl_in_the_loss_does_not_answer_for_later_tokens():
    """The optimum is base * exp(mean reward from here / c), not the tilt."""
    world = branching(seed=4, longest=2)
    c = BETA * (1 - 1 / GROUP)
    logits = world.logits.copy()
    for _ in range(200):
        chance = world.probabilities(logits)
        ahead = np.zeros(logits.shape)
        for prefix in range(len(logits)):
            for token in range(logits.shape[1]):
                through = (
                    (world.prefix == prefix) & (world.token == token) & (world.mask > 0)
                ).any(1)
                ahead[prefix, token] = (
                    chance[through] @ world.reward[through] / chance[through].sum()
                )
        logits = world.logits + ahead / BETA
    assert residual(world, losses.trl_grpo(world, c), logits) < 1e-10
    assert residual(world, losses.trl_grpo(world, c), world.tilt(BETA)) > 0.01
    assert abs(world.kl(logits) / world.kl(world.tilt(BETA)) - 1) > 0.01


def test_plain_k3_in_the_loss_trains_a_forward_kl():
    """One token: the optimum is base * c / (c + mean - reward)."""
    world = additive(seed=5, longest=1)
    c = 2.0
    base = world.probabilities(world.logits)
    low, high = world.mean(world.reward, world.logits), float(world.reward.max())
    for _ in range(200):  # the mean under the optimum, by bisection: the weights must add up to 1
        middle = (low + high) / 2
        heavy = (base * c / np.maximum(c + middle - world.reward, 1e-9)).sum() > 1
        low, high = (middle, high) if heavy else (low, middle)
    optimum = world.logits_of(base * c / (c + low - world.reward))
    loss = losses.trl_grpo(world, c * (1 - 1 / GROUP), bias_correction=False)
    assert residual(world, loss, optimum) < 1e-9
    assert residual(world, loss, world.tilt(c)) > 0.01


def test_k1_in_a_loss_does_not_pull():
    world = branching(seed=6)
    logits = world.tilt(BETA)
    with_kl = losses.verl_kl_in_loss(world, 100.0, kl=losses.k1)
    without = losses.verl_kl_in_loss(world, 0.0)
    difference = world.gradient(with_kl, logits, GROUP) - world.gradient(without, logits, GROUP)
    assert_allclose(difference, 0, atol=1e-10)


def test_k3_in_the_reward_has_another_optimum():
    world = branching(seed=1)
    logits = world.tilt(BETA)
    loss = losses.trl_ppo(world, BETA, logits, penalty=losses.k3)
    assert residual(world, loss, logits) > 0.01


@pytest.mark.parametrize(
    ("aggregate", "fall"), [(losses.over_tokens, 0.25), (losses.within_completions, 1.0)]
)
def test_means_within_completions_leave_no_coefficient_for_the_tilt(aggregate, fall):
    """What the best coefficient leaves of the gradient falls as 1 / beta, or it does not."""
    world = branching(seed=7)

    def left(beta):
        logits = world.tilt(beta)

        def gradient(c):
            loss = losses.trl_grpo(world, c, aggregate=aggregate)
            return world.gradient(loss, logits, GROUP)

        reward = gradient(0.0)
        pull = gradient(1.0) - reward
        best = reward - pull * (pull @ reward) / (pull @ pull)
        return np.linalg.norm(best) / np.linalg.norm(reward)

    assert_allclose(left(1024.0) / left(256.0), fall, rtol=0.1)


def test_scaling_by_batch_divides_the_coefficient_by_the_spread_at_the_optimum():
    world = additive(seed=8)
    world = world.with_reward(3.0 * world.reward)
    logits = world.tilt(BETA)
    mean = world.mean(world.reward, logits)
    spread = np.sqrt(world.mean(world.reward**2, logits) - mean**2)
    value = coefficients(spread=spread)["TRL GRPO, scaled by batch"].value
    loss = losses.trl_grpo(world, value, spread=spread)
    assert residual(world, loss, logits) < 1e-10


@pytest.mark.parametrize(("samples", "off"), [(16, 0.1), (64, 0.04)])
def test_the_spread_of_a_batch_is_that_under_the_tilt_within_and_between_prompts(samples, off):
    """A tilt leaves a normal law its spread, of which a few tilted samples show far less."""
    rng = np.random.default_rng(0)
    rewards = rng.normal(0, 0.75, (400, 1)) + rng.normal(size=(400, samples))
    limit = klimit.frontier(rewards)
    for tilt in (0.0, 0.5, 1.0, 1.4):
        assert_allclose(spread_of_rewards(limit, tilt), 1.25, rtol=off)


def test_prompts_of_two_samples_count_in_the_spread_of_a_batch():
    rng = np.random.default_rng(2)
    rows = [rng.normal(size=16) for _ in range(90)] + [10 + rng.normal(size=2) for _ in range(10)]
    assert_allclose(spread_of_rewards(klimit.frontier(rows), 0.0), np.sqrt(1 + 9), rtol=0.1)


def test_where_prompts_differ_in_spread_that_of_a_batch_is_nearer_than_uncorrected():
    """A tilt moves a normal prompt by its variance, which tells prompts apart."""
    rng = np.random.default_rng(3)
    scales = np.exp(0.3 * rng.normal(size=(400, 1)))
    limit = klimit.frontier(scales * rng.normal(size=(400, 64)))
    for tilt in (0.5, 1.0):
        truth = np.sqrt(np.mean(scales**2) + tilt**2 * np.var(scales**2))
        assert 0.9 < spread_of_rewards(limit, tilt) / truth < 1.05


def test_the_spread_of_a_batch_of_two_rewards_is_that_of_their_rates():
    rng = np.random.default_rng(1)
    rates = rng.choice([0.2, 0.6], size=(2000, 1))
    limit = klimit.frontier((rng.random((2000, 16)) < rates) * 3.0)
    tilted = np.array([0.2, 0.6]) * np.e / (np.array([0.8, 0.4]) + np.array([0.2, 0.6]) * np.e)
    mean = tilted.mean()
    assert_allclose(spread_of_rewards(limit, 1 / 3), 3 * np.sqrt(mean * (1 - mean)), rtol=0.02)


def own_beta(world, coefficient, group):
    """The beta at which a group-scaled coefficient comes to rest: c sd / (1 - 1/G)."""
    beta = 1.0
    for _ in range(500):
        logits = world.tilt(beta)
        mean = world.mean(world.reward, logits)
        spread = np.sqrt(world.mean((world.reward - mean) ** 2, logits))
        beta = coefficient * spread / (1 - 1 / group)
    return beta


def test_scaling_by_group_gives_every_prompt_its_own_beta_and_about_the_same_kl():
    group, budget = 8, 0.02
    setting = coefficients(kl=budget, group=group)["TRL GRPO, scaled by group (the default)"]
    assert setting.value is None
    assert "no single number, it differs by prompt" in setting.note
    coefficient = (1 - 1 / group) / np.sqrt(2 * budget)
    assert f"{coefficient:.4g}" in setting.note
    small, other = additive(seed=9), additive(seed=10)
    large = other.with_reward(5.0 * other.reward)
    betas = [own_beta(world, coefficient, group) for world in (small, other, large)]
    assert betas[0] != pytest.approx(betas[1], rel=0.1)
    assert betas[2] == pytest.approx(5.0 * betas[1])
    worlds = (small, other, large)
    spent = [world.kl(world.tilt(beta)) for world, beta in zip(worlds, betas, strict=True)]
    assert_allclose(spent, budget, rtol=0.2)


def test_trainers_whose_optimum_is_the_tilt_come_first_and_those_without_a_number_last():
    kinds = [
        2 if setting.value is None else 1 - setting.exact for setting in coefficients().values()
    ]
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1, 2}


def test_what_a_trainer_logs_is_the_budget_over_the_tokens_or_unknown():
    known = coefficients(kl=3.0, tokens=120.0)
    assert known[RLOO].logged == 3.0 / 120.0
    assert known[PPO].logged == 3.0
    unknown = coefficients(kl=3.0)
    assert unknown[RLOO].logged is None
    assert unknown[PPO].logged == 3.0


def test_mean_tokens_come_from_the_rollouts():
    rng = np.random.default_rng(0)
    rows = {
        "prompt": [f"prompt {i}" for i in range(10) for _ in range(16)],
        "rm": rng.normal(size=160),
        "tokens": np.tile([10.0, 30.0], 80),
    }
    found = klimit.plan(klimit.read(rows), kl=0.5)
    by_name = {setting.trainer: setting for setting in found.settings}
    assert by_name[RLOO].logged == pytest.approx(0.5 / 20)


def test_a_setting_reads_as_it_is_typed():
    found = coefficients(beta=0.123456)
    assert str(found[RLOO]) == "TRL RLOO: beta=0.1235"
    assert "--algo.kl.use_loss," in str(found["OpenRLHF dr_grpo, KL in the loss"])
    assert found[RLOO].to_dict()["options"] == {"beta": 0.1235}
    assert "(up to 0.10.1 the options are --init_kl_coef and" in found[OPEN].note
