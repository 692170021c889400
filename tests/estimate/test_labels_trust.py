"""Few labels: what their number, and which samples they fell on, may and may not change."""

import numpy as np
import pytest

import klimit
from klimit.estimate.labels import few_labels

KL = 0.25


def labelled(rng, gold, share, prompts=None):
    """Gold of a share of each prompt's samples, of some prompts or all."""
    count, samples = gold.shape
    hidden = np.argsort(rng.random(gold.shape), axis=1) >= round(share * samples)
    if prompts is not None:
        hidden[rng.permutation(count)[prompts:]] = True
    return np.where(hidden, np.nan, gold)


def test_more_labels_are_never_worse_also_past_half_of_the_samples():
    rng = np.random.default_rng(1)
    proxy = rng.normal(size=(60, 16))
    gold = 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)
    widths = []
    for share in (0.44, 0.56, 0.88):
        hack = klimit.hacking(proxy, gold=labelled(rng, gold, share))
        assert hack.trusted_kl > KL
        widths.append(hack.gold_gain(KL).high - hack.gold_gain(KL).low)
    assert widths[0] > widths[1] > widths[2]


def test_gold_that_bends_is_corrected_of_its_bias_as_if_all_of_it_were_known():
    rng = np.random.default_rng(2)
    held = trusted = 0
    place = np.linspace(0.5, 1.5, 401)
    for _ in range(10):
        scale = rng.uniform(0.5, 1.5, size=(100, 1))
        x = rng.normal(size=(100, 64))
        gold = x - 0.5 * x**2 + 0.5 * rng.normal(size=x.shape)
        few = few_labels(scale * x, gold=labelled(rng, gold, 0.7))
        for kl in (0.5, 1.0):
            tilt = place * (2 * kl / np.mean(place**2)) ** 0.5
            truth, said = np.mean(tilt - 0.5 * tilt**2), few.gold_gain(kl)
            trusted += said.trusted
            held += said.trusted and said.low <= truth <= said.high
    assert trusted >= 15
    assert held >= 0.92 * trusted  # 0.65 where only what is linear in the proxy was corrected


def test_trust_follows_how_far_up_labels_reach_and_not_otherwise_which_samples_have_them():
    rng = np.random.default_rng(3)
    proxy = rng.normal(size=(60, 64))
    gold = 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)
    inside = proxy - proxy.mean(axis=1, keepdims=True)
    rank = np.argsort(np.argsort(-inside, axis=None)).reshape(inside.shape)

    def edges(first):
        """Of six labellings whose highest label is the sample of this rank, and so on down."""
        found = []
        for _ in range(6):
            some = np.where(rank <= first + 2, np.nan, labelled(rng, gold, 0.1))
            some = np.where((rank >= first) & (rank <= first + 2), gold, some)
            found.append(few_labels(proxy, gold=some).trusted_kl)
        return found

    low, high = edges(40), edges(3)
    assert max(low) < 1.5 * min(low)
    assert max(high) < 1.5 * min(high)
    assert min(high) > 2 * max(low)


def test_where_gold_turns_past_the_highest_labels_its_gain_is_not_trusted():
    rng = np.random.default_rng(10)
    held = trusted = 0
    for _ in range(12):
        scale = rng.uniform(0.5, 1.5, size=(60, 1))
        x = rng.normal(size=(60, 64))
        gold = x - 1.2 * np.maximum(x - 1.2, 0) ** 2 + 0.5 * rng.normal(size=x.shape)
        few = few_labels(scale * x, gold=labelled(rng, scale * gold, 0.1))
        known = klimit.hacking(scale * x, gold=scale * gold, prompts="fixed")
        for kl in (0.25, 0.5):
            said, gain = few.gold_gain(kl), known.gold_gain(kl).value
            trusted += said.trusted
            held += said.trusted and said.low <= gain <= said.high
    assert 2 <= trusted <= 12
    assert held == trusted


def test_where_whole_prompts_lack_labels_more_labels_are_promised_what_they_bring():
    rng = np.random.default_rng(4)
    promised, brought = [], []
    for _ in range(6):
        slope = rng.normal(0.6, 0.4, size=(200, 1))
        proxy = rng.normal(size=(200, 32))
        gold = slope * proxy + 0.6 * rng.normal(size=proxy.shape)
        few = few_labels(proxy, gold=labelled(rng, gold, 1.0, prompts=50))
        alone, whole = few.without_proxy(KL), few_labels(proxy, gold=gold).gold_gain(KL)
        promised.append(few.split(KL).possible)
        brought.append(1 - (whole.high - whole.low) / (alone.high - alone.low))
    assert np.mean(promised) == pytest.approx(np.mean(brought), abs=0.1)


def test_past_trust_what_may_be_wrong_counts_three_times():
    rng = np.random.default_rng(5)
    proxy = rng.normal(size=(60, 16))
    few = few_labels(proxy, gold=labelled(rng, proxy - 0.3 * proxy**2, 0.5))
    edge = few.trusted_kl
    inside, past = few.gold_gain(edge), few.gold_gain(edge * 1.001)
    assert inside.trusted
    assert not past.trusted
    assert past.high - past.low > 1.2 * (inside.high - inside.low)


def test_labels_of_whole_prompts_tell_alone_what_these_prompts_tell():
    rng = np.random.default_rng(6)
    proxy = rng.normal(size=(60, 32))
    gold = 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)
    some = labelled(rng, gold, 1.0, prompts=15)
    there = ~np.isnan(some[:, 0])
    alone = few_labels(proxy, gold=some).without_proxy(KL)
    these = klimit.hacking(proxy[there], gold=gold[there]).gold_gain(KL)
    width = these.high - these.low
    assert alone.high - alone.low < 1.6 * width  # three times as long, were it chance
    assert alone.low < 0.8 * (2 * KL) ** 0.5 < alone.high


def test_too_few_labels_to_predict_by_are_read_alone_where_most_samples_have_one():
    rng = np.random.default_rng(7)
    proxy, noise = rng.normal(size=(2, 5, 64))
    found = klimit.hacking(proxy, gold=labelled(rng, proxy + noise, 0.7))
    assert found.pairs.missing == 5 * 19
    assert found.gold_gain(0.1).value > 0
    with pytest.raises(klimit.DataError, match="Few gold labels: 145 samples of 5 prompts"):
        klimit.hacking(proxy, gold=labelled(rng, proxy + noise, 0.45))


def test_the_proxy_is_not_credited_with_what_nearly_all_labels_say_without_it():
    rng = np.random.default_rng(4)
    proxy = rng.normal(size=(60, 16))
    gold = 0.7 * proxy + 0.51**0.5 * rng.normal(size=proxy.shape)
    hack = klimit.hacking(proxy, gold=labelled(rng, gold, 0.85))
    alone, whole = hack.without_proxy(0.2), klimit.hacking(proxy, gold=gold).gold_gain(0.2)
    assert alone.high - alone.low < 1.25 * (whole.high - whole.low)  # 1.5 when residuals were noise
    split = hack.split(0.2)
    assert split.saved < 0.2
    assert split.allowed <= split.possible


def test_a_proxy_whose_best_samples_have_all_the_weight_breaks_nothing():
    rate = np.random.default_rng(5).uniform(0.1, 0.9, size=(50, 1))
    rng = np.random.default_rng(4)
    proxy = (rng.random((50, 16)) < rate).astype(float)
    gold = np.where(rng.random(proxy.shape) < 0.8, proxy, 1 - proxy)
    hack = klimit.hacking(proxy, gold=np.where(rng.random(gold.shape) < 0.15, gold, np.nan))
    steep = hack.gold_gain([1.0, 1.5, 2.0, 4.0])  # rounding errors of 1e100, or an OverflowError
    assert np.abs(steep.value).max() < 1
    assert all(hack._found(kl, seeing=True).drawn < 1 for kl in (1.0, 1.5, 2.0, 4.0))


def test_all_smaller_kl_than_the_trusted_one_are_trusted_too():
    """Where the tilt leaves none but passed answers they weigh alike again, and more labels carry it."""
    rng = np.random.default_rng(5)
    proxy = (rng.normal(size=(60, 16)) > 0.8).astype(float)
    gold = proxy + rng.normal(size=proxy.shape)
    gold[rng.random(gold.shape) > 0.085] = np.nan
    few = few_labels(proxy, gold=gold)
    assert few.trusted_kl > 0.8
    kl = np.array([*np.geomspace(0.05, 1, 7) * few.trusted_kl, 1.9])
    assert list(few.gold_gain(kl).trusted) == [True] * 7 + [False]


def test_beside_few_labels_a_nuisance_is_said_to_help_alone():
    rng = np.random.default_rng(9)
    proxy, length = rng.normal(size=(2, 40, 8))
    gold = proxy + length + rng.normal(size=proxy.shape)
    gold[rng.random(gold.shape) > 0.3] = np.nan
    base = {"rm": proxy, "human": gold, "length": length}
    said = " ".join(str(klimit.hacking(base, proxy="rm", gold="human", nuisance="length")).split())
    assert "a nuisance only helps to predict them" in said
    assert "nuisance" not in str(klimit.hacking(base, proxy="rm", gold="human"))


@pytest.mark.parametrize("sign", [1, -1])
def test_where_no_label_checks_the_highest_samples_gold_may_fall_short_of_its_prediction(sign):
    rng = np.random.default_rng(4)
    proxy = rng.normal(size=(60, 64))
    gold = sign * 0.8 * proxy + 0.6 * rng.normal(size=proxy.shape)
    own = proxy - proxy.mean(axis=1, keepdims=True)
    highest = own > np.quantile(own, 0.985)
    at_random = rng.random(proxy.shape) < 0.1

    def sides(known):
        gain = few_labels(
            {"rm": proxy, "human": np.where(known, gold, np.nan)}, proxy="rm", gold="human"
        ).gold_gain(0.1)
        short, long = gain.value - gain.low, gain.high - gain.value
        return (short, long)[::sign]  # to the side of no gain first

    short, long = sides(at_random & ~highest)
    assert short > 1.15 * long
    short, long = sides(at_random | highest)
    assert short == pytest.approx(long, rel=0.05)
