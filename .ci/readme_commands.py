"""Print one of the two commands of the README's Quickstart, so that CI runs what users run.

python .ci/readme_commands.py 1     # sets everything up and runs the main job
python .ci/readme_commands.py 2     # runs the tests
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def commands() -> list[str]:
    """Return the fenced blocks of the Quickstart: exactly two, of one line each."""
    text = README.read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Quickstart\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```[^\n]*\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    if len(blocks) != 2 or any("\n" in block for block in blocks):
        raise SystemExit(
            f"{README.name}: Quickstart must hold two fenced commands of one line; got {blocks}"
        )
    return blocks


if __name__ == "__main__":
    print(commands()[int(sys.argv[1]) - 1])
