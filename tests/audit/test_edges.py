"""Audits that know little: one prompt, no KL, a base without spread or of a later step."""

from dataclasses import replace

import numpy as np
import pytest

import klimit
from klimit import DataError, DataWarning, Estimate, EstimateWarning
from klimit.audit.compare import _shared
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


def test_a_base_without_spread_leaves_the_gap_as_open_as_the_limit_is():
    """No sample of the base passes, half of the policy's do: what could be gained is not nothing."""
    rng = np.random.default_rng(6)
    unsolved, solved = np.zeros((40, 16)), (rng.random((40, 8)) < 0.5).astype(float)
    found = klimit.audit(unsolved, solved, kl=2.0)
    assert (found.limit.low, found.limit.high) == (0.0, 1.0)
    assert found.gap_reward.low < -0.4 < 0.5 < found.gap_reward.high
    for name in ("efficiency", "gap_nats"):
        assert "nothing can be gained" not in getattr(found, name).note
    wasted = klimit.audit(unsolved + 1, solved, kl=2.0)
    assert float(wasted.least_kl) == 0
    assert float(wasted.excess_kl) == 2.0


def test_the_price_of_a_gain_that_one_prompt_does_not_bound_has_an_open_end():
    rng = np.random.default_rng(13)
    found = klimit.audit(rng.normal(size=(1, 64)), rng.normal(-3, 1, size=(1, 8)), kl=0.5)
    assert (found.least_kl.low, found.least_kl.high) == (0.0, np.inf)


def test_a_later_step_as_the_base_is_another_base_than_the_one_of_the_kl():
    rng = np.random.default_rng(7)
    steps = [
        shifted(rng, 40, 16, shift=shift, step=[step] * 640) for step, shift in ((5, 0.5), (9, 1.0))
    ]
    with pytest.warns(EstimateWarning, match="the base is step 5, which by its own"):
        klimit.audit(*steps)


@pytest.mark.parametrize(
    "scores",
    [
        {"kl_rb": [np.nan, np.nan]},
        {"logprob": [np.nan, np.nan], "ref_logprob": [-9.0, -9.0]},
        {"logprob": [-9.0, np.nan], "ref_logprob": [np.nan, -9.0]},
    ],
)
def test_scores_that_tell_no_kl_leave_it_unknown(scores):
    rng = np.random.default_rng(8)
    columns = {name: np.tile(pair, (40, 4)) for name, pair in scores.items()}
    base = read(rng.normal(size=(40, 16)))
    found = klimit.audit(base, read(rng.normal(size=(40, 8)), **columns))
    assert np.isnan(found.kl.value)
    assert found.gain.low < 0 < found.gain.high
    said = any("logprob and ref_logprob of the same tokens" in note for note in found.notes)
    assert said == ("logprob" in scores)


def test_log_probabilities_of_other_tokens_are_said_to_be_why_the_kl_is_not_known():
    rng = np.random.default_rng(8)
    lists = {"logprob": [[-2.0, -1.0]] * 160, "ref_logprob": [[-3.0]] * 160}
    policy = klimit.read(
        {"prompt_id": np.repeat(np.arange(20), 8), "rm": rng.normal(size=160), **lists}
    )
    said = " ".join(
        str(klimit.audit(klimit.read({"rm": rng.normal(size=(20, 16))}), policy)).split()
    )
    assert "no sample has logprob and ref_logprob of the same tokens" in said


def test_scores_of_prompts_that_are_not_shared_leave_the_kl_unknown():
    rng = np.random.default_rng(9)
    own = np.where(np.arange(60) < 40, np.nan, -9.0)[:, None] + np.zeros(8)
    policy = read(rng.normal(size=(60, 8)), logprob=own, ref_logprob=own - 1)
    assert np.isnan(klimit.audit(read(rng.normal(size=(40, 16))), policy).kl.value)


def test_a_comparison_on_shared_prompts_states_nothing_that_was_not_said():
    rng = np.random.default_rng(10)
    base, policy = ((rng.random(shape) < 0.5).astype(float) for shape in ((100, 16), (100, 8)))
    nats = np.where(np.arange(100) < 50, 0.1, 3.0)[:, None] + 0.1 * rng.random((100, 8))
    whole = read(policy, logprob=nats - 30, ref_logprob=np.full((100, 8), -30.0))
    part = whole.filter(prompts=[f"p{i}" for i in range(60)])
    for case in _shared(*klimit.audit(read(base), {"whole": whole, "part": part})):
        assert case.limit.settings.range_implied
        assert case.kl.low < case.kl.value < case.kl.high


def test_a_kl_without_ends_leaves_differences_without_ends():
    rng = np.random.default_rng(11)
    base, *policies = (read(rng.normal(shift, 1, size=(40, 16))) for shift in (0, 0.5, 0.8))
    said = [Estimate(1.0, 0.5, np.inf), Estimate(0.7, 0.6, 0.8)]
    found = klimit.audit(base, dict(zip("ab", policies, strict=True)), kl=said).compare("a", "b")
    for name in ("kl", "efficiency", "gap_reward", "gap_nats", "excess_kl"):
        assert (getattr(found, name).low, getattr(found, name).high) == (-np.inf, np.inf)
    assert np.isfinite([found.gain.high, found.least_kl.high]).all()


def test_warnings_point_at_the_line_that_asked():
    rng = np.random.default_rng(12)
    values = rng.normal(size=(40, 16))
    cold = read(values, temperature=np.full(values.shape, 0.7))
    with pytest.warns(EstimateWarning, match=r"temperature 0\.7") as audited:
        klimit.audit(cold, read(values[:, :8]))
    with pytest.warns(DataWarning, match="hold the same numbers") as hacked:
        klimit.hacking(values, gold=values)
    with pytest.warns(EstimateWarning, match="on different scales") as pooled:
        klimit.ensemble({"a": values, "b": 50 * rng.normal(size=values.shape)}, scale="none")
    assert {one.filename for one in [*audited, *hacked, *pooled]} == {__file__}


# ---- gates


def share_of(value, low, high, *, trusted=True):
    limit = klimit.frontier(np.random.default_rng(0).normal(size=(20, 32)))
    found = limit.place(kl=0.5, gain=0.5)
    share = Estimate(value, low, high, trusted=trusted, note="" if trusted else "from above only")
    return replace(found, efficiency=share)


def test_a_gate_says_so_where_a_share_is_above_what_any_method_can_do():
    (above,) = gate(share_of(1.1, 1.02, 1.18), min_efficiency=0.7)
    assert above.passed
    assert "more than any method can do at this KL, and hardly by chance" in str(above)
    assert "more than any method" in above.found.to_dict()["reason"]
    (chance,) = gate(share_of(1.1, 0.98, 1.22), min_efficiency=0.7)
    assert "more than any method" not in str(chance)
    (bound,) = gate(share_of(1.1, 1.02, 1.18, trusted=False), min_efficiency=0.7)
    assert "more than any method" not in str(bound)  # of a limit that may be higher


@pytest.mark.parametrize(
    "share",
    [
        share_of(2.0, -28.0, 7.0),
        share_of(0.3, -7.0, 19.0),
        share_of(2.1, 0.0, np.inf),
        share_of(0.9, 0.0, np.inf, trusted=False),
    ],
)
def test_no_gate_judges_a_share_that_may_be_anything(share):
    """The verdict calls it an unknown share; a step whose KL is hardly told from 0 has such a one."""
    for sure in (False, True):
        with pytest.raises(DataError, match="is not known: its interval is open"):
            gate(share, min_efficiency=0.7, sure=sure)


def test_a_gate_judges_an_open_share_that_lies_below_what_is_asked():
    (short,) = gate(share_of(-9.0, -28.0, 0.2), min_efficiency=0.7)
    assert not short.passed


def test_a_gate_shows_on_which_side_of_what_is_asked_a_number_lies():
    (short,) = gate(share_of(0.29, 0.2, 0.2981, trusted=False), min_efficiency=0.3)
    assert not short.passed
    assert str(short).endswith("share of the limit at most 0.299, at least 0.3 asked")
    limit = klimit.frontier(np.random.default_rng(0).normal(size=(20, 32)))
    (more,) = gate(limit.place(kl=10.004, gain=0.5), max_kl=10)
    assert str(more).endswith("KL in nats 10.004, at most 10 asked")


def test_a_policy_that_lost_has_no_share_of_a_limit_known_from_below():
    rng = np.random.default_rng(9)
    lost = shifted(rng, 40, 16, shift=-2.8)
    found = klimit.audit(read(rng.normal(size=(40, 16))), lost)
    assert not found.limit.trusted
    assert found.gain.high < 0
    assert found.efficiency.high == 0
    assert "at most 0 %" in str(found)


def test_prompts_that_only_some_policies_answered_keep_the_levels_and_the_range_of_rewards():
    rng = np.random.default_rng(10)
    base, one, other = (
        {"prompt_id": np.arange(start, end).repeat(7).astype(str)}
        for start, end in ((0, 40), (0, 30), (10, 40))
    )
    for rows in (base, one, other):
        rows["reward"] = rng.integers(-10, 3, size=len(rows["prompt_id"])) / 10
    reads = [klimit.read(rows) for rows in (base, one, other)]
    audits = klimit.audit(
        reads[0], dict(zip("ab", reads[1:], strict=True)), kl=[0.3, 0.2], reward_range=(-1, 0.2)
    )
    assert np.isfinite(audits.compare("a", "b").gain.value)
    assert np.isfinite(audits.best_of_n([2]).gain.value).all()
    case = audits["a"].case
    answered = np.concatenate(case.samples())
    assert set(answered) == set(base["reward"][: 30 * 7])


def test_one_answer_a_prompt_narrows_nothing_that_is_said_of_these_prompts():
    rng = np.random.default_rng(11)
    base, policy = rng.normal(size=(30, 32)), rng.normal(0.5, 1, size=(30, 1))
    drawn, fixed = (
        klimit.audit(base, policy, kl=0.2, prompts=prompts).gain for prompts in ("drawn", "fixed")
    )
    assert (fixed.low, fixed.high) == (drawn.low, drawn.high)


def test_a_base_without_spread_and_a_policy_without_kl_are_told_apart_from_an_unspent_one():
    found = klimit.audit(np.ones((20, 8)), np.random.default_rng(12).normal(size=(20, 4)))
    assert "KL" in found.kl.note
    apart = np.arange(20.0)[:, None] * np.ones(8)
    paired = klimit.audit(apart, apart[:, :4] + [0.4, 0.5, 0.6, 0.5])
    assert (
        paired.gain.high - paired.gain.low < 1e-9
    )  # prompt by prompt, however much prompts differ
    assert np.isnan([found.limit.value, found.gap_reward.value, found.excess_kl.value]).all()
    assert float(found.least_kl) == 0


def test_policies_that_share_only_prompts_without_spread_are_compared_apart():
    rng = np.random.default_rng(13)
    values = rng.normal(size=(6, 16))
    values[2:4] = 0.5
    base = read(values)
    one, other = (
        base.filter(prompts=["p0", "p1", "p2", "p3"]),
        base.filter(prompts=["p2", "p3", "p4", "p5"]),
    )
    audits = klimit.audit(base, {"one": one, "other": other}, kl=[0.1, 0.2])
    assert not audits.compare("one", "other").paired


def test_a_gain_above_all_that_there_is_does_not_fall_short_of_it():
    limit = klimit.frontier(np.random.default_rng(3).integers(0, 2, (40, 64)).astype(float))
    assert "short of what could be gained" in str(limit.place(kl=20.0, gain=0.3))
    assert "short" not in str(limit.place(kl=20.0, gain=0.95))


def test_no_difference_is_known_of_what_one_of_the_two_does_not_know():
    rng = np.random.default_rng(13)
    base, policy = read(rng.normal(size=(20, 32))), read(rng.normal(0.8, 1, size=(20, 32)))
    for kl, untold in ((None, "nothing"), (0.0, "zero"), (50.0, "flat")):
        audits = klimit.audit(base, {"told": policy, untold: policy}, kl={"told": 0.5, untold: kl})
        assert np.isnan(audits[untold].gap_nats.value)
        assert np.isnan(audits.compare("told", untold).gap_nats.value)


def test_the_kl_is_that_of_prompts_whose_base_shows_a_spread():
    rng = np.random.default_rng(14)
    values = rng.normal(size=(20, 16))
    values[0, 1:] = np.nan  # one sample, which is no limit
    policy = shifted(rng, 20, 8)
    rest = klimit.audit(read(values), policy.filter(prompts=[f"p{i}" for i in range(1, 20)]))
    found = klimit.audit(read(values), policy)
    assert (found.shared, found.kl.value) == (19, rest.kl.value)


@pytest.mark.parametrize("theirs", ["gsm8k", "math"])
def test_prompts_of_one_data_set_are_two_samples_of_one_population(theirs):
    rng = np.random.default_rng(15)
    base, policy = (
        read(rng.normal(size=(20, 8)), mark=mark, data_source=np.full((20, 8), source))
        for mark, source in (("a", "gsm8k"), ("b", theirs))
    )
    if theirs == "gsm8k":
        assert not klimit.audit(base, policy, kl=0.1).paired
    else:
        with pytest.raises(DataError, match="no prompt"):
            klimit.audit(base, policy, kl=0.1)


def test_a_gain_that_is_uncertain_has_an_uncertain_price():
    limit = klimit.frontier(np.random.default_rng(16).normal(size=(40, 32)))
    known, unsure = (
        limit.place(kl=0.5, gain=gain).least_kl for gain in (0.5, Estimate(0.5, 0.4, 0.6))
    )
    assert unsure.low < 0.09 < known.low < known.high < 0.17 < unsure.high


def test_at_no_kl_nothing_is_a_share_of_nothing():
    rng = np.random.default_rng(17)
    found = klimit.audit(rng.normal(size=(20, 16)), rng.normal(0.3, 1, size=(20, 8)), kl=0.0)
    for one in (found.gap_nats, found.efficiency):
        assert np.isnan(one.value)
        assert "a share of it is not defined" in one.note


@pytest.mark.parametrize(
    ("scale", "said"),
    [(1e-9, "+4e-10 reward"), (1.0, "+0.40 reward"), (1e9, "+400,000,000 reward")],
)
def test_a_gain_that_was_given_is_said_in_digits_of_its_own_size(scale, said):
    rewards = np.random.default_rng(4).normal(size=(30, 32)) * scale
    placed = klimit.frontier(rewards).place(kl=0.5, gain=0.4 * scale)
    assert f"policy gained {said} at a KL of 0.5 nats." in str(placed)


def test_few_base_samples_a_prompt_do_not_split_the_gap():
    rng = np.random.default_rng(14)
    found = klimit.audit(read(rng.normal(size=(100, 8))), shifted(rng, 100, 8))
    assert np.isnan(found.allocation.value)
    assert "fewer than 16 base samples" in found.shape.note
