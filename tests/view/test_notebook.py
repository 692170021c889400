"""What a notebook shows: the words of ``str``, escaped, whole by themselves."""

from dataclasses import is_dataclass
from html.parser import HTMLParser
from inspect import signature

import numpy as np
import polars as pl
import pytest

import klimit
from klimit import select
from klimit.audit.compare import compare
from klimit.audit.kl import measured_kl
from klimit.audit.path import trained_path

NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m\u202e"
VOID = {"br"}
ALLOWED = {"div", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
           "pre"}  # fmt: skip


class Page(HTMLParser):
    """Tags, attributes and text of a fragment, whose tags must be closed in order."""

    def __init__(self, fragment):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), set(), []
        self.feed(fragment)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def samples(name, count, shift, rng):
    """Three rewards of 24 prompts, with what their KL is measured from, at two steps of a run."""
    number = 24 * count
    first = rng.normal(shift, size=number)
    return klimit.read(
        {
            "prompt_id": np.repeat([f"{name}{i}" for i in range(24)], count).tolist(),
            name: first.tolist(),
            f"{name} gold": (0.8 * first + rng.normal(size=number)).tolist(),
            f"{name} too": (0.8 * first + rng.normal(size=number)).tolist(),
            "logprob": [-20.0] * number,
            "ref_logprob": rng.normal(-21, 0.2, size=number).tolist(),
            "step": [10] * (number // 2) + [20] * (number // 2) if shift else [0] * number,
        },
        prompt="prompt_id",
        reward=[name, f"{name} gold", f"{name} too"],
    )


def few(base, name):
    """The same with the second reward known of four samples a prompt."""
    frame = base.frame()
    proxy, gold = (frame[one].to_numpy().reshape(24, -1).copy() for one in base.rewards[:2])
    gold[:, 4:] = np.nan
    return klimit.read({name: proxy, f"{name} gold": gold})


def results(name):
    """Every kind of result, each about rewards, prompts and policies of this name."""
    rng = np.random.default_rng(0)
    base, run = samples(name, 16, 0.0, rng), samples(name, 8, 0.7, rng)
    policies, gold = {name: run.filter(step=20), "other": run.filter(step=10)}, f"{name} gold"
    audits = klimit.audit(base, policies, reward=name)
    prompt = np.arange(120)
    judgements = pl.DataFrame(
        {
            "prompt_id": [f"{name}{i % 24}" for i in prompt],
            "sample_a": prompt % 16,
            "sample_b": (prompt + 1) % 16,
            "preferred": rng.choice(["a", "b"], size=120),
        }
    )
    yield klimit.frontier(base, reward=name)
    yield klimit.best_of_n(base, n=[1, 4], reward=name)
    yield klimit.plan(base, kl=0.5, reward=name)
    yield audits[0]
    yield audits
    yield klimit.hacking(base, proxy=name, gold=gold)
    yield klimit.ensemble(base, proxies=[name, f"{name} too"], gold=gold)
    yield klimit.hacking(few(base, name), proxy=name, gold=gold)
    yield klimit.hacking(base, proxy=name, judgements=judgements)
    yield select.compare(base, proxy=name, gold=gold, n=4)
    yield trained_path(base, run, proxy=name, gold=gold)
    yield compare(*audits)
    yield measured_kl(policies[name])


@pytest.fixture(scope="module")
def plain():
    return list(results("quality"))


@pytest.fixture(scope="module")
def hostile():
    return list(results(NASTY))


KINDS = ["Frontier", "BestOfN", "Plan", "Audit", "Audits", "Hacking", "Ensemble", "FewLabels",
         "FewJudgements", "Choices", "TrainedPath", "Comparison", "MeasuredKL"]  # fmt: skip


@pytest.mark.parametrize("at", range(len(KINDS)), ids=KINDS)
def test_the_words_are_those_of_str(plain, at):
    shown = " ".join(" ".join(Page(plain[at]._repr_html_()).text).split())
    said = " ".join(str(plain[at]).split())
    sentences = [part for part in said.partition(".  ")[0].split(". ") if len(part) > 20]
    verdict = sentences[:2]
    assert verdict
    for sentence in verdict:
        assert sentence.partition(" note: ")[0] in shown


@pytest.mark.parametrize("at", range(len(KINDS)), ids=KINDS)
def test_nothing_runs_and_nothing_is_fetched_whatever_the_names(hostile, at):
    page = Page(hostile[at]._repr_html_())
    assert page.tags <= ALLOWED
    assert page.attributes <= {"class", "style"}
    named = KINDS[at] != "MeasuredKL"
    assert ("<script>alert(1)" in " ".join(page.text)) == named  # shown, not obeyed
    assert not set("\x1b\u202e") & set(" ".join(page.text) + repr(hostile[at]))


@pytest.mark.parametrize("at", range(len(KINDS)), ids=KINDS)
def test_the_fragment_is_small(plain, at):
    assert len(plain[at]._repr_html_()) < 20_000


def test_a_limit_of_nothing_needs_no_table():
    page = Page(klimit.frontier(np.ones((5, 4)))._repr_html_())
    assert "table" not in page.tags
    assert "Nothing is left to gain here" in " ".join(page.text)


def test_every_kind_of_result_is_here_and_those_that_have_a_picture_draw_it(plain):
    kinds = {type(one).__name__: type(one) for one in plain}
    assert list(kinds) == KINDS
    public = {name for name in klimit.__all__ if is_dataclass(getattr(klimit, name))}
    assert public - {"Estimate", "Report", "Rollouts"} <= set(KINDS)
    drawn = {name for name, kind in kinds.items() if hasattr(kind, "plot")}
    assert drawn == (set(KINDS[:9]) - {"Plan"}) | {"TrainedPath"}
    for name in drawn:
        first = list(signature(kinds[name].plot).parameters.values())[1]
        assert (first.name, first.default) == ("ax", None)
    for kind in kinds.values():
        assert kind.__str__ is not object.__str__
        assert kind.__dataclass_params__.frozen


@pytest.mark.extras("jinja2")
def test_a_report_shows_its_verdict():
    rewards = np.random.default_rng(0).normal(size=(24, 16))
    found = klimit.report(klimit.read({NASTY: rewards}))
    page = Page(found._repr_html_())
    assert page.tags <= ALLOWED
    assert "the best any method can do" in " ".join(page.text)
