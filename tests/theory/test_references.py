"""Several references: optimality under both KLs, reductions to one reference, frontiers, DPO."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from klimit import _errors
from klimit.theory import (
    ceiling,
    f_frontier,
    forward_kl_tilt,
    frontier,
    geometric_mean,
    jensen_shannon,
    kl,
    reference_dpo_loss,
    reference_dpo_margin,
    reference_frontier,
    reference_gap_bound,
    reference_samples_needed,
    reverse_kl_tilt,
    tilt,
)
from tests.strategies import betas, budgets, distributions, ragged_prompts, rewards

P = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]])
SHARES, REWARD = np.array([0.6, 0.4]), np.array([0.0, 1.0, 0.5])
TILTS = {"reverse": reverse_kl_tilt, "forward": forward_kl_tilt}


@st.composite
def referenced(draw, *, zeros=True):
    """References of one prompt that share an outcome, their mixture, and a reward."""
    outcomes, references = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    p = np.stack([draw(distributions(outcomes, zeros=zeros)) for _ in range(references)])
    shares = draw(distributions(references))
    assume((p[shares > 0] > 0).all(axis=0).any())
    return p, shares, draw(rewards(outcomes))


def charged(direction, policy, references, mixture):
    """The weighted KL of a policy to its references, or from them."""
    used = mixture > 0
    pairs = [(policy, p) if direction == "reverse" else (p, policy) for p in references[used]]
    return mixture[used] @ [kl(*pair) for pair in pairs]


@settings(max_examples=50)
@given(case=referenced(), data=st.data())
def test_the_weighted_kl_is_the_kl_to_the_geometric_mean_and_a_cost_that_all_pay(case, data):
    p, shares, _ = case
    mean = geometric_mean(p, mixture=shares)
    policy = np.where(mean.policy > 0, data.draw(distributions(p.shape[1])), 0.0)
    assume(policy.sum() > 0)
    policy /= policy.sum()
    total = charged("reverse", policy, p, shares)
    assert_allclose(total, kl(policy, mean.policy) - mean.log_overlap, rtol=1e-10, atol=1e-12)
    assert mean.log_overlap <= 0
    assert_allclose(mean.policy.sum(), 1, rtol=1e-13)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(shares[:, None] > 0, shares[:, None] * np.log(p), 0.0).sum(axis=0)
    assert_allclose(np.exp(mean.log_overlap), np.exp(logs).sum(), rtol=1e-12)


@pytest.mark.parametrize("direction", TILTS)
@settings(max_examples=40)
@given(case=referenced(), gamma=betas(1e-3, 1e3), data=st.data())
def test_no_policy_has_a_higher_value(direction, case, gamma, data):
    p, shares, reward = case
    best = TILTS[direction](p, reward, gamma=gamma, mixture=shares)
    near = {"rtol": 1e-9, "atol": 1e-10 * (1 + 1 / gamma)}
    support = best.policy > 0  # what underflows to 0 has no part in the best value
    assert_allclose(best.policy.sum(), 1, rtol=1e-12)
    assert_allclose(best.kl, charged(direction, best.policy, p, shares), rtol=1e-8, atol=1e-11)
    assert_allclose(best.mean_reward, best.policy @ reward, rtol=1e-10, atol=1e-10)
    other = np.where(support, data.draw(distributions(p.shape[1])), 0.0)
    assume(other.sum() > 0)
    for share in (1.0, 0.1, 1e-3):
        policy = share * other / other.sum() + (1 - share) * best.policy
        value = policy @ reward - charged(direction, policy, p, shares) / gamma
        assert value <= best.value + near["atol"]
    if direction == "reverse":
        mixed = geometric_mean(p, mixture=shares)
        top = reward[support].max()
        log_z = np.log(mixed.policy[support] @ np.exp(gamma * (reward[support] - top)))
        expected = top + (log_z + mixed.log_overlap) / gamma
        assert_allclose(best.value, expected, **near)


@settings(max_examples=50)
@given(case=referenced(), gamma=betas(1e-6, 1e6))
def test_the_forward_normaliser_lies_in_its_bracket_and_normalises(case, gamma):
    p, shares, reward = case
    best = forward_kl_tilt(p, reward, gamma=gamma, mixture=shares)
    average = shares @ p
    top = reward[average > 0].max()
    z = best.mean_reward + 1 / gamma
    at_top = average[reward == top].sum()
    room = 1e-12 * (1 + 1 / gamma)
    assert top + at_top / gamma - room <= z <= top + 1 / gamma + room
    possible = average > 0
    policy = average[possible] / (1 + gamma * (best.mean_reward - reward[possible]))
    assert_allclose(best.policy[possible], policy, rtol=1e-6, atol=1e-8)
    assert (best.policy[~possible] == 0).all()


@pytest.mark.parametrize("direction", TILTS)
@pytest.mark.parametrize("seed", range(4))
def test_a_general_optimiser_finds_the_same_policy(direction, seed):
    rng = np.random.default_rng(seed)
    p, shares = rng.dirichlet(np.full(4, 2.0), 3), rng.dirichlet(np.ones(3))
    reward, gamma = rng.normal(size=4), [0.5, 1.0, 2.0, 5.0][seed]

    def policy(logits):
        weight = np.exp(np.append(0.0, logits))
        return weight / weight.sum()

    def loss(logits):
        chosen = policy(logits)
        return charged(direction, chosen, p, shares) / gamma - chosen @ reward

    start = np.zeros(3)
    for _ in range(3):  # begun anew where rounding in its differences stopped it
        found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-9})
        start = found.x
    best = TILTS[direction](p, reward, gamma=gamma, mixture=shares)
    assert best.value >= -found.fun - 1e-13
    assert_allclose(best.value, -found.fun, rtol=1e-9)
    assert_allclose(best.policy, policy(found.x), atol=1e-5)


@pytest.mark.parametrize("direction", TILTS)
@pytest.mark.parametrize("extra", [0.05, 0.3])
def test_a_general_optimiser_finds_no_more_at_a_budget_shared_by_prompts(direction, extra):
    rng = np.random.default_rng(5)
    p, shares = rng.dirichlet(np.full(3, 3.0), (2, 2)), np.array([0.3, 0.7])
    reward = rng.normal(size=(2, 3)) * [[1.0], [2.0]]
    limit = reference_frontier(p, reward, direction=direction, mixture=shares)
    budget = float(limit.unavoidable_kl) + extra

    def policies(logits):
        weight = np.exp(np.pad(logits.reshape(2, 2), ((0, 0), (1, 0))))
        return weight / weight.sum(axis=1, keepdims=True)

    def spent(logits):
        rows = [charged(direction, q, p[:, k], shares) for k, q in enumerate(policies(logits))]
        return np.mean(rows)

    found = optimize.minimize(
        lambda logits: -np.mean((policies(logits) * reward).sum(axis=1)),
        np.log(p[0, :, 1:] / p[0, :, :1]).ravel(),
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda logits: budget - spent(logits)},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert_allclose(limit.mean_reward + limit.gain(budget), -found.fun, rtol=1e-6)


@settings(max_examples=50)
@given(case=referenced(), gamma=betas(1e-3, 1e2), copies=st.integers(1, 4))
def test_equal_references_are_one_reference(case, gamma, copies):
    p, _, reward = case
    one = tilt(p[0], reward, beta=1 / gamma)
    same = np.stack([p[0]] * copies)
    alone = reverse_kl_tilt(p[:1], reward, gamma=gamma)
    for best in (reverse_kl_tilt(same, reward, gamma=gamma), alone):
        assert_allclose(best.policy, one.policy, rtol=1e-10, atol=1e-300)
        assert_allclose([best.gain, best.kl], [one.gain, one.kl], rtol=1e-10, atol=1e-13)
        assert abs(best.unavoidable_kl) < 1e-30
    forward = [forward_kl_tilt(q, reward, gamma=gamma) for q in (same, p[:1])]
    assert_allclose(forward[0].policy, forward[1].policy, rtol=1e-12)
    assert forward[0].unavoidable_kl == 0
    assert_allclose(forward[0].kl, kl(p[0], forward[0].policy), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("direction", TILTS)
@settings(max_examples=40)
@given(case=referenced(), gamma=betas(1e-2, 1e2))
def test_a_reference_of_weight_zero_counts_for_nothing_whatever_it_excludes(direction, case, gamma):
    p, _, reward = case
    elsewhere = np.eye(p.shape[1])[0]
    best = TILTS[direction]([p[0], elsewhere], reward, gamma=gamma, mixture=[1, 0])
    alone = TILTS[direction](p[:1], reward, gamma=gamma)
    for name in ("policy", "gain", "kl", "unavoidable_kl", "mean_reward"):
        assert_allclose(getattr(best, name), getattr(alone, name), rtol=1e-12, atol=1e-15)


def test_disjoint_references_are_an_error_under_reverse_kl_and_a_known_cost_under_forward_kl():
    p = [[[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]
    with pytest.raises(_errors.ArgumentError, match=r"share no outcome \(prompt 0\)"):
        geometric_mean(p)
    ragged = [[[0.5, 0.5], [1.0, 0.0, 0.0]], [[0.5, 0.5], [0.0, 0.5, 0.5]]]
    with pytest.raises(_errors.ArgumentError, match=r"share no outcome \(prompt 1\)"):
        reference_frontier(ragged, [[0, 1], [0, 1, 2]])
    best = forward_kl_tilt([[1.0, 0.0], [0.0, 1.0]], [0, 1], gamma=1.0)
    assert_allclose(best.unavoidable_kl, np.log(2))


def test_near_references_cost_the_second_order_of_their_distance():
    off = np.array([1e-9, -1e-9])
    mean = geometric_mean([0.5 + off, 0.5 - off])
    assert_allclose(mean.log_overlap, -2 * 1e-18, rtol=1e-6)
    assert_allclose(forward_kl_tilt([0.5 + off, 0.5 - off], [0, 1], gamma=1).unavoidable_kl, 2e-18)


@pytest.mark.parametrize("direction", TILTS)
@settings(max_examples=40)
@given(prompts=ragged_prompts(max_prompts=3), data=st.data(), gamma=betas(1e-2, 1e2))
def test_frontiers_average_the_tilts_of_their_prompts(direction, prompts, data, gamma):
    others = [data.draw(distributions(base.size, zeros=False)) for base in prompts.base]
    references = [prompts.base, others]
    limit = reference_frontier(
        references, prompts.reward, direction=direction, mixture=SHARES, weights=prompts.weights
    )
    rows = zip(prompts.base, others, prompts.reward, strict=True)
    each = [TILTS[direction](row[:2], row[2], gamma=gamma, mixture=SHARES) for row in rows]
    point = limit.at(gamma=gamma)
    mean = prompts.weights
    near = {"rtol": 1e-10, "atol": 1e-12}
    assert_allclose(point.gain, mean @ [best.gain for best in each], **near)
    assert_allclose(point.kl, mean @ [best.kl for best in each], **near)
    cost = mean @ [best.unavoidable_kl for best in each]
    assert_allclose(limit.unavoidable_kl, cost, **near)
    assert_allclose(limit.mean_reward, mean @ [b.mean_reward - b.gain for b in each], atol=1e-12)


@pytest.mark.parametrize("direction", TILTS)
@settings(max_examples=40)
@given(case=referenced(), extra=budgets(1e-9, 20.0))
def test_budgets_gains_and_gammas_lead_to_one_another(direction, case, extra):
    p, shares, reward = case
    limit = reference_frontier(p, reward, direction=direction, mixture=shares)
    base = geometric_mean(p, mixture=shares).policy if direction == "reverse" else shares @ p
    most = ceiling(base, reward)
    if most.gain == 0:
        return
    if direction == "reverse":  # which saturates
        extra *= most.kl / (1 + extra)
    budget = limit.unavoidable_kl + extra
    gain, gamma = limit.gain(budget), limit.gamma(budget)
    assert 0 <= gain <= most.gain * (1 + 1e-12)
    assert gamma > 0
    if gamma > 1e8 or gain > most.gain * (1 - 1e-6):
        return
    point = limit.at(gamma=gamma)
    rounding = 1e-15 * (1 + limit.unavoidable_kl)
    assert_allclose(point.kl, budget, rtol=1e-9, atol=rounding)
    assert_allclose(point.gain, gain, rtol=1e-6, atol=1e-12)
    assert_allclose(limit.kl(gain), budget, rtol=1e-7, atol=1e-12)
    if extra > 1e-5:
        step = 1e-5 * extra
        slope = (limit.gain(budget + step) - limit.gain(budget - step)) / (2 * step)
        assert_allclose(slope, 1 / gamma, rtol=1e-4, atol=1e-7)


def test_reverse_frontiers_are_the_geometric_means_own_moved_by_the_cost():
    mean = geometric_mean(P, mixture=SHARES)
    limit = reference_frontier(P, REWARD, mixture=SHARES)
    budget = np.array([[0.0, 0.1], [1.0, 9.0]])
    own = frontier(mean.policy, REWARD)
    assert_allclose(limit.gain(budget - mean.log_overlap), own.gain(budget), rtol=1e-12)
    assert_allclose(limit.kl(0.3), own.kl(0.3) - mean.log_overlap, rtol=1e-12)
    assert limit.gamma(9.0) == np.inf
    assert limit.gamma(limit.unavoidable_kl) == limit.gain(limit.unavoidable_kl) == 0
    assert limit.kl(5.0) == np.inf


def test_forward_frontiers_rise_for_ever_towards_a_ceiling():
    limit = reference_frontier(P, REWARD, direction="forward", mixture=SHARES)
    cost = limit.unavoidable_kl
    gain = limit.gain(cost + np.array([0, 1e-12, 0.1, 1, 10, 100, 1e4, np.inf]))
    most = 1 - (SHARES @ P) @ REWARD
    assert gain[0] == 0
    assert (np.diff(gain[:6]) > 0).all()
    assert_allclose(gain[1], np.sqrt(2e-12 * 0.1681), rtol=1e-3)
    assert_allclose(gain[-2:], most, rtol=1e-12)
    assert limit.kl([0, most, 2]).tolist() == [cost, np.inf, np.inf]
    flat = reference_frontier(P, [3, 3, 3], direction="forward")
    assert flat.gain(1.0) == 0
    assert_allclose(flat.unavoidable_kl, jensen_shannon(*P))


def test_the_forward_frontier_of_one_reference_is_that_of_the_convex_dual():
    rng = np.random.default_rng(1)
    base, reward = rng.dirichlet(np.ones(6), 4), rng.normal(size=(4, 6))
    limit = reference_frontier([base], reward, direction="forward")
    budget = [1e-6, 0.01, 0.5, 2.0, 5.0]
    dual = f_frontier(base, reward, divergence="forward-kl")
    assert_allclose(limit.gain(budget), dual.gain(budget), rtol=1e-10)


def test_references_prompts_and_gammas_broadcast():
    p = np.stack([P, P[:, ::-1]], axis=1)  # (references, prompts, outcomes)
    for best in (t(p, REWARD, gamma=[[0.5], [1.0], [2.0]]) for t in TILTS.values()):
        assert best.gain.shape == best.kl.shape == best.gamma.shape == (3, 2)
        assert best.policy.shape == (3, 2, 3)
    for direction, one in TILTS.items():
        together = one(p, REWARD, gamma=[[0.5], [2.0]], mixture=SHARES)
        for i, k in itertools.product(range(2), range(2)):
            alone = one(p[:, k], REWARD, gamma=[0.5, 2.0][i], mixture=SHARES)
            assert_allclose(together.policy[i, k], alone.policy, rtol=1e-12, err_msg=direction)


@pytest.mark.parametrize("direction", TILTS)
@pytest.mark.parametrize("gamma", [1e-14, 1e-7, 1.0, 1e5, 1e12])
def test_extreme_probabilities_rewards_and_gammas_keep_policies_whole(direction, gamma):
    p = [[1.0, 1e-300, 1e-9], [0.5, 0.25, 0.25]]
    for reward in ([0.0, 1e6, -1e6], [0.0, 1.0, 1.0 - 1e-9], [2.0, 2.0, 2.0]):
        best = TILTS[direction](p, reward, gamma=gamma)
        assert_allclose(best.policy.sum(), 1, rtol=1e-9)
        spread = np.ptp(reward)
        assert -1e-10 * spread <= best.gain <= spread * (1 + 1e-10)
        assert best.kl >= best.unavoidable_kl
    single = TILTS[direction]([[1.0], [1.0]], [7.0], gamma=gamma)
    assert [float(single.gain), float(single.kl), float(single.mean_reward)] == [0, 0, 7]


@pytest.mark.parametrize("direction", TILTS)
def test_tiny_tilts_keep_their_digits(direction):
    base = geometric_mean(P, mixture=SHARES).policy if direction == "reverse" else SHARES @ P
    variance = base @ (REWARD - base @ REWARD) ** 2
    best = TILTS[direction](P, REWARD, gamma=1e-9, mixture=SHARES)
    assert_allclose(best.gain, 1e-9 * variance, rtol=1e-8)
    limit = reference_frontier([P[0]], REWARD, direction=direction)
    variance = P[0] @ (REWARD - P[0] @ REWARD) ** 2
    assert_allclose(limit.gain(1e-12), np.sqrt(2e-12 * variance), rtol=1e-5)


def test_mixing_references_token_by_token_is_not_their_geometric_mean():
    first = np.array([[0.9, 0.1], [0.3, 0.7]])  # (references, token)
    second = np.array([[[0.8, 0.2], [0.1, 0.9]], [[0.5, 0.5], [0.6, 0.4]]])  # given the first
    sequences = (first[:, :, None] * second).reshape(2, 4)
    whole = geometric_mean(sequences)
    step, then = geometric_mean(first), geometric_mean(second)
    by_token = (step.policy[:, None] * then.policy).ravel()
    assert np.abs(by_token - whole.policy).max() > 0.01
    # what goes wrong: the tokens' overlaps differ with the prefix, and mixing by token drops them
    right = by_token * np.repeat(np.exp(then.log_overlap), 2)
    assert_allclose(right / right.sum(), whole.policy, rtol=1e-12)
    paid = [charged("reverse", q, sequences, np.full(2, 0.5)) for q in (whole.policy, by_token)]
    assert paid[0] < paid[1] - 1e-3
    assert_allclose(paid[0], -whole.log_overlap, rtol=1e-12)


def test_the_dpo_margin_of_the_optimum_is_the_difference_of_rewards():
    beta = 0.7
    best = reverse_kl_tilt(P, REWARD, gamma=1 / beta, mixture=SHARES)
    chosen, rejected = [1, 1, 2], [0, 2, 0]
    own = np.log(best.policy)
    policy = np.stack([own[chosen], own[rejected]], axis=-1)
    references = np.stack([np.log(P)[:, chosen], np.log(P)[:, rejected]], axis=-1)
    margin = reference_dpo_margin(policy, references, beta=beta, mixture=SHARES)
    assert_allclose(margin, REWARD[chosen] - REWARD[rejected], rtol=1e-12)
    loss = reference_dpo_loss(policy, references, beta=beta, mixture=SHARES)
    assert_allclose(loss, np.log1p(np.exp(-margin)), rtol=1e-12)


def test_dpo_survives_extreme_margins_and_references_that_count_for_nothing():
    far = reference_dpo_loss([[-1e6, 0.0], [0.0, -1e6]], [[0.0, 0.0]], beta=1.0)
    assert far.tolist() == [1e6, 0]
    barred = reference_dpo_margin(
        [-1.0, -2.0], [[-1.0, -1.0], [-np.inf, -1.0]], beta=0.1, mixture=[1, 0]
    )
    assert_allclose(barred, 0.1)


@given(
    gap=betas(1e-4, 10),
    r=betas(0.1, 5),
    coverage=betas(0.1, 100),
    direction=st.sampled_from(["reverse", "forward"]),
)
def test_the_samples_needed_suffice_and_one_fewer_does_not(gap, r, coverage, direction):
    known = {"direction": direction, "reward_range": r, "coverage": coverage, "classes": 50}
    known["gamma"] = 2.0 if direction == "reverse" else None
    n = reference_samples_needed(gap, **known)
    assert reference_gap_bound(n, **known) <= gap * (1 + 1e-9)
    if 1 < n < 1e9:
        assert reference_gap_bound(n - 1, **known) > gap * (1 - 1e-9)


def test_the_gap_bounds_are_those_of_the_paper():
    known = {"reward_range": 1.5, "coverage": 3.0, "classes": 20, "delta": 0.1}
    log = np.log(20 / 0.1)
    reverse = reference_gap_bound(1000, direction="reverse", gamma=0.5, **known)
    assert_allclose(reverse, 0.5 * 3 * 128 * np.exp(6) * 2.25 * log / 1000)
    forward = reference_gap_bound(1000, direction="forward", **known)
    assert_allclose(forward, 16 * 3 * np.exp(3) * 1.5 * np.sqrt(log / 1000))


KNOWN = {"reward_range": 1.0, "coverage": 1.0, "classes": 2}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: geometric_mean([0.5, 0.5]), "references must be"),
        (lambda: geometric_mean([[0.5, 0.6]]), "references must sum to one"),
        (lambda: geometric_mean(P, mixture=[0.5, 0.6]), "mixture must sum to one"),
        (lambda: geometric_mean(P, mixture=[1.0]), "mixture must be one weight per reference"),
        (lambda: geometric_mean(P, mixture=[1.5, -0.5]), "mixture must hold probabilities"),
        (lambda: reverse_kl_tilt(P, REWARD, gamma=0), "gamma must be positive"),
        (lambda: forward_kl_tilt(P, REWARD, gamma=-1), "gamma must be positive"),
        (lambda: forward_kl_tilt(P, [0, 1], gamma=1), "shapes must broadcast"),
        (lambda: forward_kl_tilt(P, [0, 1, np.nan], gamma=1), "reward must be finite"),
        (lambda: forward_kl_tilt([P, P], REWARD, gamma=[1, 2, 3]), "gamma must broadcast"),
        (lambda: reference_frontier(P, REWARD, direction="both"), '"reverse" or "forward"'),
        (lambda: reference_frontier([P[0], [0.5, 0.5]], REWARD), "references must agree"),
        (lambda: reference_frontier(P, REWARD).gain(0.01), "kl must be at least 0.17.* got 0.01"),
        (lambda: reference_frontier(P, REWARD).kl(np.nan), "gain must be a number"),
        (
            lambda: reference_frontier(P, [REWARD] * 2, weights=[1]),
            "weights must be one per prompt",
        ),
        (lambda: reference_gap_bound(0, direction="forward", **KNOWN), "n must be a finite number"),
        (lambda: reference_gap_bound(9, direction="reverse", **KNOWN), "gamma must be given"),
        (lambda: reference_gap_bound(9, direction="forward", gamma=1, **KNOWN), "gamma must be"),
        (lambda: reference_gap_bound(9, direction="forward", delta=1, **KNOWN), "delta must lie"),
        (
            lambda: reference_gap_bound(9, direction="forward", **KNOWN | {"reward_range": 400}),
            "reward_range must be small",
        ),
        (lambda: reference_samples_needed(0, direction="forward", **KNOWN), "gap must be positive"),
        (lambda: reference_dpo_margin([-1, -2, -3], [[-1, -2]], beta=1), "policy must be"),
        (lambda: reference_dpo_margin([-1, 2], [[-1, -2]], beta=1), "policy must hold log-prob"),
        (lambda: reference_dpo_margin([-1, -2], [[-np.inf, -2]], beta=1), "references must hold"),
        (lambda: reference_dpo_loss([-1, -2], [[-1, -2]], beta=0), "beta must be positive"),
    ],
)
def test_unusable_arguments_are_an_error(call, words):
    with pytest.raises(_errors.ArgumentError, match=words):
        call()
