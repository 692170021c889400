"""Ensembles of which gold, or any agreement, is not known: what is then not said."""

import numpy as np
import pytest

import klimit
import klimit.estimate.ensembles.sizes as sizes
import klimit.estimate.frontier as frontiers


@pytest.mark.parametrize("rho", [0.0, -0.3])
def test_where_members_are_not_seen_to_agree_endlessly_many_have_no_limit(rho):
    first, other = np.random.default_rng(60).normal(size=(2, 60, 16))
    found = klimit.ensemble({"a": first, "b": rho * first + np.sqrt(1 - rho**2) * other})
    endless = found.errors.multiplier_limit
    assert endless.high == np.inf
    assert not endless.trusted
    assert "endlessly" not in str(found)
    assert "The two proxies agree by a correlation" in " ".join(str(found).split())


def test_labels_of_a_few_prompts_judge_no_ensemble():
    gold, first, other = np.random.default_rng(61).normal(size=(3, 40, 16))
    data = {"a": gold + first, "b": gold + other, "gold": gold.copy()}
    assert klimit.ensemble(data, gold="gold").errors.floor is not None
    data["gold"][1:] = np.nan
    found = klimit.ensemble(data, gold="gold")
    assert found.errors.floor is None
    assert "1 prompt with two answers or more" in str(found)


def test_frontiers_and_sizes_are_solved_once_however_often_they_are_said(monkeypatch):
    gold, first, other, third = np.random.default_rng(62).normal(size=(4, 30, 8))
    data = {"a": gold + first, "b": gold + other, "c": gold + third}
    asked = []
    for module, name in ((frontiers, "frontier"), (sizes, "by_size")):
        whole = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, whole=whole, **k: asked.append(whole) or whole(*a, **k)
        )
    blind = klimit.ensemble(data)
    for _ in range(2):
        str(blind), blind.to_dict(), blind.to_frame()
    assert len(asked) == len(blind.aggregates)
    asked.clear()
    str(klimit.ensemble(data | {"gold": gold}, gold="gold"))
    assert len(asked) == 1


def test_members_needed_are_told_without_gold():
    rng = np.random.default_rng(63)
    gold, shared = rng.normal(size=(2, 80, 32))
    data = {f"r{i}": gold + 0.6 * shared + 0.8 * rng.normal(size=gold.shape) for i in range(3)}
    found = klimit.ensemble(data)
    needed = found.errors.members_for(0.1)  # (1 - .68) / .68 * 9 = 4.2
    assert (needed.low, needed.high) in {(4, 5), (5, 5)}
    assert found.errors.members_for(0.5).value == 1
    agreed = float(found.errors.agreed_share.value)
    left = (1 - agreed) / (agreed + (1 - agreed) / needed.value) / needed.value
    assert left <= 0.1
    said = " ".join(str(found).split())
    assert "such proxies on at most 10 % of what their mean varies by is disagreement" in said
    assert "the coefficient with which training on it spends that KL" in said
    with pytest.raises(klimit.ArgumentError, match="above 0 and below 1"):
        found.errors.members_for(1.0)


def test_members_that_do_not_agree_have_no_number_that_is_enough():
    first, other = np.random.default_rng(60).normal(size=(2, 60, 16))
    found = klimit.ensemble({"a": first, "b": other - 0.3 * first})
    assert found.errors.members_for().high == np.inf
    assert "such proxies on at most" not in str(found)


def test_a_member_that_goes_against_the_others_is_told_without_gold():
    rng = np.random.default_rng(64)
    gold = rng.normal(size=(40, 8))
    data = {f"r{i}": gold + rng.normal(size=gold.shape) for i in range(4)}
    assert "goes against" not in str(klimit.ensemble(data))
    said = " ".join(klimit.ensemble(data | {"r3": -data["r3"]}).notes)
    assert "r3 goes against the others within prompts: turn it around, or leave it out." in said
