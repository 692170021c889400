"""What `klimit.hacking` refuses before it computes with it."""

import numpy as np
import pytest

import klimit
from klimit import ArgumentError, DataError
from klimit.estimate.proxy import hacking


def normal_pair(seed, prompts=10, samples=8):
    proxy, noise = np.random.default_rng(seed).normal(size=(2, prompts, samples))
    return proxy, proxy + noise


@pytest.mark.parametrize(("length", "said"), [
    ("proxy", "rm is -0.5 times length for every sample"),
    ("flat", "length is the same for all samples"),
    ("huge", "can be computed with"),
])  # fmt: skip
def test_a_nuisance_that_can_show_nothing_is_refused(length, said):
    proxy, gold = normal_pair(29)
    lengths = {"proxy": np.arange(10)[:, None] - 2 * proxy, "flat": 0 * proxy, "huge": 1e200 * gold}
    base = {"rm": proxy, "human": gold, "length": lengths[length]}
    with pytest.raises(DataError, match=said):
        hacking(base, proxy="rm", gold="human", nuisance="length")


@pytest.mark.parametrize("known", [8, 6])
def test_gold_too_large_to_compute_with_is_refused_before_its_first_use(known):
    proxy, gold = normal_pair(30)
    gold[:, known:] = np.nan
    with pytest.raises(DataError, match="can be computed with"):
        hacking({"rm": proxy, "human": 1e200 * gold}, proxy="rm", gold="human")
    with pytest.raises(DataError, match="can be computed with"):
        klimit.ensemble({"rm": proxy, "other": -(proxy**2), "human": 1e200 * gold}, gold="human")


def test_where_one_budget_is_asked_for_several_are_refused_in_words():
    proxy, gold, length = np.random.default_rng(3).normal(size=(3, 20, 16))
    hack = klimit.hacking({"rm": proxy, "g": gold, "n": length}, proxy="rm", gold="g", nuisance="n")
    team = klimit.ensemble({"a": proxy + gold, "b": length + gold, "g": gold}, gold="g")
    gold[:, 6:] = np.nan
    few = klimit.hacking(proxy, gold=gold)
    for ask in (hack.nuisance, team.members_needed, team.by_size, few.split):
        with pytest.raises(ArgumentError, match="one number of nats was expected"):
            ask([0.1, 0.2])


def test_bad_names_are_refused_in_one_line():
    base = {"rm": [[0.0, 1.0]], "human": [[1.0, 0.0]]}
    with pytest.raises(ArgumentError, match="named twice"):
        hacking(base, proxy="rm", gold="rm")
    with pytest.raises(ArgumentError, match="no reward 'judge'"):
        hacking(base, proxy="rm", gold="judge")
    with pytest.raises(ArgumentError, match="names a column"):
        hacking([[0.0, 1.0]], gold="human")
    with pytest.raises(ArgumentError, match="prompts must be one of"):
        hacking(base, proxy="rm", gold="human", prompts="all")
    with pytest.raises(ArgumentError, match="level must lie"):
        hacking(base, proxy="rm", gold="human", level="high")
    frame = klimit.read({"prompt": ["a", "a"], "rm": [0.5, 1.0], "gold": [0, 1]})
    with pytest.raises(ArgumentError, match="no name of a reward"):
        hacking(frame, gold="gold")
    proxy, gold = normal_pair(25)
    hack = hacking({"rm": proxy, "human": gold}, proxy="rm", gold="human")
    with pytest.raises(ArgumentError, match="exactly one of them"):
        hack.gaps()
    with pytest.raises(ArgumentError, match="no nuisance was named"):
        hack.nuisance(0.5)
    with pytest.raises(ArgumentError, match="kl must be zero or more"):
        hack.gold_gain(-1)
