"""What to label next: pairs with known chances, that tell more than labels at random."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, select
from klimit.estimate.labels import few_labels
from klimit.estimate.labels.choosing import choose
from klimit.estimate.labels.tilting import Rows, tilting


def with_gold(frame, gold):
    place = frame["prompt_id"].cast(int).to_numpy(), frame["sample"].cast(int).to_numpy()
    return frame.select("prompt_id", "sample", "label_chance", "label_round").with_columns(
        gold=pl.Series(gold[place])
    )


def pair(seed, prompts=60, samples=32):
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(prompts, samples)) * rng.uniform(0.5, 1.5, size=(prompts, 1))
    return proxy, 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape) + rng.normal(size=(prompts, 1))


@pytest.mark.parametrize("pairs", [2, 14])
def test_samples_are_chosen_as_often_as_their_chance_says(pairs):
    rng = np.random.default_rng(0)
    rows = Rows.of(rng.normal(size=23), np.array([6, 7, 10]))
    tilted = tilting(rows, 1.0)
    free = np.ones(23)
    free[[0, 9]] = 0
    spread = np.exp(0.5 * rng.normal(size=23))
    times, chance, draws = np.zeros(23), np.full(23, np.nan), 600
    for seed in range(draws):
        found = choose(rows, tilted.coefficient, spread, free, pairs, seed=seed)
        assert len(found.place) <= 2 * pairs
        times[found.place] += 1
        chance[found.place] = found.chance
        sides = np.sign(tilted.coefficient[found.place])
        assert abs(sides.sum()) == 0  # as many that gain weight as lose it
    assert times[0] == times[9] == 0
    seen = times > 0
    error = np.sqrt(np.maximum(chance * (1 - chance), 1e-12) / draws)
    assert (np.abs(times / draws - chance)[seen] < 5 * error[seen] + 1e-3).all()


def test_where_one_side_of_the_tilt_has_all_its_labels_the_other_is_still_asked_for():
    rows = Rows.of(np.tile([0.0, 0.1, 0.2, 3.0], 12), np.full(12, 4))
    tilted = tilting(rows, 1.0)
    free = np.ones(48)
    free[3:24:4] = 0  # half of the prompts: the one sample that gains weight has its label
    gold = np.random.default_rng(1).normal(size=48)
    wanted = float((tilted.coefficient * gold * free).sum())
    found = [
        choose(rows, tilted.coefficient, np.ones(48), free, 6, seed=seed) for seed in range(600)
    ]
    assert max(len(one.place) for one in found) <= 12
    seen = [float((tilted.coefficient * gold)[one.place] @ (1 / one.chance)) for one in found]
    assert abs(np.mean(seen) - wanted) < 4 * np.std(seen) / 600**0.5


def test_first_labels_come_in_pairs_within_prompts_and_know_their_chance():
    proxy, _ = pair(1)
    frame = klimit.first_labels(proxy, n=60, kl=0.5)
    assert frame.height == 60
    assert frame.group_by("prompt_id").len()["len"].is_in([2, 4, 6]).all()
    assert frame["label_chance"].is_between(0, 1).all()
    assert (frame["label_round"] == 1).all()
    assert klimit.first_labels(proxy, n=61, kl=0.5).height == 60


@pytest.mark.slow
def test_chosen_labels_need_fewer_than_labels_at_random():
    lengths = {"random": [], "chosen": []}
    hits = 0
    for seed in range(6):
        proxy, gold = pair([2, seed])
        truth = 0.8 * (proxy.std(axis=1) ** 2).mean() ** 0.5  # per square root of 2 KL
        rng = np.random.default_rng(seed)
        kept = np.full(gold.shape, np.nan)
        for row in range(60):
            place = rng.choice(32, 2, replace=False)
            kept[row, place] = gold[row, place]
        chosen = with_gold(klimit.first_labels(proxy, n=120, kl=0.3, seed=seed), gold)
        for name, labels in (("random", kept), ("chosen", chosen)):
            found = few_labels(proxy, gold=labels, prompts="fixed").gold_gain(0.3)
            lengths[name].append(found.high - found.low)
        hits += found.low <= truth * 0.6**0.5 <= found.high
    assert np.median(lengths["chosen"]) < 0.75 * np.median(lengths["random"])  # 56 % of the labels
    assert hits >= 4


def test_rounds_are_mixed_without_bias_and_shorten_the_interval():
    errors, lengths = [], []
    for seed in range(12):
        proxy, gold = pair([3, seed], prompts=40)
        first = with_gold(klimit.first_labels(proxy, n=60, kl=0.3, seed=seed), gold)
        one = few_labels(proxy, gold=first, prompts="fixed")
        again = with_gold(one.next(80, kl=0.3, seed=seed), gold)
        assert (again["label_round"] == 2).all()
        assert not set(first.select("prompt_id", "sample").rows()) & set(
            again.select("prompt_id", "sample").rows()
        )
        two = few_labels(proxy, gold=pl.concat([first, again]), prompts="fixed")
        assert two.number == 140
        all_ = tilting(two.known.rows, float(two.proxy.curve.at_kl(0.3).tilt)).gain(
            gold.ravel()[two.known.origin]
        )
        found = two._at(0.3, seeing=True)
        errors.append((found.gain - all_.mean()) / found.labels**0.5)
        lengths.append(found.fixed / one._at(0.3, seeing=True).fixed)
    assert np.median(lengths) < 0.7
    assert abs(np.mean(errors)) < 3 / 12**0.5
    assert 0.5 < np.std(errors) < 1.6


def test_labels_at_random_of_prompts_that_the_proxy_does_not_tell_apart_leave_chosen_ones_their_weight():
    rng = np.random.default_rng(0)
    proxy = (rng.random((60, 8)) < 0.5).astype(float)
    proxy[:20] = 1.0
    gold = 0.2 + 0.6 * proxy + 0.1 * rng.normal(size=proxy.shape)
    chosen = with_gold(klimit.first_labels(proxy, n=80, kl=0.1), gold)
    at_random = chosen.head(40).with_columns(
        prompt_id=pl.Series([str(at // 2) for at in range(40)]),
        sample=pl.Series([str(at % 2) for at in range(40)]),
        gold=pl.Series(gold[:20, :2].ravel()),
        label_chance=None, label_round=None,
    )  # fmt: skip
    both = few_labels(proxy, gold=pl.concat([chosen, at_random], how="vertical_relaxed"))
    alone = both.without_proxy(0.1)
    assert alone.low > 0.5 * few_labels(proxy, gold=chosen).without_proxy(0.1).low > 0


def test_labels_joined_to_the_base_bring_their_chances_along():
    proxy, gold = pair(4, prompts=30)
    texts = [f"answer {i}" for i in range(proxy.size)]
    base = klimit.read(pl.DataFrame({
        "prompt_id": np.repeat(np.arange(30), 32), "completion": texts, "rm": proxy.ravel(),
    }))  # fmt: skip
    frame = klimit.first_labels(base, proxy="rm", n=60, kl=0.3)
    assert frame["completion"].is_in(texts).all()
    place = frame["prompt_id"].cast(int).to_numpy(), frame["sample"].cast(int).to_numpy()
    labels = frame.with_columns(human=pl.Series(gold[place]))
    with pytest.warns(klimit.DataWarning, match="human is missing there"):
        joined = base.join(labels.drop("rm", "sample"))
    assert "label_chance" not in joined.rewards
    one = klimit.hacking(joined, proxy="rm", gold="human").gold_gain(0.3)
    other = klimit.hacking(base, proxy="rm", gold=labels).gold_gain(0.3)
    assert (one.value, one.low, one.high) == (other.value, other.low, other.high)


def test_pairs_to_judge_bring_the_texts_that_are_to_be_compared():
    proxy, _ = pair(4, prompts=30)
    ids = np.repeat(np.arange(30), 32)
    place = np.tile(np.arange(32), 30)
    base = klimit.read({
        "prompt_id": ids, "prompt": [f"question {i}" for i in ids], "rm": proxy.ravel(),
        "completion": [f"{i}: answer {j}" for i, j in zip(ids, place, strict=True)],
    })  # fmt: skip
    frame = klimit.first_labels(base, proxy="rm", n=60, kl=0.3, pairs=True)
    for row in frame.iter_rows(named=True):
        assert row["prompt"] == f"question {row['prompt_id']}"
        assert row["completion_a"] == f"{row['prompt_id']}: answer {row['sample_a']}"
        assert row["completion_b"] == f"{row['prompt_id']}: answer {row['sample_b']}"
    judged = frame.with_columns(preferred=pl.lit("a"))
    assert klimit.hacking(base, proxy="rm", judgements=judged).number == 60


def test_sample_ids_of_the_base_are_used_and_unknown_ones_refused():
    proxy, gold = pair(5, prompts=20)
    ids = [f"s{i}" for i in range(proxy.size)]
    base = klimit.read(pl.DataFrame({
        "prompt_id": np.repeat(np.arange(20), 32), "sample_id": ids, "rm": proxy.ravel(),
    }))  # fmt: skip
    frame = klimit.first_labels(base, proxy="rm", n=60, kl=0.3)
    assert frame["sample"].is_in(ids).all()
    where = [ids.index(name) for name in frame["sample"]]
    labels = frame.with_columns(human=pl.Series(gold.ravel()[where]))
    assert klimit.hacking(base, proxy="rm", gold=labels).number == 60
    moved = labels.with_columns(prompt_id=pl.lit("0"))
    with pytest.raises(klimit.DataError, match="belongs to prompt"):
        klimit.hacking(base, proxy="rm", gold=moved)


def test_wishes_that_cannot_be_are_refused():
    proxy, gold = pair(6, prompts=20)
    few = few_labels(proxy, gold=with_gold(klimit.first_labels(proxy, n=60), gold))
    for n in (0, 1, True, 2.5, "5"):
        with pytest.raises(ArgumentError, match="a whole number of labels"):
            few.next(n)
        with pytest.raises(ArgumentError, match="a whole number of labels"):
            klimit.first_labels(proxy, n=n)
    for kl in (0.0, -1.0, float("inf"), "a"):
        with pytest.raises(ArgumentError, match="a positive number of nats"):
            few.next(4, kl=kl)
        with pytest.raises(ArgumentError, match="a positive number of nats"):
            klimit.first_labels(proxy, n=4, kl=kl)
    with pytest.raises(DataError, match="is the same for all samples"):
        klimit.first_labels(np.ones((20, 24)), n=4, pairs=True)
    assert klimit.first_labels(np.ones((20, 24)), n=4).height == 0
    every = few.next(10_000, kl=0.3)
    assert every.height == every.select("prompt_id", "sample").unique().height
    assert_allclose(every["label_chance"].max(), 1.0)


def test_asked_labels_that_are_blank_are_left_out_at_random_and_told():
    proxy, gold = pair(3)
    asked = with_gold(klimit.first_labels(proxy, n=400, kl=0.5), gold)
    blank = np.random.default_rng(0).random(asked.height) < 0.5
    half = asked.with_columns(gold=pl.when(pl.Series(blank)).then(None).otherwise(pl.col("gold")))
    told = f"{blank.sum()} of 400 asked labels are blank"
    with pytest.warns(klimit.DataWarning, match=told):
        found = klimit.hacking(proxy, gold=half)
    assert told in str(found)
    every = few_labels(proxy, gold=asked).without_proxy(0.25)
    assert_allclose(found.without_proxy(0.25).value, every.value, rtol=0.2)
    # a second request that is still out says nothing, and does not hide the answer to the first
    again = asked.with_columns(gold=None, label_round=2)
    assert str(few_labels(proxy, gold=pl.concat([asked, again], how="vertical_relaxed"))) == str(
        few_labels(proxy, gold=asked)
    )


def test_a_blank_row_beside_its_label_is_no_missing_label():
    proxy, gold = pair(3)
    asked = with_gold(klimit.first_labels(proxy, n=400, kl=0.5), gold)
    both = pl.concat([asked.with_columns(gold=None), asked], how="vertical_relaxed")
    assert str(klimit.hacking(proxy, gold=both)) == str(few_labels(proxy, gold=asked))


@pytest.mark.parametrize("kind", [pl.DataFrame.to_dicts, pl.DataFrame.lazy])
def test_labels_stand_in_records_and_lazy_frames_too(kind):
    proxy, gold = pair(3)
    asked = with_gold(klimit.first_labels(proxy, n=400, kl=0.5), gold)
    found = klimit.hacking(proxy, gold=kind(asked)).gold_gain(0.25)
    assert found == few_labels(proxy, gold=asked).gold_gain(0.25)


def test_one_label_without_a_chance_among_chosen_ones_leaves_the_interval_whole():
    proxy, gold = pair(3)
    asked = with_gold(klimit.first_labels(proxy, n=400, kl=0.5), gold)
    first = pl.int_range(pl.len()) == 0
    one = asked.with_columns(label_chance=pl.when(~first).then("label_chance"))
    for prompts in ("drawn", "fixed"):  # pytest fails on a warning
        found, every = (
            klimit.hacking(proxy, gold=x, prompts=prompts).gold_gain(0.25) for x in (one, asked)
        )
        assert_allclose([found.low, found.high], [every.low, every.high], rtol=0.05)


def test_rounds_count_from_1():
    proxy, gold = pair(3)
    asked = with_gold(klimit.first_labels(proxy, n=400, kl=0.5), gold)
    found = klimit.hacking(proxy, gold=asked.with_columns(label_round=-1))
    assert str(found) == str(klimit.hacking(proxy, gold=asked))
    assert found.next(10, kl=0.5)["label_round"].unique().to_list() == [2]


def test_chances_of_every_sample_are_not_taken_for_requests():
    proxy, gold = pair(4)
    there = np.random.default_rng(0).random(gold.shape) < 0.25
    frame = pl.DataFrame(
        {
            "prompt_id": np.repeat(np.arange(60), 32),
            "rm": proxy.ravel(),
            "human": np.where(there, gold, np.nan).ravel(),
            "label_chance": np.full(gold.size, 0.25),
        }
    )
    found = klimit.hacking(klimit.read(frame, reward=["rm", "human"]), proxy="rm", gold="human")
    assert_allclose(found.design.inverse, 4.0)


def test_labels_that_follow_the_proxy_are_told_and_labels_at_random_are_not():
    proxy, gold = pair(5)
    top = proxy >= np.sort(proxy, axis=1)[:, -8:-7]
    with pytest.warns(klimit.DataWarning, match="go to answers that proxy scores high"):
        found = klimit.hacking(proxy, gold=np.where(top, gold, np.nan))
    assert "klimit.first_labels" in str(found)
    at_random = np.random.default_rng(0).random(gold.shape) < 0.2
    flat = np.round(proxy)  # ties are no ranks of their own
    assert "scores" not in str(klimit.hacking(flat, gold=np.where(at_random, gold, np.nan)))


@pytest.mark.parametrize("asked", [
    lambda proxy, gold: klimit.hacking(proxy, gold=gold),
    lambda proxy, gold: select.compare(proxy, gold=gold),
    lambda proxy, gold: klimit.best_of_n(proxy, judge=gold, n=[4]),
    lambda proxy, gold: klimit.ensemble({"a": proxy, "b": proxy**3, "human": gold}, gold="human"),
], ids=["hacking", "choose", "best-of-n", "ensemble"])  # fmt: skip
def test_a_few_answers_without_gold_are_told_where_they_are_those_that_the_proxy_likes(asked):
    proxy, gold = pair(5, prompts=30, samples=16)
    with pytest.warns(klimit.DataWarning, match="scores low"):
        found = asked(proxy, np.where(proxy > np.quantile(proxy, 0.94), np.nan, gold))
    assert "intervals hold only for labels at random" in " ".join(str(found).split())
    assert (" judge " in str(found).replace("\n", " ")) == isinstance(found, klimit.BestOfN)
    at_random = np.random.default_rng(0).random(gold.shape) < 0.06
    assert "scores low" not in str(asked(proxy, np.where(at_random, np.nan, gold)))
