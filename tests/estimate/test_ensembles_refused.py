"""Ensembles that cannot be read as they are: what is refused, left out or warned of."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit import ArgumentError, DataError, DataWarning, EstimateWarning
from klimit.view.ensemble import rows
from tests.estimate.members import normal_ensemble

DATA = normal_ensemble(np.random.default_rng(14), 12, 6, members=2)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({}, {"proxies": ["rm0"], "gold": "gold"}, ArgumentError, "one proxy was given"),
        ({}, {"proxies": [], "gold": "gold"}, ArgumentError, "no proxies were given"),
        ({}, {"proxies": "rm0"}, ArgumentError, "one proxy was given"),
        ({}, {"proxies": ["rm0", "rm0"]}, ArgumentError, "'rm0' was given twice"),
        ({}, {"proxies": ["rm0", "gold"], "gold": "gold"}, ArgumentError, "also among the proxies"),
        ({}, {"proxies": ["rm0", "rm9"]}, ArgumentError, "no reward 'rm9'"),
        ({}, {"gold": "nothing"}, ArgumentError, "no reward 'nothing'"),
        ({}, {"scale": "loud"}, ArgumentError, "scale must be one of"),
        ({}, {"penalty": -1}, ArgumentError, "positive numbers"),
        ({}, {"penalty": "much"}, ArgumentError, "positive numbers"),
        ({}, {"weights": [1.0]}, ArgumentError, "one finite number per proxy"),
        ({}, {"weights": {"rm9": 1.0}}, ArgumentError, "'rm9', which is no proxy"),
        ({}, {"level": 95}, ArgumentError, "level must lie"),
        ({}, {"proxies": ["rm0", "rm1"], "reward_range": (0, 1)}, ArgumentError, "the range of gold"),
        ({"rm2": DATA["rm0"]}, {}, DataError, "'rm0' and 'rm2' give every answer the same reward"),
        ({"rm2": 2 * DATA["rm0"] + 1}, {}, DataError, "'rm0' and 'rm2' give every answer the same reward"),
        ({"rm2": DATA["rm0"] + 7}, {}, DataError, "one reward under two names"),
        ({"rm2": DATA["gold"]}, {"gold": "gold"}, DataError, "one reward under two names"),
        ({"gold": np.ones((12, 6))}, {"gold": "gold"}, DataError, "gold 'gold' is constant"),
        ({"rm1": np.full((12, 6), np.nan)}, {"gold": "gold"}, DataError, "lacks reward"),
        ({"rm1": np.where(np.arange(6) < 1, 1.0, np.nan) * DATA["rm1"]}, {}, DataError,
         "no prompt has two samples with all of"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_on_one_line(change, options, error, words):
    with pytest.raises(error, match=words) as raised:
        klimit.ensemble({**DATA, **change}, **options)
    assert "\n" not in str(raised.value)


def test_an_array_alone_is_no_ensemble():
    with pytest.raises(ArgumentError, match="several rewards of the same samples"):
        klimit.ensemble(DATA["rm0"], gold="gold")


def test_a_member_that_never_varies_is_left_out_with_a_warning():
    with pytest.warns(DataWarning, match="rm9 never differs between the answers"):
        found = klimit.ensemble({**DATA, "rm9": np.ones((12, 6))}, gold="gold")
    assert found.names == ("rm0", "rm1")
    with pytest.raises(DataError, match="fewer than two proxies are left"):
        klimit.ensemble({"a": DATA["rm0"], "b": np.ones((12, 6))})


def test_members_on_different_scales_are_divided_or_warned_of():
    data = {**DATA, "rm1": 40 * DATA["rm1"]}
    found = klimit.ensemble(data, gold="gold")
    assert any("each was divided by its own" in note for note in found.notes)
    assert_allclose(found.panel.members[1].std(), found.panel.members[0].std(), rtol=0.2)
    with pytest.warns(EstimateWarning, match="the first decides nearly alone"):
        klimit.ensemble(data, gold="gold", scale="none")


def test_members_whose_scales_differ_by_prompt_are_pointed_out():
    rng = np.random.default_rng(15)
    data = normal_ensemble(rng, 40, 16, members=2)
    data["rm1"] = data["rm1"] * np.exp(1.5 * rng.normal(size=(40, 1)))
    with pytest.warns(EstimateWarning, match="differs from prompt to prompt"):
        found = klimit.ensemble(data, gold="gold")
    assert any("differs from prompt to prompt" in note for note in found.notes)
    even = klimit.ensemble(data, gold="gold", scale="prompt")
    spread = even.panel.members.reshape(2, 40, 16).std(axis=2, ddof=1)
    assert_allclose(spread, 1.0)


def test_more_proxies_than_samples_is_warned_of():
    rng = np.random.default_rng(16)
    with pytest.warns(EstimateWarning, match="6 proxies, but only 4 samples"):
        found = klimit.ensemble(normal_ensemble(rng, 30, 4, members=6), gold="gold")
    assert 0 < found.errors.correlation.value < 1


def test_few_labels_learn_no_weights_and_say_so():
    found = klimit.ensemble(DATA, gold="gold")
    assert "learned" not in found.aggregates
    assert any("too few to learn 2 weights from" in note for note in found.notes)


def test_missing_proxies_are_left_out_and_counted():
    data = {name: x.copy() for name, x in DATA.items()}
    data["rm0"][0, 0] = np.nan
    data["rm1"][1, 1:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = klimit.ensemble(data, gold="gold")
    assert found.panel.missing == 6
    assert len(found.panel.lengths) == 11
    assert "6 samples lack a proxy and are left out." in found.notes


def test_one_prompt_judges_no_ensemble():
    rng = np.random.default_rng(0)
    gold = rng.normal(size=(1, 64))
    members = {name: gold + 0.5 * rng.normal(size=gold.shape) for name in "ab"}
    found = klimit.ensemble({"q": gold, **members}, proxies=["a", "b"], gold="q")
    assert found.errors.gold_variance is None
    assert "1 prompt with two answers or more with q is too few" in str(found)


def test_gold_that_never_tells_answers_apart_is_refused_on_one_line():
    between = np.repeat(np.arange(12.0)[:, None], 6, axis=1)
    with pytest.raises(DataError, match="never differs between the answers to a prompt") as raised:
        klimit.ensemble({**DATA, "gold": between}, gold="gold")
    assert "\n" not in str(raised.value)
    between[:, 3:] = np.nan
    with pytest.raises(DataError, match="between the labelled answers"):
        klimit.ensemble({**DATA, "gold": between}, gold="gold")


def test_a_member_and_its_negative_are_warned_of_and_cancel_alone():
    upside = {**DATA, "down": -2 * DATA["rm0"]}
    with pytest.warns(DataWarning, match="down correlate by -1.00 within prompts: one of them is"):
        found = klimit.ensemble(upside, gold="gold")
    assert "down goes against gold within prompts" in str(found)
    with pytest.raises(DataError, match="rm0 and down say cancels") as raised:
        klimit.ensemble(upside, proxies=["rm0", "down"], gold="gold")
    assert "\n" not in str(raised.value)


def test_an_aggregate_that_tells_nothing_apart_is_left_out_with_a_note():
    with pytest.warns(DataWarning, match="upside down"):
        found = klimit.ensemble(
            {**DATA, "down": -DATA["rm0"]}, gold="gold", weights={"rm0": 1.0, "down": 1.0}
        )
    assert "weighted" not in found.aggregates
    assert any(note.startswith("weighted is the same for all answers") for note in found.notes)


def test_labels_that_judge_nothing_are_not_said_to_carry_errors():
    gold = np.full((12, 6), np.nan)
    gold[0, :3] = [0.0, 1.0, 2.0]
    notes = klimit.ensemble({**DATA, "gold": gold}, gold="gold").notes
    assert "gold is known of 3 of 72 samples." in notes
    assert not any("rest on those" in note for note in notes)


def test_a_single_answer_tells_nothing():
    gold = DATA["gold"].copy()
    gold[0, 1:] = np.nan
    notes = klimit.ensemble({**DATA, "gold": gold}, gold="gold").notes
    assert "1 prompt with a single answer with gold tells nothing of gain or error." in notes


def test_at_no_kl_sizes_gain_nothing_and_below_it_there_are_none():
    found = klimit.ensemble(DATA, gold="gold")
    assert found.members_needed(0.0)["gold_gain"].to_list() == [0.0, 0.0]
    with pytest.raises(ArgumentError, match="zero or more nats"):
        found.members_needed(-1.0)


def test_a_beta_that_is_not_shown_to_spend_its_kl_is_not_recommended():
    rng = np.random.default_rng(4)
    gold, shared = rng.normal(size=(2, 40, 24))
    members = {f"rm{i}": (gold + shared + rng.normal(size=gold.shape) > 0) * 1.0 for i in range(3)}
    options = {"gold": "human", "penalty": 0.5, "reward_range": (-np.inf, 5.0)}
    found = klimit.ensemble(members | {"human": gold}, **options)
    best = found.recommended("mean")
    assert best.beta.low == 0
    assert not best.trainable
    said = str(found)
    assert "beta = 0" not in said
    assert "To use it: keep the best of" in said
    # past trust one bound alone is known of gold
    assert "at most" in rows(found, 2.9)
    assert "inf" not in rows(found, 2.9)


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_proxies_of_sizes_that_cannot_be_computed_with_are_refused_as_such(size):
    gold, first, other = np.random.default_rng(1).normal(size=(3, 20, 8))
    with pytest.raises(klimit.DataError, match="can be computed with"):
        klimit.ensemble({"a": (gold + first) * size, "b": gold + other, "gold": gold}, gold="gold")


def test_weights_are_learned_from_gold_of_any_unit():
    gold, first, other = np.random.default_rng(1).normal(size=(3, 40, 8))
    proxies = {"a": gold + first, "b": gold + other}
    assert "learned" in klimit.ensemble(proxies | {"gold": 1e-30 * gold}, gold="gold").aggregates


@pytest.mark.parametrize("seed", [18, 45, 132, 159])
@pytest.mark.filterwarnings("ignore::klimit.DataWarning", "ignore::klimit.EstimateWarning")
def test_a_few_tiny_prompts_with_gold_are_read_without_a_warning_of_numpy(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 4), rng.integers(2, 5)
    gold = rng.integers(0, 3, shape) * 1.0 if seed % 2 else rng.normal(size=shape)
    proxies = {
        f"p{i}": gold + rng.normal(size=shape) if seed % 3 else rng.integers(0, 2, shape) * 1.0
        for i in range(2)
    }
    found = klimit.ensemble({**proxies, "gold": gold}, proxies=list(proxies), gold="gold")
    assert "KL" in str(found)
