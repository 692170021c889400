"""Where the gain is: prompts whose gains and KLs average to the frontier's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit.estimate.rates_by_prompt import Passes
from klimit.estimate.samples import collect
from klimit.estimate.tilted import least_kl, mean_front, tilt_prompts, tilt_to_kl
from klimit.theory import frontier as known
from klimit.theory import tilt
from tests.estimate.drawn import base_of, normal_prompts, pass_rates, reward_rows
from tests.strategies import budgets

KL = [0.0, 1e-3, 0.2, 1.0, 5.0]


@settings(max_examples=25, deadline=None)
@given(
    rows=reward_rows(max_samples=20),
    budget=st.sampled_from(["average", "per-prompt"]),
    estimator=st.sampled_from(["corrected", "plugin"]),
    objective=st.sampled_from(["reward", "win-rate"]),
)
def test_prompts_average_to_the_frontier(rows, budget, estimator, objective):
    limit = klimit.frontier(rows, budget=budget, estimator=estimator, objective=objective)
    scale = float(limit.gain(50.0).value)
    for kl in KL:
        table = limit.prompts(kl)
        assert_allclose(table["gain"].mean(), limit.gain(kl).value, atol=1e-9 * scale)
        if budget == "average":
            spent = min(kl, limit.curve.ceiling_kl)
            assert_allclose(table["kl"].mean(), spent, rtol=1e-6, atol=1e-9)
        else:
            assert (table["kl"] <= kl * (1 + 1e-9) + 1e-12).all()
        assert (table["kl"] >= 0).all()
        assert (table["ess"] >= 1 - 1e-9).all()
        assert (table["ess"] <= table["samples"] * (1 + 1e-9)).all()


def test_the_plug_ins_prompts_are_the_tilted_laws():
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=m).round(2) for m in (4, 9, 20)]
    limit, truth = klimit.frontier(rows, estimator="plugin"), known(base_of(rows), rows)
    table = limit.prompts(0.4)
    assert_allclose(table["kl"], truth.kl_by_prompt(0.4), rtol=1e-7)
    assert_allclose(table["gain"], truth.gain_by_prompt(0.4), rtol=1e-7)


def test_a_prompt_is_trusted_where_its_samples_reach_its_kl_with_two_nats_to_spare():
    rewards, _ = normal_prompts(np.random.default_rng(2), 30, 64)
    table = klimit.frontier(rewards).prompts(1.0)
    assert table["trusted"].to_list() == (table["kl"] <= np.log(64) - 2).to_list()
    assert 0 < table["trusted"].sum() <= 30


def test_unsolved_prompts_have_what_others_of_the_kind_tell_and_are_not_trusted():
    rewards, _ = pass_rates(np.random.default_rng(3), 60, 6)
    rewards[0] = 0.0
    row = klimit.frontier(rewards).prompts(0.2).row(0, named=True)
    assert (row["mean_reward"], row["headroom"], row["trusted"]) == (0, 0, False)
    assert 0 < row["gain"] < 0.2
    assert klimit.frontier(rewards, estimator="plugin").prompts(0.2)["gain"][0] == 0


@pytest.mark.parametrize(("samples", "size"), [(8, 0.15), (16, 0.5), (32, 0.1)])
def test_gains_of_pass_rates_are_possible_and_nearer_the_truth_than_uncorrected_ones(samples, size):
    rng = np.random.default_rng(5)
    rates = rng.beta(size, 4 * size, 120)
    rewards = (rng.random((120, samples)) < rates[:, None]) * 1.0
    limit = klimit.frontier(rewards)
    kl = 0.9 * limit.trusted_kl
    table = limit.prompts(kl)
    assert (table["gain"] + table["mean_reward"] <= 1 + 1e-9).all()
    tilt = 1 / float(limit.beta(kl).value)
    assert table["gain"].max() <= np.tanh(tilt / 4) * (1 + 1e-9)  # no rate gains more at this tilt
    assert table["gain"].mean() == pytest.approx(float(limit.gain(kl).value))
    truth = rates * np.exp(tilt) / (1 - rates + rates * np.exp(tilt)) - rates
    plain = klimit.frontier(rewards, estimator="plugin").prompts(kl)["gain"]
    assert ((table["gain"] - truth) ** 2).mean() < ((plain - truth) ** 2).mean()


@pytest.mark.parametrize("solved", [[16, 1, 16, 16], [16, 7, 16, 16, 1, 11, 1, 16, 2, 0]])
def test_gains_of_pass_rates_average_to_the_frontier_where_most_are_solved(solved):
    rewards = (np.arange(16) < np.array(solved)[:, None]).astype(float)
    limit = klimit.frontier(rewards)
    for kl in (0.2, 0.5, 1.0):
        assert limit.prompts(kl)["gain"].mean() == pytest.approx(float(limit.gain(kl).value))


def test_no_prompt_gains_more_than_its_range_leaves():
    rng = np.random.default_rng(6)
    rewards = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], p=[0.3, 0.3, 0.2, 0.15, 0.05], size=(40, 16))
    rewards[0] = np.where(np.arange(16) < 15, 4.0, 5.0)
    rewards[1] = 2.0  # shows nothing, and is given what is left when all others are full
    limit = klimit.frontier(rewards, reward_range=(1, 5))
    for kl in (0.5, 1.0, 2.0, 4.0):
        table = limit.prompts(kl)
        assert (table["gain"] + table["mean_reward"] <= 5 + 1e-9).all()
        assert_allclose(table["gain"].mean(), limit.gain(kl).value, rtol=1e-9)


def test_no_prompt_wins_more_often_than_always():
    rng = np.random.default_rng(3)
    rates, sizes = rng.beta(0.5, 0.5, 60), rng.integers(2, 20, 60)
    rows = [rng.binomial(4, q, n) / 4 for q, n in zip(rates, sizes, strict=True)]
    limit = klimit.frontier(rows, objective="win-rate")
    table = limit.prompts(2.0)
    assert (table["mean_reward"] + table["gain"]).max() <= 1 + 1e-9
    assert_allclose(table["gain"].mean(), limit.gain(2.0).value, rtol=1e-9)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
@pytest.mark.parametrize("kl", [0.1, 2.0])
def test_a_prompt_that_is_always_solved_gains_and_spends_nothing(kl, budget):
    rng = np.random.default_rng(11)
    rewards = (rng.random((150, 16)) < np.r_[np.full(100, 0.98), np.full(50, 0.3)][:, None]) * 1.0
    table = klimit.frontier(rewards, budget=budget).prompts(kl)
    solved = table["mean_reward"] == 1
    assert solved.sum() > 50
    assert (table["gain"].filter(solved) == 0).all()
    assert (table["kl"].filter(solved) == 0).all()
    assert (table["kl"].filter(~solved) > 0).all()


def test_two_rewards_alone_are_told_from_three():
    two = np.random.default_rng(0).integers(0, 2, (6, 8)) * 2.0 - 1
    found = Passes.of(klimit.frontier(two).samples)
    assert found.step == 2
    assert found.successes.tolist() == (two == 1).sum(axis=1).tolist()
    three = np.vstack([[0, 0.5, 0.5, 0.5, 1, 1, 0, 1], np.ones((20, 8))])
    assert Passes.of(klimit.frontier(three).samples) is None
    other = np.vstack([np.tile([0.0, 1.0], 4), np.full((3, 8), 0.5)])
    assert Passes.of(klimit.frontier(other).samples) is None


@settings(max_examples=50, deadline=None)
@given(
    rows=reward_rows(max_samples=12),
    at=st.one_of(st.just(0.0), st.floats(-6, 6).map(lambda x: float(np.exp(x)))),
)
def test_one_tilt_reweights_every_prompt_as_the_theory_does(rows, at):
    samples = collect(np.concatenate(rows), np.array(list(map(len, rows))))
    found = tilt_prompts(samples, at)
    for place, index in enumerate(samples.kept):
        row, base = rows[index], base_of(rows)[index]
        policy = base if at == 0 else tilt(base, row, beta=1 / at).policy
        share = policy / base
        mean = policy @ row
        wanted = {
            "kl": policy @ np.log(np.where(share > 0, share, 1.0)),
            "gain": mean - row.mean(),
            "variance": policy @ (row - mean) ** 2,
            "chi_square": base @ (share - 1) ** 2,
            "total_variation": base @ np.abs(share - 1) / 2,
            "hellinger_squared": 1 - base @ np.sqrt(share),
        }
        for name, value in wanted.items():
            assert_allclose(getattr(found, name)[place], value, rtol=1e-6, atol=1e-8, err_msg=name)


@settings(max_examples=50, deadline=None)
@given(rows=reward_rows(max_samples=12), kl=budgets(1e-5, 4.0))
def test_every_prompt_spends_the_same_kl_or_stands_at_its_best(rows, kl):
    samples = collect(np.concatenate(rows), np.array(list(map(len, rows))))
    found = tilt_to_kl(samples, kl)
    ceiling = np.log(samples.counts / samples.ties)
    wanted = np.where(samples.variances > 0, np.minimum(kl, ceiling), 0.0)
    assert_allclose(found.kl, wanted, rtol=1e-7, atol=1e-9)
    assert_allclose(found.gain[kl >= ceiling], samples.tops[kl >= ceiling], rtol=1e-12, atol=1e-15)


@settings(max_examples=30, deadline=None)
@given(rows=reward_rows(max_samples=12), share=st.floats(0.01, 1.0))
def test_the_least_kl_of_the_mean_front_is_found_up_to_its_ceiling(rows, share):
    samples = collect(np.concatenate(rows), np.array(list(map(len, rows))))
    ceiling = float(samples.tops.mean())
    if ceiling < 1e-3:
        return
    kl = least_kl(samples, share * ceiling)
    assert_allclose(mean_front(samples, kl)[0], share * ceiling, rtol=1e-8)
    assert np.isnan(least_kl(samples, 1.001 * ceiling))
    assert least_kl(samples, -1.0) == 0.0


@pytest.mark.parametrize("kl", [0.2, 1.5])
def test_an_infinite_tilt_leaves_the_best_samples_alone(kl):
    rows = [np.array([0.0, 1.0, 1.0, 0.5]), np.array([2.0, 2.0, 2.0])]
    samples = collect(np.concatenate(rows), np.array([4, 3]))
    found = tilt_prompts(samples, np.inf)
    assert_allclose(found.kl, [np.log(2), 0.0])
    assert_allclose(found.gain, [0.375, 0.0])
    assert_allclose(found.chi_square, [1.0, 0.0])
    assert_allclose(tilt_to_kl(samples, kl).kl, [min(kl, np.log(2)), 0.0])


@pytest.mark.parametrize(("samples", "kl"), [(16, 2.0), (64, 3.0)])
def test_prompts_that_are_alike_are_told_apart_by_luck_alone_and_little(samples, kl):
    """All are standard normal: what a few high samples add to one would be their luck."""
    rewards = np.random.default_rng(0).normal(size=(100, samples))
    found = klimit.frontier(rewards).prompts(kl)
    for name in ("gain", "kl"):
        assert found[name].std() < 0.36 * found[name].mean()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_prompts_that_all_lack_a_spread_are_trusted_to_gain_nothing_only_at_the_best(value):
    """As `limit` says of them: what can be gained of the others is not known."""
    table = klimit.frontier(np.full((20, 64), value)).prompts(0.1)
    assert table["gain"].to_list() == [0.0] * 20
    assert table["trusted"].to_list() == [value == 1.0] * 20


def test_a_prompt_of_fewer_samples_is_not_said_to_gain_less():
    rng = np.random.default_rng(1)
    rewards = [rng.normal(size=8 if i % 2 else 256) for i in range(100)]
    gains = klimit.frontier(rewards).prompts(1.0)["gain"].to_numpy()
    assert_allclose(gains[1::2].mean() / gains[::2].mean(), 1, atol=0.1)
