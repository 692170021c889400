"""Rewards in canonical order: no digit depends on the order of rows or prompts, and nothing is pooled."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import klimit
from klimit import ArgumentError, DataError
from klimit.estimate.samples import collect
from tests.estimate.drawn import reward_rows

KL = np.array([0.0, 1e-3, 0.1, 0.5, 1.0, 2.0, 7.0])


def numbers(limit):
    """Every public number of a frontier, prompts in the order of their contents."""
    estimates = [limit.gain(KL), limit.beta(KL), limit.kl(limit.gain(KL).value * 0.9)]
    if limit.settings.budget == "average":
        at = limit.at(beta=np.array([0.05, 0.5, 5.0]) * (limit.samples.scale or 1.0))
        estimates += [at.kl, at.gain, at.jeffreys, at.forward_kl, at.log_partition]
    placed = limit.place(0.5, 0.1)
    estimates += [placed.limit, placed.efficiency, placed.gap_reward, placed.gap_nats]
    found = [np.ravel(x) for e in estimates for x in (e.value, e.low, e.high, e.trusted)]
    single = [limit.trusted_kl, limit.base_reward, limit.samples_needed(3.0)]
    bounds = limit.bounds(0.5)["value"].to_numpy()
    table = limit.prompts(0.5).drop("prompt_id")
    return np.concatenate([*found, single, bounds]), table.sort(table.columns).to_numpy()


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(
    rows=reward_rows(max_prompts=6, max_samples=12, holes=True),
    estimator=st.sampled_from(["corrected", "plugin"]),
    budget=st.sampled_from(["average", "per-prompt"]),
    objective=st.sampled_from(["reward", "win-rate"]),
    prompts=st.sampled_from(["drawn", "fixed"]),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_order_of_rows_and_prompts_changes_no_digit(
    rows, estimator, budget, objective, prompts, shuffle
):
    if not any(np.isfinite(row).sum() > 1 for row in rows):
        return
    options = {
        "estimator": estimator, "budget": budget, "objective": objective, "prompts": prompts
    }  # fmt: skip
    limit = klimit.frontier(rows, **options)
    moved = [np.array(shuffle.sample(list(row), len(row))) for row in rows]
    shuffle.shuffle(moved)
    again = klimit.frontier(moved, **options)
    for first, second in zip(numbers(limit), numbers(again), strict=True):
        assert_array_equal(first, second)


@pytest.mark.parametrize("law", ["normal", "coin", "rubric"])
def test_many_ragged_prompts_may_stand_in_any_order(law):
    rng = np.random.default_rng(3)
    draw = {
        "normal": lambda m: rng.normal(size=m),
        "coin": lambda m: (rng.random(m) < 0.3).astype(float),
        "rubric": lambda m: rng.integers(1, 6, size=m).astype(float),
    }[law]
    rows = [draw(m) for m in rng.integers(2, 40, size=230)]
    order = rng.permutation(len(rows))
    moved = [rng.permutation(rows[i]) for i in order]
    limit, again = klimit.frontier(rows), klimit.frontier(moved)
    for first, second in zip(numbers(limit), numbers(again), strict=True):
        assert_array_equal(first, second)


def test_each_prompt_keeps_its_own_id_in_the_table_of_prompts():
    rows = [[0.0, 1.0, 2.0, 7.0], [5.0, 5.0, 5.0, 6.0], [1.0], [3.0, 3.0]]
    table = klimit.frontier(rows).prompts(0.3)
    assert table["prompt_id"].to_list() == [0, 1, 3]
    assert table["mean_reward"].to_list() == [2.5, 5.25, 3.0]
    assert table["headroom"].to_list() == [4.5, 0.75, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int8, bool])
def test_the_type_of_the_numbers_changes_no_digit(dtype):
    rewards = np.random.default_rng(1).integers(0, 2, size=(6, 8))
    limit, again = klimit.frontier(rewards.astype(float)), klimit.frontier(rewards.astype(dtype))
    assert_array_equal(numbers(limit)[0], numbers(again)[0])


def test_the_callers_array_is_left_as_it_was():
    rewards = np.random.default_rng(2).normal(size=(20, 9))
    rewards[3, 4] = np.nan
    before = rewards.copy()
    klimit.frontier(rewards).gain(0.5)
    assert_array_equal(rewards, before)


def test_the_seed_decides_every_digit_and_little_else():
    rewards = np.random.default_rng(4).normal(size=(40, 16))
    first, same, other = (klimit.frontier(rewards, seed=s).gain(KL) for s in (1, 1, 2))
    assert_array_equal(first.value, same.value)
    assert_array_equal(first.high, same.high)
    assert (first.value != other.value).any()
    assert_allclose(first.value, other.value, rtol=0.03)


def test_missing_rewards_are_left_out_and_counted():
    rng = np.random.default_rng(5)
    rows = [rng.normal(size=8) for _ in range(6)]
    holed = [np.r_[np.nan, row[:3], np.nan, row[3:]] for row in rows]
    limit, again = klimit.frontier(rows), klimit.frontier(holed)
    assert again.samples.missing == 12
    assert limit.samples.missing == 0
    assert_array_equal(numbers(limit)[0], numbers(again)[0])


def test_prompts_of_no_or_one_reward_are_left_out_and_counted():
    rng = np.random.default_rng(6)
    rows = [rng.normal(size=8) for _ in range(6)]
    limit = klimit.frontier(rows)
    again = klimit.frontier([[1.0], *rows, [np.nan, np.nan], [np.nan, 3.0], []])
    samples = again.samples
    assert (samples.total, samples.prompts, samples.empty, samples.single) == (10, 6, 2, 2)
    assert_array_equal(numbers(limit)[0], numbers(again)[0])


def test_constant_prompts_gain_nothing_and_spend_nothing():
    rewards = np.full((4, 9), 0.1) + np.arange(4)[:, None]
    for options in (
        {},
        {"estimator": "plugin"},
        {"budget": "per-prompt"},
        {"objective": "win-rate"},
    ):
        limit = klimit.frontier(rewards, **options)
        gain = limit.gain([0.0, 0.5, 9.0])
        assert_array_equal(gain.value, 0.0)
        assert_array_equal(gain.high, 0.0)
        assert limit.kl(0.0).value == 0.0
        table = limit.prompts(0.5)
        assert_array_equal(table["gain"].to_numpy(), 0.0)
        assert_array_equal(table["kl"].to_numpy(), 0.0)


def test_a_constant_prompt_leaves_the_others_in_their_order_in_any_unit():
    rewards = np.random.default_rng(6).integers(0, 4, size=(40, 8)) * np.linspace(1, 3, 40)[:, None]
    rewards[0] = 2.0
    sizes = np.full(40, 8)
    one, tiny = (collect((unit * rewards).ravel(), sizes) for unit in (1.0, 1e-12))
    assert one.rank.tolist() == tiny.rank.tolist()


def test_a_constant_prompt_halves_the_gain_of_the_other_at_twice_its_kl():
    row = [0.0, 1.0, 2.0, 3.0]
    alone = klimit.frontier([row], estimator="plugin")
    beside = klimit.frontier([row, [7.3] * 5], estimator="plugin")
    assert_allclose(2 * beside.gain(0.25).value, alone.gain(0.5).value, rtol=1e-9)
    assert_array_equal(beside.prompts(0.25)["kl"].to_numpy()[1], 0.0)


def test_a_prompt_weighs_the_same_however_many_samples_it_has():
    row = [0.0, 1.0, 2.0, 3.0]
    even = klimit.frontier([row, [0.0, 5.0]], estimator="plugin")
    more = klimit.frontier([row * 7, [0.0, 5.0] * 3], estimator="plugin")
    for kl in (0.1, 0.5):
        assert_allclose(more.gain(kl).value, even.gain(kl).value, rtol=1e-9)


def test_what_a_variance_of_few_samples_lacks_is_what_the_plug_in_lacks_of_the_smallest_budgets():
    rng = np.random.default_rng(0)
    for count in (4, 16):
        rewards = rng.uniform(0, 1, (4000, count))
        plugin = klimit.frontier(rewards, estimator="plugin").gain(1e-3).value
        lost = collect(rewards.ravel(), np.full(4000, count)).lost()
        assert_allclose(lost, (count / (count - 1)) ** 0.5 - 1, rtol=1e-9)
        assert_allclose(plugin * (1 + lost), (2e-3 / 12) ** 0.5, rtol=0.02)
    assert collect(np.ones(8), np.full(2, 4)).lost() == 0


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_rewards_are_refused(bad):
    with pytest.raises(DataError, match="finite numbers were expected"):
        klimit.frontier([[0.0, 1.0, bad], [1.0, 2.0, 3.0]])


def test_data_without_a_prompt_of_two_rewards_are_refused():
    with pytest.raises(DataError, match="every one of the 12 samples lacks reward"):
        klimit.frontier(np.full((3, 4), np.nan))
    with pytest.raises(DataError, match="no prompt has two rewards \\(2 prompts seen\\)"):
        klimit.frontier([[1.0], [2.0, np.nan]])
    with pytest.raises(DataError, match="no samples"):
        klimit.frontier(np.empty((0, 5)))
    with pytest.raises(DataError, match="no samples"):
        klimit.frontier(np.empty((5, 0)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros(5), "pooling prompts overstates the gain"),
        ([0.0, 1.0, 2.0], "pooling prompts overstates the gain"),
        (np.zeros((2, 3, 4)), r"\(prompts, samples\) was expected"),
        (3.0, r"\(prompts, samples\) was expected"),
        ([[[0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]]], "one number per sample was expected"),
        ("rollouts.parquet", "klimit.read"),
        (b"rollouts.parquet", "klimit.read"),
        ({"reward": [1.0]}, "mapping"),
    ],
)
def test_other_shapes_and_paths_are_refused_with_what_to_do(given, said):
    with pytest.raises(ArgumentError, match=said):
        klimit.frontier(given)


@pytest.mark.parametrize(
    "given", [[["a", "b"], ["c", "d"]], np.array([["1", "2"]]), np.ones((2, 2), complex)]
)
def test_what_is_no_number_is_refused(given):
    with pytest.raises(DataError, match="numbers were expected"):
        klimit.frontier(given)


def test_none_in_a_table_of_numbers_is_a_missing_reward():
    found = klimit.frontier([[1.0, None, 4.0], [2.0, 3.0, 3.0]])
    same = klimit.frontier([[1.0, np.nan, 4.0], [2.0, 3.0, 3.0]])
    assert found.samples.missing == same.samples.missing == 1
    assert found.gain(0.1).value == same.gain(0.1).value


@settings(max_examples=60, deadline=None)
@given(rows=reward_rows(max_prompts=6, max_samples=20, holes=True), seed=st.integers(0, 5))
def test_blocks_hold_every_reward_once_centred_and_ascending(rows, seed):
    kept = [row[~np.isnan(row)] for row in rows]
    if all(len(row) < 2 for row in kept):
        return
    samples = collect(np.concatenate(rows), np.array(list(map(len, rows))), seed=seed)
    found = dict(samples.rewards_by_prompt())
    for place, index in enumerate(samples.kept):
        row = np.sort(kept[index])
        assert_allclose(found[place] + samples.means[place], row, atol=1e-12)
        assert (np.diff(found[place]) >= 0).all()
        assert samples.ties[place] == (row == row[-1]).sum()
        assert_allclose(samples.variances[place], row.var(), atol=1e-12)
        assert_allclose(samples.tops[place], row.max() - row.mean(), atol=1e-12)
        lower = row[row < row[-1]]
        wanted = (lower[-1] if len(lower) else row[0]) - row.mean()
        assert_allclose(samples.level_below_the_best()[place], wanted, atol=1e-12)
    assert sorted(samples.rank) == list(range(samples.prompts))


def test_copies_are_told_from_ten_prompts_that_vary():
    pairs = np.repeat(np.random.default_rng(0).normal(size=(10, 8)), 2, axis=1)
    few, many = (collect(x.ravel(), np.full(len(x), 16)) for x in (pairs[:9], pairs))
    assert (few.paired(), many.paired()) == (False, True)


def test_no_reward_at_all_is_told_from_one_a_prompt():
    for values, said in (([np.nan] * 3, "no prompt has a reward"), ([1.0] * 3, "has two rewards")):
        with pytest.raises(DataError, match=said):
            collect(np.array(values), np.ones(3, dtype=np.int64))
