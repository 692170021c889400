"""What is printed as a bound is one: rounded down where it bounds from below, up from above."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klimit import Estimate, frontier, select
from klimit.audit.gate import Check
from klimit.view import audit, choices, words

SIZES = st.floats(-12, 14).map(lambda power: 10.0**power)
SLACK = 1 + 1e-8  # 0.29 may be stored as 0.28999999999999998


def number(said: str, after: str) -> float:
    found = re.search(rf"{after} \+?(-?[\d.,e+-]+)", said)[1]
    return float(found.replace(",", "").rstrip("."))


@given(SIZES, st.floats(0.001, 1))
def test_a_lower_bound_that_is_printed_is_one_and_no_bound_above_0_is_printed_as_0(value, share):
    low = share * value
    found = Estimate(value, low, math.inf, trusted=False)
    for said in (str(found), str(Estimate(math.nan, low, math.inf)), words.plain(found)):
        assert 0.49 * low < number(said, "at least") <= low * SLACK
    assert number(words.spent(found), "at least") <= low * SLACK
    assert number(audit._number(found), "at least") <= low * SLACK


@given(SIZES, st.floats(0.001, 1), st.sampled_from([-1, 1]))
def test_ends_that_are_printed_of_what_is_not_trusted_hold_it(value, share, sign):
    low, high = sorted([sign * value, sign * value * (1 - share)])
    said = words.plain(Estimate(low, low, high, trusted=False))
    slack = (SLACK - 1) * value
    assert number(said, "between") <= low + slack
    assert number(said, "between") != 0 or low <= 0
    assert number(said, "and") >= high - slack
    upper = words.plain(Estimate(low, -math.inf, high, trusted=False))
    assert number(upper, "at most") >= high - slack


@given(st.floats(0.001, 2), st.floats(0.001, 1))
def test_a_share_that_a_gate_prints_as_a_bound_is_one_on_its_side_of_what_is_asked(high, asked):
    found = Estimate(0.5 * high, 0.0, high, trusted=False)
    said = str(Check("policy", "efficiency", asked, found, high >= asked))
    shown = number(said, "at most")
    assert shown >= high / SLACK
    if abs(high - asked) > 1e-6:
        assert (shown >= asked) == (high >= asked)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_what_is_left_to_gain_where_all_rewards_are_equal_is_a_bound_in_digits_of_its_size(scale):
    rewards = np.full((30, 8), 0.123 * scale)
    said = str(frontier(rewards, reward_range=(0, scale)))
    assert 0.877 * scale <= number(said, "from 0 to") * SLACK < 0.89 * scale


def test_a_kl_that_a_rule_spends_at_most_is_rounded_up():
    rewards, error = np.random.default_rng(3).normal(size=(2, 20, 16))
    found = select.compare(rewards, gold=rewards + error, n=[16])
    rows = [row for row in choices.rows(found).split("\n") if "at most" in row]
    shown = [number(row, "at most") for row in rows]
    spent = [found.kl[at].value for at, one in enumerate(found.settings) if one.beta is not None]
    assert len(shown) == len(spent) > 8
    assert all(upper >= kl / SLACK for upper, kl in zip(shown, spent, strict=True))
