"""Few gold labels: exact where all label sets can be enumerated, shorter and honest where they cannot."""

import json
import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError
from klimit.estimate.labels import FewLabels, few_labels
from klimit.estimate.labels.designs import Design
from klimit.estimate.labels.powered import powered
from klimit.estimate.labels.prediction import Labels, Predictions, predict
from klimit.estimate.labels.tilting import Rows, tilting

LENGTHS = np.array([4, 4, 5])


def small(seed=0):
    rng = np.random.default_rng(seed)
    rows = Rows.of(rng.normal(size=13), LENGTHS)
    gold = rng.normal(size=13) + 0.5 * rows.proxy + rng.normal(size=3)[rows.prompt]
    return rng, rows, gold


def pair(seed, prompts=60, samples=64, slope=0.8, noise=0.6):
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(prompts, samples))
    gold = slope * proxy + noise * rng.normal(size=proxy.shape) + rng.normal(size=(prompts, 1))
    return rng, proxy, gold


def at_random(rng, gold, labels):
    kept = np.full(gold.shape, np.nan)
    for row, (out, full) in enumerate(zip(kept, gold, strict=True)):
        number = labels if np.isscalar(labels) else labels[row]
        place = rng.choice(gold.shape[1], number, replace=False)
        out[place] = full[place]
    return kept


def brute_gain(proxy, gold, tilt):
    """The tilted mean over the plain one, jackknifed by hand."""

    def ratio(keep):
        weight = np.exp(tilt * proxy[keep])
        return weight @ gold[keep] / weight.sum() - gold[keep].mean()

    every = np.arange(len(proxy))
    without = [ratio(np.delete(every, j)) for j in every]
    return len(proxy) * ratio(every) - (len(proxy) - 1) * np.mean(without), np.array(without)


@pytest.mark.parametrize("tilt", [0.1, 1.0, 4.0])
def test_coefficients_of_gold_are_the_delete_one_jackknife_and_sum_to_zero(tilt):
    _, rows, gold = small()
    tilted = tilting(rows, tilt)
    assert_allclose(rows.sum(tilted.coefficient), 0, atol=1e-12)
    without = tilted.gain_without(gold)
    for prompt, found in enumerate(tilted.gain(gold)):
        here = rows.prompt == prompt
        wanted, left = brute_gain(rows.proxy[here], gold[here], tilt)
        assert_allclose(found, wanted, rtol=1e-9)
        assert_allclose(without[here], left, rtol=1e-9)


def test_an_infinite_tilt_keeps_the_best_and_ties_share_it():
    rows = Rows.of(np.array([0.0, 1.0, 1.0, -2.0, 0.5]), np.array([5]))
    gold = np.array([0.0, 3.0, 5.0, 1.0, 1.0])
    assert tilting(rows, np.inf).gain(gold)[0] == pytest.approx(2.0)


@pytest.mark.parametrize("seeing", [True, False])
def test_the_mean_over_all_sets_of_labels_is_the_gain_with_all_gold_whatever_is_predicted(seeing):
    rng, rows, gold = small()
    wild = Predictions(*rng.normal(size=(2, 13)), *np.zeros((2, 13)))
    tilted = tilting(rows, 0.8)
    found = []
    sets = [combinations(np.flatnonzero(rows.prompt == x), 2) for x in range(3)]
    for chosen in product(*sets):
        kept = np.full(13, np.nan)
        place = np.concatenate(chosen)
        kept[place] = gold[place]
        labels = Labels.of(rows, kept)
        none = np.full(len(labels.place), np.nan)
        design = Design.of(labels, none, np.zeros(len(none), dtype=int))
        found.append(powered(tilted, labels, design, wild, seeing=seeing).gain)
    assert_allclose(np.mean(found), tilted.gain(gold).mean(), rtol=1e-9)


def test_with_all_gold_known_predictions_change_nothing():
    rng, rows, gold = small(1)
    labels = Labels.of(rows, gold)
    design = Design.of(labels, np.full(13, np.nan), np.zeros(13, dtype=int))
    tilted = tilting(rows, 0.8)
    none = np.zeros(13)
    wilds = Predictions(gold, gold, none, none), Predictions(*rng.normal(size=(2, 13)), none, none)
    for wild in wilds:
        found = powered(tilted, labels, design, wild)
        assert_allclose(found.gain, tilted.gain(gold).mean(), rtol=1e-12)
        assert_allclose(found.labels, 0, atol=1e-12)


def test_no_label_has_more_than_a_trace_in_its_own_prediction():
    rng, proxy, gold = pair(2, prompts=12, samples=10)
    rows = Rows.of(proxy.ravel(), np.full(12, 10))
    kept = at_random(rng, gold, 3).ravel()
    place = np.flatnonzero(~np.isnan(kept))[7]
    fixed = predict(rows, kept, np.empty((0, 120)))
    moved = kept.copy()
    moved[place] += 1e-4  # too little to choose other penalties
    again = predict(rows, moved, np.empty((0, 120)))
    for one, two in ((fixed.blind, again.blind), (fixed.seeing, again.seeing)):
        assert abs(two[place] - one[place]) < 0.02 * np.abs(two - one).max()


def test_a_good_proxy_makes_intervals_a_third_shorter_and_they_hold_the_truth():
    hits, ratios = 0, []
    for seed in range(8):
        rng, proxy, gold = pair([3, seed], prompts=40, samples=48)
        few = few_labels(proxy, gold=at_random(rng, gold, 5), prompts="fixed")
        found, alone = few.gold_gain(0.25), few.without_proxy(0.25)
        hits += found.low <= 0.8 * 0.5**0.5 <= found.high
        ratios.append((found.high - found.low) / (alone.high - alone.low))
    assert np.median(ratios) < 0.7
    assert hits >= 6


def test_drawn_prompts_save_less_because_prompts_differ_and_the_split_says_so():
    rng, proxy, gold = pair(4)
    gold = gold + np.linspace(-0.8, 0.8, 60)[:, None] * proxy  # prompts differ in their slope
    kept = at_random(rng, gold, 6)
    drawn, fixed = (few_labels(proxy, gold=kept, prompts=x) for x in ("drawn", "fixed"))
    one, other = drawn.split(0.5), fixed.split(0.5)
    assert one.prompts > 0.3 > other.prompts == 0
    assert one.prompts + one.samples + one.labels == pytest.approx(1)
    assert 0 < one.saved < one.possible < 1
    assert one.saved < other.saved
    assert drawn.gold_gain(0.5).value == fixed.gold_gain(0.5).value
    assert 0 < one.allowed < other.allowed < other.possible
    assert one.reached == pytest.approx(one.saved / one.allowed)


def test_the_split_allows_more_the_better_the_proxy_and_never_more_than_labels_on_every_sample():
    found = []
    for slope, noise in ((0.0, 0.6), (0.4, 0.6), (0.8, 0.6), (1.0, 0.0)):
        rng, proxy, gold = pair(21, slope=slope, noise=noise)
        found.append(few_labels(proxy, gold=at_random(rng, gold, 6), prompts="fixed").split(0.25))
    allowed = [split.allowed for split in found]
    assert allowed == sorted(allowed)
    assert allowed[0] < 0.02
    assert allowed[-1] > 0.6
    assert all(split.allowed <= split.possible for split in found)


def test_with_one_label_a_prompt_no_correlation_is_known_and_nothing_is_said_to_be_allowed():
    rng, proxy, gold = pair(23, prompts=80)
    few = few_labels(proxy, gold=at_random(rng, gold, 1))
    assert math.isnan(few.split(0.1).allowed)
    assert math.isnan(few.split(0.1).reached)
    assert "promise" not in str(few).split("Its variance")[0]
    row = few.to_dict()["along"][0]
    assert row["shorter_allowed"]["value"] is None
    assert "correlation" in row["shorter_allowed"]["reason"]
    assert few.to_frame()["allowed"].null_count() == few.to_frame().height


def test_a_useless_proxy_costs_little():
    lengths = []
    for seed in range(4):
        rng, proxy, gold = pair([5, seed], prompts=40, samples=32, slope=0.0)
        few = few_labels(proxy, gold=at_random(rng, gold, 6), prompts="fixed")
        found, alone = few.gold_gain(0.25), few.without_proxy(0.25)
        lengths.append((found.high - found.low) / (alone.high - alone.low))
    assert np.median(lengths) < 1.1


def test_a_length_column_that_explains_the_error_shortens_the_interval():
    rng, proxy, quality = pair(6, noise=0.1)
    length = rng.normal(size=proxy.shape)
    gold = at_random(rng, quality - length, 6)
    base = {"rm": proxy + length, "human": gold, "length": length}
    plain = klimit.hacking(base, proxy="rm", gold="human")
    knowing = klimit.hacking(base, proxy="rm", gold="human", nuisance="length")
    assert isinstance(plain, FewLabels)
    narrow, wide = knowing.gold_gain(0.25), plain.gold_gain(0.25)
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_one_label_a_prompt_gives_an_answer():
    rng, proxy, gold = pair(7, prompts=200, samples=32)
    few = few_labels(proxy, gold=at_random(rng, gold, 1))
    found = few.gold_gain(0.1)
    assert found.low < 0.8 * 0.2**0.5 < found.high
    assert found.low > 0
    assert np.isnan(few.correlation.value)


def test_labels_in_some_prompts_only_stand_for_the_others_too():
    """Prompts differ in their slope, so which of them have labels matters, and the error says so."""
    errors, parts = [], []
    for seed in range(12):
        rng, proxy, gold = pair([8, seed], prompts=45, samples=32, noise=0.3)
        gold = gold + np.linspace(-1, 1, 45)[rng.permutation(45), None] * proxy
        number = np.where(rng.permutation(45) < 15, 12, 0)
        few = few_labels(proxy, gold=at_random(rng, gold, number), prompts="fixed")
        found = few._at(0.3, seeing=True)
        tilted = tilting(few.known.rows, float(few.proxy.curve.at_kl(0.3).tilt))
        errors.append(found.gain - tilted.gain(gold.ravel()[few.known.origin]).mean())
        parts.append(found.labels)
    typical = np.mean(parts) ** 0.5
    assert abs(np.mean(errors)) < 3 * typical / 12**0.5
    assert 0.5 < np.std(errors) / typical < 1.5


def test_neither_the_order_of_rows_nor_of_prompts_changes_a_digit():
    rng, proxy, gold = pair(9, prompts=20, samples=16)
    kept = at_random(rng, gold, 4)
    first = few_labels(proxy, gold=kept).gold_gain([0.1, 0.5])
    turned = rng.permutation(20)
    columns = np.argsort(rng.random(proxy.shape), axis=1)
    again = few_labels(
        np.take_along_axis(proxy, columns, 1)[turned],
        gold=np.take_along_axis(kept, columns, 1)[turned],
    ).gold_gain([0.1, 0.5])
    for part in ("value", "low", "high"):
        assert (getattr(first, part) == getattr(again, part)).all()


def test_units_of_gold_and_proxy_change_nothing_but_units():
    rng, proxy, gold = pair(10, prompts=30, samples=16)
    kept = at_random(rng, gold, 4)
    one = few_labels(proxy, gold=kept).gold_gain(0.3)
    for moved, close in ((proxy, 1e-6), (3 * proxy, 2e-3)):
        other = few_labels(moved, gold=10 * kept - 7).gold_gain(0.3)
        found, wanted = ([x.value, x.low, x.high] for x in (other, one))
        assert_allclose(found, 10 * np.array(wanted), rtol=close)


def test_gold_that_turns_is_seen_to_turn():
    rng = np.random.default_rng(11)
    proxy = rng.normal(size=(100, 64))
    gold = proxy - 1.2 * proxy**2 + 0.2 * rng.normal(size=proxy.shape)
    stop = few_labels(proxy, gold=at_random(rng, gold, 20)).stop_kl
    assert stop.low <= 0.09 <= stop.high < 0.6  # tilt 1 / 2.4
    rising = few_labels(proxy, gold=at_random(rng, proxy + 0.1 * gold, 10)).stop_kl
    assert np.isinf(rising.high)


def test_klimit_hacking_comes_here_where_gold_is_missing_for_most():
    rng, proxy, gold = pair(12, prompts=30, samples=16)
    kept = at_random(rng, gold, 4)
    rows = {
        "prompt_id": np.repeat(np.arange(30), 16), "rm": proxy.ravel(),
        "human": [None if np.isnan(x) else x for x in kept.ravel()],
    }  # fmt: skip
    named = klimit.hacking(klimit.read(pl.DataFrame(rows)), proxy="rm", gold="human")
    mapped = klimit.hacking({"rm": proxy, "human": kept}, proxy="rm", gold="human")
    place = np.argwhere(~np.isnan(kept))
    table = pl.DataFrame({
        "prompt_id": place[:, 0], "sample": place[:, 1], "human": kept[~np.isnan(kept)],
    })  # fmt: skip
    tabled = klimit.hacking(klimit.read(pl.DataFrame(rows).drop("human")), proxy="rm", gold=table)
    for found in (named, mapped, tabled):
        assert isinstance(found, FewLabels)
        assert found.gold_gain(0.3).value == named.gold_gain(0.3).value
    assert named.number == 120
    most = at_random(rng, gold, 15)
    assert not isinstance(
        klimit.hacking({"rm": proxy, "human": most}, proxy="rm", gold="human"), FewLabels
    )


def test_words_numbers_and_tables_agree():
    rng, proxy, gold = pair(13)
    few = few_labels({"rm": proxy, "human": at_random(rng, gold, 6)}, proxy="rm", gold="human")
    said = " ".join(str(few).split())
    assert "0.2 nats gains +" in said
    assert "by 360 labels in 60 prompts" in said
    assert "a label on every sample would make it" in said
    assert "at random within prompts" in said
    assert repr(few).startswith("<FewLabels of rm judged by human: 360 labels in 60 of 60 prompts")
    document = few.to_dict()
    json.dumps(document, allow_nan=False)
    assert document["schema"] == "klimit.labels/1"
    frame = few.to_frame([0.1, 0.5])
    assert_allclose(frame["gold_gain"], few.gold_gain([0.1, 0.5]).value)
    assert few.proxy_gain(0.5).value == pytest.approx(1.0, abs=0.03)
    assert few.gold_gain(0.0).high == 0
    assert few.correlation.low < 0.8 < few.correlation.high
    far = few.gold_gain(few.trusted_kl + 1)
    assert not far.trusted
    assert "at most" in far.note


def test_bad_labels_are_refused_in_one_line():
    rng, proxy, gold = pair(14, prompts=20, samples=16)
    kept = at_random(rng, gold, 4)
    few, one = at_random(rng, gold, np.r_[np.full(9, 3), np.zeros(13, int)]), kept.copy()
    one[1:] = np.nan
    hidden = proxy.copy()
    hidden[~np.isnan(kept)] = np.nan
    infinite = kept.copy()
    infinite[~np.isnan(kept)] = np.inf
    table = pl.DataFrame({"prompt_id": ["0"] * 40, "sample": ["3"] * 40, "human": [1.0] * 40})
    spread = pl.DataFrame(
        {
            "prompt_id": np.arange(40) % 20,
            "sample": np.arange(40) // 20,
            "human": 1.0 * np.arange(40),
        }
    )
    cases = [
        (proxy, few, DataError, "Few gold labels: 27 samples of 9 prompts have gold"),
        (proxy, one, DataError, "Few gold labels"),
        (proxy, np.where(np.isnan(kept), np.nan, 1.0), DataError, "all 80 labels of gold are 1"),
        (hidden, kept, DataError, "labels of 'gold' are on samples without the proxy"),
        (proxy, infinite, DataError, "inf"),
        (proxy, kept[:, :8], ArgumentError, "same samples"),
        (proxy, "human", ArgumentError, "names a column"),
        (proxy, table, DataError, "two labels of one sample"),
        (proxy, table.with_columns(sample=pl.lit("16")), DataError, "called 0 to 15"),
        (proxy, table.with_columns(prompt_id=pl.lit("\x1b[31mno")), DataError, r"x1b\[31mno"),
        (proxy, table.drop("sample"), ArgumentError, "prompt_id, sample"),
        (
            proxy,
            table.with_columns(other=pl.lit(1.0)),
            ArgumentError,
            "2 columns that may be the gold",
        ),
        (proxy, spread.with_columns(label_chance=pl.lit(1.5)), DataError, "chance in"),
    ]
    for base, labels, kind, said in cases:
        with pytest.raises(kind, match=said) as problem:
            few_labels(base, gold=labels)
        assert "\n" not in str(problem.value)
    with pytest.raises(ArgumentError, match=r"reward_range=\(5, 6\) was given beside few labels"):
        klimit.hacking(proxy, gold=kept, reward_range=(5, 6))
    good = few_labels(proxy, gold=kept)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ArgumentError):
            good.gold_gain(wrong)


def test_labels_without_a_proxy_are_counted():
    rng, proxy, gold = pair(15, prompts=20, samples=16)
    kept = at_random(rng, gold, 4)
    holes = proxy.copy()
    holes[0, np.flatnonzero(~np.isnan(kept[0]))[:2]] = np.nan
    few = few_labels(holes, gold=kept)
    assert few.known.lost == 2
    assert "2 labels without the proxy" in str(few)
    assert replace(few, proxy=few.proxy).number == 78


def test_gold_that_is_one_number_in_every_prompt_is_no_error_but_told():
    rng, proxy, _ = pair(50, samples=16)
    gold = at_random(rng, np.repeat(rng.normal(size=(60, 1)), 16, axis=1), 3)
    with pytest.warns(klimit.DataWarning, match="all labels of a prompt are the same number"):
        gain = klimit.hacking(proxy, gold=gold).gold_gain(0.1)
    assert gain.low <= 0 <= gain.high


def test_a_proxy_that_never_differs_is_refused_and_odd_scales_are_told():
    rng, proxy, gold = pair(51, samples=16)
    few = at_random(rng, gold, 3)
    with pytest.raises(DataError, match="the same for all samples"):
        klimit.hacking(np.ones_like(proxy), gold=few)
    uneven = proxy * np.geomspace(0.01, 1, 60)[:, None]
    with pytest.warns(klimit.DataWarning, match="times as far on some prompts"):
        klimit.hacking(uneven, gold=few)
    with pytest.warns(klimit.DataWarning, match="hold the same numbers"):
        klimit.hacking(gold, gold=few)


@pytest.mark.parametrize("chosen", [False, True])
def test_the_correlation_is_that_of_all_samples_also_where_labels_were_chosen(chosen):
    """Chosen labels lie at both ends of the proxy, and correlate by .9 where the samples do by .8."""
    found = []
    for seed in range(5):
        rng, proxy, gold = pair([31, seed], prompts=40, samples=32)
        if chosen:
            labels = klimit.first_labels(proxy, n=200, kl=0.3, seed=seed)
            places = labels.select("prompt_id", "sample").cast(pl.Int64).to_numpy().T
            few = few_labels(proxy, gold=labels.with_columns(gold=pl.Series(gold[*places])))
        else:
            few = few_labels(proxy, gold=at_random(rng, gold, 5))
        found.append(few.correlation)
    assert np.mean([one.value for one in found]) == pytest.approx(0.8, abs=0.02)
    assert sum(one.low < 0.8 < one.high for one in found) >= 4
    assert few.among_labels > 0.85 or not chosen


def test_the_interval_of_the_correlation_knows_how_much_prompts_differ():
    """Errors of few degrees of freedom: Fisher's law for normal rewards held .8 in two of three."""
    held = 0
    for seed in range(12):
        rng, proxy, _ = pair([32, seed], prompts=40, samples=32)
        heavy = rng.standard_t(3, size=proxy.shape) / 3**0.5
        few = few_labels(proxy + 0.75 * heavy, gold=at_random(rng, proxy, 5))
        held += few.correlation.low < 0.8 < few.correlation.high
    assert held >= 11


def test_a_turn_that_is_seen_but_not_shown_is_said_to_be_seen():
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(60, 64))
    gold = 1.2 * proxy - 0.9 * proxy**2 + 0.3 * rng.normal(size=proxy.shape)
    gold[rng.random(proxy.shape) > 0.05] = np.nan
    few = klimit.hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human")
    assert few.turns
    assert few.stop_kl.high == np.inf
    said = " ".join(str(few).split())
    assert "human seems highest at 0.38 nats, but a peak at the end of the trusted" in said


def test_a_table_of_labels_fits_a_mapping_of_rewards_and_holds_finite_numbers():
    proxy = np.random.default_rng(0).normal(size=(30, 8))
    table = pl.DataFrame({
        "prompt_id": np.repeat(np.arange(30), 2), "sample": np.tile([0, 1], 30),
        "gold": proxy[:, :2].ravel() ** 3,
    })  # fmt: skip
    one, other = (
        klimit.hacking(base, gold=table, **named).gold_gain(0.3)
        for base, named in ((proxy, {}), ({"rm": proxy, "other": -proxy}, {"proxy": "rm"}))
    )
    assert (one.low, one.high) == (other.low, other.high)
    endless = table.with_columns(gold=pl.lit(float("inf")))
    with pytest.raises(DataError, match="a label of 'gold' is inf; finite numbers were expected"):
        klimit.hacking(proxy, gold=endless)
