"""The plug-in on samples that enumerate a law is the law's own frontier, and obeys the same theorems."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import klimit
from klimit.theory import frontier as known
from tests.estimate.drawn import base_of, reward_rows
from tests.strategies import betas, budgets

STEPS, SPIKE = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 5.0]
SKEWED = [0.0] * 5 + [1.0] * 3 + [4.0] * 2
SAMPLE = [0.3, -1.2, 2.5, 0.7, 1.1]


def plugin(rows, **options):
    return klimit.frontier(rows, estimator="plugin", **options)


def exact(rows, budget="average"):
    return known(base_of(rows), rows, budget=budget)


def enough(rows):
    """Whether some prompt varies by more than rounding, and none by rounding alone."""
    return (
        all(np.ptp(row) > 1e-5 or np.ptp(row) == 0 for row in rows) and max(map(np.ptp, rows)) > 0
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(lambda: plugin([STEPS]).beta(0.5), 0.908693459503, id="T09"),
        pytest.param(
            lambda: plugin([STEPS, SPIKE]).prompts(0.5)["kl"][0], 0.182381137406, id="T12"
        ),
        pytest.param(
            lambda: plugin([STEPS, SPIKE]).prompts(0.5)["kl"][1], 0.817618862594, id="T13"
        ),
        pytest.param(lambda: plugin([STEPS, SPIKE]).gain(0.5), 1.84696677404, id="T14"),
        pytest.param(
            lambda: plugin([STEPS, SPIKE], budget="per-prompt").gain(0.5), 1.71782659481, id="T15"
        ),
        pytest.param(lambda: plugin([STEPS, *[[0, 2]] * 3]).beta(0.3), 1.1313136752, id="T16"),
        pytest.param(lambda: plugin([STEPS, *[[0, 2]] * 3]).gain(0.3), 0.760290647028, id="T17"),
        pytest.param(lambda: plugin([[0] * 9 + [1]]).beta(0.5), 0.459257661745, id="T23"),
        pytest.param(lambda: plugin([SKEWED]).gain(0.01), 0.219768609425, id="T24"),
        pytest.param(
            lambda: plugin([SKEWED]).place(0.20907355483, 0.9).gap_nats, 0.0637306586746, id="T28"
        ),
        pytest.param(
            lambda: plugin([[0] * 9 + [1], [0, 1]]).gain(0.338376536215), 0.350822851397, id="T54"
        ),
        pytest.param(lambda: plugin([SKEWED]).at(beta=2).gain, 1.49091965232, id="T07"),
        pytest.param(lambda: plugin([SKEWED]).at(beta=2).kl, 0.390259323773, id="T08"),
        pytest.param(lambda: plugin([STEPS]).at(beta=1).gain, 0.992652734586, id="T02"),
        pytest.param(lambda: plugin([SAMPLE]).at(beta=1).gain, 1.18796981996, id="T106"),
        pytest.param(lambda: ess(plugin([SAMPLE]), beta=1), 2.17481184436, id="T108"),
    ],
)
def test_the_plug_in_gives_the_numbers_known_from_elsewhere(found, expected):
    assert_allclose(float(found()), expected, atol=1e-8)


def ess(limit, beta):
    return limit.prompts(limit.at(beta=beta).kl.value)["ess"][0]


@settings(max_examples=60, deadline=None)
@given(rows=reward_rows(), budget=st.sampled_from(["average", "per-prompt"]))
@example(rows=[np.array([0.0, 1.0]), np.array([0.0, 1e-3, 2e-3])], budget="average")
@example(rows=[np.array([0.0, 1.0, 1.0 + 1e-6]), np.array([0.0, 0.0, 30.0])], budget="average")
@example(rows=[np.arange(4.0)] * 3 + [np.full(3, 7.3)], budget="per-prompt")
def test_gain_slope_and_least_kl_are_those_of_the_enumerated_law(rows, budget):
    assume(enough(rows))
    limit, truth = plugin(rows, budget=budget), exact(rows, budget)
    top = truth.saturation
    kl = np.concatenate([np.geomspace(1e-5, 1.5 * top.kl, 12), [0.0, top.kl, 50.0]])
    gain = limit.gain(kl)
    assert_allclose(gain.value, truth.gain(kl), rtol=1e-8, atol=1e-9 * top.gain)
    inner = kl[(kl > 0) & (kl < 0.99 * top.kl)]
    assert_allclose(limit.beta(inner).value, truth.beta(inner), rtol=1e-6)
    assert_allclose(limit.kl(truth.gain(inner)).value, inner, rtol=1e-6, atol=1e-12)
    assert_allclose(limit.gain(50.0).value, top.gain, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=reward_rows(), beta=betas(0.05, 50))
def test_a_kl_coefficient_leads_where_the_tilted_law_stands(rows, beta):
    assume(enough(rows))
    found, truth = plugin(rows).at(beta=beta), exact(rows).at(beta=beta)
    top = exact(rows).saturation
    assert_allclose(found.gain.value, truth.gain, rtol=1e-7, atol=1e-8 * top.gain)
    assert_allclose(found.kl.value, truth.kl, rtol=1e-7, atol=1e-8)
    assert_allclose(found.gain.value, beta * found.jeffreys.value, rtol=1e-12)
    assert_allclose(found.jeffreys.value, found.kl.value + found.forward_kl.value, rtol=1e-9)
    regularised = found.gain.value - beta * found.kl.value
    assert_allclose(found.log_partition.value, regularised / beta, rtol=1e-6, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(rows=reward_rows(min_prompts=2), kl=budgets(1e-4, 4.0))
def test_one_shared_beta_gains_at_least_as_much_as_the_same_kl_everywhere(rows, kl):
    average, each = plugin(rows).gain(kl).value, plugin(rows, budget="per-prompt").gain(kl).value
    assert average >= each * (1 - 1e-8)


@settings(max_examples=40, deadline=None)
@given(rows=reward_rows())
def test_the_plug_in_is_flat_from_the_mean_of_log_samples_over_ties(rows):
    assume(enough(rows))
    limit = plugin(rows)
    ties = [np.mean(row == row.max()) for row in rows]
    ceiling_kl = -np.log(ties).mean()
    ceiling = np.mean([row.max() - row.mean() for row in rows])
    gap = min(np.ptp(np.sort(np.unique(row))[-2:]) for row in rows if np.ptp(row))
    rounding = (
        4 * np.spacing(ceiling) * 40 / gap
    )  # a gain's last digit, where the curve is that flat
    assert_allclose(limit.kl(ceiling).value, ceiling_kl, rtol=1e-9, atol=rounding)
    assert_allclose(limit.gain([ceiling_kl, ceiling_kl + 1]).value, ceiling, rtol=1e-12)
    assert limit.beta(ceiling_kl + 1e-6).value == 0
    for beta in (1e-3, 1.0):
        assert limit.at(beta=beta).kl.value <= ceiling_kl + 1e-12


@settings(max_examples=30, deadline=None)
@given(rows=reward_rows(max_prompts=2, min_samples=3, max_samples=6), kl=budgets(1e-3, 3.0))
def test_leaving_a_sample_out_never_raises_the_plug_in_on_average(rows, kl):
    full = plugin(rows, budget="per-prompt").gain(kl).value
    for place, row in enumerate(rows):
        fewer = [
            plugin([*rows[:place], np.delete(row, i), *rows[place + 1 :]], budget="per-prompt")
            for i in range(len(row))
        ]
        assert np.mean([limit.gain(kl).value for limit in fewer]) <= full + 1e-9 * (1 + full)


@settings(max_examples=30, deadline=None)
@given(row=reward_rows(max_prompts=1, min_samples=3, max_samples=7), kl=budgets(1e-3, 3.0))
def test_leaving_a_sample_out_never_raises_the_average_budget_either(row, kl):
    (row,) = row
    full = plugin([row]).gain(kl).value
    fewer = [plugin([np.delete(row, i)]).gain(kl).value for i in range(len(row))]
    assert np.mean(fewer) <= full + 1e-9 * (1 + full)


@settings(max_examples=30, deadline=None)
@given(
    rows=reward_rows(),
    offsets=st.lists(st.floats(-100, 100), min_size=5, max_size=5),
    scale=st.floats(-8, 8).map(lambda x: 10.0**x),
    budget=st.sampled_from(["average", "per-prompt"]),
)
def test_offsets_are_not_seen_and_scales_pass_through(rows, offsets, scale, budget):
    assume(enough(rows))
    kl = np.array([1e-3, 0.1, 0.7, 3.0])
    limit = plugin(rows, budget=budget)
    moved = plugin(
        [scale * (row + shift) for row, shift in zip(rows, offsets, strict=False)], budget=budget
    )
    assert_allclose(moved.gain(kl).value, scale * limit.gain(kl).value, rtol=1e-7)
    beta = limit.beta(kl).value
    steep = beta > 1e-3 * beta[0]
    assert_allclose(moved.beta(kl).value[steep], scale * beta[steep], rtol=1e-5)
    if budget == "average":
        first, second = limit.at(beta=0.7), moved.at(beta=0.7 * scale)
        assert_allclose(second.kl.value, first.kl.value, rtol=1e-6, atol=1e-9)
        assert_allclose(second.gain.value, scale * first.gain.value, rtol=1e-6)


def test_large_data_are_read_more_coarsely_and_still_to_six_digits():
    rows = np.random.default_rng(1).normal(size=(100, 256)) * np.linspace(0.3, 2, 100)[:, None]
    kl = np.array([1e-3, 0.05, 0.5, 2.0, 4.0])
    assert_allclose(plugin(rows).gain(kl).value, exact(list(rows)).gain(kl), rtol=1e-6)


def test_the_plug_in_is_never_trusted_and_says_why():
    gain = plugin(np.random.default_rng(2).normal(size=(30, 200))).gain(0.1)
    assert not gain.trusted
    assert gain.high == np.inf
    assert "low at every sample size" in gain.note
