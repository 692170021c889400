"""Prompts that are paid too much, and what that loses."""

import numpy as np
import pytest

import klimit
from tests.audit.tables import enumerated, rows


def test_wasteful_prompts_spend_more_than_the_optimum_and_lose_by_it():
    base = np.full((3, 2), 0.5)
    reward = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    policy = np.array([[0.2, 0.8], [0.01, 0.99], [0.5, 0.5]])  # right, too far, nothing
    ours, theirs, ratio = enumerated(base, policy, reward, size=1000)
    placed = klimit.audit(
        klimit.read(rows(ours)),
        klimit.read(rows(theirs, logprob=ratio - 5.0, ref_logprob=np.full_like(ratio, -5.0))),
    )
    frame = placed.prompts(by="wasteful")
    assert frame["prompt_id"].to_list() == ["p1"]
    spent = placed.prompts().sort("prompt_id")["kl"].to_list()
    assert spent == pytest.approx((policy * np.log(policy / base)).sum(axis=1), abs=1e-9)


def test_a_policy_whose_kl_is_not_known_by_prompt_wastes_nothing_that_can_be_seen():
    rng = np.random.default_rng(0)
    placed = klimit.audit(rng.normal(size=(20, 16)), rng.normal(size=(20, 8)) + 0.5, kl=1.0)
    with pytest.raises(klimit.ArgumentError, match="not known by prompt"):
        placed.prompts(by="wasteful")
    with pytest.raises(klimit.ArgumentError, match="by must be 'wasteful'"):
        placed.prompts(by="luck")


def test_a_loss_by_allocation_is_rather_too_large_since_what_single_prompts_gain_is_low():
    rng = np.random.default_rng(1)
    scale = np.exp(0.3 * rng.normal(size=60))
    shift = np.where(rng.random(60) < 0.5, 1.6, 0.4) * scale**2
    drawn = shift[:, None] + scale[:, None] * rng.normal(size=(60, 8))
    ratio = (drawn - shift[:, None] / 2) * shift[:, None] / scale[:, None] ** 2
    ids = [f"p{i}" for i in range(60)]
    base = klimit.read(
        {
            "prompt_id": np.repeat(ids, 64),
            "rm": np.ravel(scale[:, None] * rng.normal(size=(60, 64))),
        }
    )
    policy = klimit.read(
        {"prompt_id": np.repeat(ids, 8), "rm": drawn.ravel(), "logprob": np.full(480, -90.0),
         "ref_logprob": -90 - ratio.ravel()}
    )  # fmt: skip
    found = klimit.audit(base, policy)
    loss, shape = found.allocation, found.shape
    assert loss.value - loss.low > loss.high - loss.value
    assert shape.high - shape.value > shape.value - shape.low


def test_a_loss_by_allocation_is_the_same_in_any_order_of_prompts_with_equal_verdicts():
    rng = np.random.default_rng(2)
    rate = rng.choice([0.1, 0.3, 0.5], size=(40, 1))
    verdicts = (rng.random((2, 40, 16)) < [rate, rate + 0.3]).astype(float)
    ratio = rng.uniform(0.05, 0.6, (40, 1)) + 0.2 * rng.normal(size=(40, 16))

    def found(order):
        ids = np.repeat([f"p{i}" for i in order], 16)
        base, policy = ({"prompt_id": ids, "rm": x[order].ravel()} for x in verdicts)
        logs = {"logprob": ratio[order].ravel() - 30, "ref_logprob": np.full(640, -30.0)}
        return klimit.audit(klimit.read(base), klimit.read({**policy, **logs}))

    one, other = found(np.arange(40)), found(rng.permutation(40))
    for name in ("allocation", "shape"):
        for end in ("value", "low", "high"):
            expected = getattr(getattr(one, name), end)
            assert getattr(getattr(other, name), end) == pytest.approx(expected, rel=1e-9), name
