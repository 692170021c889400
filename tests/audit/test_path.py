"""A training run in proxy and gold: what is placed, what is fitted, what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.audit.path import trained_path
from klimit.audit.path.points import points
from klimit.audit.path.turn import _scatter, turn
from klimit.theory.overoptimization import overoptimization_curve

PROMPTS, SAMPLES = 30, 16


def rollouts(rng, gains, kls, *, samples=8):
    """Base and steps: gold moves by `gains`, proxy by twice the KL, exact log ratios."""
    ids = [f"p{i}" for i in range(PROMPTS)]
    level = rng.normal(size=PROMPTS)
    base = {
        "prompt_id": np.repeat(ids, SAMPLES),
        "rm": rng.normal(size=PROMPTS * SAMPLES),
        "human": np.repeat(level, SAMPLES) + 0.2 * rng.normal(size=PROMPTS * SAMPLES),
    }
    rows = []
    for step, (gain, kl) in enumerate(zip(gains, kls, strict=True), start=1):
        number = PROMPTS * samples
        rows.append(
            {
                "prompt_id": np.repeat(ids, samples),
                "rm": 2 * kl + rng.normal(size=number),
                "human": np.repeat(level, samples) + gain + 0.2 * rng.normal(size=number),
                "step": np.full(number, 10 * step),
                "logprob": np.full(number, -10.0),
                "ref_logprob": -10.0 - kl + 0.3 * rng.normal(size=number),
            }
        )
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return klimit.read(base), klimit.read(joined)


def exact(kl, gold, prompts=12):
    """Checkpoints without noise, the same on every prompt."""
    one = np.ones(prompts)
    return points(np.outer(kl, one), np.outer(gold, one), np.zeros(len(kl)))


def test_every_checkpoint_is_placed_as_the_audit_places_it_in_either_reward():
    base, run = rollouts(np.random.default_rng(0), [0.1, 0.3, 0.2], [0.5, 2.0, 5.0])
    path = trained_path(base, run, proxy="rm", gold="human")
    for name, got in (("rm", "proxy_gain"), ("human", "gold_gain")):
        for audit, one in zip(klimit.audit(base, run, reward=name), path, strict=True):
            assert getattr(one, got) == audit.gain
            assert one.label == audit.label
            assert one.kl == audit.kl


def test_three_checkpoints_claim_no_peak():
    base, run = rollouts(np.random.default_rng(1), [0.1, 0.4, -0.5], [0.5, 2.0, 8.0])
    path = trained_path(base, run, proxy="rm", gold="human")
    assert "3 checkpoints" in path.turn.reason
    assert np.isnan([path.peak_kl.value, path.peak_kl.low, path.turn.bracket.high]).all()
    assert not path.peak_kl.trusted
    assert "cannot be said" in str(path)


def test_a_run_that_rises_and_falls_has_its_peak_between_its_ends():
    kl = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    curve = overoptimization_curve("rl", a=0.5, b=0.3)
    base, run = rollouts(np.random.default_rng(2), curve.gain(kl), kl)
    path = trained_path(base, run, proxy="rm", gold="human")
    truth = float(curve.peak.kl)
    assert path.turn.turned
    assert path.peak_kl.low <= truth <= path.peak_kl.high < 16
    assert path.turn.bracket.low <= truth <= path.turn.bracket.high
    assert next(iter(path.turn.fits)) == "rl"


@pytest.mark.extras("matplotlib")
def test_a_curve_that_describes_the_run_is_drawn_up_to_its_last_checkpoint():
    from klimit.view.plots import figure

    kl = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    curve = overoptimization_curve("rl", a=0.5, b=0.3)
    base, run = rollouts(np.random.default_rng(2), curve.gain(kl), kl)
    path = trained_path(base, run, proxy="rm", gold="human")
    ax = path.plot(figure()[1])
    (fit,) = [line for line in ax.lines if len(line.get_xdata()) > len(kl) + 1]
    drawn = np.asarray(fit.get_xdata())
    assert_allclose(fit.get_ydata(), path.turn.fit.gain(drawn).value)
    assert drawn[-1] == path.turn.furthest


@pytest.mark.parametrize("form", ["rl", "best-of-n"])
def test_points_on_a_curve_give_the_curve_back(form):
    kl = np.array([0.25, 1.0, 3.0, 9.0, 15.0])
    curve = overoptimization_curve(form, a=0.5, b=0.3)
    found = turn(exact(kl, curve.gain(kl)), 0.95)
    assert next(iter(found.fits)) == form
    assert_allclose([found.fit.a.value, found.fit.b.value], [0.5, 0.3], rtol=1e-9)
    assert_allclose(found.peak_kl.value, curve.peak.kl, rtol=1e-9)
    assert_allclose(found.gold(4.0).value, curve.gain(4.0), rtol=1e-9)


def test_where_no_curve_describes_the_run_the_bracket_stands_for_the_peak():
    kl = np.geomspace(0.5, 20, 12)
    bump = 0.5 * (kl / 6) * np.exp(1 - kl / 6)
    noise = 0.02 * np.random.default_rng(10).normal(size=(12, 40))
    found = turn(points(np.outer(kl, np.ones(40)), bump[:, None] + noise, np.zeros(12)), 0.95)
    assert found.said == ()
    assert (found.peak_kl.low, found.peak_kl.high) == (found.bracket.low, found.bracket.high)
    assert found.peak_kl.low < 6 < found.peak_kl.high
    assert "no curve describes the run" in found.peak_kl.note
    assert found.peak_kl.value == found.bracket.value
    assert_allclose(found.bracket.value, kl[found.best])


def test_a_bracket_with_two_ends_gives_no_reason_for_having_none():
    kl = np.array([0.25, 1.0, 3.0, 9.0, 15.0])
    found = turn(exact(kl, overoptimization_curve("rl", a=0.5, b=0.3).gain(kl)), 0.95).bracket
    assert found.low < found.value == 3.0 < found.high == 9.0
    assert "reason" not in found.to_dict()


def exact_run(rng, shifts, prompts=20):
    """Policies N(shift, 1) of a base N(0, 1) of the proxy, with a gold that turns at 2."""
    frames = []
    for step, shift in enumerate(shifts):
        size = (prompts, 16 if step else 32)
        x = shift + rng.normal(size=size)
        frames.append({
            "prompt_id": np.repeat([f"p{i}" for i in range(prompts)], size[1]), "rm": x.ravel(),
            "human": (x - x**2 / 4 + 0.5 * rng.normal(size=size)).ravel(),
            "logprob": (-90 - (x - shift) ** 2 / 2).ravel(), "ref_logprob": (-90 - x**2 / 2).ravel(),
            "step": np.full(x.size, 10 * step),
        })  # fmt: skip
    return {name: np.concatenate([one[name] for one in frames]) for name in frames[0]}


def test_what_is_to_be_minded_of_one_reward_is_said_with_its_name():
    run = klimit.read(exact_run(np.random.default_rng(3), (0.0, 2.0, 2.8, 3.2)))
    notes = trained_path(run, proxy="rm", gold="human").notes
    about_limits = [note for note in notes if "carry the limit" in note or "base's alone" in note]
    assert about_limits
    assert all(note.startswith(("'rm': ", "'human': ")) for note in about_limits)
    assert notes[0] == "step 0 of the run is the base."
    assert len(set(notes)) == len(notes)


def test_beyond_the_run_its_curve_says_nothing():
    kl = np.array([0.25, 1.0, 3.0, 9.0, 15.0])
    found = turn(exact(kl, np.sqrt(kl)), 0.95)
    beyond = found.gold(15.5)
    assert np.isnan(beyond.value)
    assert not beyond.trusted
    assert "15 nats" in beyond.note


def test_gold_that_only_rises_is_not_said_to_turn():
    rng = np.random.default_rng(3)
    kl = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    base, run = rollouts(rng, 0.2 * np.sqrt(kl), kl)
    path = trained_path(base, run, proxy="rm", gold="human")
    assert not path.turn.turned
    assert path.peak_kl.high == path.turn.bracket.high == np.inf
    assert "does not show that gold turns down" in str(path)


def test_neither_order_nor_names_of_prompts_change_a_digit():
    rng = np.random.default_rng(4)
    kl = rng.gamma(4.0, np.array([0.2, 0.5, 1.0, 2.0, 4.0])[:, None], size=(5, 300))
    gold = 0.3 * np.sqrt(kl) - 0.05 * kl + 0.1 * rng.normal(size=kl.shape)
    order = rng.permutation(300)
    ours, theirs = (
        turn(points(k, g, np.zeros(5)), 0.95)
        for k, g in ((kl, gold), (kl[:, order], gold[:, order]))
    )
    assert ours.peak_kl == theirs.peak_kl
    assert ours.peak_gain == theirs.peak_gain
    assert (ours.bracket.low, ours.bracket.high) == (theirs.bracket.low, theirs.bracket.high)


def test_what_a_prompt_adds_to_all_checkpoints_does_not_blur_which_is_best():
    rng = np.random.default_rng(5)
    kl = np.outer([1.0, 2.0, 4.0, 8.0], np.ones(40))
    gold = np.array([0.1, 0.3, 0.2, -0.1])[:, None] + 0.02 * rng.normal(size=kl.shape)
    shared = turn(points(kl, gold + rng.normal(size=40) - 0.0, np.zeros(4)), 0.95)
    assert 1 in shared.alike
    assert 3 not in shared.alike


def test_runs_are_told_apart_and_numbered_files_are_one_run():
    base, run = rollouts(np.random.default_rng(6), [0.1, 0.3], [0.5, 2.0])
    parts = {f"step-{step}": run.filter(step=step) for step in run.steps}
    kl = [0.5, 2.0]
    plain = {
        name: klimit.read(one.table.columns(["prompt_id", "rm", "human"]))
        for name, one in parts.items()
    }
    assert list(trained_path(base, plain, proxy="rm", gold="human", kl=kl).turns) == ["step"]
    named = {"ppo": plain["step-10"], "grpo": plain["step-20"]}
    assert list(trained_path(base, named, proxy="rm", gold="human", kl=kl).turns) == ["ppo", "grpo"]


def test_a_prediction_is_asked_at_the_kl_and_where_the_proxy_gain_is_the_same():
    class Predicted:
        def gold_gain(self, kl):
            return klimit.Estimate(kl, kl, kl)

    base, run = rollouts(np.random.default_rng(7), [0.1], [0.4])
    one = next(iter(trained_path(base, run, proxy="rm", gold="human", prediction=Predicted())))
    assert one.predicted.value == one.kl.value
    assert one.predicted_at_proxy.value == one.least_kl.value


def test_a_reward_is_no_proxy_of_itself():
    base, run = rollouts(np.random.default_rng(8), [0.1], [0.5])
    with pytest.raises(klimit.ArgumentError, match="both 'rm'"):
        trained_path(base, run, proxy="rm", gold="rm")


def test_without_a_kl_checkpoints_are_placed_and_the_turn_is_not_said():
    base, run = rollouts(np.random.default_rng(9), [0.1, 0.2], [0.5, 1.0])
    bare = klimit.read(run.table.columns(["prompt_id", "rm", "human", "step"]))
    path = trained_path(base, bare, proxy="rm", gold="human")
    assert path.turn.reason == "the KL of no checkpoint is known"
    assert path.to_frame()["kl"].null_count() == 2
    assert path.to_dict()["runs"][0]["best"] == "step 20"
    assert "Of 2 checkpoints step 20 has most gold" in str(path)


def beside_an_unknown_kl(gold, prompts=12):
    """Six checkpoints along a curve that turns, and one of this gold whose KL is not known."""
    kl = np.array([0.25, 1.0, 3.0, 6.0, 9.0, 15.0])
    gains = overoptimization_curve("rl", a=0.5, b=0.3).gain(kl)
    noise = 0.01 * np.random.default_rng(11).normal(size=(7, prompts))
    spent = np.outer(np.append(kl, np.nan), np.ones(prompts))
    return spent, np.append(gains, gold)[:, None] + noise


def test_a_checkpoint_of_most_gold_is_the_best_though_its_kl_is_not_known():
    found = turn(points(*beside_an_unknown_kl(9.0), np.zeros(7)), 0.95)
    assert (found.best, found.alike) == (6, (6,))
    assert "whose KL is not known may have most gold" in found.reason
    assert np.isnan([found.peak_kl.high, found.bracket.high]).all()
    assert not found.turned
    assert found.furthest == 15


def test_a_checkpoint_without_a_kl_that_is_not_the_best_moves_no_peak():
    kl, gold = beside_an_unknown_kl(-1.0)
    found = turn(points(kl, gold, np.zeros(7)), 0.95)
    apart = turn(points(kl[:6], gold[:6], np.zeros(6)), 0.95)
    assert found.best == apart.best
    assert 6 not in found.alike
    assert_allclose(found.peak_kl.value, apart.peak_kl.value)
    assert (found.bracket.low, found.bracket.high) == (apart.bracket.low, apart.bracket.high)


def test_the_best_of_a_run_is_the_best_of_all_its_checkpoints():
    base, run = rollouts(np.random.default_rng(12), [0.1, 0.5], [0.5, 2.0])
    known = ["prompt_id", "rm", "human", "logprob", "ref_logprob"]
    policies = {
        "pol1": klimit.read(run.filter(step=10).table.columns(known)),
        "pol2": klimit.read(run.filter(step=20).table.columns(known[:3])),
    }
    path = trained_path(base, policies, proxy="rm", gold="human")
    assert np.isnan(path.checkpoints[1].kl.value)
    assert path.to_dict()["runs"][0]["best"] == "pol2"
    said = " ".join(str(path).split())
    assert "has most gold, +0." in said
    assert "at a KL that is not known" in said
    assert "1 checkpoints" not in said


def test_points_that_lie_on_a_curve_by_chance_are_not_taken_to_err_by_less_than_nothing():
    terms = np.stack([np.ones(6), np.arange(6.0)], axis=1)
    sampling = 0.01 * np.eye(6)
    scatter = _scatter(np.zeros(6), terms @ np.linalg.pinv(terms), np.ones(6), sampling)
    assert_allclose(scatter, 0.01 / 4)
