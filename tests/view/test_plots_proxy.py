"""Pictures of proxies: gold along the proxy, beside its own limit; aggregates of several proxies."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.view.words import nats

pytestmark = pytest.mark.extras("matplotlib")


@pytest.fixture
def ax():
    from klimit.view.plots import figure

    return figure()[1]


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def rewards(seed=0, prompts=60, samples=64):
    rng = np.random.default_rng(seed)
    gold, error = rng.normal(size=(2, prompts, samples))
    return gold, error


def test_gold_along_the_proxy_stands_beside_its_own_limit(ax):
    gold, error = rewards()
    hack = klimit.hacking(gold + error, gold=gold)
    assert hack.plot(ax) is ax
    kl, gain = line(ax, "gold where proxy is optimised")
    assert kl[-1] <= hack.trusted_kl
    assert_allclose(gain, hack.gold_gain(kl).value)
    kl, most = line(ax, "the most gold that any method can gain")
    assert_allclose(most, hack.gold_limit(kl).value)
    kl, kept = line(ax, "best-of-N by proxy")
    assert_allclose(kept, hack.best_of_n([2, 4, 8, 16, 32, 64][: len(kept)]).gain.value)
    assert ax.get_ylabel() == "gain in gold over the base"


def test_trust_is_marked_where_that_of_gold_along_the_proxy_ends(ax):
    gold, error = rewards()
    hack = klimit.hacking(gold + error, gold=gold)
    assert 0 < hack.trusted_kl < hack.gold.trusted_kl
    hack.plot(ax)
    (said,) = [text for text in ax.texts if "trusted" in text.get_text()]
    assert said.get_text() == f"trusted to {nats(hack.trusted_kl, down=True)}"
    assert said.xy[0] == hack.trusted_kl


def test_where_gold_turns_is_marked(ax):
    gold, error = rewards(1, samples=128)
    hack = klimit.hacking(gold + 1.2 * error, gold=gold - 0.6 * np.maximum(error - 0.5, 0) ** 2
                          - 0.3 * np.maximum(error, 0))  # fmt: skip
    assert np.isfinite(hack.stop_kl.high)
    hack.plot(ax)
    (said,) = [text.get_text() for text in ax.texts if "highest" in text.get_text()]
    assert said == f"gold is highest at {hack.stop_kl.value:.2g} nats"


def test_aggregates_stand_beside_their_members(ax):
    gold, shared = rewards(2)
    rng = np.random.default_rng(3)
    members = {f"rm{i}": gold + 0.3 * shared + rng.normal(size=gold.shape) for i in range(3)}
    found = klimit.ensemble(members | {"gold": gold}, gold="gold")
    found.plot(ax)
    kl, gain = line(ax, "mean")
    assert_allclose(gain, found.gold_gain(kl, "mean").value)
    assert "one proxy alone" in ax.get_legend_handles_labels()[1]


@pytest.mark.parametrize("what", ["labels", "judgements"])
def test_few_labels_are_drawn_as_far_as_they_are_trusted(ax, what):
    gold, error = rewards(4)
    proxy, known = gold + error, gold.copy()
    known[:, 4:] = np.nan
    if what == "labels":
        few = klimit.hacking(proxy, gold=known)
    else:
        at = np.arange(600)
        table = pl.DataFrame({"prompt_id": at % 60, "sample_a": at % 64, "sample_b": (at + 7) % 64})
        better = gold[at % 60, at % 64] > gold[at % 60, (at + 7) % 64]
        judgements = table.with_columns(preferred=np.where(better, "a", "b"))
        few = klimit.hacking(proxy, judgements=judgements)
    assert few.plot(ax) is ax
    label = next(one for one in ax.get_legend_handles_labels()[1] if "is optimised" in one)
    kl, gain = line(ax, label)
    assert kl[-1] == pytest.approx(few.trusted_kl)
    assert_allclose(gain, few.gold_gain(kl).value)
    number = 240 if what == "labels" else 600
    _, alone = line(ax, f"by the {number} {what} alone")
    assert_allclose(alone, few.without_proxy(kl).value)


def test_few_labels_past_trust_are_dotted_and_have_no_band(ax):
    gold, error = rewards(4)
    known = gold.copy()
    known[:, 6:] = np.nan
    few = klimit.hacking(gold + error, gold=known)
    asked = 2 * few.trusted_kl
    few.plot(ax, kl=asked)
    (solid,) = [one for one in ax.lines if str(one.get_label()).endswith("is optimised")]
    (dotted,) = [
        one for one in ax.lines if one.get_color() == solid.get_color() and one is not solid
    ]
    assert solid.get_xdata()[-1] == dotted.get_xdata()[0] == pytest.approx(few.trusted_kl)
    assert dotted.get_xdata()[-1] == pytest.approx(asked)
    (band,) = ax.collections
    assert band.get_paths()[0].vertices[:, 0].max() == pytest.approx(few.trusted_kl)
    assert any(text.get_text().startswith("trusted to") for text in ax.texts)


def test_few_labels_that_are_trusted_nowhere_are_drawn_as_such(ax):
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(120, 3))
    gold = np.where(rng.random(proxy.shape) < 0.3, proxy + rng.normal(size=proxy.shape), np.nan)
    few = klimit.hacking(proxy, gold=gold)
    assert few.trusted_kl == 0
    few.plot(ax)
    assert [label for label in ax.get_legend_handles_labels()[1] if "not trusted" in label]
    assert not ax.collections


def test_a_run_stands_in_both_rewards_beside_what_was_foretold(ax):
    whole = klimit.read(Path(__file__).parents[2] / "examples" / "train" / "overoptimized.parquet")
    run = klimit.hacking(whole, proxy="lexicon", gold="quality").run
    assert run.plot(ax) is ax
    kl, gold = line(ax, "quality, as it trained")
    assert_allclose(kl, [one.kl.value for one in run])
    assert_allclose(gold, [one.gold_gain.value for one in run])
    reached = [one for one in run if one.predicted.trusted]
    assert 0 < len(reached) < len(run)
    kl, foretold = line(ax, "quality foretold by the base samples")
    assert_allclose(kl, [one.kl.value for one in reached])
    assert_allclose(foretold, [one.predicted.value for one in reached])
    (peak,) = [one for one in ax.patches if one.get_label() == "where quality may be highest"]
    assert_allclose([peak.get_x(), peak.get_x() + peak.get_width()],
                    [run.peak_kl.low, run.peak_kl.high])  # fmt: skip
    right = next(one for one in ax.figure.axes if one is not ax)
    assert right.get_ylabel() == "gain in lexicon over the base"
    (of_proxy,) = right.lines
    assert_allclose(of_proxy.get_ydata(), [0.0, *(one.proxy_gain.value for one in run)])
