"""Everybody can use the page: rules of axe, and keys alone."""

import pytest


def violations(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0].get('failureSummary', '')[:200]}"
        for one in found.response["violations"]
    ]


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("name", ["posts", "gold", "solved", "flat"])
def test_no_rule_of_axe_is_broken(visit, pages, name, look):
    page = visit(pages(name)[0], width=390 if look == "phone" else 1120, dark=look == "dark")
    for summary in page.locator("summary").all():
        summary.click()
    if page.locator("#prompt-table tbody button").count():
        page.locator("#prompt-table tbody button").first.click()
    assert not violations(page)


@pytest.mark.parametrize("dark", [False, True])
def test_the_hint_in_the_search_field_can_be_read(visit, pages, dark):
    page = visit(pages("posts")[0], dark=dark)
    colour = "getComputedStyle(document.getElementById('find'), '::placeholder').color"
    quiet = "getComputedStyle(document.querySelector('.lede')).color"  # 4.5 to 1 or more
    assert page.evaluate(colour) == page.evaluate(quiet)


def test_everything_that_can_be_used_is_reached_with_tab(visit, pages):
    page = visit(pages("posts")[0])
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    assert {
        "kl",
        "kl-number",
        "find",
        "csv",
        "headroom",
        "The numbers behind this picture",
    } <= reached


@pytest.mark.parametrize("name", ["posts", "gold", "solved", "one", "named"])
def test_nothing_is_wider_than_a_phone(visit, pages, name):
    page = visit(pages(name)[0], width=360, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("svg.narrow").is_visible()
    assert not page.locator("svg.wide").is_visible()
