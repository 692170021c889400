"""What every public function of the theory room says about itself, and that each can be found."""

import inspect
import re
from pathlib import Path

import pytest

from klimit import theory

FUNCTIONS = [name for name in theory.__all__ if inspect.isfunction(getattr(theory, name))]
ROOM = Path(__file__).parents[2] / "docs" / "theory.md"


def sections(name):
    """Numpydoc sections by title; what stands before the first is "Summary"."""
    parts = re.split(r"\n(\w+)\n-+\n", inspect.getdoc(getattr(theory, name)))
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_its_question_formula_shapes_units_errors_source_and_an_example(name):
    said = sections(name)
    assert "?" in said["Summary"].splitlines()[0]
    text = " ".join(said.values())
    assert "``" in text or "as for `" in text.lower()  # a formula, or whose it is
    assert re.search(
        r"\(\.\.\.|\(\w+, ?\.*\)|as for `|\bcallable|: f|any finite", said["Parameters"]
    )
    assert said["Returns"].strip()
    assert "ArgumentError" in said["Raises"]
    assert re.search(r"arXiv \d{4}\.\d{5}|[A-Z][a-z]+", said["References"])
    assert ">>>" in said["Examples"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described(name):
    function = getattr(theory, name)
    described = sections(name)["Parameters"]
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"(^|, ){parameter}(,| :)", described, flags=re.MULTILINE), parameter


def test_every_function_is_found_by_a_word_of_the_field():
    index = ROOM.read_text(encoding="utf-8").split("## Find it")[1].split("\n## ")[0]
    assert set(FUNCTIONS) == set(re.findall(r"`([a-z_]+)`", index)) - {
        "dual_bound",
        "scaled_cumulant",
    }
