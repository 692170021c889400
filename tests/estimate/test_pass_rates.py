"""0/1 rewards: the mixture of pass rates that counts reveal, and what few draws leave open."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import klimit
from klimit.estimate.frontier import rate_quantile
from klimit.estimate.pass_rates import (
    _hypergeometric,
    binomial,
    gain_of_rate,
    log_mgf_of_rate,
    pass_rate_bands,
)
from klimit.theory import bernoulli_frontier
from klimit.theory import frontier as known
from tests.estimate.drawn import pass_rates

KL = np.array([0.03, 0.1, 0.3])


def test_few_prompts_leave_more_open_and_so_reach_further():
    limits = [klimit.frontier(np.eye(2)[[0, 1] * half]) for half in (2, 100)]
    few, many = (rate_quantile(limit.settings, limit.samples.prompts) for limit in limits)
    assert_allclose([few, many], stats.t.ppf(0.975, [3, 199]))


def truth(rates, kl):
    return known(np.stack([1 - rates, rates], axis=1), [[0.0, 1.0]] * len(rates)).gain(kl)


def coins(rng, rates, samples):
    sizes = np.broadcast_to(samples, len(rates))
    return [(rng.random(m) < q).astype(float) for q, m in zip(rates, sizes, strict=True)]


def spent_alike(rates, kl):
    return bernoulli_frontier(kl[:, None], pass_rate=rates).gain.mean(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
@pytest.mark.parametrize(
    ("budget", "samples", "known_gain", "repeats"),
    [("average", 4, truth, 12), ("average", 8, truth, 12), ("per-prompt", 8, spent_alike, 7)],
)
def test_the_interval_covers_where_some_prompts_cannot_be_solved(
    prompts, budget, samples, known_gain, repeats
):
    rng = np.random.default_rng(1)
    population = np.where(np.arange(2000) < 500, 0.0, rng.beta(1, 2, size=2000))
    hits = []
    for _ in range(repeats):
        rates = rng.choice(population, size=80)
        wanted = known_gain(rates if prompts == "fixed" else population, KL)
        gain = klimit.frontier(coins(rng, rates, samples), prompts=prompts, budget=budget).gain(KL)
        hits.append((gain.low <= wanted) & (wanted <= gain.high))
    assert np.mean(hits) >= 0.85


def test_a_trusted_estimate_is_much_nearer_than_the_plug_in():
    rng = np.random.default_rng(2)
    errors, plugin = [], []
    for _ in range(6):
        rewards, rates = pass_rates(rng, 200, 6)
        wanted = truth(rates, KL)
        limit = klimit.frontier(rewards, prompts="fixed")
        assert limit.trusted_kl > 0.1
        errors.append(limit.gain(KL).value / wanted - 1)
        plugin.append(klimit.frontier(rewards, estimator="plugin").gain(KL).value / wanted - 1)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03
    assert np.mean(plugin, axis=0).max() < -0.06


def test_where_every_prompt_spends_the_same_rare_successes_are_not_missed():
    rng = np.random.default_rng(10)
    errors, plugin = [], []
    for _ in range(5):
        rates = rng.choice([0.02, 0.5], size=150)
        rewards = coins(rng, rates, 16)
        wanted = spent_alike(rates, KL)
        limit = klimit.frontier(rewards, prompts="fixed", budget="per-prompt")
        assert limit.trusted_kl > 0
        errors.append(limit.gain(KL).value / wanted - 1)
        without = klimit.frontier(rewards, budget="per-prompt", estimator="plugin")
        plugin.append(without.gain(KL).value / wanted - 1)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.06
    assert np.mean(plugin, axis=0).max() < -0.12


@pytest.mark.parametrize("samples", [4, 5, 16])
def test_equal_rates_are_found_to_be_equal(samples):
    rng = np.random.default_rng(3)
    rates = np.full(300, 0.2)
    limit = klimit.frontier(coins(rng, rates, samples))
    kl = KL[limit.trusted_kl >= KL]
    assert len(kl) > 0
    gain = limit.gain(kl)
    assert_allclose(gain.value, truth(rates[:1], kl), rtol=0.08)
    assert ((gain.low <= truth(rates[:1], kl)) & (truth(rates[:1], kl) <= gain.high)).all()


@pytest.mark.parametrize("samples", [2, 3])
def test_two_or_three_draws_give_lower_bounds_only(samples):
    rng = np.random.default_rng(4)
    rewards, rates = pass_rates(rng, 150, samples)
    limit = klimit.frontier(rewards)
    gain = limit.gain(KL)
    assert limit.trusted_kl == 0
    assert not gain.trusted.any()
    assert (gain.low <= truth(rates, KL)).all()
    assert (truth(rates, KL) <= gain.high).all()
    assert_allclose(gain.value, klimit.frontier(rewards, estimator="plugin").gain(KL).value)


def test_prompts_with_different_numbers_of_draws_are_read_together():
    rng = np.random.default_rng(5)
    rates = rng.random(300)
    rows = coins(rng, rates, rng.choice([4, 7, 16, 50], size=300))
    limit = klimit.frontier(rows, prompts="fixed")
    gain, wanted = limit.gain(KL), truth(rates, KL)
    assert_allclose(gain.value, wanted, rtol=0.06)
    assert ((gain.low <= wanted) & (wanted <= gain.high)).all()


def test_beyond_trust_the_interval_spans_solved_and_unsolved():
    rng = np.random.default_rng(6)
    rates = np.where(np.arange(200) < 60, 0.0, rng.beta(2, 2, size=200))
    limit = klimit.frontier(coins(rng, rates, 8), prompts="fixed")
    gain = limit.gain(3.0)
    assert not gain.trusted
    assert "samples a prompt" in gain.note
    assert gain.low <= truth(rates, 3.0) <= gain.high
    unsolved, solved = limit.ceilings
    assert gain.low <= unsolved + 0.02
    assert gain.high > unsolved
    assert_allclose(solved, 1 - limit.base_reward)
    assert limit.unresolved >= 60


def test_none_solved_leaves_everything_open_and_all_solved_nothing():
    none, every = klimit.frontier(np.zeros((40, 4))), klimit.frontier(np.ones((40, 4)))
    gain = none.gain(1.0)
    assert (gain.value, gain.low, gain.high, gain.trusted) == (0.0, 0.0, np.sqrt(1 / 2), False)
    assert none.unresolved == 40
    gain = every.gain(1.0)
    assert (gain.value, gain.low, gain.trusted) == (0.0, 0.0, True)
    assert every.unresolved == 0


def test_one_success_among_many_failures_is_no_disaster():
    rewards = np.zeros((100, 4))
    rewards[0, 0] = 1.0
    gain = klimit.frontier(rewards).gain(KL)
    assert (gain.value > 0).all()
    assert (gain.value <= 1).all()


def test_two_levels_of_any_size_are_read_as_coins():
    rewards, _ = pass_rates(np.random.default_rng(7), 60, 6)
    plain, scaled = klimit.frontier(rewards), klimit.frontier(rewards * 3 - 5)
    assert_allclose(scaled.gain(KL).value, 3 * plain.gain(KL).value, rtol=1e-9)
    assert_allclose(scaled.trusted_kl, plain.trusted_kl, rtol=1e-9)


def test_with_many_draws_the_bands_close_around_the_mean_log_mgf():
    rng = np.random.default_rng(8)
    rates = rng.beta(0.5, 0.8, size=400)
    counts = np.full(400, 500)
    tilts = np.array([0.3, 1.0, 3.0])
    bands = pass_rate_bands(
        rng.binomial(counts, rates).astype(float), counts, tilts,
        quantile=1.96, fixed=True, of_rate=log_mgf_of_rate,
    )  # fmt: skip
    wanted = [log_mgf_of_rate(rates, tilt).mean() for tilt in tilts]
    assert_allclose(bands.value, wanted, rtol=0.03)
    assert (bands.low <= bands.value).all()
    assert (bands.value <= bands.high).all()
    assert (bands.open <= 0.03 * bands.value).all()


def test_the_log_mgf_of_a_coin_is_accurate_for_rates_and_tilts_of_all_sizes():
    for rate, tilt in ((0.0, 5.0), (1.0, 5.0), (1e-5, 20.0), (0.3, 0.01), (0.5, 29.9), (0.5, 60.0)):
        wanted = np.logaddexp(np.log1p(-rate), np.log(rate) + tilt) if 0 < rate < 1 else rate * tilt
        assert_allclose(log_mgf_of_rate(np.array([rate]), tilt), wanted - rate * tilt, atol=1e-12)


def test_the_gain_of_a_coin_is_that_of_theory():
    rates = np.array([0.0, 1e-5, 0.1, 0.5, 0.99, 1.0])
    for kl in (1e-3, 0.5, 3.0):
        assert_allclose(
            gain_of_rate(rates, kl), bernoulli_frontier(kl, pass_rate=rates).gain, atol=1e-9
        )


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
def test_where_all_is_gained_the_interval_keeps_the_error_of_the_base(prompts):
    rewards = coins(np.random.default_rng(11), np.full(200, 0.5), 16)
    gain = klimit.frontier(rewards, prompts=prompts).gain([1.5, 2.0])
    error = 0.5 / np.sqrt(200 * 16)
    assert gain.trusted.all()
    assert (gain.value - gain.low > 1.5 * error).all()
    assert (gain.high - gain.low < 6 * error).all()


def test_a_few_short_prompts_take_little_from_the_others():
    rng = np.random.default_rng(12)
    rewards = list(coins(rng, rng.beta(1, 2, size=150), 16))
    short = [rewards[0][:2], rewards[1][:5], *rewards[2:]]
    for budget in ("average", "per-prompt"):
        whole, found = (klimit.frontier(x, budget=budget) for x in (rewards, short))
        assert found.trusted_kl > 0.75 * whole.trusted_kl  # what two of 150 could gain is open
        assert_allclose(found.gain(KL).value, whole.gain(KL).value, rtol=0.02)


def test_many_short_prompts_do_not_hide_what_the_others_show():
    # one mixture of as many draws as the shortest have was trusted to .6 nats here, now 1.1
    rng = np.random.default_rng(21)
    rewards = list(coins(rng, rng.beta(0.6, 1.4, size=200), 16))
    short = [x[:4] if i < 60 else x for i, x in enumerate(rewards)]
    whole, found = (klimit.frontier(x, prompts="fixed") for x in (rewards, short))
    assert found.trusted_kl > 0.8 * whole.trusted_kl


def test_where_every_prompt_spends_the_same_short_ones_do_not_hide_what_the_others_show():
    rng = np.random.default_rng(13)
    sizes = np.r_[np.full(30, 4), np.full(70, 16)]
    errors = []
    for _ in range(4):
        rates = rng.beta(0.8, 1.5, size=100)
        gain = klimit.frontier(coins(rng, rates, sizes), prompts="fixed", budget="per-prompt").gain(
            KL
        )
        wanted = spent_alike(rates, KL)
        assert ((gain.low <= wanted) & (wanted <= gain.high)).all()
        errors.append(gain.value / wanted - 1)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.04


def test_either_end_of_an_interval_is_two_sided_also_where_it_is_the_most_there_can_be():
    rewards = np.stack(coins(np.random.default_rng(15), np.full(30, 0.5), 16))
    means, gain = rewards.mean(axis=1), klimit.frontier(rewards).gain(20.0)
    reach = stats.t(29).ppf(0.975) * means.std(ddof=1) / np.sqrt(30)
    assert_allclose(gain.high, 1 - means.mean() + reach)


def test_hard_prompts_that_lost_one_answer_are_not_left_out():
    rng = np.random.default_rng(0)
    rates = np.sort(rng.beta(0.5, 0.9, size=200))
    rewards = np.stack(coins(rng, rates, 16))
    lost = rewards.copy()
    lost[:19, 0] = np.nan
    whole, found = (klimit.frontier(x).gain(0.5) for x in (rewards, lost))
    assert_allclose(found.value, whole.value, rtol=0.012)
    assert found.high - found.low > 0.85 * (whole.high - whole.low)


def test_how_many_drawn_prompts_are_short_is_chance_too():
    # twelve of 200 have another rate and fewer samples: another draw of prompts has eight or sixteen of them
    rng = np.random.default_rng(1)
    rates = np.r_[np.full(12, 0.5), np.full(188, 0.02)]
    rewards = coins(rng, rates, np.r_[np.full(12, 8), np.full(188, 32)])
    drawn, fixed = (klimit.frontier(rewards, prompts=p).gain(0.02) for p in ("drawn", "fixed"))
    assert drawn.high - drawn.low > 1.5 * (fixed.high - fixed.low)


def test_one_short_prompt_does_not_change_how_all_are_read():
    # samples are dealt anew, which moves single data sets by some percent so far out
    moved = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rewards = coins(rng, rng.beta(0.3, 1.2, size=300), 64)
        short = [rewards[0][:8], *rewards[1:]]
        whole, found = (float(klimit.frontier(x).gain(3.0)) for x in (rewards, short))
        moved.append(found / whole - 1)
    assert abs(np.mean(moved)) < 0.02


def test_chances_of_counts_are_those_of_scipy():
    rates = np.array([0.0, 1e-5, 0.3, 1.0])
    wanted = stats.binom.pmf(np.arange(41), 40, rates[:, None])
    assert_allclose(binomial(np.arange(41), 40, rates[:, None]), wanted, rtol=1e-11, atol=1e-300)
    wanted = stats.hypergeom.pmf(np.arange(8), 40, np.arange(41)[:, None], 7)
    assert_allclose(_hypergeometric(40, 7, np.arange(41)), wanted, rtol=1e-11, atol=1e-300)


def test_all_solved_leaves_what_is_too_rare_to_have_shown():
    drawn, fixed = (
        klimit.frontier(np.ones((20, 8)), prompts=p).gain(1.0) for p in ("drawn", "fixed")
    )
    assert drawn.value == drawn.low == fixed.value == fixed.low == 0
    assert_allclose(drawn.high, 1 - 0.025 ** (1 / 20))
    assert_allclose(fixed.high, 1 - 0.025 ** (1 / 160))


@pytest.mark.parametrize("seed", [19, 20])
def test_per_prompt_budgets_are_not_trusted_for_draws_that_look_as_if_all_could_be_solved(seed):
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random(200) < 0.5, 0.0, rng.beta(1, 1, size=200))
    limit = klimit.frontier(coins(rng, rates, 16), prompts="fixed", budget="per-prompt")
    assert limit.gain(0.2).value > 1.2 * spent_alike(rates, np.array([0.2]))[0]
    assert limit.trusted_kl < 0.2


def test_many_samples_of_few_prompts_tell_of_these_prompts_more_than_a_mixture_could():
    rng = np.random.default_rng(12)
    hits, widths = [], []
    for _ in range(8):
        rates = rng.beta(1, 2, size=30)
        wanted = truth(rates, KL)
        limit = klimit.frontier(coins(rng, rates, 256), prompts="fixed")
        gain = limit.gain(KL)
        assert gain.trusted.all()
        hits.append((gain.low <= wanted) & (wanted <= gain.high))
        widths.append((gain.high - gain.low) / wanted)
    assert np.mean(hits) >= 0.85
    assert np.mean(widths) < 0.06


def test_a_single_prompt_tells_nothing_of_the_population():
    gain = klimit.frontier(coins(np.random.default_rng(13), [0.4], 64)).gain(0.2)
    assert gain.low == 0 or not np.isfinite(gain.low)
    assert gain.high == pytest.approx(np.sqrt(0.2 / 2))  # what no coin passes


def test_counts_of_many_samples_take_no_memory_at_every_rate():
    counts = np.array([99_990, 100_000, 100_000])
    tracemalloc.start()
    pass_rate_bands(
        counts * np.array([0.2, 0.3, 0.4]) // 1, counts, KL,
        quantile=2.0, fixed=False, of_rate=gain_of_rate,
    )  # fmt: skip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_samples_asked_for_by_few_verdicts_are_about_those_that_suffice():
    rng = np.random.default_rng(0)
    rates = rng.beta(0.3, 1, (200, 1))
    few, many = (klimit.frontier((rng.random((200, m)) < rates) * 1.0) for m in (8, 64))
    assert few.trusted_kl < 1 < many.trusted_kl
    assert 8 < few.samples_needed(1.0) <= 128


def test_one_prompt_of_verdicts_leaves_open_what_others_would_gain():
    alone = klimit.frontier([[0.0, 1.0] * 16])
    assert alone.gain(0.1).high == pytest.approx(0.05**0.5)  # all that the range allows
    assert alone.trusted_kl < 1
    assert klimit.frontier([[0.0, 1.0] * 16], prompts="fixed").gain(0.1).high < 0.3


@pytest.mark.parametrize("zero", [1.0, 1e6, 0.0])
def test_verdicts_that_rounding_alone_tells_apart_are_read_as_far_as_any_others(zero):
    """Levels one rounding apart: no mean of them can be told from either."""
    verdicts = (np.random.default_rng(0).random((3, 12)) < 0.4).astype(float)
    step = np.spacing(zero) if zero else 1e-30
    found = klimit.frontier(zero + step * verdicts).gain(0.3)
    expected = klimit.frontier(verdicts - 2).gain(0.3)  # no 0 or 1, which would imply a range
    for end in ("value", "low", "high"):
        assert getattr(found, end) / step == pytest.approx(getattr(expected, end), rel=1e-9)
