"""Audits that know little: one prompt, no KL, a base without spread or of a later step."""

import numpy as np
import pytest

import klimit
from klimit import DataError, EstimateWarning
from klimit.audit.gate import gate
from tests.audit.tables import read, shifted


def test_no_gate_is_passed_by_a_share_that_one_prompt_leaves_open():
    rng = np.random.default_rng(4)
    found = klimit.audit(read(rng.normal(size=(1, 64))), shifted(rng, 1, 16))
    with pytest.raises(DataError, match="so few prompts set no bound"):
        gate(found, min_efficiency=0.5)


def test_without_a_kl_the_price_beyond_trust_is_a_bound_and_below_the_truth():
    rng = np.random.default_rng(5)
    found = klimit.audit(read(rng.normal(size=(40, 64))), read(rng.normal(3.0, 1, size=(40, 16))))
    assert not found.least_kl.trusted
    said = " ".join(str(found).split())
    named = float(said.split("gain as much for less than ")[1].split(" nats")[0])
    assert 2.5 < named < 4.5


def test_a_base_without_spread_shows_no_limit_and_is_not_called_unspent():
    rng = np.random.default_rng(6)
    said = str(klimit.audit(read(np.full((20, 16), 0.5)), shifted(rng, 20, 8)))
    assert "rewards are all equal within every prompt" in " ".join(said.split())
    assert "No KL was spent" not in said


def test_a_later_step_as_the_base_is_another_base_than_the_one_of_the_kl():
    rng = np.random.default_rng(7)
    steps = [
        shifted(rng, 40, 16, shift=shift, step=[step] * 640) for step, shift in ((5, 0.5), (9, 1.0))
    ]
    with pytest.warns(EstimateWarning, match="the base is step 5, which by its own"):
        klimit.audit(*steps)
