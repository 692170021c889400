"""Judged pairs: a win rate over base draws, exact where every pair is judged."""

import json
import re

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError
from klimit.estimate.labels.judged import read_judgements
from klimit.estimate.labels.pairwise import Pairing, pair_coefficient
from klimit.estimate.labels.preferences import FewJudgements, judged
from klimit.estimate.labels.tilting import tilting


def pairs(seed, prompts=40, samples=24, number=200, ties=0.1):
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(prompts, samples))
    quality = 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)
    prompt = np.arange(number) % prompts
    a = rng.integers(samples, size=number)
    b = (a + rng.integers(1, samples, size=number)) % samples
    won = np.where(quality[prompt, a] > quality[prompt, b], "a", "b")
    won = np.where(rng.random(number) < ties, "tie", won)
    table = pl.DataFrame({"prompt_id": prompt, "sample_a": a, "sample_b": b, "preferred": won})
    return proxy, quality, table


def every_pair(quality):
    prompts, samples = quality.shape
    i, j = np.triu_indices(samples, 1)
    won = np.where(quality[:, i] > quality[:, j], 1.0, 0.0)
    return pl.DataFrame({
        "prompt_id": np.repeat(np.arange(prompts), len(i)), "sample_a": np.tile(i, prompts),
        "sample_b": np.tile(j, prompts), "preferred": won.ravel(),
    })  # fmt: skip


def brute_wins(proxy, quality, tilt):
    """Jackknifed chance to beat another sample, less 1/2."""
    beats = (quality[:, None] > quality).astype(float)

    def wins(keep):
        weight = np.exp(tilt * proxy[keep])
        return weight / weight.sum() @ beats[np.ix_(keep, keep)].sum(axis=1) / (len(keep) - 1) - 0.5

    every = np.arange(len(proxy))
    without = np.mean([wins(np.delete(every, k)) for k in every])
    return len(every) * wins(every) - (len(every) - 1) * without


def test_where_every_pair_is_judged_the_win_rate_is_the_jackknifed_one_whatever_is_predicted():
    proxy, quality, _ = pairs(0, prompts=12, samples=7)
    found = Pairing.of(read_judgements(proxy, None, every_pair(quality), seed=0))
    tilted = tilting(found.judgements.known.rows, 0.9)
    wanted = np.mean([brute_wins(r, q, 0.9) for r, q in zip(proxy, quality, strict=True)])
    for seeing in (True, False):
        assert_allclose(found.at(tilted, seeing=seeing).gain, wanted, rtol=1e-9)


def test_coefficients_of_pairs_change_sign_with_their_order():
    proxy, _, table = pairs(1)
    read = read_judgements(proxy, None, table, seed=0)
    tilted = tilting(read.known.rows, 1.1)
    one, other = (
        pair_coefficient(tilted, *x) for x in ((read.first, read.second), (read.second, read.first))
    )
    assert_allclose(one, -other)


def test_neither_the_order_within_pairs_nor_that_of_rows_matters():
    proxy, _, table = pairs(2)
    turned = table.rename({"sample_a": "sample_b", "sample_b": "sample_a"}).with_columns(
        preferred=pl.col("preferred").replace({"a": "b", "b": "a"})
    )
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    first = judged(proxy, judgements=table).win_rate(0.3)
    for other in (turned, shuffled):
        again = judged(proxy, judgements=other).win_rate(0.3)
        assert_allclose(
            [again.value, again.low, again.high], [first.value, first.low, first.high], rtol=1e-9
        )


@pytest.mark.slow
def test_a_good_proxy_shortens_the_interval_and_chosen_pairs_more():
    hits, ratios, chosen = 0, [], []
    for seed in range(6):
        proxy, quality, table = pairs([4, seed], ties=0.0)
        found = judged(proxy, judgements=table)
        one, alone = found.win_rate(0.3), found.without_proxy(0.3)
        hits += one.low <= 0.669 <= one.high  # Phi(.8 sqrt(.6) / sqrt 2)
        ratios.append((one.high - one.low) / (alone.high - alone.low))
        frame = klimit.first_labels(proxy, n=200, kl=0.3, seed=seed, pairs=True)
        at = [frame[x].cast(int).to_numpy() for x in ("prompt_id", "sample_a", "sample_b")]
        better = quality[at[0], at[1]] > quality[at[0], at[2]]
        again = judged(
            proxy, judgements=frame.with_columns(preferred=pl.Series(np.where(better, "a", "b")))
        )
        two = again.win_rate(0.3)
        hits += two.low <= 0.669 <= two.high
        chosen.append((two.high - two.low) / (one.high - one.low))
    assert np.median(ratios) < 0.75
    assert np.median(chosen) < 0.75
    assert hits >= 9


def test_a_pair_judged_twice_with_contradiction_counts_as_two_judgements():
    proxy, _, table = pairs(5)
    against = table.with_columns(preferred=pl.col("preferred").replace({"a": "b", "b": "a"}))
    found = judged(proxy, judgements=pl.concat([table, against]))
    assert found.number == 400
    assert_allclose(found.win_rate(0.3).value, 0.5, atol=1e-9)
    assert found.agreement.value == pytest.approx(0.5)


def test_preferences_are_words_or_numbers():
    proxy, _, table = pairs(6)
    numbers = table.with_columns(
        preferred=pl.col("preferred").replace_strict({"a": 1.0, "b": 0.0, "tie": 0.5})
    )
    one, other = (judged(proxy, judgements=x).win_rate(0.3) for x in (table, numbers))
    assert one == other
    assert judged(proxy, judgements=table).ties == pytest.approx(0.1, abs=0.06)


def test_klimit_hacking_takes_judgements_and_says_what_they_show():
    proxy, _, table = pairs(7, number=400)
    base = klimit.read(
        pl.DataFrame({"prompt_id": np.repeat(np.arange(40), 24), "rm": proxy.ravel()})
    )
    found = klimit.hacking(base, proxy="rm", judgements=table)
    assert isinstance(found, FewJudgements)
    said = " ".join(str(found).split())
    assert "beats a draw of the base: it is preferred" in said
    assert "400 judgements in 40 prompts" in said
    json.dumps(found.to_dict(), allow_nan=False)
    more = found.next(30, kl=0.3)
    assert more.columns == ["prompt_id", "sample_a", "sample_b", "label_chance", "label_round"]
    assert more.height == 30
    assert found.gold_gain(0.3).value == pytest.approx(found.win_rate(0.3).value - 0.5)
    assert found.agreement.low > 0.5


def test_ties_alone_decide_nothing():
    proxy, _, table = pairs(6)
    with pytest.raises(DataError, match="all 200 judgements are ties; nothing can be won"):
        klimit.hacking(proxy, judgements=table.with_columns(preferred=pl.lit("tie")))


def test_bad_judgements_are_refused_in_one_line():
    proxy, _, table = pairs(8)
    ids = [f"s{i}" for i in range(proxy.size)]
    base = klimit.read(pl.DataFrame({
        "prompt_id": np.repeat(np.arange(40), 24), "sample_id": ids, "rm": proxy.ravel(),
    }))  # fmt: skip
    named = table.with_columns(
        pl.format("s{}", pl.col("prompt_id") * 24 + pl.col(side)).alias(side)
        for side in ("sample_a", "sample_b")
    )
    assert klimit.hacking(base, proxy="rm", judgements=named).number == 200
    across = named.with_columns(sample_b=pl.lit("s23"))
    self_ = table.with_columns(sample_b=pl.col("sample_a"))
    cases = [
        (base, across, DataError, "belongs to prompt '0'"),
        (base, named.with_columns(sample_b=pl.lit("nobody")), DataError, "'nobody'"),
        (
            proxy,
            table.with_columns(preferred=pl.lit("left\x1b[2J")),
            DataError,
            "a, b or tie was expected",
        ),
        (proxy, table.with_columns(preferred=pl.lit(0.7)), DataError, "0.7"),
        (proxy, self_, DataError, "with itself"),
        (proxy, table.with_columns(sample_a=pl.lit(99)), DataError, "called 0 to 23"),
        (
            proxy,
            table.with_columns(prompt_id=pl.lit("x")),
            DataError,
            "which the base does not have",
        ),
        (proxy, table.drop("preferred"), ArgumentError, "lacks preferred"),
        (proxy, table.head(49), DataError, "49 judgements in 40 prompts are usable"),
        (proxy, table.filter(pl.col("prompt_id") == 0), DataError, "in 1 prompts are usable"),
    ]
    for samples, rows, kind, said in cases:
        with pytest.raises(kind, match=said) as problem:
            klimit.hacking(samples, proxy="rm" if samples is base else None, judgements=rows)
        assert "\n" not in str(problem.value)
    with pytest.raises(ArgumentError, match="were both given"):
        klimit.hacking(proxy, gold=proxy, judgements=table)
    with pytest.raises(ArgumentError, match=r"reward_range=\(0, 1\) was given beside judgements"):
        klimit.hacking(proxy, judgements=table, reward_range=(0, 1))
    found = klimit.hacking(proxy, judgements=table)
    assert found.next(1, kl=0.3).height == 1
    with pytest.raises(ArgumentError, match="a whole number of judgements"):
        found.next("a", kl=0.3)
    with pytest.raises(ArgumentError, match="seed must be"):
        found.next(5, kl=0.3, seed=-1)
    with pytest.raises(DataError, match="is the same for all samples"):
        klimit.hacking(np.ones_like(proxy), judgements=table).next(5, kl=0.3)


# as JSON, CSV with quotes, or a spreadsheet has it
@pytest.mark.parametrize("none", [None, "", " "])
def test_asked_judgements_that_are_blank_are_left_out_at_random_and_told(none):
    proxy, quality, _ = pairs(7, prompts=60)
    asked = klimit.first_labels(proxy, n=400, kl=0.3, pairs=True)
    at = [asked[x].cast(int).to_numpy() for x in ("prompt_id", "sample_a", "sample_b")]
    won = np.where(quality[at[0], at[1]] > quality[at[0], at[2]], "a", "b")
    blank = np.random.default_rng(0).random(len(won)) < 0.5
    half = asked.with_columns(preferred=pl.Series(np.where(blank, none, won)))
    with pytest.warns(klimit.DataWarning, match=f"{blank.sum()} of 400 asked judgements are blank"):
        found = judged(proxy, judgements=half)
    every = judged(proxy, judgements=asked.with_columns(preferred=pl.Series(won)))
    assert_allclose(found.without_proxy(0.3).value, every.without_proxy(0.3).value, rtol=0.2)


def judged_as_asked(seed, n=400, samples=12):
    proxy, quality, _ = pairs(seed, prompts=60, samples=samples)
    asked = klimit.first_labels(proxy, n=n, kl=0.3, pairs=True)
    at = [asked[x].cast(int).to_numpy() for x in ("prompt_id", "sample_a", "sample_b")]
    won = np.where(quality[at[0], at[1]] > quality[at[0], at[2]], "a", "b")
    return proxy, asked.with_columns(preferred=pl.Series(won))


def test_no_pair_is_asked_twice_in_one_round():
    proxy, asked = judged_as_asked(9, samples=4)  # 6 pairs a prompt
    assert asked.height == asked.select("prompt_id", pl.concat_list("sample_a", "sample_b").list.sort()
                                        ).unique().height  # fmt: skip
    assert judged(proxy, judgements=asked).without_proxy(0.3).high < 0.5


def test_several_judges_of_a_chosen_pair_share_its_weight():
    proxy, table = judged_as_asked(9)
    one = judged(proxy, judgements=table)
    some = pl.concat([table, table.head(150)])
    turned = table.with_columns(
        sample_a="sample_b", sample_b="sample_a",
        preferred=pl.col("preferred").replace({"a": "b", "b": "a"}),
    )  # fmt: skip
    for rows in (some, pl.concat([table, turned])):
        found = judged(proxy, judgements=rows)
        assert found.number == rows.height
        assert_allclose(found.without_proxy(0.3).value, one.without_proxy(0.3).value, rtol=1e-9)


def test_a_blank_row_beside_the_answer_to_it_is_no_missing_answer():
    proxy, table = judged_as_asked(9)
    blank = table.with_columns(preferred=pl.lit(None, dtype=pl.String))
    found = judged(proxy, judgements=pl.concat([blank, table]))  # pytest fails on a warning
    assert found.win_rate(0.3) == judged(proxy, judgements=table).win_rate(0.3)


def test_no_win_rate_that_is_told_is_above_1():
    proxy, table = judged_as_asked(3, samples=24)
    said = str(judged(proxy, judgements=table.drop("label_chance")))
    ends = re.findall(r"(\S+) \[\S+, 1\.0+\]", said)
    assert ends
    assert max(map(float, ends)) <= 1


def test_a_judgement_that_nobody_could_have_asked_for_is_refused_and_nan_is_blank():
    proxy, table = judged_as_asked(9)
    first = pl.int_range(pl.len()) == 0
    never = table.with_columns(label_chance=pl.when(~first).then("label_chance").otherwise(0.0))
    with pytest.raises(DataError, match="a label_chance is 0"):
        judged(proxy, judgements=never)
    numbers = pl.col("preferred").replace_strict({"a": 1.0, "b": 0.0})
    half = table.with_columns(preferred=pl.when(~first).then(numbers).otherwise(np.nan))
    with pytest.warns(klimit.DataWarning, match="1 of .* asked judgements are blank"):
        judged(proxy, judgements=half)
