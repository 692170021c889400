"""Win rates: known in closed form for continuous rewards, half the reward for coins, ranks between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

import klimit
from klimit.estimate.samples import collect
from klimit.estimate.win_rate import ranked_samples, uniform_log_mgf, win_rates
from klimit.theory import frontier as known
from klimit.theory import uniform_frontier
from tests.estimate.drawn import normal_prompts, pass_rates, reward_rows

KL = np.array([1e-3, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0])


def wins(rows, **options):
    return klimit.frontier(rows, objective="win-rate", **options)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("law", ["normal", "exponential", "cauchy"])
def test_continuous_rewards_have_the_closed_form_of_the_uniform_law(law, budget):
    rng = np.random.default_rng(1)
    rewards = {
        "normal": rng.normal(size=(10, 16)),
        "exponential": rng.exponential(size=(10, 16)) ** 3,
        "cauchy": rng.standard_cauchy(size=(10, 16)),
    }[law]
    limit, truth = wins(rewards, budget=budget), uniform_frontier(KL)
    assert_allclose(limit.gain(KL).value, truth.gain, rtol=1e-5)
    assert_allclose(limit.beta(KL).value, truth.beta, rtol=1e-2)
    assert_allclose(limit.beta(1.0).value, 1 / 7.34947305708, rtol=1e-4)  # T21
    assert limit.base_reward == 0.5


def test_the_uniform_log_mgf_is_accurate_from_tiny_to_huge_tilts():
    tilts = np.array([1e-8, 1e-3, 0.039, 0.041, 1.0, 30.0, 5000.0])
    nodes, weights = np.polynomial.legendre.leggauss(200)
    wanted = [np.log(np.sum(weights * np.exp(t * nodes / 2)) / 2) for t in tilts[:5]]
    assert_allclose(uniform_log_mgf(tilts[:5]), wanted, rtol=1e-6, atol=1e-15)
    assert_allclose(uniform_log_mgf(tilts[5:]), tilts[5:] / 2 - np.log(tilts[5:]), rtol=1e-9)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("estimator", ["corrected", "plugin"])
def test_coins_win_half_of_what_they_gain(budget, estimator):
    rewards, _ = pass_rates(np.random.default_rng(2), 60, 8)
    options = {"budget": budget, "estimator": estimator}
    half, whole = wins(rewards, **options), klimit.frontier(rewards, **options)
    for ask in ("gain", "beta"):
        won, gained = getattr(half, ask)(KL), getattr(whole, ask)(KL)
        assert_allclose(won.value, gained.value / 2, rtol=1e-9)
        assert_allclose(won.low, gained.low / 2, rtol=1e-6, atol=1e-12)
        # ranks of coins lie half as far apart as ranks of other rewards may
        most = np.sqrt(KL / 2) / 2 if ask == "gain" else np.inf
        assert_allclose(np.minimum(won.high, most), gained.high / 2, rtol=1e-6)
    assert_allclose(half.trusted_kl, whole.trusted_kl)
    assert half.base_reward == 0.5
    assert half.unresolved is None


@settings(max_examples=15, deadline=None)
@given(
    rows=reward_rows(max_prompts=4, max_samples=9),
    budget=st.sampled_from(["average", "per-prompt"]),
    estimator=st.sampled_from(["corrected", "plugin"]),
)
def test_increasing_transforms_of_rewards_change_no_win_rate(rows, budget, estimator):
    options = {"budget": budget, "estimator": estimator}
    limit = wins(rows, **options)
    bent = wins([np.exp(row / 3) + 2 * row for row in rows], **options)
    # two levels are handled as coins, whose distance is divided out
    assert_allclose(bent.gain(KL).value, limit.gain(KL).value, rtol=1e-7, atol=1e-12)
    assert_allclose(bent.beta(KL).value, limit.beta(KL).value, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_increasing_transforms_of_grades_change_no_digit_of_a_win_rate(budget):
    rng = np.random.default_rng(5)
    grades = np.clip(np.round(rng.normal(size=(60, 8)) + rng.normal(size=(60, 1))), -2, 2)
    limit, bent = (wins(x, budget=budget).gain(KL) for x in (grades, np.exp(grades)))
    for one in ("value", "low", "high"):
        assert_array_equal(getattr(bent, one), getattr(limit, one))


def test_rubrics_agree_with_the_ranks_of_a_big_sample():
    chances, levels = np.array([0.1, 0.25, 0.4, 0.2, 0.05]), np.arange(5.0)
    below = np.cumsum(chances) - chances
    truth = known(chances, below + chances / 2)
    rng = np.random.default_rng(3)
    rewards = rng.choice(levels, p=chances, size=(200, 32))
    limit = wins(rewards)
    kl = KL[limit.trusted_kl >= KL]
    assert limit.trusted_kl > 1
    gain = limit.gain(kl)
    assert_allclose(gain.value, truth.gain(kl), rtol=0.03)
    assert ((gain.low <= truth.gain(kl)) & (truth.gain(kl) <= gain.high)).all()
    plugin = wins(rewards, estimator="plugin").gain(kl).value
    assert (np.abs(plugin / truth.gain(kl) - 1) > np.abs(gain.value / truth.gain(kl) - 1)).all()


@settings(max_examples=60, deadline=None)
@given(rows=reward_rows(max_prompts=3, max_samples=12))
def test_a_win_rate_is_the_share_below_plus_half_of_the_ties(rows):
    samples = collect(np.concatenate(rows), np.array(list(map(len, rows))))
    ranked = ranked_samples(samples)
    for place, found in ranked.rewards_by_prompt():
        row = np.sort(rows[samples.kept[place]])
        wanted = [(np.mean(row < x) + np.mean(row == x) / 2) - 0.5 for x in row]
        assert_allclose(found, wanted, atol=1e-12)
    assert_allclose(ranked.means, 0.5)


def test_padding_keeps_out_of_the_ranks():
    rates = win_rates(np.array([[-np.inf, -np.inf, 1.0, 2.0]]), np.array([2]))
    assert_array_equal(rates, [[-np.inf, -np.inf, -0.25, 0.25]])


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
@pytest.mark.parametrize("estimator", ["corrected", "plugin"])
def test_no_policy_wins_more_than_always(estimator, prompts):
    rewards, _ = normal_prompts(np.random.default_rng(4), 20, 8)
    rubric = np.random.default_rng(5).integers(0, 4, size=(20, 8)).astype(float)
    for given_rewards in (rewards, rubric):
        limit = wins(given_rewards, estimator=estimator, prompts=prompts)
        gain = limit.gain([0.1, 1.0, 5.0, 50.0])
        assert (gain.value <= 0.5).all()
        assert (gain.high <= 0.5 + 1e-12).all()
        assert limit.kl(0.51).value == np.inf


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_the_base_wins_half_of_the_time_and_no_prompt_of_verdicts_more_than_always_passing(
    low, budget
):
    rng = np.random.default_rng(2)
    rewards = (rng.random((60, 10)) < rng.beta(0.5, 2, size=(60, 1))).astype(float)
    limit = wins(rewards * (1 - low) + low, budget=budget)
    table = limit.prompts(2.0)
    assert set(table["mean_reward"]) == {0.5}
    assert (table["gain"].to_numpy() <= (1 - rewards.mean(axis=1)) / 2 + 1e-12).all()
    assert_allclose(table["gain"].mean(), limit.gain(2.0).value)
    assert limit.settings == wins(rng.normal(size=(9, 9)), budget=budget).settings


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_verdicts_stay_so_where_their_convergence_is_asked_for(low):
    rng = np.random.default_rng(2)
    rewards = (rng.random((60, 10)) < rng.beta(0.5, 2, size=(60, 1))).astype(float)
    half = wins(rewards * (1 - low) + low).convergence(1.0)
    whole = klimit.frontier(rewards).convergence(1.0)
    assert_allclose(half.gain.value, whole.gain.value / 2)
    assert_allclose(half.plugin, whole.plugin / 2)


def half_decided(rng, prompts=20):
    """Continuous rewards of half of the prompts; those of the others are all equal and win nothing."""
    return np.where(
        (np.arange(prompts) < prompts / 2)[:, None], rng.normal(size=(prompts, 16)), 1.0
    )


def test_prompts_of_equal_rewards_spend_their_own_budget_for_nothing():
    limit = wins(half_decided(np.random.default_rng(8)), budget="per-prompt")
    truth = uniform_frontier(KL)
    assert_allclose(limit.gain(KL).value, truth.gain / 2, rtol=1e-5)
    assert_allclose(limit.prompts(1.0)["gain"].mean(), uniform_frontier(1.0).gain / 2, rtol=1e-5)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_how_many_drawn_prompts_can_be_won_is_chance_at_every_budget(budget):
    drawn, fixed = (
        wins(half_decided(np.random.default_rng(9)), budget=budget, prompts=prompts).gain(3.0)
        for prompts in ("drawn", "fixed")
    )
    error = 0.25 / np.sqrt(19)  # of .5 for half of the prompts and 0 for the others
    assert drawn.high - drawn.value > 1.9 * error
    assert fixed.high - fixed.value < error


def test_what_ranks_of_these_prompts_gain_at_a_beta_is_known_and_no_noise():
    rewards = np.random.default_rng(0).normal(size=(40, 32))
    found = wins(rewards, prompts="fixed").at(beta=0.3)
    for one in (found.gain, found.kl):
        assert float(one.high) - float(one.low) < 1e-3 * float(one)


def test_win_rates_of_twelve_short_answers_are_held_with_eight_samples_a_prompt():
    rng = np.random.default_rng(8)
    chance, value = rng.dirichlet(np.ones(12), 1000), rng.normal(size=(1000, 12))
    order = np.argsort(value, axis=1)
    ranked = np.take_along_axis(chance, order, axis=1)
    rate = np.cumsum(ranked, axis=1) - ranked / 2 - 0.5
    tilts, kl = np.geomspace(0.1, 50, 300), np.array([1.0, 1.3])
    log_mgf = np.array([np.log((ranked * np.exp(t * rate)).sum(axis=1)).mean() for t in tilts])
    truth = ((kl[:, None] + log_mgf) / tilts).min(axis=1)
    held = 0
    for seed in range(20):
        again = np.random.default_rng([seed, 12])
        drawn = [value[k][again.choice(12, 8, p=chance[k])] for k in again.integers(0, 1000, 400)]
        found = klimit.frontier(np.array(drawn), objective="win-rate").gain(kl)
        assert found.trusted.all()
        held += int(((found.low <= truth) & (truth <= found.high)).sum())
    assert held >= 0.85 * 40


def test_a_short_prompt_of_equal_rewards_beside_longer_ones_is_as_short_as_it_is():
    rows = [[5.0, *[0.0] * 15], [0.0] * 9, [3.0]]
    for block in ranked_samples(collect(np.concatenate(rows), np.array([16, 9, 1]))).blocks:
        assert_array_equal((block.rewards > -np.inf).sum(axis=1), block.counts)
    found = wins([np.array(row) for row in rows], budget="per-prompt").gain([0.3, 20.0])
    assert ((found.low <= found.value) & (found.value <= found.high)).all()


def test_win_rates_of_five_grades_are_held_where_every_prompt_spends_the_same():
    chance = np.random.default_rng(34).dirichlet(np.full(5, 0.8), 1000)
    below = np.cumsum(chance, axis=1)
    tilts, kl = np.geomspace(0.1, 1000, 400)[:, None, None], np.array([0.8, 1.0])
    log_mgf = np.log((chance * np.exp(tilts * (below - chance / 2 - 0.5))).sum(axis=-1))
    truth = [((spent + log_mgf) / tilts[:, 0]).min(axis=0).mean() for spent in kl]
    held = 0
    for seed in range(6):
        again = np.random.default_rng([seed, 3])
        edges = below[again.integers(0, 1000, 1500), None, :-1]
        grades = (again.random((1500, 8, 1)) > edges).sum(axis=-1)
        found = wins(grades.astype(float), budget="per-prompt").gain(kl)
        assert found.trusted.all()
        held += int(((found.low <= truth) & (truth <= found.high)).sum())
    assert held >= 0.85 * 12


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("stated", [None, (0, 5)])
def test_verdicts_that_all_failed_leave_open_what_win_rate_could_be_gained(budget, stated):
    failed = wins(np.zeros((5, 8)), budget=budget, reward_range=stated)
    gain = failed.gain(1.0)
    most = float(uniform_frontier(1.0).gain)
    assert (gain.value, gain.low, gain.high, gain.trusted) == (0.0, 0.0, most, False)
    assert failed.ceilings == (0.0, 0.5)
    assert "what can be gained is not known: anything from 0 to +0.500" in " ".join(
        str(failed).split()
    )
    passed = wins(np.ones((5, 8)), budget=budget)
    assert passed.ceilings == (0.0, 0.0)
    assert passed.gain(1.0).high == pytest.approx(
        klimit.frontier(np.ones((5, 8))).gain(1.0).high / 2
    )


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_where_rewards_tie_no_more_can_be_won_than_where_none_do(budget):
    rng = np.random.default_rng(4)
    scores = np.maximum(rng.normal(size=(30, 16)), -0.5)  # a third at the floor, none above tie
    for rows in (scores, scores.round(1), scores.round(0)):
        gain = wins(rows, budget=budget).gain(KL)
        most = uniform_frontier(KL).gain * (1 + 3e-5)  # of a curve between nodes
        assert (gain.value <= most).all()
        assert (gain.high <= most).all()


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_win_rates_of_scores_that_rarely_tie_are_held(floor):
    values = np.arange(-60, 61) / 10
    edges = np.concatenate(([-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]))
    law = (1 - floor) * np.diff(ndtr(edges)) + floor * (values == values[0])
    rates = np.cumsum(law) - law / 2
    kl = np.array([0.5, 1.0, 2.0])
    truth = known(law, rates).gain(kl)
    held, off = [], []
    for seed in range(20):
        rows = np.random.default_rng(seed).choice(values, (60, 16), p=law)
        limit = wins(rows)
        gain = limit.gain(kl)
        held.append((gain.low <= truth) & (truth <= gain.high))
        off.append(gain.value / truth - 1)
        spent = limit.kl(truth)
        held.append((spent.low <= kl) & (kl <= spent.high))
    assert np.mean(held, axis=0).min() > 0.85
    assert np.abs(np.mean(off, axis=0)).max() < 3e-3
