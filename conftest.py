"""What every test run shares: examples in Markdown are run, tests that need extras may skip.

In README.md and docs/ a ```python block is executed (``>>>`` lines are compared) and in a
```console block each ``$ command`` must succeed and print what stands below it, `...` standing for
anything; a command with nothing below it must only succeed. ``<!--- skip: next -->`` skips a block.
Each page has a temporary folder of its own: `tempfile.gettempdir()` in Python, `/tmp` in a console.
"""

import doctest
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

# A busy machine is no failing example; .ci/run draws the same examples each time, developers new ones.
settings.register_profile("klimit", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("klimit")

ROOT = Path(__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def enter_folder(namespace):
    """Make the temporary folder of a page, so that two runs at once do not disturb each other."""
    namespace["own_folder"] = tempfile.TemporaryDirectory(prefix="klimit-docs-")
    tempfile.tempdir = namespace["own_folder"].name


def leave_folder(namespace):
    """Remove it."""
    tempfile.tempdir = None
    namespace.pop("own_folder").cleanup()


def run_console(example):
    """Run the commands of a console block; say what was printed where it differs."""
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    own = f"{tempfile.gettempdir()}/"
    for block in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = block.replace("/tmp/", own).partition("\n")
        done = subprocess.run(
            command,
            shell=True,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed = done.stdout
        if done.returncode:
            return f"$ {command}\nexit code {done.returncode}\n{printed}"
        shown = doctest.Example(command, expected.strip() + "\n")
        checker = doctest.OutputChecker()
        if expected.strip() and not checker.check_output(shown.want, printed, FLAGS):
            return f"$ {command}\n{checker.output_difference(shown, printed, FLAGS)}"
    return None


pytest_collect_file = Sybil(
    parsers=[
        SkipParser(),
        PythonCodeBlockParser(doctest_optionflags=FLAGS),
        CodeBlockParser(language="console", evaluator=run_console),
    ],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()


def pytest_runtest_setup(item):
    """Skip what needs a module that is not here, or fail if KLIMIT_EXTRAS=required."""
    needed = [name for marker in item.iter_markers("extras") for name in marker.args]
    if item.get_closest_marker("torch"):
        needed.append("torch")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"needs {', '.join(missing)}"
        if os.environ.get("KLIMIT_EXTRAS") == "required":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
