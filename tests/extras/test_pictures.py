"""The pictures of the documentation: drawn by the script, all shown, none left over."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "theory-in-ten-pictures.md"


def test_the_page_shows_every_picture_once_with_words_for_those_who_cannot_see_it():
    page = PAGE.read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("![")]
    assert len(shown) == 10
    assert {line.partition("(")[2].rstrip(")") for line in shown} == {
        f"pictures/{path.name}" for path in PICTURES.glob("*.svg")
    }
    assert all(len(line.partition("]")[0]) > 30 for line in shown)


@pytest.mark.extras("matplotlib")
def test_the_script_draws_what_the_page_shows(tmp_path):
    script = runpy.run_path(str(PICTURES / "theory.py"))
    script["main"](tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in PICTURES.glob("*.svg")
    }
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
