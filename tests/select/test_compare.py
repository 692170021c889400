"""What rules keep by gold: exact where sets of candidates can be enumerated, unbiased elsewhere."""

import re
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning, select
from klimit.estimate.best_of_n.candidates import candidates
from klimit.estimate.tuning import tune
from klimit.select.measure import RULES, _deal, of_rule, sheets
from klimit.theory import soft_best_of_n as known_soft_best_of_n

PROXY = np.array([[0.0, 1.0, 1.0, 3.0, 2.0, 1.5], [5.0, 5.0, 4.0, 4.0, 1.0, 0.0]])
GOLD = np.array([[1.0, 0.0, 2.0, -1.0, 4.0, 0.5], [0.0, 1.0, 1.0, 3.0, 0.0, 2.0]])


def enumerated(rule, proxy, gold, n):
    """Mean over all n-subsets of what a rule keeps, over the mean of all."""
    kept = [
        rule(proxy[list(subset)]) @ gold[list(subset)]
        for subset in combinations(range(len(proxy)), n)
    ]
    return np.mean(kept) - gold.mean()


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_best_of_n_is_the_mean_over_all_sets_with_ties_shared(n):
    found = select.compare(PROXY, gold=GOLD, n=n, beta=1.0)
    expected = [enumerated(select.best_of_n, *pair, n) for pair in zip(PROXY, GOLD, strict=True)]
    assert_allclose(found.kept.gold[0], expected, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_with_all_samples_as_candidates_a_rule_is_exact(name):
    rule = {"soft best-of-n": select.soft_best_of_n, "pessimism": select.pessimism}[name]
    found = select.compare(PROXY, gold=GOLD, n=6, beta=[0.3, 2.0])
    rows = [i for i, s in enumerate(found.settings) if s.rule == name]
    for row in rows:
        beta = found.settings[row].beta
        expected = [rule(x, beta=beta) @ y - y.mean() for x, y in zip(PROXY, GOLD, strict=True)]
        assert_allclose(found.kept.gold[row], expected, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n", [2, 4])
def test_sets_that_are_dealt_have_the_mean_over_all_sets_as_their_mean(name, n):
    rule = {"soft best-of-n": select.soft_best_of_n, "pessimism": select.pessimism}[name]
    made = sheets(candidates(PROXY, None, GOLD))
    found = np.array(
        [of_rule(RULES[name], made, [0.5], n, 2, seed=seed).gold[0] for seed in range(400)]
    )
    expected = [
        enumerated(lambda x: rule(x, beta=0.5), x, y, n) for x, y in zip(PROXY, GOLD, strict=True)
    ]
    error = found.std(axis=0) / 20
    assert (np.abs(found.mean(axis=0) - expected) < 4 * error + 1e-12).all()


def test_every_deal_uses_every_sample_once_where_sizes_divide():
    place = _deal(np.random.default_rng(0), rows=5, samples=12, n=4, deals=3)
    for row in place:
        assert (np.bincount(row, minlength=12) == 3).all()


def test_best_of_n_agrees_with_the_verb_that_reads_by_a_judge():
    rng = np.random.default_rng(2)
    gold = rng.normal(size=(30, 16))
    proxy = np.round(gold + rng.normal(size=gold.shape), 1)
    found = select.compare(proxy, gold=gold, n=[2, 8])
    other = klimit.best_of_n(proxy, n=[2, 8], judge=gold)
    for row in (0, 1):
        assert_allclose(found.gold[row].value, other.gain[row].value)
        assert_allclose(found.gold[row].low, other.gain[row].low)
        assert_allclose(found.kl[row].value, other.kl[row].value)


def test_the_kl_of_soft_best_of_n_is_bounded_and_not_by_much():
    values, base = np.linspace(0, 1, 40), np.full(40, 1 / 40)
    rng = np.random.default_rng(3)
    proxy = values[rng.integers(0, 40, size=(400, 64))]
    with pytest.warns(DataWarning, match="hold the same numbers"):
        found = select.compare(proxy, gold=proxy, n=8, beta=0.2)
    row = next(i for i, s in enumerate(found.settings) if s.rule == "soft best-of-n")
    known = known_soft_best_of_n(base, values, 8, beta=0.2)
    assert known.kl <= found.kl[row].high
    assert found.kl[row].value <= 1.25 * known.kl
    assert 1 + known.chi_square <= found.coverage[row].high
    assert_allclose(found.gold[row].value, known.gain, rtol=0.03)


def test_a_tuned_rule_is_not_flattered_by_the_choice():
    rng = np.random.default_rng(4)
    apparent, held_out = [], []
    for _ in range(200):
        values = rng.normal(size=(8, 30))  # no setting is better than another
        found = tune(values, np.arange(30))
        apparent.append(values[found.chosen].mean())
        held_out.append(found.held_out.mean())
    assert np.mean(apparent) > 0.15
    assert abs(np.mean(held_out)) < 4 * np.std(held_out) / np.sqrt(200)


def test_the_order_of_rows_and_prompts_changes_no_digit():
    rng = np.random.default_rng(5)
    gold = rng.normal(size=(20, 16))
    proxy = np.round(gold + rng.normal(size=gold.shape), 1)
    found = select.compare(proxy, gold=gold, candidates=4)
    rows, columns = rng.permutation(20), rng.permuted(np.tile(np.arange(16), (20, 1)), axis=1)
    mixed = [np.take_along_axis(x, columns, axis=1)[rows] for x in (proxy, gold)]
    again = select.compare(mixed[0], gold=mixed[1], candidates=4)
    assert found.to_frame().equals(again.to_frame())
    assert found.tuned == again.tuned
    assert (
        select.compare(proxy, gold=gold, candidates=4, seed=1).gold.value[-1]
        != found.gold.value[-1]
    )


def test_prompts_may_differ_in_their_samples_and_lack_rewards():
    rng = np.random.default_rng(6)
    gold = [rng.normal(size=size) for size in (8, 12, 9, 3)]
    proxy = [x + rng.normal(size=len(x)) for x in gold]
    gold[0][2] = np.nan
    found = select.compare(proxy, gold=gold, n=[1, 4])
    assert found.prompts == 3
    assert found.samples == (7, 12)
    assert any("1 of 4 prompts has at most 3 samples" in note for note in found.notes)
    assert any("missing" in note for note in found.notes)


def test_differences_are_paired_by_prompt():
    rng = np.random.default_rng(7)
    level = rng.normal(size=(50, 1))
    gold = level * np.linspace(0, 1, 16) + 0.1 * rng.normal(size=(50, 16))
    found = select.compare(gold + 0.1 * rng.normal(size=gold.shape), gold=gold, n=[4, 8])
    apart = found.difference(1, 0)
    assert_allclose(apart.value, found.gold.value[1] - found.gold.value[0])
    alone = found.gold[1].high - found.gold[1].low
    assert apart.high - apart.low < alone
    assert found.difference("pessimism", "pessimism").value == 0


def test_differences_of_tuned_rules_hold_their_mean_where_few_prompts_choose():
    """Of 15 prompts halves choose otherwise than all: their own interval held it in 78 of 100."""
    rng = np.random.default_rng(10)
    found = []
    for _ in range(400):
        trust, least = rng.random((15, 1)), 0.7 + 1.5 * rng.normal(size=(15, 1))
        proxy, noise = rng.normal(size=(2, 15, 128))
        solved = (trust * proxy + noise > least) * 1.0
        chosen = select.compare(proxy, gold=solved, n=[4, 64], beta=[1.0, 0.3])
        apart = chosen.difference("best-of-n", "soft best-of-n")
        found.append((apart.low, apart.value, apart.high))
    low, value, high = np.array(found).T
    held = (low <= value.mean()) & (value.mean() <= high)
    assert held.mean() > 0.89
    assert np.mean(high - low) < 1.2 * 2 * 1.96 * value.std()


def test_the_frame_has_a_row_per_setting_and_marks_the_tuned_ones():
    frame = select.compare(PROXY, gold=GOLD, n=[1, 2], beta=[1.0, 0.5]).to_frame()
    assert frame["rule"].to_list() == [
        *["best-of-n"] * 2, *["soft best-of-n"] * 2, *["pessimism"] * 2,
    ]  # fmt: skip
    assert frame["beta"].to_list() == [None, None, 1.0, 0.5, 1.0, 0.5]
    assert frame["tuned"].sum() == 3
    assert frame.schema["n"] == pl.Int64


def test_the_verdict_names_rule_setting_gain_and_difference():
    rng = np.random.default_rng(8)
    gold = rng.normal(size=(40, 16))
    said = str(select.compare(gold + rng.normal(size=gold.shape), gold=gold))
    assert re.match(r"Chosen by proxy, .*-16.* keeps the best answers: \+1\.", said)
    assert "Pessimism, beta = " in said
    assert "not flattered by the choice" in " ".join(said.split())


def test_a_gain_that_may_be_none_is_not_said_to_be_one():
    rng = np.random.default_rng(1)
    found = select.compare(rng.normal(size=(40, 16)), gold=rng.normal(size=(40, 16)))
    assert max(tuned.gold.low for tuned in found.tuned.values()) < 0
    said = " ".join(str(found).split())
    assert re.match(r"Chosen by proxy, no rule (is shown to keep|keeps) better answers than", said)
    assert "keeps the best answers" not in said
    assert "the best, " not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gold": None}, "gold is missing"),
        ({"gold": GOLD, "n": 7}, "no prompt has more than 6 samples"),
        ({"gold": GOLD, "candidates": 9}, "candidates=9 was asked, but no prompt has more than 6"),
        ({"gold": "human"}, "gold='human' names a column"),
        ({"gold": GOLD, "beta": -1.0}, "positive numbers"),
        ({"gold": GOLD, "beta": "a"}, "positive numbers"),
        ({"gold": GOLD, "beta": [1.0, np.inf]}, "positive numbers"),
        ({"gold": GOLD, "candidates": [2, 4]}, "a whole number of answers"),
        ({"gold": GOLD, "level": 2}, "level must lie"),
        ({"gold": GOLD, "level": "a"}, "level must lie"),
        ({"gold": GOLD, "seed": -1}, "seed must be zero or a positive integer"),
        ({"gold": GOLD[:1]}, "gold has .* both must be of the same samples"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_so(options, words):
    with pytest.raises(ArgumentError, match=words):
        select.compare(PROXY, **options)


def test_no_such_row_is_an_error():
    found = select.compare(PROXY, gold=GOLD)
    with pytest.raises(ArgumentError, match=r"'nothing' was given; one of best-of-n"):
        found.difference("nothing", "pessimism")


@pytest.mark.parametrize("constant", [np.ones((2, 6)), np.repeat([[1.0], [2.0]], 6, axis=1)])
def test_a_reward_that_is_one_within_every_prompt_is_refused(constant):
    for proxy, gold, name in ((PROXY, constant, "gold"), (constant, GOLD, "proxy")):
        with pytest.raises(DataError, match=f"{name} is the same for all samples of every prompt"):
            select.compare(proxy, gold=gold)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_rewards_too_large_or_small_to_compute_with_are_refused(scale):
    with pytest.raises(DataError, match="can be computed with"):
        select.compare(PROXY * scale, gold=GOLD)
    with pytest.raises(DataError, match="can be computed with"):
        select.compare(PROXY, gold=GOLD * scale)


def test_gold_nowhere_is_an_error():
    with pytest.raises(DataError, match="lacks reward"):
        select.compare(PROXY, gold=np.full_like(GOLD, np.nan))


def test_a_proxy_on_another_scale_by_prompt_is_warned_of():
    proxy, gold = np.random.default_rng(9).normal(size=(2, 20, 8))
    with pytest.warns(DataWarning, match="proxy spreads .* times as far on some prompts"):
        select.compare(proxy * np.logspace(0, 2, 20)[:, None], gold=gold, n=[1, 4])


def test_one_column_is_not_both_proxy_and_gold():
    base = klimit.read({"rm": PROXY, "human": GOLD})
    with pytest.raises(ArgumentError, match="'rm' was named twice"):
        select.compare(base, proxy="rm", gold="rm")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_spends_at_most_what_best_of_n_does_and_is_bounded_from_above_alone(name):
    proxy, noise = np.random.default_rng(5).normal(size=(2, 60, 64))
    found = select.compare(proxy, gold=proxy + noise, n=4, beta=0.05)
    row = next(i for i, s in enumerate(found.settings) if s.rule == name)
    for spent, least in ((found.kl, 0), (found.coverage, 1)):
        assert spent[row].value <= spent[0].value
        assert spent[row].low == least
        assert "upper bound" in spent.note


def test_the_coverage_of_best_of_n_is_an_upper_bound_where_answers_tie_and_known_elsewhere():
    rate = np.full((40, 1), 0.3)
    solved = (np.random.default_rng(6).random((40, 16)) < rate) * 1.0
    passed = 1 - 0.7**8
    true = passed**2 / 0.3 + (1 - passed) ** 2 / 0.7  # 2.96, not 64 / 15
    found = select.compare(solved, gold=solved + np.arange(16) % 2, n=[8], beta=1.0).coverage[0]
    assert found.low == 1 < true < found.high == found.value
    distinct = np.random.default_rng(6).normal(size=(40, 16))
    known = select.compare(distinct, gold=solved, n=[4], beta=1.0).coverage[0]
    assert known.low == known.value == known.high


def test_rules_that_keep_the_same_answers_are_said_to():
    rng = np.random.default_rng(4)
    solved = (rng.random((60, 16)) < rng.random((60, 1))) * 1.0
    said = str(select.compare(solved, gold=solved * (rng.random(solved.shape) < 0.8)))
    assert "]: the same." in said
    assert "a difference of 0," not in said


def test_the_frame_has_every_number_of_every_setting():
    found = select.compare(PROXY, gold=GOLD, n=[2, 4], beta=1.0)
    frame = found.to_frame()
    for name in ("gold", "proxy", "kl", "coverage"):
        estimate = getattr(found, name)
        assert_allclose(frame[name].to_numpy(), estimate.value)
        assert_allclose(frame[f"{name}_low"].fill_null(-np.inf).to_numpy(), estimate.low)


def test_the_strongest_setting_is_said_to_be_so_where_it_gains():
    gold = np.random.default_rng(3).normal(size=(60, 16))
    for sign, said in ((1, True), (-1, False)):
        found = select.compare(sign * gold, gold=2 * gold**3, n=[2, 4], beta=1.0)
        assert any("best-of-n is the strongest one" in note for note in found.notes) == said
