"""Frontiers under f-divergences: theorems, general optimisers, and known special cases."""

import numpy as np
import pytest
import scipy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize

from klimit import _errors
from klimit.theory import (
    bernoulli_frontier,
    chi_square,
    cressie_read,
    f_frontier,
    f_tilt,
    frontier,
    gain,
    hellinger_squared,
    jeffreys,
    jensen_shannon,
    kl,
    tilt,
    total_variation,
)
from tests.strategies import budgets, distributions, ragged_prompts, reward_tables

# how near the optimisers of scipy come, before 1.13 and since
REACH = 2e-3 if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 13) else 2e-5

SMOOTH = {
    "kl": kl,
    "forward-kl": lambda p, q: kl(q, p),
    "jeffreys": jeffreys,
    "chi-square": chi_square,
    "hellinger-squared": hellinger_squared,
    "jensen-shannon": jensen_shannon,
}
ALPHAS = (-1.0, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
CASES = [
    *(({"divergence": name}, distance) for name, distance in SMOOTH.items()),
    ({"divergence": "total-variation"}, total_variation),
    *(
        ({"divergence": "cressie-read", "alpha": a}, lambda p, q, a=a: cressie_read(p, q, alpha=a))
        for a in ALPHAS
    ),
]
IDS = [" ".join(map(str, case[0].values())) for case in CASES]
THREE, SKEWED = [0.5, 0.3, 0.2], [0.0, 1.0, 4.0]

every_divergence = pytest.mark.parametrize(("which", "distance"), CASES, ids=IDS)


def rounding(reward):
    """1e-10 of the rewards' spread and 8 ulp of their size."""
    return 1e-10 * np.ptp(reward) + 8 * np.finfo(float).eps * np.abs(reward).max()


def best_by_optimiser(base, reward, distance, budget):
    """The largest mean gain that SLSQP finds over the policies of all prompts."""
    count, outcomes = base.shape

    def policy(x):
        p = np.maximum(x.reshape(count, outcomes), 1e-14)
        return p / p.sum(axis=1, keepdims=True)

    def earned(x):
        return np.mean(np.sum((policy(x) - base) * reward, axis=1))

    result = optimize.minimize(
        lambda x: -earned(x),
        base.ravel(),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * base.size,
        constraints=[
            {"type": "ineq", "fun": lambda x: budget - np.mean(distance(policy(x), base))},
            {"type": "eq", "fun": lambda x: x.reshape(count, outcomes).sum(axis=1) - 1.0},
        ],
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    spent = np.mean(distance(policy(result.x), base))
    return earned(result.x), spent


@pytest.mark.parametrize(
    ("which", "distance"),
    [case for case in CASES if case[0]["divergence"] != "total-variation"],
    ids=[name for name in IDS if name != "total-variation"],
)
@pytest.mark.parametrize("prompts", [1, 3])
def test_no_optimiser_finds_more_and_it_finds_as_much(which, distance, prompts):
    rng = np.random.default_rng(7)
    base = rng.dirichlet(np.full(4, 3.0), prompts)
    reward = rng.normal(size=(prompts, 4)) * np.array([0.5, 1.0, 2.0])[:prompts, None]
    limit = f_frontier(base, reward, **which)
    for share in (0.1, 0.6):
        budget = share * min(float(limit.saturation.divergence), 1.0)
        found, spent = best_by_optimiser(base, reward, distance, budget)
        assert found <= limit.gain(max(spent, 0.0)) * (1 + 1e-9)
        assert_allclose(limit.gain(budget), found, rtol=REACH)


@pytest.mark.parametrize("prompts", [1, 4])
def test_under_total_variation_linear_programming_finds_the_same(prompts):
    rng = np.random.default_rng(3)
    base = rng.dirichlet(np.ones(5), prompts)
    reward = np.round(rng.normal(size=(prompts, 5)), 1)  # ties included
    limit = f_frontier(base, reward, divergence="total-variation")
    size = base.size
    # policy = base + up - down; half of what moves is the distance
    moves = np.concatenate([reward.ravel(), -reward.ravel()]) / prompts
    one = np.kron(np.eye(prompts), np.ones(5))
    for budget in (1e-3, 0.1, 0.3, 0.9):
        found = optimize.linprog(
            -moves,
            A_ub=np.full((1, 2 * size), 0.5 / prompts),
            b_ub=[budget],
            A_eq=np.hstack([one, -one]),
            b_eq=np.zeros(prompts),
            bounds=[(0, None)] * size + [(0, p) for p in base.ravel()],
            method="highs",
        )
        assert_allclose(limit.gain(budget), -found.fun, rtol=1e-9)


@settings(max_examples=60)
@given(
    case=st.sampled_from(CASES),
    data=st.data(),
    table=reward_tables(),
    fraction=st.floats(0.01, 0.95),
)
def test_the_policy_spends_the_budget_and_the_dual_proves_it_optimal(case, data, table, fraction):
    which, distance = case
    limit = f_frontier(table.base, table.reward, **which)
    budget = fraction * min(float(limit.saturation.divergence), 3.0)
    assume(budget > 1e-9)
    policy, slack = limit.policies(budget)[0], rounding(table.reward)
    gained = limit.gain(budget)
    assert_allclose(policy.sum(), 1.0, rtol=1e-12)
    assert (policy >= 0).all()
    if (policy[table.base > 0] > 1e-290).all() or np.isfinite(limit.saturation.divergence):
        assert_allclose(distance(policy, table.base), budget, rtol=1e-6, atol=1e-12)
    assert_allclose(gain(policy, table.base, table.reward), gained, rtol=1e-7, atol=slack)
    beta = float(limit.beta(budget))
    assert_allclose(limit.dual_bound(budget, beta=beta), gained, rtol=1e-9, atol=slack)
    for wrong in (0.3 * beta, 4.0 * beta):
        assert limit.dual_bound(budget, beta=wrong) >= gained - slack
    # and no other policy does better
    other = np.where(table.base > 0, data.draw(distributions(table.base.size)), 0.0)
    if other.sum() > 0:
        other /= other.sum()
        spent = distance(other, table.base)
        best = limit.gain(spent)
        assert gain(other, table.base, table.reward) <= best + 10 * slack + 1e-9 * abs(best)


@settings(max_examples=25)
@given(
    case=st.sampled_from(CASES),
    prompts=ragged_prompts(max_prompts=3),
    fraction=st.floats(0.02, 0.9),
)
def test_the_slope_is_beta_and_the_inverse_undoes_the_gain(case, prompts, fraction):
    which, _ = case
    for sharing in ("average", "per-prompt"):
        limit = f_frontier(
            prompts.base, prompts.reward, weights=prompts.weights, budget=sharing, **which
        )
        most = float(limit.saturation.divergence)
        at = fraction * min(most, 2.0)
        assume(at > 1e-6)
        slack = max(rounding(np.atleast_1d(r)) for r in prompts.reward)
        ends = limit.gain([at * (1 - 1e-5), at, at * (1 + 1e-5)])
        secants, betas = np.diff(ends) / (1e-5 * at), limit.beta([at * (1 - 1e-5), at * (1 + 1e-5)])
        noise = 20 * slack / (1e-5 * at) + 1e-6 * betas[0]
        assert betas[0] + noise >= secants[0] >= secants[1] - 2 * noise
        assert secants[1] >= betas[1] - noise
        reached = limit.gain(at)
        if reached < limit.saturation.gain * (1 - 1e-6) and limit.beta(at) > 0:
            assert_allclose(limit.gain(limit.divergence(reached)), reached, rtol=1e-9)
        spent, gained = limit.divergence_by_prompt(at), limit.gain_by_prompt(at)
        assert_allclose(prompts.weights @ gained, reached, rtol=1e-7, atol=slack)
        if sharing == "per-prompt":
            assert (spent <= at * (1 + 1e-9)).all()
        elif limit.beta(at) > 1e-290:  # beyond, what is left of the budget buys nothing
            assert_allclose(prompts.weights @ spent, at, rtol=1e-7)


@settings(max_examples=50)
@given(case=st.sampled_from(CASES), prompts=ragged_prompts(), budget=budgets(1e-6, 5.0))
def test_sharing_beta_gains_at_least_as_much_as_sharing_divergence(case, prompts, budget):
    together, each = (
        f_frontier(prompts.base, prompts.reward, weights=prompts.weights, budget=b, **case[0])
        for b in ("average", "per-prompt")
    )
    assert together.gain(budget) >= each.gain(budget) * (1 - 1e-10) - 1e-14


@settings(max_examples=40)
@given(prompts=ragged_prompts(), budget=budgets(1e-9, 10.0))
def test_the_kl_frontier_of_this_room_is_the_exponential_one(prompts, budget):
    for sharing in ("average", "per-prompt"):
        options = {"weights": prompts.weights, "budget": sharing}
        exact = frontier(prompts.base, prompts.reward, **options)
        same = f_frontier(prompts.base, prompts.reward, divergence="kl", **options)
        assert_allclose(same.gain(budget), exact.gain(budget), rtol=1e-10, atol=1e-13)
        if budget < 0.99 * exact.saturation.kl:
            assert_allclose(same.beta(budget), exact.beta(budget), rtol=1e-8)
            for mine, theirs in zip(same.policies(budget), exact.policies(budget), strict=True):
                assert_allclose(mine, theirs, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "alpha", "scale"),
    [("kl", 1, 1), ("forward-kl", 0, 1), ("chi-square", 2, 2), ("hellinger-squared", 0.5, 0.25)],
)
def test_named_divergences_are_members_of_the_power_family(name, alpha, scale):
    rng = np.random.default_rng(1)
    base, reward = rng.dirichlet(np.ones(6), 3), rng.normal(size=(3, 6))
    named = f_frontier(base, reward, divergence=name)
    family = f_frontier(base, reward, divergence="cressie-read", alpha=alpha)
    budget = np.array([1e-3, 0.05, 0.2])
    assert_allclose(named.gain(scale * budget), family.gain(budget), rtol=1e-12)
    assert_allclose(scale * named.beta(scale * budget), family.beta(budget), rtol=1e-10)


@given(table=reward_tables(min_outcomes=2, zeros=False), fraction=st.floats(0.01, 0.99))
def test_before_anything_is_clipped_the_gain_is_the_deviation_times_root_chi_square(
    table, fraction
):
    mean = table.base @ table.reward
    deviation = np.sqrt(table.base @ (table.reward - mean) ** 2)
    assume(deviation > 1e-3)
    # the ratio 1 + sqrt(chi2) (r - mean) / sd is positive while chi2 stays below this
    budget = fraction * (deviation / (mean - table.reward.min())) ** 2
    limit = f_frontier(table.base, table.reward, divergence="chi-square")
    assert_allclose(limit.gain(budget), deviation * np.sqrt(budget), rtol=1e-9)
    beyond = 2 * budget / fraction
    assert limit.gain(beyond) <= deviation * np.sqrt(beyond)


def test_clipping_ends_in_a_slope_that_is_not_zero():
    limit = f_frontier([0.25] * 4, [0, 1, 2, 3], divergence="chi-square")
    assert_allclose(limit.saturation.divergence, 3.0)
    assert limit.beta(3.0 * (1 - 1e-9)) > 0.1
    assert limit.beta(3.0) == 0


@settings(max_examples=40)
@given(
    base=distributions(min_outcomes=2, max_outcomes=5, zeros=False),
    beta=budgets(0.05, 50.0),
    data=st.data(),
)
def test_a_forward_kl_optimum_is_the_base_over_a_distance_to_the_reward(base, beta, data):
    reward = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=base.size, max_size=base.size)))
    best = f_tilt(base, reward, divergence="forward-kl", beta=beta)
    level = best.normaliser + beta  # f = w log-free: f' = 1 - 1 / w
    assert_allclose(best.policy, base * beta / (level - reward), rtol=1e-6, atol=1e-12)
    assert_allclose((base * beta / (level - reward)).sum(), 1.0, rtol=1e-6)


@settings(max_examples=60)
@given(
    case=st.sampled_from(CASES),
    table=reward_tables(prompts=2),
    beta=st.tuples(budgets(0.05, 50.0), budgets(0.05, 50.0)),
)
def test_tilts_broadcast_and_agree_with_the_frontier(case, table, beta):
    which, distance = case
    together = f_tilt(table.base, table.reward, beta=np.reshape(beta, (2, 1)), **which)
    policy = together.policy
    assert policy.shape == (2, 2, table.base.shape[-1])
    for k in range(2):
        point = f_frontier(table.base[k], table.reward[k], **which).at(beta=np.array(beta))
        assert_allclose(together.gain[:, k], point.gain, rtol=1e-9, atol=1e-12)
        assert_allclose(together.divergence[:, k], point.divergence, rtol=1e-8, atol=1e-14)
    assert_allclose(policy.sum(axis=-1), 1.0, rtol=1e-12)
    assert_allclose(together.divergence, distance(policy, table.base), rtol=1e-6, atol=1e-12)


def test_at_beta_the_kl_tilt_is_the_exponential_one():
    ours = f_tilt(THREE, SKEWED, divergence="kl", beta=[0.5, 2.0, 1e12, np.inf])
    theirs = tilt(THREE, SKEWED, beta=[0.5, 2.0, 1e12, np.inf])
    assert_allclose(ours.policy, theirs.policy, rtol=1e-12)
    assert_allclose(ours.normaliser[:2], theirs.log_partition[:2] * [0.5, 2.0], rtol=1e-12)
    assert ours.gain[3] == ours.divergence[3] == 0


def test_binary_rewards_have_one_frontier_seen_through_every_divergence():
    q, raised = 0.1, np.array([0.1001, 0.2, 0.5, 0.9])
    law, policies = np.array([1 - q, q]), np.stack([1 - raised, raised], axis=-1)
    for which, distance in CASES:
        limit = f_frontier(law, [0, 1], **which)
        assert_allclose(limit.gain(distance(policies, law)), raised - q, rtol=1e-9)
    assert_allclose(
        f_frontier(law, [0, 1], divergence="kl").gain(0.5),
        bernoulli_frontier(0.5, pass_rate=q).gain,
        rtol=1e-12,
    )


@every_divergence
def test_extreme_inputs_stay_finite_and_right(which, distance):
    # one outcome; all rewards equal
    for base, reward in (([1.0], [3.0]), ([0.2, 0.8], [1e6, 1e6])):
        limit = f_frontier(base, reward, **which)
        assert limit.gain([0.0, 1e-12, 5.0, np.inf]).tolist() == [0.0] * 4
        assert limit.saturation == (0.0, 0.0)
        assert limit.policies(1.0)[0].tolist() == base
    # a reward of 1e6 that has probability 1e-300
    rare = f_frontier([0.5, 0.5 - 1e-300, 1e-300], [0.0, 1.0, 1e6], **which)
    gained = rare.gain([1e-12, 1e-3, 0.3, 5.0])
    assert (np.isfinite(gained)).all()
    assert (np.diff(gained) >= 0).all()
    assert (gained <= 1e6).all()
    # rewards on a large scale and a small budget: sd sqrt(2 D / f'')
    large = f_frontier(THREE, np.array(SKEWED) * 1e6, **which)
    unit = f_frontier(THREE, SKEWED, **which)
    tiny = np.array([1e-12, 1e-6, 0.1])
    assert_allclose(large.gain(tiny), 1e6 * unit.gain(tiny), rtol=1e-9)


@every_divergence
@pytest.mark.parametrize("q", [1e-12, 1e-100, 1e-300])
def test_a_rare_best_answer_is_raised_as_far_as_the_budget_says(which, distance, q):
    raised, law = np.array([2 * q, 1e-6, 0.3]), np.array([1 - q, q])
    with np.errstate(over="ignore"):
        budget = distance(np.stack([1 - raised, raised], axis=-1), law)
    met = budget < 1e299
    gained = f_frontier(law, [0, 1], **which).gain(budget[met])
    assert_allclose(gained, (raised - q)[met], rtol=1e-9, atol=1e-10)


def test_small_budgets_buy_the_same_with_every_smooth_divergence():
    curvature = {
        "chi-square": 2.0,
        "hellinger-squared": 0.25,
        "jensen-shannon": 0.25,
        "jeffreys": 2.0,
    }
    variance = 0.3 + 16 * 0.2 - 1.1**2
    for name in SMOOTH:
        limit = f_frontier(THREE, SKEWED, divergence=name)
        expected = np.sqrt(2 * variance * 1e-12 / curvature.get(name, 1.0))
        assert_allclose(limit.gain(1e-12), expected, rtol=1e-5)


@pytest.mark.parametrize("sharing", ["average", "per-prompt"])
@every_divergence
def test_the_ends_of_the_budget_are_the_base_and_the_best_outcomes(which, distance, sharing):
    base, reward = [[0.5, 0.2, 0.3], [0.9, 0.1, 0.0]], [[0, 2, 2], [0, 1, np.nan]]
    limit = f_frontier(base, reward, budget=sharing, **which)
    nothing, everything = limit.policies([0.0, np.inf])[0]
    assert_allclose(nothing, base[0], rtol=1e-14)
    assert_allclose(everything, [0, 0.4, 0.6], rtol=1e-14)
    assert limit.gain(0) == 0
    assert_allclose(limit.gain(np.inf), (1.0 + 0.9) / 2, rtol=1e-14)
    assert limit.beta(np.inf) == 0
    ends = np.array([distance([0, 0.4, 0.6], base[0]), distance([0, 1], [0.9, 0.1])])
    expected = ends.mean() if sharing == "average" else ends.max()
    assert_allclose(limit.saturation.divergence, expected, rtol=1e-12)
    assert_allclose(limit.divergence_by_prompt(np.inf), ends, rtol=1e-12)
    assert limit.divergence(2.0) == np.inf
    assert_allclose(limit.normalisers([0.0, np.inf]), [[1.0, 0.1], [2.0, 1.0]], rtol=1e-12)


def test_many_budgets_and_shapes_go_through_at_once():
    rng = np.random.default_rng(5)
    base, reward = rng.dirichlet(np.ones(8), 30), rng.normal(size=(30, 8))
    grid = np.linspace(0.01, 0.6, 40).reshape(8, 5)
    for name in ("chi-square", "total-variation", "jensen-shannon"):
        limit = f_frontier(base, reward, divergence=name)
        together = limit.gain(grid)
        assert together.shape == (8, 5)
        assert_allclose(together[3, 2], limit.gain(grid[3, 2]), rtol=1e-10)
        assert limit.normalisers(grid).shape == (8, 5, 30)
        assert [p.shape for p in limit.policies(grid)] == [(8, 5, 8)] * 30


def test_functions_of_ones_own_agree_with_those_named_and_with_an_optimiser():
    rng = np.random.default_rng(2)
    base, reward = rng.dirichlet(np.ones(5), 2), rng.normal(size=(2, 5))
    for name, f, slope in (
        ("kl", lambda w: w * np.log(w), lambda w: np.log(w) + 1),
        ("forward-kl", lambda w: -np.log(w), lambda w: -1 / w),
        ("chi-square", lambda w: (w - 1) ** 2, lambda w: 2 * (w - 1)),
    ):
        limit = f_frontier(base, reward, divergence=name)
        same = f_frontier(base, reward, divergence=f, derivative=slope)
        assert_allclose(same.gain([0.01, 0.3]), limit.gain([0.01, 0.3]), rtol=1e-10)
        assert_allclose(same.policies(0.3)[1], limit.policies(0.3)[1], rtol=1e-8, atol=1e-12)
        assert_allclose(same.saturation.divergence, limit.saturation.divergence, rtol=1e-10)

    def triangular(w):
        return (w - 1) ** 2 / (w + 1)

    own = f_frontier(
        base, reward, divergence=triangular, derivative=lambda w: (w - 1) * (w + 3) / (w + 1) ** 2
    )
    found, _ = best_by_optimiser(
        base, reward, lambda p, q: np.sum(q * triangular(p / q), axis=-1), 0.2
    )
    assert_allclose(own.gain(0.2), found, rtol=1e-6)


def test_a_frontier_says_what_it_is():
    assert str(f_frontier(THREE, SKEWED, divergence="cressie-read", alpha=2)) == (
        "exact cressie-read (2) frontier of 1 prompt, average budget: at most +2.9, reached at 2"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"divergence": "wasserstein"}, 'divergence must be "kl" or'),
        ({"divergence": "cressie-read"}, "alpha must be a finite number; got .None."),
        ({"divergence": "cressie-read", "alpha": np.inf}, "alpha must be a finite number"),
        ({"divergence": "kl", "alpha": 2}, "alpha belongs to"),
        ({"divergence": "kl", "derivative": np.log}, "derivative and at_zero belong to"),
        ({"divergence": lambda w: (w - 1) ** 2}, "derivative must be the derivative"),
        (
            {"divergence": lambda w: np.sqrt(w) - 1, "derivative": lambda w: 0.5 / np.sqrt(w)},
            "f must be convex",
        ),
        (
            {"divergence": lambda w: (w - 1) ** 2, "derivative": lambda w: w - 1},
            "f must be convex and `derivative` its derivative",
        ),
        ({"divergence": lambda w: w**2, "derivative": lambda w: 2 * w}, "f must be 0 at 1"),
        (
            {"divergence": lambda w: abs(w - 1) / 2, "derivative": lambda w: np.sign(w - 1) / 2},
            "it is straight near",
        ),
        (
            {
                "divergence": lambda w: (w - 1) ** 2 + abs(w - 1),
                "derivative": lambda w: 2 * (w - 1) + np.sign(w - 1),
            },
            "its derivative jumps near a ratio of 1",
        ),
        ({"divergence": lambda w: 0.0, "derivative": np.log}, "f must return one number"),
        ({"divergence": "kl", "budget": "shared"}, "budget must be"),
        ({"divergence": "kl", "weights": [1, 1]}, "one per prompt"),
    ],
)
def test_unusable_options_are_an_error_in_one_line(options, words):
    with pytest.raises(_errors.ArgumentError, match=words) as caught:
        f_frontier(THREE, SKEWED, **options)
    assert "\n" not in str(caught.value)


def test_unusable_questions_are_an_error():
    limit = f_frontier(THREE, SKEWED, divergence="chi-square")
    each = f_frontier(THREE, SKEWED, divergence="chi-square", budget="per-prompt")
    for ask, words in [
        (lambda: limit.gain(-0.1), "divergence must be at least 0"),
        (lambda: limit.gain([0.1, np.nan]), "got nan at index 1"),
        (lambda: limit.divergence(np.nan), "gain must be a number"),
        (lambda: limit.at(beta=0), "beta must be positive"),
        (lambda: each.at(beta=1.0), "one beta for all prompts"),
        (lambda: f_tilt(THREE, SKEWED, divergence="kl", beta=-1), "beta must be positive"),
        (lambda: f_tilt([0.5, 0.4], [0, 1], divergence="kl", beta=1), "base must sum to one"),
    ]:
        with pytest.raises(_errors.ArgumentError, match=words):
            ask()
