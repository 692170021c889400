"""Remake requirements/lock.txt: what the README's two commands install, pinned by hash.

    python -m pip install uv
    python requirements/lock.py [--upgrade]

uv asks the public package index alone and ignores pip's configuration, so a local folder of
wheels can never lend its hashes. Every file of a pinned release is listed, so the lock holds on
all platforms and on every Python that klimit supports.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = Path("requirements/lock.txt")
COMPILE = (
    "uv pip compile pyproject.toml --quiet --group dev --no-config --no-sources --no-header"
    " --no-annotate --generate-hashes --universal --python-version 3.11"
    " --fork-strategy fewest --output-file"
)


def main(options: list[str]) -> int:
    """Run uv with the settings above; further options go to it as they are."""
    command = [sys.executable, "-m", *COMPILE.split(), str(LOCK), *options]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
