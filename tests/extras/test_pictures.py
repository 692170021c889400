"""The pictures of the documentation: drawn by the scripts, all shown, none left over."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
# the page that shows them, the script that draws them, how many
PAGES = [("theory-in-ten-pictures.md", "theory.py", 10), ("plots.md", "plots.py", 7)]


def shown_by(page):
    """Return names and descriptions of the pictures of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        (name, said)
        for said, name in re.findall(r"^!\[(.*)\]\(pictures/(.*)\)$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "script", "number"), PAGES)
def test_a_page_shows_every_picture_once_with_words_for_those_who_cannot_see_it(
    page, script, number
):
    shown = shown_by(page)
    assert len({name for name, _ in shown}) == len(shown) == number
    assert all((PICTURES / name).is_file() and len(said) > 30 for name, said in shown)


def test_no_picture_is_left_over():
    shown = {name for page, *_ in PAGES for name, _ in shown_by(page)}
    assert shown == {path.name for path in PICTURES.glob("*.svg")}
    assert sum(path.stat().st_size for path in PICTURES.glob("*.svg")) < 600_000


@pytest.mark.extras("matplotlib")
@pytest.mark.parametrize(("page", "script", "number"), PAGES)
def test_the_script_draws_what_the_page_shows(tmp_path, page, script, number):
    script = runpy.run_path(str(PICTURES / script))
    script["main"](tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {name for name, _ in shown_by(page)}
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    script["main"](tmp_path)
    assert again == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_the_page_of_the_over_optimised_run_shows_all_its_pictures():
    page = (ROOT / "docs" / "over-optimisation.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("![")]
    drawn = {path.name for path in (PICTURES / "over-optimisation").glob("*.svg")}
    assert {line.rpartition("/")[2].rstrip(")") for line in shown} == drawn
    assert all(len(line.partition("]")[0]) > 30 for line in shown)


@pytest.mark.extras("matplotlib")
def test_the_pictures_of_the_run_are_drawn_again_byte_for_byte(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PICTURES))
    script = runpy.run_path(str(PICTURES / "over_optimisation.py"))
    script["main"](tmp_path)
    for path in (PICTURES / "over-optimisation").glob("*.svg"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
