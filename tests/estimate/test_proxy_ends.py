"""Proxy against gold at no budget at all, one without end, and one that no weights can spend."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit


@pytest.mark.parametrize("prompts", ["drawn", "fixed"])
def test_no_budget_and_one_without_end_are_answered(prompts):
    rng = np.random.default_rng(3)
    proxy = rng.normal(size=(20, 8))
    hack = klimit.hacking(proxy, gold=proxy + rng.normal(size=proxy.shape), prompts=prompts)
    for question in (hack.efficiency, hack.gaps, hack.certified, hack.soft_best):
        question([])
        question(np.inf)
    assert len(hack.efficiency([])) == 0
    assert not hack.efficiency(np.inf).trusted
    assert hack.efficiency(np.inf).value == hack.efficiency(1e9).value


def test_soft_best_of_m_lists_no_kl_that_its_weights_cannot_spend():
    rng = np.random.default_rng(0)
    solved = (rng.random((60, 16)) < rng.choice([0.1, 0.5, 0.9], size=(60, 1))) * 1.0
    most = np.mean(np.log(16 / np.sum(solved == solved.max(axis=1, keepdims=True), axis=1)))
    hack = klimit.hacking(solved, gold=solved + rng.normal(size=solved.shape))
    kept = hack.soft_best([0.3, 1.2, 2.0])
    assert kept.kl[0] == 0.3
    assert_allclose(kept.kl[1:], most, rtol=1e-3)
    assert hack.soft_best(2.0).kl == kept.kl[2]
