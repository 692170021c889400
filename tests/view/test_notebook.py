"""What a notebook shows: the words of ``str``, escaped, whole by themselves."""

from html.parser import HTMLParser

import numpy as np
import pytest

import klimit

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


def results(name):
    rng = np.random.default_rng(0)
    ids = [f"{name}{i}" for i in range(24)]
    base = klimit.read(
        {
            "prompt_id": np.repeat(ids, 16).tolist(),
            name: rng.normal(size=24 * 16).tolist(),
        },
        prompt="prompt_id",
    )
    policy = klimit.read(
        {
            "prompt_id": np.repeat(ids, 8).tolist(),
            name: rng.normal(0.7, size=24 * 8).tolist(),
            "logprob": [-20.0] * 192,
            "ref_logprob": rng.normal(-21, 0.2, size=192).tolist(),
        },
        prompt="prompt_id",
    )
    yield klimit.frontier(base)
    yield klimit.best_of_n(base, n=[1, 4])
    yield klimit.plan(base, kl=0.5)
    yield klimit.audit(base, policy)
    yield klimit.audit(base, {name: policy, "other": policy})


@pytest.fixture(scope="module")
def plain():
    return list(results("quality"))


@pytest.fixture(scope="module")
def hostile():
    return list(results(NASTY))


KINDS = ["Frontier", "BestOfN", "Plan", "Audit", "Audits"]


@pytest.mark.parametrize("at", range(5), ids=KINDS)
def test_the_words_are_those_of_str(plain, at):
    shown = " ".join(" ".join(Page(plain[at]._repr_html_()).text).split())
    said = " ".join(str(plain[at]).split())
    sentences = [part for part in said.partition(".  ")[0].split(". ") if len(part) > 20]
    verdict = sentences[:2]
    assert verdict
    for sentence in verdict:
        assert sentence.partition(" note: ")[0] in shown


@pytest.mark.parametrize("at", range(5), ids=KINDS)
def test_nothing_runs_and_nothing_is_fetched_whatever_the_names(hostile, at):
    page = Page(hostile[at]._repr_html_())
    assert page.tags <= ALLOWED
    assert page.attributes <= {"class", "style"}
    assert "<script>alert(1)" in " ".join(page.text)  # shown, not obeyed
    assert not set("\x1b\u202e") & set(" ".join(page.text))


@pytest.mark.parametrize("at", range(5), ids=KINDS)
def test_the_fragment_is_small(plain, at):
    assert len(plain[at]._repr_html_()) < 20_000


def test_a_limit_of_nothing_needs_no_table():
    page = Page(klimit.frontier(np.ones((5, 4)))._repr_html_())
    assert "table" not in page.tags
    assert "Nothing can be gained here" in " ".join(page.text)
