"""The pictures of the documentation: drawn by the scripts, all shown, none left over."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
# the page that shows them, the script that draws them, how many
PAGES = [("theory-in-ten-pictures.md", "theory.py", 10), ("plots.md", "plots.py", 8),
         ("over-optimisation.md", "over_optimisation.py", 2)]  # fmt: skip


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
