"""The page in a real browser: it moves, it sorts, it opens, and it asks nothing of anybody."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

import klimit
from klimit.view import words

ROOT = Path(__file__).parents[2]
NAMES = ["posts", "gold", "solved", "flat", "few", "one"]


def text(page, name):
    return page.locator(f"#{name}").text_content()


def set_budget(page, kl):
    page.locator("#kl-number").fill(str(kl))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_report_opens_from_disk_without_an_error_or_a_request(visit, pages, name):
    path, found = pages(name)
    page = visit(path)  # whatever goes wrong fails the test when the page is closed
    assert page.locator("h1").text_content()
    assert page.locator("#prompt-table tbody tr").count() == min(found.limit.samples.prompts, 25)
    assert page.locator("#prompt-tools").is_visible()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_report_is_valid_html(pages, name):
    from justhtml import JustHTML

    JustHTML(pages(name)[0].read_text(encoding="utf-8"), strict=True)


def test_the_example_in_the_docs_says_what_the_command_says_today(pages):
    shown = (ROOT / "docs" / "example-report.html").read_text(encoding="utf-8")
    today = pages("posts")[0].read_text(encoding="utf-8")
    verdict = re.compile(r'(?s)<h1.*?<section id="limit"')
    assert verdict.search(shown)[0] == verdict.search(today)[0]


def test_the_slider_moves_every_number_by_keyboard(visit, pages):
    path, found = pages("posts")
    page = visit(path)
    slider = page.get_by_role("slider", name="KL budget")
    before = {name: text(page, name) for name in ("at-gain", "at-mean", "at-beta", "at-n")}
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    after = {name: text(page, name) for name in before}
    assert all(before[name] != after[name] for name in before)
    assert float(page.locator("#kl-number").input_value()) < 1
    assert slider.get_attribute("aria-valuetext").endswith(f"gain {after['at-gain']}")
    page.keyboard.press("End")
    assert text(page, "at-gain").startswith("at least")
    assert text(page, "at-beta") == "-"
    assert text(page, "at-needed") == "over a million"
    edge = words.nats(found.limit.trusted_kl, down=True)
    assert text(page, "at-trust") == f"trusted up to {edge}"
    page.keyboard.press("Home")
    assert text(page, "at-n") == "N = 1"


def test_the_slider_and_the_picture_move_by_mouse(visit, pages):
    page = visit(pages("posts")[0], height=1600)  # all of it on the screen, where mice are
    marker = page.locator("svg.wide .marker")
    start = marker.get_attribute("transform")
    box = page.locator("svg.wide").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.15 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    assert marker.get_attribute("transform") != start
    there = float(page.locator("#kl-number").input_value())
    slider = page.locator("#kl").bounding_box()
    page.mouse.click(slider["x"] + 0.3 * slider["width"], slider["y"] + slider["height"] / 2)
    assert float(page.locator("#kl-number").input_value()) > there


@pytest.mark.parametrize("name", ["posts", "solved"])
def test_what_the_page_says_at_a_budget_is_what_python_says(visit, pages, name):
    path, found = pages(name)
    limit = found.limit
    page = visit(path)
    for kl in found.budgets:
        set_budget(page, kl)
        assert text(page, "at-n") == found.beside.shown[kl]
        assert near(text(page, "at-gain"), words.plain(limit.gain(kl)))
        if limit.gain(kl).trusted:
            beta = float(text(page, "at-beta"))
            assert beta == pytest.approx(float(limit.beta(kl).value), rel=0.06)
        else:
            assert text(page, "at-needed") == f"about {limit.samples_needed(kl):,}"


def near(said, wanted):
    """The same words, and numbers that differ by no more than their last digit."""
    number = r"-?\d[\d,]*\.?\d*"
    assert re.sub(number, "#", said) == re.sub(number, "#", wanted)
    for one, other in zip(re.findall(number, said), re.findall(number, wanted), strict=True):
        unit = 10.0 ** -len(other.partition(".")[2])
        assert float(one.replace(",", "")) == pytest.approx(
            float(other.replace(",", "")), abs=1.01 * unit
        )
    return True


def test_between_budgets_the_page_interpolates_and_past_trust_it_gives_the_bound_only(visit, pages):
    path, found = pages("posts")
    limit = found.limit
    page = visit(path)
    for kl in np.geomspace(0.011, 14.0, 40):
        said = page.evaluate("(kl) => readAt(kl)", float(kl))
        gain = limit.gain(float(kl))
        assert said["trusted"] == bool(gain.trusted)
        assert said["low"] == pytest.approx(gain.low, rel=2e-3)
        if gain.trusted:
            assert said["gain"] == pytest.approx(gain.value, rel=1e-3)
            assert said["high"] == pytest.approx(gain.high, rel=2e-3)
            assert said["beta"] == pytest.approx(limit.beta(float(kl)).value, rel=2e-2)
        else:
            assert said["gain"] is None
            assert said["high"] is None
            assert said["beta"] is None
            assert said["needed"] >= limit.samples_needed(float(kl))


def test_the_slider_answers_within_50_ms(visit, pages):
    page = visit(pages("posts")[0])
    took = page.evaluate(
        """() => [...Array(60).keys()].map((place) => {
            const slider = document.getElementById("kl");
            const start = performance.now();
            slider.value = String(10 * place);
            slider.dispatchEvent(new Event("input"));
            document.body.getBoundingClientRect();
            return performance.now() - start;
        }).sort((a, b) => a - b)[30]"""
    )
    assert took < 50


def test_the_table_sorts_by_mouse_and_by_keyboard(visit, pages):
    page = visit(pages("posts")[0])
    column = page.locator("#prompt-table thead th").filter(has_text="headroom")
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "descending"
    place = page.locator("#prompt-table thead th").all_text_contents().index("headroom")
    values = page.locator(f"#prompt-table tbody tr > :nth-child({place + 1})").all_text_contents()
    assert [float(x) for x in values] == sorted((float(x) for x in values), reverse=True)
    column.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "ascending"


def test_the_table_is_filtered_paged_and_opened(visit, pages):
    path, found = pages("posts")
    page = visit(path)
    page.get_by_role("button", name="Next").click()
    assert "page 2 of 2" in text(page, "count")
    page.locator("#find").fill("hobby")
    assert text(page, "count") == "1 of 40 prompts"
    opener = page.locator("#prompt-table tbody button").first
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    headings = page.locator(".side h3").all_text_contents()
    assert headings == ["a draw of the base", "the best of 7 draws", "grpo"]
    shown = page.locator(".side .text").all_text_contents()
    base = found.base.frame().filter(prompt_id="left-hobby")["completion"].to_list()
    assert shown[0] in base
    assert shown[1] in base
    assert page.locator(".opened").get_by_text("I painted miniatures").count()
    page.keyboard.press("Enter")
    assert page.locator(".opened").count() == 0


def test_prompts_without_signal_are_found_by_their_kind(visit, pages):
    path, found = pages("solved")
    page = visit(path)
    page.locator("#kind").select_option("zero-signal")
    still = int((found.limit.samples.variances == 0).sum())
    assert text(page, "count").startswith(f"{still} of 60 prompts")
    assert (
        "klimit prompts" not in page.locator(".steps").text_content()
    )  # no command without a path
    assert "Look at the prompts without signal" in page.locator(".steps").text_content()


def test_the_csv_has_every_row_and_no_formula(visit, tmp_path):
    rng = np.random.default_rng(5)
    names = ["=1+1", "@sum", "+x", 'a "quoted", name', *(f"p{i}" for i in range(40))]
    rows = {
        "prompt_id": [name for name in names for _ in range(8)],
        "rm": rng.normal(size=8 * len(names)),
    }
    path = klimit.report(klimit.read(rows)).write(tmp_path / "csv.html")
    page = visit(path)
    with page.expect_download() as saved:
        page.locator("#csv").click()
    table = list(csv.DictReader(io.StringIO(saved.value.path().read_text())))
    assert len(table) == len(names)
    assert {row["id"] for row in table} == {
        f"'{name}" if name[0] in "=@+" else name for name in names
    }
    assert all(float(row["gain"]) >= 0 for row in table)


def test_what_is_injected_does_not_run_and_nothing_can_be_fetched(visit, pages):
    page = visit(pages("flat")[0])
    page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.ran = true");
            image.src = "data:,x";
            document.body.append(image);
            await fetch("data:,x").catch(() => { window.refused = true; });
        }"""
    )
    assert page.evaluate("window.refused && !window.ran")
    assert page.trouble
    page.trouble.clear()  # the refusals themselves


def test_it_reads_without_javascript(chromium, pages):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    path, found = pages("posts")
    page.goto(path.as_uri())
    assert page.locator("#at-gain").text_content() == words.plain(found.limit.gain(found.focus))
    assert page.locator("#prompt-table tbody tr").count() == 20
    context.close()


@pytest.mark.parametrize("name", ["posts", "solved"])
def test_the_numbers_without_javascript_are_those_that_the_script_writes(
    visit, chromium, pages, name
):
    path, _ = pages(name)
    context = chromium.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(path.as_uri())
    page = visit(path)
    for one in ("at-gain", "at-mean", "at-beta", "at-n", "at-needed", "at-trust"):
        assert text(page, one) == text(still, one)
    begun = still.locator("#prompt-table tbody td").all_text_contents()
    assert page.locator("#prompt-table tbody td").all_text_contents()[: len(begun)] == begun
    context.close()


def test_the_words_are_explained_where_the_link_below_the_verdict_leads(visit, pages):
    page = visit(pages("posts")[0])
    meaning = page.get_by_text("How far a policy has moved from the base model")
    assert not meaning.is_visible()
    page.get_by_role("link", name="What KL, gain, beta and the other words mean").focus()
    page.keyboard.press("Enter")
    meaning.wait_for()


def test_what_is_folded_is_printed(visit, pages):
    page = visit(pages("posts")[0])
    folded = "[...document.querySelectorAll('details')].filter((one) => !one.open).length"
    assert page.evaluate(folded) == 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(folded) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == 2


def test_on_a_phone_an_open_prompt_is_read_without_scrolling_sideways(visit, pages):
    page = visit(pages("posts")[0], width=390)
    page.locator("#prompt-table tbody button").first.click()
    boxes = [one.bounding_box() for one in page.locator(".behind .text").all()]
    assert boxes
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_on_a_phone_the_captions_of_tables_fit_and_names_of_rows_are_not_broken(visit, pages):
    page = visit(pages("posts")[0], width=390)
    names = page.locator("#policies tbody th")
    assert "best-of-16" in names.all_text_contents()
    for name in names.all():
        assert name.bounding_box()["height"] < 50
    for caption in page.locator("caption").all():
        assert (caption.bounding_box() or {"width": 0})["width"] <= 354


def test_a_sample_without_its_text_is_not_said_to_be_missing(visit, pages):
    page = visit(pages("gold")[0])
    page.locator("#prompt-table tbody button").first.click()
    draw = page.locator(".side").first.text_content()
    assert re.fullmatch(r"a draw of the baselexicon [-.0-9]+\(its text is not stored\)", draw)
