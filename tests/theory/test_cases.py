"""Numbers known from elsewhere: what `klimit.theory` must say about them, to eight digits.

`COMPUTED` says how each number is obtained from the public functions, `EXPECTED` restates the
numbers. Where the project's shared file of cases lies beside the repository, it is read as well.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from klimit.theory import (
    approximate_rejection_draws,
    beirami_estimator,
    bennett_bound,
    bernoulli_frontier,
    best_of_n,
    chi_square,
    chi_square_bound,
    continuous_best_of_n,
    continuous_best_of_poisson,
    ensemble_error,
    exponential_frontier,
    f_tilt,
    forward_kl_tilt,
    frontier,
    gaussian_frontier,
    geometric_mean,
    jeffreys,
    kl,
    memoryless,
    memoryless_best_of_n,
    overoptimization_curve,
    pass_at_k,
    proxy_gold,
    reference_dpo_loss,
    reference_dpo_margin,
    renyi_bound,
    reverse_kl_tilt,
    small_kl_expansion,
    soft_best_of_n,
    sub_gaussian_bound,
    sup_norm_total_variation_bound,
    tilt,
    uniform_frontier,
)

SHARED = Path(__file__).parents[3] / "shared" / "theory_cases.json"

FOUR, STEPS = np.full(4, 0.25), [0, 1, 2, 3]
THREE, SKEWED = [0.5, 0.3, 0.2], [0, 1, 4]
PROXY = [0.5, 0.5, 4.0]  # SKEWED plus the error [.5, -.5, 0]
PHI = [0.2, 0.4, 0.4]
REFERENCES, SHARES = [[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]], [0.6, 0.4]
PREFERENCE = ([-10.0, -12.0], [[-11.0, -11.5], [-13.0, -12.0]])  # chosen, rejected
TIED = ([0.4, 0.2, 0.1, 0.3], [0, 1, 1, 2])
SAMPLE = [0.3, -1.2, 2.5, 0.7, 1.1]
PASS_RATES = ([[0.9, 0.1], [0.5, 0.5]], [0, 1])


def one(budget_kl):
    """The limit of the three-outcome example, with its beta."""
    limit = frontier(THREE, SKEWED)
    return limit.gain(budget_kl), limit.beta(budget_kl)


def pair(budget="average"):
    return frontier([FOUR, FOUR], [STEPS, [0, 0, 0, 5]], budget=budget)


def ragged():
    return frontier([FOUR, [0.5, 0.5]], [STEPS, [0, 2]], weights=[0.25, 0.75])


def shortfall():
    spent, gained = kl(PHI, THREE), np.dot(PHI, SKEWED) - np.dot(THREE, SKEWED)
    gain, beta = one(spent)
    return (gain - gained) / beta


def shortfall_as_divergence():
    beta = one(kl(PHI, THREE))[1]
    return kl(PHI, tilt(THREE, SKEWED, beta=beta).policy)


def seen_by_gold():
    return proxy_gold(THREE, proxy=PROXY, gold=SKEWED)


def forward():
    return forward_kl_tilt(REFERENCES, [0, 1, 0.5], gamma=2, mixture=SHARES)


def normal_maximum(n):
    def density(x):
        return n * x * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)

    return integrate.quad(density, -12, 12, epsabs=1e-13, limit=200)[0]


def hetero_efficiency():
    sd = np.array([0.5, 1.5])
    gain = np.mean(sd * normal_maximum(16))
    spent = continuous_best_of_n(16).kl
    return gain / gaussian_frontier(spent, sd=np.sqrt(np.mean(sd**2))).gain


def pass_rate_limit():
    best = best_of_n(*PASS_RATES, 4)
    return frontier(PASS_RATES[0], [PASS_RATES[1]] * 2).gain(best.kl.mean())


def joint(first, second):
    """Sequence law of a two-token model."""
    return (np.array(first)[:, None] * np.array(second)).ravel()


def cooled(temperature):
    """The three-outcome base, sampled at another temperature."""
    scaled = np.array(THREE) ** (1 / temperature)
    return scaled / scaled.sum()


gold_tilt = tilt(THREE, SKEWED, beta=2)

COMPUTED = {
    "T01": lambda: tilt(FOUR, STEPS, beta=1).log_partition,
    "T02": lambda: tilt(FOUR, STEPS, beta=1).gain,
    "T05": lambda: tilt(FOUR, STEPS, beta=1).variance,
    "T06": lambda: chi_square(tilt(FOUR, STEPS, beta=1).policy, FOUR),
    "T07": lambda: 2 * jeffreys(gold_tilt.policy, THREE),
    "T08": lambda: gold_tilt.kl,
    "T09": lambda: frontier(FOUR, STEPS).beta(0.5),
    "T12": lambda: pair().kl_by_prompt(0.5)[0],
    "T13": lambda: pair().kl_by_prompt(0.5)[1],
    "T14": lambda: pair().gain(0.5),
    "T15": lambda: pair("per-prompt").gain(0.5),
    "T16": lambda: ragged().beta(0.3),
    "T17": lambda: ragged().gain(0.3),
    "T19": lambda: exponential_frontier(1).gain,
    "T21": lambda: 1 / uniform_frontier(1).beta,
    "T23": lambda: bernoulli_frontier(0.5, pass_rate=0.1).beta,
    "T24": lambda: one(0.01)[0],
    "T25": lambda: small_kl_expansion(THREE, SKEWED, 0.01),
    "T26": lambda: kl(PHI, THREE),
    "T28": shortfall,
    "T29": lambda: continuous_best_of_n(4).kl,
    "T31": lambda: continuous_best_of_n(4).chi_square,
    "T32": lambda: continuous_best_of_n(4).total_variation,
    "T33": lambda: continuous_best_of_n(4).hellinger_squared,
    "T34": lambda: continuous_best_of_n(16).kl,
    "T36": lambda: continuous_best_of_n(16).chi_square,
    "T37": lambda: continuous_best_of_n(16).total_variation,
    "T40": lambda: continuous_best_of_n(4).renyi(alpha=0.5),
    "T41": lambda: continuous_best_of_n(4).cressie_read(alpha=0.5),
    "T42": lambda: continuous_best_of_n(4).jensen_shannon,
    "T43": lambda: best_of_n(*TIED, 4).kl,
    "T46": lambda: chi_square(best_of_n(*TIED, 4).policy, TIED[0]),
    "T48": lambda: best_of_n([0.9, 0.1], [0, 1], 4).kl,
    "T49": lambda: best_of_n([0.9, 0.1], [0, 1], 4).gain,
    "T51": lambda: pass_at_k(0.02, 16) - 0.02,
    "T52": lambda: best_of_n(*PASS_RATES, 4).kl.mean(),
    "T53": lambda: best_of_n(*PASS_RATES, 4).gain.mean(),
    "T54": pass_rate_limit,
    "T60": lambda: beirami_estimator(16, 0.05),
    "T62": lambda: best_of_n(np.full(10, 0.1), np.arange(10), 10).kl,
    "T63": lambda: normal_maximum(4),
    "T66": lambda: normal_maximum(64) / gaussian_frontier(continuous_best_of_n(64).kl).gain,
    "T67": lambda: (1 / 2 + 1 / 3 + 1 / 4) / exponential_frontier(continuous_best_of_n(4).kl).gain,
    "T68": lambda: (0.8 - 0.5) / uniform_frontier(continuous_best_of_n(4).kl).gain,
    "T69": hetero_efficiency,
    "T70": lambda: continuous_best_of_poisson(5).kl,
    "T71": lambda: continuous_best_of_poisson(5).win_rate,
    "T72": lambda: soft_best_of_n(THREE, [0, 1, 2], 4, beta=0.5).kl_from_tilt,
    "T73": lambda: soft_best_of_n(THREE, [0, 1, 2], 4, beta=0.5).kl_from_tilt_bound,
    "T75": lambda: sub_gaussian_bound(2, variance_proxy=1.44),
    "T78": lambda: bennett_bound(0.5, variance=0.09, above=0.9),
    "T79": lambda: chi_square_bound(continuous_best_of_n(16).chi_square, sd=1.2),
    "T80": lambda: renyi_bound(0.8, alpha=0.5, policy_proxy=0.6, base_proxy=1),
    "T81": lambda: f_tilt(FOUR, STEPS, divergence="chi-square", beta=0.5).normaliser - 1,
    "T82": lambda: f_tilt(FOUR, STEPS, divergence="chi-square", beta=0.5).divergence,
    "T84": lambda: approximate_rejection_draws(1, error=0.1),
    "T85": lambda: seen_by_gold().at(beta=2).gold_gain,
    "T86": lambda: seen_by_gold().at(beta=2).regret,
    "T87": lambda: seen_by_gold().at(beta=2).fixed_beta_gap,
    "T88": lambda: sup_norm_total_variation_bound(1, beta=2),
    "T89": lambda: ensemble_error(4, error_variance=0.25, correlation=0.3).regret(beta=0.5),
    "T92": lambda: 1 / memoryless(THREE, [0, 1, 2], kl=0.2).beta,
    "T94": lambda: memoryless(THREE, [0, 1, 2], kl=0.2).rate(1.5),
    "T95": lambda: memoryless(THREE, [0, 1, 2], kl=0.2).scaled_cumulant(0.5),
    "T97": lambda: memoryless_best_of_n([0.7, 0.3], [0, 1], 1, kl=0.1).limit,
    "T98": lambda: np.exp(geometric_mean(REFERENCES, mixture=SHARES).log_overlap),
    "T101": lambda: reverse_kl_tilt(REFERENCES, [0, 1, 0.5], gamma=2, mixture=SHARES).kl,
    "T102": lambda: forward().mean_reward + 1 / forward().gamma,
    "T103": lambda: forward().policy[1],
    "T104": lambda: reference_dpo_margin(*PREFERENCE, beta=0.1, mixture=SHARES),
    "T105": lambda: reference_dpo_loss(*PREFERENCE, beta=0.1, mixture=SHARES),
    "T106": lambda: tilt(np.full(5, 0.2), SAMPLE, beta=1).gain,
    "T108": lambda: 5 / (1 + chi_square(tilt(np.full(5, 0.2), SAMPLE, beta=1).policy, [0.2] * 5)),
    "T118": lambda: kl(
        joint([0.9, 0.1], [[0.8, 0.2], [0.1, 0.9]]), joint([0.5, 0.5], [[0.3, 0.7], [0.6, 0.4]])
    ),
    "T120": lambda: overoptimization_curve("best-of-n", a=0.8, b=0.15).peak.gain,
    "T121": lambda: overoptimization_curve("rl", a=0.8, b=0.3).peak.gain,
    "T123": lambda: tilt(cooled(0.7), SKEWED, beta=2).kl,
}

EXPECTED = {
    "T01": 2.05389533744,
    "T02": 0.992652734586,
    "T05": 0.616586274856,
    "T06": 0.917443719706,
    "T07": 1.49091965232,
    "T08": 0.390259323773,
    "T09": 0.908693459503,
    "T12": 0.182381137406,
    "T13": 0.817618862594,
    "T14": 1.84696677404,
    "T15": 1.71782659481,
    "T16": 1.1313136752,
    "T17": 0.760290647028,
    "T19": 2.14619322062,
    "T21": 7.34947305708,
    "T23": 0.459257661745,
    "T24": 0.219768609425,
    "T25": 0.220140349957,
    "T26": 0.20907355483,
    "T28": 0.0637306586746,
    "T29": 0.63629436112,
    "T31": 1.28571428571,
    "T32": 0.472470393711,
    "T33": 0.2,
    "T34": 1.83508872224,
    "T36": 7.25806451613,
    "T37": 0.779285527634,
    "T40": 0.446287102628,
    "T41": 0.8,
    "T42": 0.173315350907,
    "T43": 0.563924351396,
    "T46": 1.0798326,
    "T48": 0.217397550576,
    "T49": 0.2439,
    "T51": 0.256202279408,
    "T52": 0.338376536215,
    "T53": 0.3407,
    "T54": 0.350822851397,
    "T60": 1.82151732524,
    "T62": 1.36109717671,
    "T63": 1.029375373,
    "T66": 0.930154314108,
    "T67": 0.682774694717,
    "T68": 0.986855454017,
    "T69": 0.824498832801,
    "T70": 0.833449425762,
    "T71": 0.83973048212,
    "T72": 0.177351043153,
    "T73": 0.453773878945,
    "T75": 2.4,
    "T78": 0.427667602878,
    "T79": 3.23289543648,
    "T80": 1.6,
    "T81": 0.666666666667,
    "T82": 0.833333333333,
    "T84": 1.56700275685e18,
    "T85": 1.41352223339,
    "T86": 0.0250561977528,
    "T87": 0.0773974189284,
    "T88": 0.124353001772,
    "T89": 0.11875,
    "T92": 0.775174620985,
    "T94": 0.0692807096604,
    "T95": 0.68072125068,
    "T97": 0.514629121059,
    "T98": 0.849683688345,
    "T101": 0.50467883718,
    "T102": 1.19828253948,
    "T103": 0.605197009871,
    "T104": 0.21,
    "T105": 0.593649581022,
    "T106": 1.18796981996,
    "T108": 2.17481184436,
    "T118": 0.9038300598,
    "T120": 1.06666666667,
    "T121": 1.58834701514,
    "T123": 0.38620043701,
}


@pytest.mark.parametrize("case", COMPUTED)
def test_the_numbers_restated_here_are_met(case):
    np.testing.assert_allclose(COMPUTED[case](), EXPECTED[case], rtol=1e-8)


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared file of cases is not beside this tree")
@pytest.mark.parametrize("case", COMPUTED)
def test_the_numbers_of_the_shared_file_are_met(case):
    shared = {entry["id"]: entry for entry in json.loads(SHARED.read_text(encoding="utf-8"))}
    expected = shared[case]["expected"]
    assert expected == EXPECTED[case]
    np.testing.assert_allclose(
        COMPUTED[case](), expected, rtol=1e-8, err_msg=shared[case]["output"]
    )


def test_the_shortfall_of_a_policy_is_its_divergence_from_the_best_at_its_kl():
    np.testing.assert_allclose(shortfall_as_divergence(), EXPECTED["T28"], rtol=1e-8)


def test_fixed_order_costs_more_nats_than_uniform_tie_breaking():
    fixed = best_of_n(*TIED, 4, ties="fixed")
    np.testing.assert_allclose(fixed.kl, 0.578908, rtol=1e-6)
    np.testing.assert_allclose(fixed.gain, best_of_n(*TIED, 4).gain, rtol=1e-14)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(2, 0.947), (4, 0.987), (16, 0.9998)],
)
def test_best_of_n_is_nearly_optimal_in_win_rate(n, expected):
    best = continuous_best_of_n(n)
    efficiency = (best.win_rate - 0.5) / uniform_frontier(best.kl).gain
    np.testing.assert_allclose(efficiency, expected, atol=6e-4)
