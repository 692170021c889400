"""Every argument of every function, given what it cannot be: one line that names it."""

import inspect
import re

import numpy as np
import pytest

from klimit import _errors, theory

P, Q, R = [0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.0, 1.0, 4.0]
NUMBERS = ["text", [np.nan], [None], {}, [[1.0, 2.0], [3.0]]]
POSITIVE = [0.0, -1.0, np.nan, *NUMBERS]
FINITE_POSITIVE = [np.inf, *POSITIVE]
AT_LEAST_0 = [-1e-9, np.nan, *NUMBERS]
DRAWS = [0.999, 0, -3, np.inf, np.nan, *NUMBERS]
SHARE = [-0.1, 1.1, np.nan, *NUMBERS]
INSIDE = [0.0, 1.0, *SHARE]
LAWS = [
    [0.5, 0.3, 0.3],
    [0.5, 0.3, 0.1],
    [0.6, 0.6, -0.2],
    [0.5, 0.5, np.nan],
    [0.5, np.inf, 0.2],
    [],
    [[]],
    0.5,
    "text",
    [0.5, 0.5],
    [0.25] * 4,
    [0.5, [0.5]],
    [[0.5, 0.5], [0.2, 0.3, 0.5]],
    [[[0.5], [0.5, 0.5]]],
]
REWARDS = [[0.0, 1.0], [0.0, 1.0, np.nan], [0.0, np.inf, 1.0], "text", [0, 1j, 2], [[0, 1], [2]]]
WORD = ["other", None, 3, np.array(["mean", "rl"])]
FUNCTION = [None, 3, "t", lambda t: t, lambda t: -((t - 1) ** 2), lambda t: np.nan * t]
WEIGHTS = [[1.0, 1.0], [-1.0], [np.nan], [0.0], [np.inf], "text"]
MIXTURE = [[0.5, 0.6], [1.5, -0.5], [1.0], [np.nan, 1.0], "text"]
REFERENCES = [
    P,
    [P, [0.5, 0.5]],
    [P, [0.5, 0.3, 0.3]],
    [P, [np.nan, 0.5, 0.5]],
    "text",
    0.5,
    np.empty((0, 3)),
]
REAL = [np.nan, *NUMBERS]
FINITE = [np.inf, *REAL]
MEMBERS = [R, [R, [0, 1]], [R, [0, 1, np.nan]], "text", 1.0]
LAW_AND_REWARD = {"base": (P, LAWS), "reward": (R, REWARDS)}
POLICY_AND_BASE = {"policy": (Q, LAWS), "base": (P, LAWS)}
CLOSED = {"kl": (1.0, AT_LEAST_0)}
KNOWN = {
    "reward_range": (1.0, FINITE_POSITIVE),
    "coverage": (1.0, FINITE_POSITIVE),
    "classes": (10.0, DRAWS),
    "delta": (0.1, INSIDE),
}
LOG_PROBS = [[-1.0, 0.5], [-1.0, -np.inf], [-1.0], [np.nan, -1.0], "text"]
PREFERENCE = {
    "policy": ([-1.0, -2.0], LOG_PROBS),
    "references": ([[-1.0, -2.0]] * 2, [[[-1.0, 0.5]] * 2, [-1.0, -2.0], "text"]),
    "beta": (0.1, FINITE_POSITIVE),
    "mixture": ([0.5, 0.5], MIXTURE),
}

# of each function: an argument that will do, and some that will not
CALLS = {
    "tilt": LAW_AND_REWARD | {"beta": (1.0, POSITIVE)},
    "ceiling": LAW_AND_REWARD,
    "gain": POLICY_AND_BASE | {"reward": (R, REWARDS)},
    "covariance_gain": LAW_AND_REWARD | {"log_weight": (R, [[0, np.nan, 1], [0, np.inf, 1], "x"])},
    "jeffreys_gain": POLICY_AND_BASE | {"beta": (1.0, POSITIVE)},
    "frontier": LAW_AND_REWARD | {"weights": ([1.0], WEIGHTS), "budget": ("average", WORD)},
    "win_rate_frontier": LAW_AND_REWARD
    | {"weights": ([1.0], WEIGHTS), "budget": ("average", WORD)},
    "f_frontier": LAW_AND_REWARD
    | {
        "divergence": ("kl", WORD),
        "weights": ([1.0], WEIGHTS),
        "budget": ("average", WORD),
        "alpha": (None, [2.0]),
        "derivative": (None, [np.log]),
        "at_zero": (None, [0.0]),
    },
    "f_tilt": LAW_AND_REWARD
    | {
        "divergence": ("cressie-read", WORD),
        "beta": (1.0, POSITIVE),
        "alpha": (2.0, [None, np.inf, np.nan, "text", [1.0, 2.0]]),
    },
    "gaussian_frontier": CLOSED | {"sd": (1.0, FINITE_POSITIVE)},
    "exponential_frontier": CLOSED | {"scale": (1.0, FINITE_POSITIVE)},
    "uniform_frontier": CLOSED | {"width": (1.0, FINITE_POSITIVE)},
    "bernoulli_frontier": CLOSED | {"pass_rate": (0.3, SHARE)},
    "small_kl_expansion": LAW_AND_REWARD | {"kl": (1.0, [np.inf, *AT_LEAST_0])},
    **dict.fromkeys(
        ["kl", "jeffreys", "chi_square", "total_variation", "hellinger_squared", "jensen_shannon"],
        POLICY_AND_BASE,
    ),
    "renyi": POLICY_AND_BASE | {"alpha": (2.0, [0.0, -1.0, np.nan, "text", [1.0, 2.0], None])},
    "cressie_read": POLICY_AND_BASE | {"alpha": (2.0, [np.inf, np.nan, "text", [1.0, 2.0], None])},
    "f_divergence": POLICY_AND_BASE | {"f": (lambda t: t * np.log(t), FUNCTION)},
    "best_of_n": LAW_AND_REWARD | {"n": (4.0, DRAWS), "ties": ("uniform", WORD)},
    "win_probability": LAW_AND_REWARD,
    "pass_at_k": {"pass_rate": (0.3, SHARE), "k": (4, DRAWS)},
    "continuous_best_of_n": {"n": (4, DRAWS)},
    "beirami_estimator": {"n": (4, DRAWS), "probability": (0.1, SHARE)},
    "best_of_n_bounds": {"n": (4, DRAWS), "top_probability": (0.1, SHARE)},
    "soft_best_of_n": LAW_AND_REWARD | {"n": (4, [2.5, *DRAWS]), "beta": (1.0, POSITIVE)},
    "best_of_poisson": LAW_AND_REWARD
    | {"mu": (1.0, [np.inf, *AT_LEAST_0]), "ties": ("uniform", WORD)},
    "continuous_best_of_poisson": {"mu": (1.0, [np.inf, *AT_LEAST_0])},
    "rejection_sampling": LAW_AND_REWARD
    | {"beta": (1.0, POSITIVE), "reward_bound": (5.0, [3.9, np.inf, np.nan, "text"])},
    "approximate_rejection_draws": {"kl": (1.0, AT_LEAST_0), "error": (0.1, INSIDE)},
    "importance_draws": POLICY_AND_BASE | {"sds": (1.0, AT_LEAST_0)},
    "importance_error": POLICY_AND_BASE | {"n": (4, DRAWS)},
    "bounds": LAW_AND_REWARD | {"kl": (1.0, AT_LEAST_0), "weights": ([1.0], WEIGHTS)},
    "sub_gaussian_bound": CLOSED | {"variance_proxy": (1.0, AT_LEAST_0)},
    "hoeffding_bound": CLOSED | {"width": (1.0, AT_LEAST_0)},
    "bernstein_bound": CLOSED | {"variance": (1.0, AT_LEAST_0), "above": (1.0, AT_LEAST_0)},
    "bennett_bound": CLOSED | {"variance": (1.0, AT_LEAST_0), "above": (1.0, AT_LEAST_0)},
    "sub_gamma_bound": CLOSED | {"variance": (1.0, AT_LEAST_0), "scale": (1.0, AT_LEAST_0)},
    "sub_exponential_bound": CLOSED
    | {"variance_proxy": (1.0, AT_LEAST_0), "scale": (1.0, AT_LEAST_0)},
    "renyi_bound": {
        "renyi": (1.0, AT_LEAST_0),
        "alpha": (0.5, [0.0, 1.1, np.nan, "text", np.zeros((2, 2))]),
        "policy_proxy": (1.0, AT_LEAST_0),
        "base_proxy": (1.0, AT_LEAST_0),
    },
    "chi_square_bound": {"chi_square": (1.0, AT_LEAST_0), "sd": (1.0, AT_LEAST_0)},
    "total_variation_bound": {"total_variation": (0.5, SHARE), "width": (1.0, AT_LEAST_0)},
    "hellinger_bound": {
        "hellinger_squared": (0.5, SHARE),
        "policy_moment": (1.0, AT_LEAST_0),
        "base_moment": (1.0, AT_LEAST_0),
    },
    "variance_proxy": LAW_AND_REWARD
    | {"tail": ("upper", WORD), "scale": (0.0, [np.inf, *AT_LEAST_0])},
    "sub_gamma_scale": LAW_AND_REWARD,
    "bernoulli_variance_proxy": {"pass_rate": (0.3, SHARE), "tail": ("upper", WORD)},
    "proxy_gold": {
        "base": (P, LAWS),
        "proxy": (R, REWARDS),
        "gold": (R, REWARDS),
        "weights": ([1.0], WEIGHTS),
    },
    "gaussian_proxy": {
        "beta": (1.0, POSITIVE),
        "gold_sd": (1.0, FINITE_POSITIVE),
        "error_sd": (1.0, FINITE_POSITIVE),
        "correlation": (0.0, [-1.1, 1.1, np.nan, *NUMBERS]),
    },
    "exponential_error_proxy": {
        "beta": (2.0, [1.0, *POSITIVE]),
        "gold_sd": (1.0, FINITE_POSITIVE),
        "error_scale": (1.0, FINITE_POSITIVE),
    },
    "sup_norm_regret_bound": {"error_range": (1.0, [np.inf, *AT_LEAST_0]), "beta": (1.0, POSITIVE)},
    "sup_norm_total_variation_bound": {
        "error_range": (1.0, [np.inf, *AT_LEAST_0]),
        "beta": (1.0, POSITIVE),
    },
    "certified_gold_gain": {
        "proxy_gain": (1.0, REAL),
        "kl": (1.0, AT_LEAST_0),
        "error_scale": (1.0, [np.inf, *AT_LEAST_0]),
    },
    "ensemble_reward": {
        "members": ([R, R], MEMBERS),
        "how": ("mean", WORD),
        "weights": ([0.5, 0.5], [[0.5, 0.6], [1.0], [np.nan, 1.0], "text"]),
        "base": (P, LAWS),
    },
    "member_disagreement": {"members": ([R, R], [[R], *MEMBERS]), "base": (P, LAWS)},
    "ensemble_error": {
        "members": (4, DRAWS),
        "error_variance": (1.0, FINITE_POSITIVE),
        "correlation": (0.3, SHARE),
    },
    "members_needed": {"share": (0.5, SHARE)},
    "optimal_member_weights": {
        "error_covariance": (
            np.eye(2),
            [np.ones((2, 3)), [[1, 2], [2, 1]], [[1, 0], [0.5, 1]], [[np.nan]], 1.0, "text"],
        )
    },
    "geometric_mean": {
        "references": ([P, Q], [[[1.0, 0.0], [0.0, 1.0]], *REFERENCES]),
        "mixture": ([0.5, 0.5], MIXTURE),
    },
    "reverse_kl_tilt": {
        "references": ([P, Q], [[[1.0, 0.0], [0.0, 1.0]], *REFERENCES]),
        "reward": (R, REWARDS),
        "gamma": (1.0, FINITE_POSITIVE),
        "mixture": ([0.5, 0.5], MIXTURE),
    },
    "forward_kl_tilt": {
        "references": ([P, Q], REFERENCES),
        "reward": (R, REWARDS),
        "gamma": (1.0, FINITE_POSITIVE),
        "mixture": ([0.5, 0.5], MIXTURE),
    },
    "reference_frontier": {
        "references": ([P, Q], [[[1.0, 0.0], [0.0, 1.0]], *REFERENCES]),
        "reward": (R, REWARDS),
        "direction": ("reverse", WORD),
        "mixture": ([0.5, 0.5], MIXTURE),
        "weights": ([1.0], WEIGHTS),
    },
    "reference_gap_bound": {"n": (9, DRAWS), "direction": ("forward", WORD)} | KNOWN,
    "reference_samples_needed": {"gap": (0.1, FINITE_POSITIVE), "direction": ("forward", WORD)}
    | KNOWN,
    "reference_dpo_margin": PREFERENCE,
    "reference_dpo_loss": PREFERENCE,
    "memoryless": {"base": (P, LAWS[:9]), "reward": (R, REWARDS), "kl": (0.1, AT_LEAST_0)},
    "rate_function": {"base": (P, LAWS[:9]), "reward": (R, REWARDS), "average": (1.0, FINITE)},
    "renyi_cross_entropy": {"base": (P, LAWS), "other": (Q, LAWS), "alpha": (2.0, FINITE)},
    "memoryless_best_of_n": {
        "base": (P, LAWS[:9]),
        "reward": (R, REWARDS),
        "length": (4, [0, 2.5, -1, np.inf, np.nan, "text", np.zeros((2, 2))]),
        "kl": (0.1, [np.inf, *AT_LEAST_0]),
    },
    "overoptimization_curve": {"method": ("rl", WORD), "a": (1.0, FINITE), "b": (1.0, FINITE)},
    "fit_overoptimization": {
        "kl": ([1.0, 2.0, 3.0], [[1, 2, np.inf], [-1, 2, 3], [1, 1, 1], [1, 2], "text"]),
        "gain": ([1.0, 2.0, 2.5], [[1, 2, np.nan], [1, np.inf, 3], "text"]),
        "method": ("rl", WORD),
        "standard_error": ([0.1, 0.1, 0.1], [[0.1, 0.1, 0.0], [0.1, 0.1, np.nan], -1.0]),
        "level": (0.95, [0.0, 1.0, np.nan, "text", [0.9, 0.95]]),
    },
}


def test_no_function_is_left_out():
    functions = {name for name in theory.__all__ if inspect.isfunction(getattr(theory, name))}
    assert set(CALLS) == functions


@pytest.mark.parametrize("name", CALLS)
def test_what_an_argument_cannot_be_is_an_error_of_one_line_that_names_it(name):
    function, cases = getattr(theory, name), CALLS[name]
    usable = {argument: good for argument, (good, _) in cases.items()}
    function(**usable)
    for argument, (_, bads) in cases.items():
        for bad in bads:
            with pytest.raises(_errors.ArgumentError) as caught:
                function(**usable | {argument: bad})
            said = str(caught.value)
            assert "\n" not in said, (argument, bad)
            assert len(said) < 400, (argument, bad)
            assert re.search(rf"\b{argument}\b", said), (argument, bad, said)


def test_budgets_that_no_policy_meets_are_named_and_gains_out_of_reach_cost_infinitely_much():
    limit = theory.reference_frontier([P, Q], R)
    with pytest.raises(_errors.ArgumentError, match=r"kl must be at least 0\.0.*got 0\.001"):
        limit.gain(0.001)
    assert theory.frontier(P, R).kl(3.0) == np.inf
    assert theory.f_frontier(P, R, divergence="chi-square").divergence(3.0) == np.inf
    assert limit.kl(9.0) == np.inf


def test_no_budgets_and_no_prompts_are_answered_by_nothing():
    none, laws = np.empty(0), np.empty((0, 3))
    assert theory.f_tilt(P, R, divergence="jeffreys", beta=none).gain.shape == (0,)
    assert theory.f_tilt(laws, laws, divergence="kl", beta=1.0).gain.shape == (0,)
    assert theory.bernoulli_frontier(none, pass_rate=0.1).gain.shape == (0,)
    assert theory.variance_proxy(P, R, scale=none).shape == (0,)
    assert theory.variance_proxy(laws, laws).shape == (0,)
    assert theory.optimal_member_weights(np.empty((0, 2, 2))).weights.shape == (0, 2)
    with pytest.raises(_errors.ArgumentError, match="base must hold at least one prompt"):
        theory.frontier(laws, laws)
