"""What models write is shown as text, whatever it is, and runs nothing."""

import re

import numpy as np
import pytest

import klimit

SCRIPT = "<script>window.ran = 1</script>"
HOSTILE = {
    "script": SCRIPT,
    "closing": "</script><script>window.ran = 1</script><!--",
    "handler": '<img src=x onerror="window.ran = 1"><svg onload="window.ran = 1">',
    "link": '<a href="javascript:window.ran = 1">here</a> {{ 7 * 7 }} ${7 * 7} {% raw %}',
    "comment": "<!--<script>",
    "override": "abc \u202egnp.exe\u202c \u2067 hidden \u05d0\u05d1\u05d2",
    "null": "before\x00after\x1b[31mred\x07\x9b2J",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 e\u0301",
    "line": "one\u2028two\u2029three\r\nfour\rfive",
    "long": "x" * 1_000_000,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Every text as a prompt, as an id and as a completion."""
    rng = np.random.default_rng(6)
    rows = []
    for name, text in HOSTILE.items():
        rows += [
            {
                "prompt_id": f"{name} {text[:60]}",
                "prompt": f"{name}: {text}",
                "completion": f"{text} {i}",
                "rm": float(rng.normal()),
                "policy": SCRIPT,
            }
            for i in range(8)
        ]
    base = klimit.read(rows)
    policies = {f"</script>{SCRIPT}": klimit.read(rows)}
    report = klimit.report(base, policies, kl=0.5)
    return report.write(tmp_path_factory.mktemp("hostile") / "hostile.html"), report.findings


def opened(page, name):
    openers = page.locator("#prompt-table tbody button")
    openers.filter(has_text=re.compile(f"^{name} ")).click()
    return page.locator(".opened .text")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_and_runs_nothing(visit, hostile, name):
    page = visit(hostile[0])
    blocks = opened(page, name)
    assert blocks.count() == 4  # the prompt, a draw, the best of N, the policy's
    assert not page.evaluate("'ran' in window")
    if name in ("script", "closing", "handler", "link", "comment", "emoji"):
        assert blocks.first.text_content() == f"{name}: {HOSTILE[name]}"
        assert blocks.nth(1).text_content().startswith(HOSTILE[name])
    assert page.locator("main script, main img, main a[href^='javascript']").count() == 0


def test_a_null_shows_as_the_replacement_sign_and_escapes_as_pictures(visit, hostile):
    said = opened(visit(hostile[0]), "null").first.text_content()
    assert said == "null: before\ufffdafter\u241b[31mred\u2407\ufffd2J"
    ids = visit(hostile[0]).locator("#prompt-table tbody th").all_text_contents()
    assert any("before\ufffdafter" in name for name in ids)
    assert not any("\x00" in name for name in ids)


def test_a_text_that_runs_from_right_to_left_turns_nothing_around_it(visit, hostile):
    page = visit(hostile[0])
    block = opened(page, "override").first
    assert block.evaluate("(box) => getComputedStyle(box).unicodeBidi") == "isolate"
    assert "\u202e" in block.text_content()
    name = page.locator("#prompt-table tbody th bdi").filter(has_text="override").first
    assert name.evaluate("(box) => getComputedStyle(box).unicodeBidi") == "isolate"


def test_a_megabyte_is_cut_and_says_so(visit, hostile):
    path, _ = hostile
    said = opened(visit(path), "long").nth(1).text_content()
    assert len(said) < 5000
    assert "more characters are not shown" in said
    assert path.stat().st_size < 1_500_000


def test_lines_of_every_kind_end_lines(visit, hostile):
    said = opened(visit(hostile[0]), "line").nth(1).text_content()
    assert said.startswith("one\u2028two\u2029three\nfour\nfive")
