"""The JSON documents are those that docs/cli.md describes: every entry, of the kind it says."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
OPEN = {"settings[].options", "sampling"}  # what stands inside depends on the data
PLAIN = {
    "text": (str,),
    "text?": (str, type(None)),
    "whole": (int,),
    "number": (int, float),
    "flag": (bool,),
    "list?": (list, type(None)),
    "object": (dict,),
    "any": (object,),
}


def documented(schema):
    """Return what the docs say of a schema: entry -> kind."""
    section = re.search(
        rf"^### {schema}\n(.*?)(?=^### |\Z)", DOCS.read_text(), re.DOTALL | re.MULTILINE
    )[1]
    return dict(re.findall(r"^\| `([^`]+)` \| (\S+) \|", section, re.MULTILINE))


def entries(value, path=""):
    """Return the entries of a document, lists by their items: (path, value)."""
    if isinstance(value, dict) and not kind_of(value) and path not in OPEN:
        for name, inner in value.items():
            yield from entries(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and not path.endswith("reward_range"):
        for inner in value:
            yield from entries(inner, f"{path}[]")
    else:
        yield path, value


def kind_of(value):
    """Return which of the recurring kinds an object is, if any."""
    if not isinstance(value, dict):
        return None
    names = set(value)
    if names in ({"value"}, {"value", "reason"}):
        return "number?" if ("reason" in names) == (value["value"] is None) else None
    if names - {"reason"} == {"value", "low", "high", "level", "trusted"}:
        lost = None in (value["value"], value["low"], value["high"])
        return "estimate" if value.get("reason") or not lost else None
    return None


def fits(value, kind):
    """Whether a value is of a documented kind."""
    return kind_of(value) == kind or (kind in PLAIN and isinstance(value, PLAIN[kind]))


@pytest.mark.parametrize(
    "args",
    [
        ["limit", "quality", "--kl", "0.5,6"],
        ["limit", "quality", "--kl", "0.5", "--reward-range=-100,inf"],
        ["limit", "solved"],
        ["best-of-n", "quality", "-n", "1,4"],
        ["best-of-n", "solved", "-n", "1,4"],
        ["plan", "quality", "--kl", "1"],
        ["plan", "solved", "--kl", "3"],
        ["describe", "quality"],
    ],
    ids=" ".join,
)
def test_documents_are_as_documented(klimit, request, args):
    command, name, *options = args
    done = klimit(command, request.getfixturevalue(name), *options, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    kinds = documented(document["schema"])
    found = list(entries(document))
    empty = tuple(f"{name}[]" for name, value in document.items() if value == [])
    assert {path for path, _ in found} == {path for path in kinds if not path.startswith(empty)}
    for path, value in found:
        assert fits(value, kinds[path]), (path, value, kinds[path])
