"""Ensembles of which few samples have gold: gains by prediction, paired differences, what to set."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import theory
from klimit.estimate.ensembles.blend import blend
from klimit.estimate.ensembles.kept import _coefficient, kept_by_labels
from klimit.estimate.labels.tilting import Rows, tilting
from tests.estimate.members import MEMBERS, RHO, TAU2, normal_ensemble

EFFICIENCY = float(
    theory.ensemble_error(MEMBERS, error_variance=TAU2, correlation=RHO).efficiency(
        gold_variance=1.0
    )
)


def labelled(seed, prompts=60, samples=48, labels=6):
    data = normal_ensemble(np.random.default_rng(seed), prompts, samples)
    data["gold"][:, labels:] = np.nan
    return data


@pytest.fixture(scope="module")
def few():
    """60 prompts x 48 samples of normal rewards, an eighth of them labelled."""
    return klimit.ensemble(labelled(1), gold="gold", penalty=0.5)


def test_gains_of_few_labels_are_those_of_hacking_by_prediction(few):
    values = np.full(few.panel.gold.shape, np.nan)
    values[:] = few.parts["minimum"].values
    shape = (60, 48)
    base = {"minimum": values.reshape(shape), "gold": few.panel.gold.reshape(shape)}
    alone = klimit.hacking(base, proxy="minimum", gold="gold")
    assert type(few.hacking("minimum")) is type(alone)
    one, other = few.gold_gain(0.3, "minimum"), alone.gold_gain(0.3)
    assert_allclose([one.value, one.low, one.high], [other.value, other.low, other.high], rtol=5e-3)


def test_an_eighth_of_labels_is_trusted_and_far_from_labelled_samples_alone(few):
    gain = few.gold_gain(0.1)
    truth = EFFICIENCY * np.sqrt(0.2)
    assert gain.trusted
    assert gain.low < truth < gain.high
    assert gain.high - gain.low < 0.16
    assert few.trusted_kl >= 0.1
    assert few.recommended("mean").gold_gain.trusted


def test_differences_of_few_labels_are_estimates_of_their_own(few):
    apart, back = few.difference("minimum", "mean", 0.1), few.difference("mean", "minimum", 0.1)
    assert apart.trusted
    assert_allclose([apart.value, apart.low], [-back.value, -back.high], rtol=1e-6, atol=1e-9)
    alone = few.gold_gain(0.1)
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low)
    same = few.difference("mean", "mean", [0.0, 0.1])
    assert_allclose([same.value, same.low, same.high], 0.0)


def test_a_sum_of_tiltings_adds_up_whatever_they_gain(few):
    rows = few.course.known.rows
    parts = [(1.0, tilting(rows, 0.5)), (-0.5, tilting(rows, 1.2))]
    predicted = few.hacking("mean").predictions.seeing
    whole = blend(rows, parts, predicted)
    gold = np.random.default_rng(0).normal(size=len(predicted))
    for ask in ("gain", "gain_without"):
        each = [times * getattr(part, ask)(gold) for times, part in parts]
        assert_allclose(getattr(whole, ask)(gold), sum(each), atol=1e-12)
    spent = sum(times * part.per_nat(predicted) * part.kl for times, part in parts)
    assert_allclose(whole.kl * whole.per_nat(gold), spent)


def test_fewer_members_gain_less_by_few_labels_too(few):
    rows = few.by_size(0.25)
    known = theory.ensemble_error(np.arange(1, 5), error_variance=TAU2, correlation=RHO)
    exact = known.efficiency(gold_variance=1.0) * np.sqrt(0.5)
    assert_allclose([float(row.gold_gain.value) for row in rows], exact, rtol=0.1)
    for row, truth in zip(rows[1:], exact[1:], strict=True):
        assert row.gained.low < truth - exact[0] < row.gained.high
    assert rows[-1].gold_gain.low == few.gold_gain(0.25).low


def test_what_best_of_n_keeps_is_unbiased_by_few_labels():
    apart = []
    for seed in range(30):
        data = normal_ensemble(np.random.default_rng(seed), 40, 24, members=2)
        truth = klimit.best_of_n(
            (data["rm0"] + data["rm1"]) / 2, judge=data["gold"], n=4
        ).gain.value
        data["gold"][np.random.default_rng([seed, 1]).random((40, 24)) > 0.2] = np.nan
        found = klimit.ensemble(data, gold="gold", scale="none")
        kept = kept_by_labels(found.hacking("mean"), 4)
        apart.append((kept.gain - float(np.squeeze(truth))) / np.sqrt(kept.drawn))
    assert abs(np.mean(apart)) < 3 * np.std(apart) / np.sqrt(30)
    assert np.std(apart) < 1.2


def test_equal_rewards_are_kept_alike():
    rows = Rows.of(np.array([1.0, 0.0, 1.0, 1.0, 2.0, 2.0]), np.array([4, 2]))
    found = _coefficient(rows, 2)
    # of four, best of two: never the lowest alone; the three equal ones share what is left
    assert_allclose(
        found, [1 / 3 - 1 / 4, 0 - 1 / 4, 1 / 3 - 1 / 4, 1 / 3 - 1 / 4, 0.0, 0.0], atol=1e-12
    )


def test_prompts_with_too_few_samples_for_the_best_of_n_do_not_count_as_gaining_nothing():
    rows = Rows.of(np.arange(20.0), np.array([6, 6, 6, 2]))
    assert_allclose(rows.mean(_coefficient(rows, 6) * rows.proxy).mean() * 6, 2.5 * 4 * 3 / 4 / 3)


def test_prompts_without_any_label_help_too():
    data = labelled(3, labels=10)
    data["gold"][::2] = np.nan
    found = klimit.ensemble(data, gold="gold", penalty=0.5)
    assert len(found.hacking("mean").known.ids) == 60
    gain = found.gold_gain(0.2)
    assert gain.low < EFFICIENCY * np.sqrt(0.4) < gain.high


def test_the_order_of_rows_and_ids_changes_no_digit_of_few_labels():
    data = labelled(4, 30, 16, 4)
    names = list(data)

    def asked(prompts, mark, rng):
        table = {"prompt_id": [], **{name: [] for name in names}}
        for prompt in prompts:
            for at in rng.permutation(16) if mark else range(16):
                table["prompt_id"].append(f"{mark}{prompt}")
                for name in names:
                    value = float(data[name][prompt, at])
                    table[name].append(None if np.isnan(value) else value)
        found = klimit.ensemble(klimit.read(table), gold="gold", penalty=0.5)
        return found.to_dict([0.1])

    rng = np.random.default_rng(0)
    one, other = asked(range(30), "", rng), asked(rng.permutation(30), "x", rng)
    assert repr(one) == repr(other)


def test_labels_that_were_chosen_are_weighed_by_their_chances():
    data = normal_ensemble(np.random.default_rng(5), 60, 32)
    table = {"prompt_id": np.repeat(np.arange(60), 32).astype(str).tolist()}
    table |= {name: x.ravel().tolist() for name, x in data.items() if name != "gold"}
    mean = np.mean([data[f"rm{i}"] for i in range(4)], axis=0)
    chosen = klimit.first_labels(mean, n=240, kl=0.5)
    gold, chance = np.full((2, 60, 32), np.nan)
    for prompt, sample, value in chosen["prompt_id", "sample", "label_chance"].rows():
        gold[int(prompt), int(sample)] = data["gold"][int(prompt), int(sample)]
        chance[int(prompt), int(sample)] = value
    keep = {
        "gold": gold,
        "label_chance": chance,
        "label_round": np.where(np.isnan(chance), np.nan, 1),
    }
    table |= {k: [None if np.isnan(v) else v for v in x.ravel()] for k, x in keep.items()}
    proxies = [f"rm{i}" for i in range(4)]
    found = klimit.ensemble(klimit.read(table), proxies=proxies, gold="gold", penalty=0.5)
    assert (found.course.design.round == 1).all()
    gain = found.gold_gain(0.25)
    assert gain.low < EFFICIENCY * np.sqrt(0.5) < gain.high
    assert any("that klimit labels chose" in note for note in found.notes)
    errors = (
        found.errors
    )  # among such answers the endless mean would seem to reach 92 % of the limit
    assert errors.error_variance.low < 1 < errors.error_variance.high
    assert errors.correlation.low < 0.36 < errors.correlation.high
    assert errors.efficiency_limit.low < 1.36**-0.5 < errors.efficiency_limit.high
    assert not found.limit.gain(0.25).trusted
    assert np.isnan(found.bounds(0.25)["limit"][0])
    following = found.hacking("mean").next(10)
    assert len(following) == 10
    places = [(int(p), int(s)) for p, s in following["prompt_id", "sample"].rows()]
    assert all(np.isnan(gold[place]) for place in places)


def test_the_verdict_by_few_labels_says_what_it_rests_on(few):
    said = " ".join(str(few).split())
    assert "gold being predicted where it is not known" in said
    assert "What any method can gain there is not known from the samples with gold alone" in said
    assert "train on the mean with beta" in said or "train on the" in said
    assert "if normal" not in said


def test_fewer_than_fifty_labels_are_read_by_themselves():
    found = klimit.ensemble(labelled(6, 20, 16, 2), gold="gold", penalty=0.5)
    assert isinstance(found.hacking("mean"), klimit.Hacking)
    assert any("rest on those alone" in note for note in found.notes)


def test_what_normal_rewards_would_gain_is_not_told_where_golds_limit_is_not_trusted(few):
    assert not few.limit.gain(1.0).trusted
    assert all(np.isnan(row.normal) for row in few.by_size(1.0))
    assert few.members_needed(1.0)["normal"].null_count() == MEMBERS
    for row in few.to_dict(1.0)["sizes"]:
        assert row["normal"]["value"] is None


def test_gold_of_too_few_prompts_says_in_how_many_it_is_needed():
    data = normal_ensemble(np.random.default_rng(2), 9, 64)
    data["gold"][:, 16:] = np.nan
    with pytest.raises(klimit.ArgumentError, match="in at least ten prompts"):
        klimit.ensemble(data, gold="gold").gold_gain(0.25)


def test_labels_that_follow_the_proxies_are_told_with_the_ensemble():
    data = labelled(8, 60, 32, 32)
    mean = np.mean([data[f"rm{i}"] for i in range(MEMBERS)], axis=0)
    data["gold"][mean < np.sort(mean, axis=1)[:, -8:-7]] = np.nan
    with pytest.warns(klimit.DataWarning, match="scores high"):
        found = klimit.ensemble(data, gold="gold", penalty=0.5)
    assert any("labels at random" in note for note in found.notes)
