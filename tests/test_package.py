"""The package as its users meet it: names, weight, metadata, and what stays out of it."""

import importlib.metadata
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import klimit

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
AUTHOR = "The klimit developers"


def loaded_after(statement):
    """Return the modules that a fresh interpreter holds after `statement`."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def pins(name):
    """Return the exact pins of one requirements file."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\n]+)", text, flags=re.MULTILINE))


def test_the_exported_names_are_the_public_ones():
    assert list(klimit.__all__) == sorted(set(klimit.__all__))
    assert set(dir(klimit)) >= set(klimit.__all__)
    for name in klimit.__all__:
        assert getattr(klimit, name) is not None
    public = {name for name in dir(klimit) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(klimit, name))}
    assert public - modules <= set(klimit.__all__)


@pytest.mark.parametrize("room", [klimit, klimit.theory, klimit.select], ids=lambda x: x.__name__)
def test_signatures_call_types_by_name_so_that_help_can_be_read(room):
    for name in room.__all__:
        thing = getattr(room, name)
        if inspect.isfunction(thing):
            assert "_array_like" not in str(inspect.signature(thing)), name


def test_results_hold_arrays_and_are_the_same_only_as_themselves():
    import numpy as np

    import klimit.select

    rewards = np.random.default_rng(0).normal(size=(20, 32))
    results = {
        "frontier": lambda: klimit.frontier(rewards),
        "best_of_n": lambda: klimit.best_of_n(rewards, n=[1, 2]),
        "plan": lambda: klimit.plan(rewards, kl=0.1),
        "hacking": lambda: klimit.hacking(rewards, gold=rewards**2),
        "few labels": lambda: klimit.hacking(
            rewards, gold=np.where(np.arange(32) < 4, rewards**2, np.nan)
        ),
        "ensemble": lambda: klimit.ensemble({"a": rewards, "b": rewards**2}),
        "compare": lambda: klimit.select.compare(rewards, gold=rewards**2),
    }
    for name, ask in results.items():
        one, other = ask(), ask()
        assert one != other, name
        assert len({one, other}) == 2, name


def test_import_leaves_heavy_libraries_alone():
    heavy = {"polars", "scipy", "rich", "click", "pandas", "pyarrow", "datasets", "torch"}
    assert not heavy & loaded_after("import klimit")


def test_theory_and_select_are_there_when_asked_for():
    assert "klimit.theory" in loaded_after("import klimit\nklimit.theory.tilt")
    assert "klimit.select" in loaded_after("import klimit\nklimit.select.draw")


def test_cli_help_leaves_heavy_libraries_alone():
    heavy = {"polars", "scipy", "pandas", "pyarrow", "datasets", "torch"}
    assert not heavy & loaded_after("import klimit.cli")


def test_the_package_says_that_it_is_typed():
    assert (Path(klimit.__file__).parent / "py.typed").is_file()


def test_version_is_the_same_everywhere():
    assert klimit.__version__ == PROJECT["version"]
    assert importlib.metadata.version("klimit") == klimit.__version__
    assert f"version: {klimit.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_author_is_the_same_everywhere():
    assert PROJECT["authors"] == [{"name": AUTHOR}]
    assert importlib.metadata.metadata("klimit")["Author"] == AUTHOR
    assert f'- name: "{AUTHOR}"' in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"Copyright 2026 {AUTHOR}" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_lock_names_no_index_and_no_path():
    text = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-(?!-hash)|\bindex\b|find-links|#|/", text, flags=re.MULTILINE)


def test_the_lock_pins_every_dependency_by_hash_and_no_torch():
    text = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    names = {re.split(r"[<>=!~ ]", line)[0] for line in PROJECT["dependencies"]}
    assert names <= pins("lock.txt").keys()
    assert not any(name.startswith(("torch", "nvidia")) for name in pins("lock.txt"))


def test_the_oldest_versions_tested_are_the_lower_bounds():
    bounds = dict(line.split(">=") for line in PROJECT["dependencies"])
    oldest = pins("oldest.txt")
    assert bounds == {name: oldest[name] for name in bounds}


def test_the_wheel_is_small_and_carries_only_the_package(tmp_path):
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    # 300 kB were wanted, and held until the rooms theory and audit were built; this stops accidents
    assert wheel.stat().st_size < 834_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "klimit/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "klimit",
        f"klimit-{klimit.__version__}.dist-info",
    }
    assert {Path(name).suffix for name in names if name.startswith("klimit/")} <= {
        *(".py", ".typed"),
        *(".html", ".svg", ".css", ".js"),  # of the report
    }
    assert {"assets/page.css", "assets/budget.js", "templates/page.html"} <= {
        name.removeprefix("klimit/view/report/") for name in names
    }


def test_nothing_that_a_trial_run_wrote_lies_among_what_is_tracked():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("what is tracked is known in a clone only")
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip(f"git does not say what is tracked: {tracked.stderr.strip()}")
    assert {name.split("/")[0] for name in tracked.stdout.splitlines()} == {
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"),
        *("pyproject.toml", "requirements", "conftest.py", ".gitignore", ".ci"),
        *("src", "tests", "docs", "examples", "benchmarks"),
    }
