"""Many prompts at many tilts: what the power series say, beside the exponentials themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from klimit import _threads
from klimit.theory import _ladder, frontier
from klimit.theory._prompts import lay_flat
from klimit.theory._spend import spend


def _prompts(seed, prompts, outcomes, *, smallest=1.0, ragged=False):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, outcomes + 1, prompts) if ragged else np.full(prompts, outcomes)
    base = [rng.dirichlet(np.full(n, smallest)) for n in lengths]
    scale = rng.gamma(2.0, size=prompts)
    return base, [s * rng.normal(size=n) for s, n in zip(scale, lengths, strict=True)]


def _asked(known, beta, prompts=None):
    """A ladder that takes the question, however small it is."""
    ladder = _ladder.Ladder(known)
    ladder._blocks, ladder._least = _ladder._cut(known), 0
    return ladder(known, beta, prompts)


def _assert_same(found, expected):
    assert_allclose(found.kl, expected.kl, rtol=4e-12, atol=1e-300)
    assert_allclose(found.gain, expected.gain, rtol=4e-12, atol=1e-300)
    assert_allclose(found.variance, expected.variance, rtol=4e-12, atol=1e-300)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    smallest=st.sampled_from([0.02, 0.3, 3.0]),
    ragged=st.booleans(),
    size=st.sampled_from([1e-250, 1e-6, 1.0, 1e6, 1e250]),
)
def test_series_and_exponentials_agree_to_twelve_digits(seed, smallest, ragged, size):
    base, reward = _prompts(seed, 5, 40, smallest=smallest, ragged=ragged)
    known = lay_flat(base, [size * r for r in reward])
    beta = np.append(size * np.geomspace(1e-6, 1e6, 40), [1e-300, 1e300, np.inf])
    _assert_same(_asked(known, beta[:, None]), spend(known, beta[:, None]))
    own = size * np.random.default_rng(seed).lognormal(0.0, 3.0, size=(30, 5))
    _assert_same(_asked(known, own), spend(known, own))
    which = np.random.default_rng(seed).integers(0, 5, 150)
    _assert_same(_asked(known, own.ravel(), which), spend(known, own.ravel(), which))


def test_series_answer_for_equal_rewards_and_impossible_outcomes():
    base = [np.r_[0.5, 0.5, np.zeros(38)], np.full(40, 1 / 40), np.r_[1.0, np.zeros(39)]]
    known = lay_flat(base, [np.arange(40.0), np.full(40, 3.0), np.arange(40.0)])
    beta = np.geomspace(1e-3, 1e3, 40)[:, None]
    _assert_same(_asked(known, beta), spend(known, beta))


def test_most_tilts_of_an_ordinary_problem_are_left_to_the_series(monkeypatch):
    base, reward = _prompts(1, 300, 100)
    left = []

    def counted(known, beta, prompts=None):
        left.append(np.size(beta))
        return spend(known, beta, prompts)

    monkeypatch.setattr(_ladder, "spend", counted)
    limit = frontier(base, reward)
    limit.gain(np.linspace(0.05, 3.0, 50))
    assert sum(left) < 0.05 * 300 * 50


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_results_are_the_same_to_the_last_bit_with_any_number_of_threads(monkeypatch, budget):
    for name in ("_WIDE", "_LARGE", "_ALIKE", "_BUSY"):
        monkeypatch.setattr(_ladder, name, 0)
    base, reward = _prompts(2, 100, 20, ragged=True)
    kl = np.linspace(0.05, 2.0, 20)
    answers = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(_threads, "_cores", lambda cores=cores: cores)
        limit = frontier(base, reward, budget=budget)
        gain = limit.gain(kl)
        answers.append([gain, limit.kl(gain), limit.beta(kl), limit.kl_by_prompt(kl)])
    for other in answers[1:]:
        for one, two in zip(answers[0], other, strict=True):
            assert_array_equal(one, two)


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_many_budgets_at_once_and_each_alone_give_the_same(budget):
    limit = frontier(*_prompts(3, 800, 64), budget=budget)
    kl = np.linspace(0.01, 5.0, 24)
    gain = limit.gain(kl)
    assert_allclose(gain, [limit.gain(d) for d in kl], rtol=1e-13)
    assert_allclose(limit.beta(kl), [limit.beta(d) for d in kl], rtol=1e-12)
    below = kl < 0.9 * limit.saturation.kl
    assert_allclose(limit.kl(gain)[below], kl[below], rtol=1e-10)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(_threads, "_cores", lambda: 3)

    def work(part):
        if part == 4:
            raise ValueError("part 4")

    with pytest.raises(ValueError, match="part 4"):
        _threads.in_threads(work, range(6))
