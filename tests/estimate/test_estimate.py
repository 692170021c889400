"""A number with its interval: how it reads, how it is indexed, what it becomes in JSON."""

import json
from math import inf, nan

import numpy as np
import pytest

import klimit
from klimit import Estimate, best_of_n, frontier


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.843, 0.791, 0.902), "0.84 [0.79, 0.90]"),
        (Estimate(12345.6, 12000.0, 12700.0), "12,346 [12,000, 12,700]"),
        (Estimate(-0.5, -0.61, -0.39), "-0.50 [-0.61, -0.39]"),
        (Estimate(0.843, 0.791, 0.902, trusted=False), "0.84 [0.79, 0.90] (not trusted)"),
        (Estimate(1.4, 1.02, inf, trusted=False), "at least 1.0 (not trusted)"),
        (Estimate(nan, 3.25, inf, trusted=False), "at least 3.2"),
        (Estimate(inf, inf, inf), "infinite"),
        (Estimate(inf, inf, inf, note="no reward allows it"), "impossible"),
        (Estimate(0.0, 0.0, 0.0), "0 [0, 0]"),
        (Estimate(nan, nan, nan), "not known"),
    ],
)
def test_an_estimate_reads_as_its_value_between_its_limits(estimate, text):
    assert str(estimate).startswith(text)


def test_the_value_is_what_a_float_of_it_is():
    assert float(Estimate(0.5, 0.4, 0.6)) == 0.5
    with pytest.raises(TypeError):
        float(Estimate(np.array([0.5, 1.0]), np.zeros(2), np.ones(2)))


def test_an_array_of_estimates_is_indexed_sliced_and_counted():
    value = np.array([0.5, 1.0, 2.0])
    many = Estimate(value, value - 0.1, value + 0.1, trusted=np.array([True, True, False]))
    assert len(many) == 3
    one = many[2]
    assert (one.value, one.low, one.high, one.trusted) == (2.0, 1.9, 2.1, False)
    assert isinstance(one.value, float)
    assert many[:2].value.tolist() == [0.5, 1.0]
    assert [float(e) for e in many] == value.tolist()
    assert str(many) == "[0.50 [0.40, 0.60], 1.00 [0.90, 1.10], 2.00 [1.90, 2.10] (not trusted)]"


def test_long_arrays_are_cut_where_they_are_shown():
    value = np.arange(30.0)
    assert str(Estimate(value, value, value, trusted=value > -1)).endswith(", ...]")


def test_a_prompt_of_python_shows_an_estimate_as_it_reads():
    assert repr([Estimate(0.843, 0.791, 0.902)]) == "[<Estimate 0.84 [0.79, 0.90]>]"


def test_results_of_a_few_numbers_read_as_a_line_for_each():
    rewards = np.random.default_rng(0).normal(size=(60, 64))
    limit = klimit.frontier(rewards)
    lines = str(limit.at(beta=[2.0, 4.0])).splitlines()
    assert lines[0].split() == ["beta", "[2", "4]"]
    assert lines[2].split(maxsplit=1) == ["gain", str(limit.at(beta=[2.0, 4.0]).gain)]
    assert [line.split()[0] for line in lines] == [
        "beta", "kl", "gain", "jeffreys", "forward_kl", "log_partition"
    ]  # fmt: skip


def test_json_has_null_and_a_reason_for_what_is_not_finite():
    found = Estimate(nan, 1.0, inf, trusted=False, note="beyond the trusted 2 nats").to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "value": None,
        "low": 1.0,
        "high": None,
        "level": 0.95,
        "trusted": False,
        "reason": "beyond the trusted 2 nats",
    }
    assert Estimate(1.0, 0.0, inf).to_dict()["reason"] == "these samples set no bound"


def test_json_of_what_is_known_gives_no_reason_and_keeps_arrays():
    found = Estimate(
        np.array([1.0, inf]),
        np.array([0.5, 1.0]),
        np.array([2.0, inf]),
        trusted=np.array([True, False]),
    ).to_dict()
    assert found["value"] == [1.0, None]
    assert found["trusted"] == [True, False]
    assert found["reason"]
    assert "reason" not in Estimate(1.0, 0.5, 2.0).to_dict()


def test_an_estimate_cannot_be_changed():
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.5, 2.0).value = 3.0


def test_a_place_of_an_array_has_the_note_that_is_about_it():
    rewards = np.random.default_rng(0).normal(size=(40, 16))
    best, limit = best_of_n(rewards, n=[1, 4, 16]), frontier(rewards)
    for found in (best.win_rate, best.efficiency, best.limit, best.own_limit, best.per_doubling):
        assert found[1].note == ""
        assert "reason" not in found[1].to_dict()
    assert "N = 16" in best.win_rate[2].note
    assert "N = 1" in best.efficiency[0].note
    assert best.efficiency[2].note.startswith("beyond")
    assert limit.gain([0.5, 3.0])[0].note == ""
    found = limit.kl([0.5, 1.9, 5.0])
    alone = [limit.kl(gain).note for gain in (0.5, 1.9, 5.0)]
    assert [found[place].note for place in range(3)] == alone
    assert found[1:].note == "; ".join(alone[1:])


def test_a_note_about_every_place_stays_with_each():
    both = Estimate(np.ones(2), np.zeros(2), np.full(2, 2.0), note="by a judge")
    assert both[1].note == "by a judge"


def test_a_number_is_one_place():
    one = Estimate(1.0, 0.5, 2.0, note="few", trusted=False)
    assert list(one) == [one]
    assert one[0] == one == one[-1]
    with pytest.raises(IndexError):
        one[1]
    assert len(list(Estimate([1.0, 2.0], [0.5, 1.0], [2.0, 3.0]))) == 2
