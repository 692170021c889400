"""Ensembles of which gold, or any agreement, is not known: what is then not said."""

import numpy as np
import pytest

import klimit
import klimit.estimate.ensembles.result as results
import klimit.estimate.frontier as frontiers


@pytest.mark.parametrize("rho", [0.0, -0.3])
def test_where_members_are_not_seen_to_agree_endlessly_many_have_no_limit(rho):
    first, other = np.random.default_rng(60).normal(size=(2, 60, 16))
    found = klimit.ensemble({"a": first, "b": rho * first + np.sqrt(1 - rho**2) * other})
    endless = found.errors.multiplier_limit
    assert endless.high == np.inf
    assert not endless.trusted
    assert "endlessly" not in str(found)


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
    for module, name in ((frontiers, "frontier"), (results, "by_size")):
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
