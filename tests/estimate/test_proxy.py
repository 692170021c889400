"""Proxy against gold: what `klimit.hacking` reads along the proxy's tilt, beside what is known."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning
from klimit.estimate.kernel import Grid
from klimit.estimate.proxy import hacking
from klimit.estimate.proxy.pairs import complete
from klimit.estimate.proxy.peak import share_below
from klimit.estimate.proxy.read import read_rewards
from klimit.estimate.proxy.statistics import tilted_reads
from klimit.theory.proxy import proxy_gold
from klimit.view.hacking import soft_rows

KL = np.array([0.1, 0.3, 0.6])


def normal_pair(rng, prompts=60, samples=64, rho=0.6):
    """Proxy and gold, normal together with correlation rho within every prompt."""
    proxy = rng.normal(size=(prompts, samples))
    return proxy, rho * proxy + (1 - rho**2) ** 0.5 * rng.normal(size=proxy.shape)


def both(proxy, gold, **options):
    return hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human", **options)


@st.composite
def pair_rows(draw, most=9):
    """Ragged prompts with proxy and gold rewards; ties and constant prompts occur."""
    numbers = st.integers(-4, 4).map(float) | st.floats(-3, 3, width=32)
    sizes = draw(st.lists(st.integers(2, most), min_size=1, max_size=4))
    return [
        tuple(np.array(draw(st.lists(numbers, min_size=n, max_size=n))) for _ in range(2))
        for n in sizes
    ]


def read_at(rows, tilts):
    """Sums over groups at these tilts, per prompt in the order of `rows`."""
    proxies, golds = zip(*rows, strict=True)
    rewards = read_rewards(list(proxies), None, list(golds), None)
    pairs = complete(rewards.proxy, rewards.gold, None, rewards.names, seed=0)
    grid = Grid(tilts[0], len(tilts), 1)
    return pairs, tilted_reads(pairs, grid, len(tilts), pairs.gold, pairs.proxy, seed=0)


@given(rows=pair_rows())
@settings(max_examples=60)
def test_uncorrected_it_is_the_proxy_tilt_of_the_law_that_the_samples_enumerate(rows):
    tilts = 0.125 * 2.0 ** np.arange(4)
    pairs, reads = read_at(rows, tilts)
    exact = proxy_gold(
        [np.full(len(p), 1 / len(p)) for p, _ in rows],
        proxy=[p for p, _ in rows], gold=[g for _, g in rows],
    ).at(beta=1 / tilts)  # fmt: skip
    assert_allclose(reads.weights @ reads.full[0], exact.gold_gain, atol=1e-9)
    assert_allclose(reads.weights @ reads.full[1], exact.proxy_gain, atol=1e-9)
    assert pairs.prompts == len(rows)


def ratio(proxy, gold, tilt):
    weight = np.exp(tilt * (proxy - proxy.max()))
    return (weight * gold).sum() / weight.sum() - gold.mean()


@given(rows=pair_rows())
@settings(max_examples=40)
def test_the_jackknife_is_that_of_leaving_every_sample_out(rows):
    tilts = np.array([0.25, 1.0])[:1]
    _, reads = read_at(rows, tilts)
    wanted = []
    for proxy, gold in rows:
        tilted = [
            ratio(*(np.delete(x, i) for x in (proxy, gold)), tilts[0]) for i in range(len(proxy))
        ]
        wanted.append((len(proxy) - 1) * (ratio(proxy, gold, tilts[0]) - np.mean(tilted)))
    assert_allclose((reads.weights @ reads.jackknife[0])[0], np.mean(wanted), atol=1e-8)


def test_the_jackknife_survives_a_best_sample_that_outweighs_all_others():
    rows = [(np.array([0.0, 1.0, 2.0, 100.0]), np.array([0.0, 1.0, 5.0, 2.0]))]
    _, reads = read_at(rows, np.array([4.0]))
    left = [ratio(*(np.delete(x, i) for x in rows[0]), 4.0) for i in range(4)]
    assert_allclose(
        reads.jackknife[0][0, 0], 3 * (ratio(*rows[0], 4.0) - np.mean(left)), rtol=0.05
    )  # lost to rounding: the second best stands for what is left


def test_halves_are_smaller_samples_of_the_same_law():
    rng = np.random.default_rng(3)
    proxy, gold = normal_pair(rng, prompts=400, samples=16)
    _, reads = read_at(list(zip(proxy, gold, strict=True)), np.array([1.0]))
    fresh = [ratio(p[:8], g[:8], 1.0) for p, g in zip(proxy, gold, strict=True)]
    half = reads.weights @ (reads.full[0] - reads.half[0])
    assert abs(half[0] - np.mean(fresh)) < 3 * np.std(fresh) / 20


def test_gold_that_is_the_proxy_gives_the_frontier_back():
    proxy = np.random.default_rng(4).normal(size=(50, 32))
    with pytest.warns(DataWarning, match="the same numbers"):
        hack = both(proxy, proxy.copy())
    limit = klimit.frontier(proxy)
    assert_allclose(hack.gold_gain(KL).value, limit.gain(KL).value, rtol=3e-4)
    assert_allclose(hack.efficiency(KL).value, 1, rtol=3e-4)
    assert_allclose(hack.gaps(KL).fixed_kl.value, 0, atol=1e-3)
    assert hack.stop_kl.high == np.inf


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_gold_that_is_the_proxy_in_another_unit_is_told(kind):
    proxy = np.random.default_rng(4).normal(size=(20, 16)).astype(kind)
    with pytest.warns(
        DataWarning, match=r"human is -2 times rm plus 1 for every sample: what .* loses"
    ):
        both(proxy, 1 - 2 * proxy)
    with pytest.warns(
        DataWarning, match="plus 1 for every sample: this is the limit of one reward"
    ):
        both(proxy, 1 + 2 * proxy)
    both(proxy, proxy + kind(1e-3) * np.random.default_rng(5).normal(size=proxy.shape).astype(kind))


def test_no_digit_depends_on_the_order_of_rows_prompts_or_ids():
    rng = np.random.default_rng(5)
    proxy, gold = normal_pair(rng, prompts=230, samples=9)
    proxy[3], gold[7] = proxy[4], gold[8]  # prompts that only the other reward tells apart
    hack = both(proxy, gold)
    prompt = rng.permutation(len(proxy))
    proxy, gold = proxy[prompt], gold[prompt]
    for row in range(len(proxy)):
        sample = rng.permutation(proxy.shape[1])
        proxy[row], gold[row] = proxy[row, sample], gold[row, sample]
    again = both(proxy, gold)
    for name in ("gold_gain", "proxy_gain", "efficiency"):
        first, second = getattr(hack, name)(KL), getattr(again, name)(KL)
        assert (first.value == second.value).all()
        assert (first.low == second.low).all()
    assert hack.stop_kl == again.stop_kl
    assert hack.stop_n == again.stop_n
    assert hack.correlation == again.correlation


@pytest.mark.parametrize("scale", [3.0, -0.5])
def test_an_affine_map_of_gold_maps_its_gain(scale):
    proxy, gold = normal_pair(np.random.default_rng(6), prompts=40, samples=32)
    hack, mapped = both(proxy, gold), both(proxy, 7 + scale * gold)
    first, second = hack.gold_gain(KL), mapped.gold_gain(KL)
    assert_allclose(second.value, scale * first.value, rtol=1e-8, atol=1e-10)
    ends = np.sort([scale * first.low, scale * first.high], axis=0)
    assert_allclose([second.low, second.high], ends, rtol=1e-8, atol=1e-10)
    assert_allclose(mapped.trusted_kl, hack.trusted_kl)


def test_the_units_of_the_proxy_do_not_matter():
    proxy, gold = normal_pair(np.random.default_rng(7), prompts=40, samples=32)
    first, second = both(proxy, gold).gold_gain(KL), both(3 - 2 * (-proxy), gold).gold_gain(KL)
    assert_allclose(second.value, first.value, rtol=1e-6)


def test_gold_that_has_nothing_to_do_with_the_proxy_gains_nothing():
    rng = np.random.default_rng(8)
    hack = both(rng.normal(size=(80, 64)), rng.normal(size=(80, 64)))
    found = hack.gold_gain(KL)
    assert (found.low < 0).all()
    assert (found.high > 0).all()
    assert hack.stop_kl.low == 0
    assert hack.stop_kl.high == np.inf
    assert abs(hack.correlation.value) < 0.05


def test_for_rewards_that_are_normal_together_efficiency_is_their_correlation():
    hack = both(*normal_pair(np.random.default_rng(9), prompts=150))
    assert_allclose(hack.efficiency(KL).value, 0.6, atol=0.03)
    assert hack.correlation.low < 0.6 < hack.correlation.high
    limit = np.sqrt(2 * KL)
    found = hack.gold_gain(KL)
    assert (found.low < 0.6 * limit).all()
    assert (found.high > 0.6 * limit).all()


def test_the_regularised_gap_of_normal_rewards_is_the_variance_of_the_error_over_twice_beta():
    rng = np.random.default_rng(10)
    gold = rng.normal(size=(150, 64))
    proxy = gold + 0.5 * rng.normal(size=gold.shape)
    found = both(proxy, gold).gaps(beta=[2.0, 4.0])
    assert_allclose(found.regularised.value, 0.25 / (2 * np.array([2.0, 4.0])), rtol=0.05)
    assert (np.abs(found.fixed_beta.value) < 0.02).all()  # an error independent of gold (d.3)
    assert (found.fixed_kl.value > 0).all()


def test_a_heavy_tailed_error_lets_gold_saturate_as_theory_says():
    rng = np.random.default_rng(11)
    gold = rng.normal(size=(150, 128))
    hack = both(gold + rng.exponential(size=gold.shape) - 1, gold)
    found = hack.gold_gain(0.5)
    assert found.value == pytest.approx(0.525, abs=0.06)
    assert hack.proxy.tail.wary > 0


@given(seed=st.integers(0, 50), wide=st.floats(0.1, 2.0))
@settings(max_examples=4)
def test_the_regularised_gap_keeps_below_the_bound_by_the_range_of_the_error(seed, wide):
    rng = np.random.default_rng(seed)
    gold = rng.normal(size=(30, 32))
    error = wide * rng.choice([-1.0, 1.0], size=gold.shape)
    beta = np.array([3.0, 10.0]) * max(wide, 1)
    found = both(gold + error, gold).gaps(beta=beta).regularised
    bound = (2 * wide) ** 2 / (8 * beta)  # P10; such an error attains it, so noise may pass it
    assert (found.low <= bound).all()
    assert (found.value <= 1.15 * bound).all()


def test_the_certified_gain_is_below_the_measured_one_and_the_error_without_size_costs_nothing():
    proxy, gold = normal_pair(np.random.default_rng(12), prompts=80, rho=0.9)
    hack = both(proxy, gold)
    sure = hack.certified(KL)
    for bound in (sure.moment, sure.sub_gaussian, sure.variance, sure.sup_norm):
        assert (bound.value < sure.gold_gain.value).all()
    assert (sure.moment.value > 0).all()
    rho = 0.9  # normal rewards: (1 - sqrt(1 - rho^2)) / rho of gold's limit
    wanted = (1 - (1 - rho**2) ** 0.5) / rho * np.sqrt(2 * KL)
    assert_allclose(sure.moment.value, wanted, rtol=0.1)
    assert (sure.looseness > 0).all()


def test_the_chi_square_of_few_samples_does_not_certify_what_is_not_certain():
    """Of normal rewards it is ``exp(2 KL) - 1``; that of the samples' own weights is half of it."""
    truth = 2**0.5 * np.sqrt(2 * 0.6) - np.sqrt(np.exp(1.2) - 1)
    found = []
    for seed in range(3):
        gold, error = np.random.default_rng([16, seed]).normal(size=(2, 60, 64))
        found.append(both(gold + error, gold).certified(0.6).variance)
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.08)
    assert all(one.low < truth for one in found)
    few = both((gold + error)[:, :16], gold[:, :16]).certified(1.0)
    assert few.moment.trusted
    assert not few.variance.trusted  # twice this tilt is beyond what 16 samples show
    assert few.variance.low == -np.inf


def test_a_peak_is_found_where_gold_turns_down_and_none_where_it_rises():
    rng = np.random.default_rng(13)
    proxy = rng.normal(size=(150, 64))
    gold = proxy - 0.7 * proxy**2 + 0.3 * rng.normal(size=proxy.shape)
    stop = both(proxy, gold).stop_kl  # gold is m - .7 m^2, highest at m = 1 / 1.4
    assert stop.low < (1 / 1.4) ** 2 / 2 < stop.high < np.inf
    rising = both(proxy, proxy + rng.normal(size=proxy.shape))
    assert rising.stop_kl.high == np.inf
    assert "no peak" in rising.stop_kl.note
    assert rising.stop_n.high == np.inf


def test_the_share_of_bootstrap_curves_rises_from_none_to_all_and_is_not_known_past_trust():
    rng = np.random.default_rng(14)
    proxy = rng.normal(size=(60, 64))
    hack = both(proxy, proxy - 0.7 * proxy**2 + rng.normal(size=proxy.shape))
    share = hack.share_peaking_below([0.0, 0.1, 0.25, hack.trusted_kl, 100.0])
    assert share[0] == 0
    assert share[-2] == 1
    assert (np.diff(share[:-1]) >= 0).all()
    assert np.isnan(share[-1])
    rising = both(proxy, proxy + rng.normal(size=proxy.shape))
    below = rising.share_peaking_below(np.array([1.0, 2.0]) * rising.trusted_kl)
    assert below[0] < 0.5
    assert np.isnan(below[1])


def test_best_of_n_by_the_proxy_is_the_judged_best_of_n():
    proxy, gold = normal_pair(np.random.default_rng(15), prompts=30, samples=16)
    hack = both(proxy, gold)
    found = hack.best_by_proxy
    verb = klimit.best_of_n(proxy, judge=gold, n=found.n)
    assert_allclose(found.gold_gain.value, verb.gain.value, atol=1e-12)
    assert_allclose(hack.best_of_n([1, 4]).gain.value, verb.gain.value[[0, 3]], atol=1e-12)
    assert list(found.n) == list(range(1, 17))


def test_one_prompt_shows_no_error_of_a_gap_even_of_itself():
    proxy, noise = np.random.default_rng(5).normal(size=(2, 1, 64))
    gaps = both(proxy, proxy + noise, prompts="fixed").gaps(0.5)
    assert (gaps.fixed_kl.low, gaps.fixed_kl.high) == (0, np.inf)
    assert gaps.fixed_beta.low == -np.inf


def test_samples_without_one_of_the_rewards_are_left_out():
    proxy, gold = normal_pair(np.random.default_rng(17), prompts=40, samples=20)
    holes = gold.copy()
    holes[:, 18:] = np.nan
    hack, less = both(proxy, holes), both(proxy[:, :18], gold[:, :18])
    assert (hack.gold_gain(KL).value == less.gold_gain(KL).value).all()
    assert hack.pairs.missing == 80
    assert "80 of 800 samples are left out: 80 without human." in str(hack)


def test_for_these_very_prompts_intervals_are_shorter():
    rng = np.random.default_rng(19)
    slope = rng.uniform(-0.5, 1.5, size=(60, 1))  # what prompts differ in
    proxy = rng.normal(size=(60, 64))
    gold = slope * proxy + 0.2 * rng.normal(size=proxy.shape)
    drawn, fixed = (
        both(proxy, gold).gold_gain(0.5),
        both(proxy, gold, prompts="fixed").gold_gain(0.5),
    )
    assert fixed.value == drawn.value
    assert fixed.high - fixed.low < 0.6 * (drawn.high - drawn.low)


def test_past_trust_the_interval_is_wider_but_no_wider_than_any_policy_s():
    hack = both(*normal_pair(np.random.default_rng(19), prompts=30, samples=16))
    edge, far = hack.gold_gain(hack.trusted_kl), hack.gold_gain(hack.trusted_kl + 1)
    assert edge.trusted
    assert not far.trusted
    assert far.low < 0.6 * np.sqrt(2 * (hack.trusted_kl + 1)) < far.high  # the truth
    assert far.high - far.low > 2 * (edge.high - edge.low)
    beyond = hack.gold_gain(np.log(16.0))  # past where anything is corrected
    assert beyond.low < 0
    assert beyond.high == np.inf
    coins = np.random.default_rng(20).integers(0, 2, size=(30, 16)).astype(float)
    proxy = np.random.default_rng(21).normal(size=coins.shape)
    far = both(proxy, coins).gold_gain(2.5)
    assert -0.7 < far.low < far.high < 0.7  # a rate cannot leave [0, 1]


def test_where_gold_bends_the_interval_reaches_on_to_that_side_and_an_early_peak_is_not_ruled_out():
    rng = np.random.default_rng(31)
    held = peaks = 0
    for _ in range(12):
        scale = rng.uniform(0.5, 1.5, size=(60, 1))
        proxy = scale * rng.normal(size=(60, 64))
        hack = both(proxy, proxy - 0.25 * proxy**2 + 0.5 * rng.normal(size=proxy.shape))
        bands = hack.readings.bands
        below, above = bands.at(bands.off, np.array([0.5]))[:, 0]
        assert below > above
        tilt = 1 / np.mean(np.linspace(0.5, 1.5, 401) ** 2) ** 0.5  # of half a nat
        spread = np.linspace(0.5, 1.5, 401) ** 2 * tilt
        gain = hack.gold_gain(0.5)
        held += gain.low <= (spread - 0.25 * spread**2).mean() <= gain.high
        peaks += hack.stop_kl.low <= 0.97 <= hack.stop_kl.high
    assert held >= 11
    assert peaks >= 11


@pytest.mark.filterwarnings("error")
def test_at_no_kl_nothing_is_gained_and_nothing_is_open():
    few, many = (
        both(*normal_pair(np.random.default_rng(33), prompts=30, samples=m)) for m in (2, 64)
    )
    assert few.gold_gain([0.0, 0.1]).high[0] == 0
    assert np.isfinite(few.gold_gain([0.0, 0.1]).value).all()
    gap = many.gaps(0.0).regularised
    assert (gap.low, gap.value, gap.high) == (0, 0, 0)


def test_soft_best_of_m_goes_up_to_log_m_nats_of_its_weights_where_it_is_best_of_m():
    hack = both(*normal_pair(np.random.default_rng(32), prompts=50, samples=4))
    soft = hack.soft_best([0.1, np.log(4.0)])
    assert_allclose(soft.gold_gain.value[1], hack.best_of_n(4).gain.value, rtol=3e-3)
    budgets = [line.split()[0] for line in soft_rows(hack, [1.0, 1.2]).splitlines()[1:]]
    assert budgets == ["0.1", "0.2", "0.5", "1", "1.2", "1.4"]


def test_two_samples_a_prompt_are_trusted_nowhere_but_best_of_n_holds():
    hack = both(*normal_pair(np.random.default_rng(22), prompts=50, samples=2))
    assert hack.trusted_kl == 0
    assert np.isnan(hack.stop_kl.value)
    assert hack.best_by_proxy.gold_gain.value[1] > 0
    assert "no KL of the proxy's optimum is trusted" in str(hack)
    assert "soft best of 2" in str(hack)


@pytest.mark.parametrize("about", ["drawn", "fixed"])
def test_intervals_cover_where_the_truth_is_known(about):
    hit = 0
    for seed in range(10):
        rng = np.random.default_rng([23, seed])
        proxy, gold = normal_pair(rng, prompts=25, samples=32)
        found = both(proxy, gold, prompts=about).gold_gain(0.25)
        hit += found.low <= 0.6 * 0.5**0.5 <= found.high
    assert hit >= 8


def test_bad_pairs_are_refused_in_one_line():
    proxy, gold = normal_pair(np.random.default_rng(24), prompts=12, samples=8)
    few = np.full(gold.shape, np.nan)
    few[:, 0] = gold[:, 0]
    few[0, :5] = gold[0, :5]
    elsewhere = gold.copy()
    elsewhere[:6] = np.nan
    other = proxy.copy()
    other[6:] = np.nan
    cases = [
        (proxy[:, :1], gold[:, :1], DataError, "several samples of every prompt"),
        (proxy, np.ones_like(gold), DataError, "human is the same for all samples"),
        (np.ones_like(gold), gold, DataError, "rm is the same for all samples"),
        (other, elsewhere, DataError, "no prompt has two samples with both"),
        (proxy, gold[:, :4], ArgumentError, "same samples"),
    ]
    for one, two, kind, said in cases:
        with pytest.raises(kind, match=said) as problem:
            both(one, two)
        assert "\n" not in str(problem.value)
    with pytest.raises(DataError, match="Few gold labels"):
        both(np.repeat(proxy, 4, axis=1), np.concatenate([few, np.full((12, 24), np.nan)], axis=1))


def test_a_proxy_on_different_scales_is_warned_of():
    proxy, gold = normal_pair(np.random.default_rng(26), prompts=20, samples=16)
    proxy *= np.geomspace(1, 40, 20)[:, None]
    with pytest.warns(DataWarning, match="times as far on some prompts"):
        both(proxy, gold)


def test_arrays_mappings_and_rollouts_give_the_same_digits():
    proxy, gold = normal_pair(np.random.default_rng(27), prompts=20, samples=8)
    read = klimit.read({
        "prompt": np.repeat([f"p{i}" for i in range(20)], 8).tolist(),
        "rm": proxy.ravel().tolist(), "human": gold.ravel().tolist(),
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = [
            klimit.hacking(read, proxy="rm", gold="human"),
            both(proxy, gold),
            hacking(proxy, gold=gold),
            hacking(None, proxy=proxy, gold=gold),
            hacking([list(row) for row in proxy], gold=[list(row) for row in gold]),
        ]
    assert len({float(hack.gold_gain(0.2).value) for hack in answers}) == 1


def test_what_it_says_reads_well_and_converts():
    hack = both(*normal_pair(np.random.default_rng(28), prompts=80, samples=32))
    said = str(hack)
    assert "Optimising rm at a KL of 1 nat gains" in said
    assert "and human confirms it" in said
    assert "not seen to turn down" in said
    assert repr(hack).startswith("<Hacking of rm judged by human: 80 prompts, 2560 samples")
    frame = hack.to_frame(kl=[0.1, 0.5])
    assert frame["kl"].to_list() == [0.1, 0.5]
    assert {"gold_gain_low", "fixed_kl_gap", "trusted"} <= set(frame.columns)
    record = hack.to_dict(kl=0.5)
    assert record["schema"] == "klimit.hacking/1"
    assert record["along"][0]["gold_gain"]["value"] == pytest.approx(hack.gold_gain(0.5).value)
    point = hack.at(beta=2.0)
    assert point.gold_gain.value == pytest.approx(0.6 * point.proxy_gain.value, rel=0.1)


def test_a_curve_that_stays_level_has_no_peak():
    place, rise = np.linspace(0, 1, 6), np.minimum(np.linspace(0, 2, 6), 1.0)
    share = share_below(place, rise, np.outer(np.ones(10), rise) / 100, np.array([0.99]), seed=0)
    assert share == 0
    down = rise - 0.1 * (np.arange(6) == 5)
    assert share_below(place, down, np.zeros((10, 6)), np.array([0.99]), seed=0) == 1


def test_what_chance_does_to_both_gains_is_not_counted_again_in_their_ratio():
    # drawn prompts of different scales gain more or less of both at once
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scale = rng.uniform(0.5, 1.5, (40, 1))
        x, noise = scale * rng.normal(size=(2, 40, 32))
        hack = klimit.hacking(x, gold=0.7 * x + 0.51**0.5 * noise)
        share = hack.efficiency(0.25)
        found.append((share.low, share.high, hack.gold.gain(0.25)))
    low, high, gold = zip(*found, strict=True)
    assert np.mean([a <= 0.7 <= b for a, b in zip(low, high, strict=True)]) > 0.8
    own = np.mean([(gain.high - gain.low) / gain.value for gain in gold])
    assert np.mean(np.subtract(high, low)) < 0.57 * own  # .64 when it was
