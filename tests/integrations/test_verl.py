"""verl's validation metrics, with best@N as it really is."""

import itertools

import numpy as np
import pytest

import klimit
from klimit.integrations.verl import best_at, process_validation_metrics


def by_hand(values, n, best=max):
    """The mean over all subsets, by going through them."""
    return np.mean([best(some) for some in itertools.combinations(values, n)])


def with_replacement(values, n):
    """What a bootstrap of `n` draws from the samples converges to."""
    ranked = sorted(values)
    powers = [(i / len(ranked)) ** n for i in range(len(ranked) + 1)]
    return sum(x * (b - a) for x, (a, b) in zip(ranked, itertools.pairwise(powers), strict=True))


def one_prompt(values, **more):
    infos = {"reward": values, **more}
    return process_validation_metrics(["math"] * len(values), ["p"] * len(values), infos)["math"]


@pytest.fixture
def rewards():
    return np.random.default_rng(0).normal(size=7).round(3).tolist()


def test_best_and_worst_at_n_are_means_over_all_subsets(rewards):
    found = one_prompt(rewards)["reward"]
    for n in (2, 4, 7):
        assert found[f"best@{n}/mean"] == pytest.approx(by_hand(rewards, n))
        assert found[f"worst@{n}/mean"] == pytest.approx(by_hand(rewards, n, min))
    assert best_at(rewards, 7) == max(rewards)


def test_spreads_are_those_of_draws_with_replacement(rewards):
    draws = np.random.default_rng(1).choice(rewards, size=(200_000, 4)).max(axis=1)
    assert one_prompt(rewards)["reward"]["best@4/std"] == pytest.approx(draws.std(), rel=0.01)


def test_a_bootstrap_at_n_equal_to_m_falls_short_and_this_does_not():
    solved_once = [1.0] + [0.0] * 15
    assert one_prompt(solved_once)["reward"]["best@16/mean"] == pytest.approx(1.0)
    assert with_replacement(solved_once, 16) == pytest.approx(1 - (15 / 16) ** 16)  # .64


def test_best_at_n_is_unbiased_and_the_bootstrap_is_not():
    rng = np.random.default_rng(2)
    many = rng.normal(size=(4000, 8))
    truth = 1.4236  # the expected best of 8 standard normals
    assert np.mean([best_at(values, 8) for values in many]) == pytest.approx(truth, abs=0.03)
    assert np.mean([with_replacement(values, 8) for values in many]) < 1.25


def test_majorities_are_votes_of_subsets():
    found = one_prompt([1.0, 1.0, 0.0], pred=["4", "4", "5"])["reward"]
    assert found["maj@3/mean"] == 1.0
    assert found["maj@2/mean"] == pytest.approx(
        2 / 3, abs=0.04
    )  # of two that differ the first wins


def test_text_is_no_metric_and_missing_values_are_left_out():
    found = one_prompt([1.0, None, 3.0], note=["a", "b", "c"])
    assert set(found) == {"reward"}
    assert found["reward"]["mean@2"] == 2.0


def test_prompts_weigh_equally_whatever_their_number_of_samples():
    found = process_validation_metrics(
        ["math"] * 5, ["p", "p", "q", "q", "q"], {"reward": [1.0, 1.0, 0.0, 0.0, 0.0]}
    )
    assert found["math"]["reward"]["best@2/mean"] == 0.5


def test_sessions_that_failed_count_as_wrong():
    found = process_validation_metrics(
        ["math"] * 2, ["p", "p"], {"acc": [1.0, 1.0]}, expected_acc_counts={("math", "p"): 4}
    )
    assert found["math"]["acc"]["mean@4"] == 0.5
    assert found["math"]["acc_success_only"]["mean@2"] == 1.0


def test_the_global_random_state_stays_as_it_is():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one_prompt([1.0, 0.0, 1.0], pred=["a", "b", "a"])
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_names_and_keys_are_those_of_verl():
    theirs = pytest.importorskip("verl.trainer.ppo.metric_utils").process_validation_metrics
    rng = np.random.default_rng(3)
    sources = ["math"] * 24 + ["code"] * 8
    prompts = [f"p{i // 8}" for i in range(32)]
    infos = {
        "reward": rng.normal(size=32).tolist(),
        "acc": rng.integers(2, size=32).tolist(),
        "pred": [str(x) for x in rng.integers(3, size=32)],
    }
    ours, verl = (f(sources, prompts, infos) for f in (process_validation_metrics, theirs))
    for source, variables in verl.items():
        assert ours[source].keys() == variables.keys()
        for name, metrics in variables.items():
            assert ours[source][name].keys() == metrics.keys()
            for metric, value in metrics.items():
                biased = metric.startswith(("best", "worst", "maj")) and metric.endswith("mean")
                assert biased or ours[source][name][metric] == pytest.approx(value, abs=0.05)
        assert ours[source]["reward"]["best@8/mean"] > variables["reward"]["best@8/mean"] + 0.05


@pytest.mark.parametrize("short", ["sample_uids", "infos_dict['acc']"])
def test_columns_of_unequal_length_are_named(short):
    uids, acc = ["p"] * 3, [1.0, 0.0, 1.0]
    (uids if short == "sample_uids" else acc).pop()
    with pytest.raises(
        klimit.ArgumentError, match=r"holds 2 values beside 3 of data_sources"
    ) as said:
        process_validation_metrics(["math"] * 3, uids, {"acc": acc})
    assert str(said.value).startswith(short)
