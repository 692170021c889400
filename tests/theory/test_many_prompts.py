"""Many prompts at many budgets: neither threads nor company change an answer."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from klimit import _threads
from klimit.theory import _spend, frontier


def _prompts(seed, prompts, outcomes, *, ragged=False):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, outcomes + 1, prompts) if ragged else np.full(prompts, outcomes)
    base = [rng.dirichlet(np.ones(n)) for n in lengths]
    scale = rng.gamma(2.0, size=prompts)
    return base, [s * rng.normal(size=n) for s, n in zip(scale, lengths, strict=True)]


@pytest.mark.parametrize("budget", ["average", "per-prompt"])
def test_results_are_the_same_to_the_last_bit_with_any_number_of_threads(monkeypatch, budget):
    monkeypatch.setattr(_spend, "_BLOCK", 1 << 12)
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
