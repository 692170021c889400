"""Completions by ms-swift's own writer, for tests/golden/ms_swift.

Needs the files of the ms-swift package alone (pip download --no-deps, unzip, PYTHONPATH): its
JsonlWriter is loaded without the training code around it; the table is put together as
GRPOTrainer.log does. Run: python ms_swift_completions.py OUT/run.
"""

import ast
import json
import os
import random
import sys
import typing
from pathlib import Path
from queue import Queue
from threading import Thread

QUESTIONS = {"What is 2 + 2?": "4", "What is 3 + 5?": "8"}


def jsonl_writer():
    """The class, out of its module, whose other imports are heavy."""
    file = next(
        Path(place) / "swift/utils/io_utils.py" for place in sys.path
        if (Path(place) / "swift/utils/io_utils.py").is_file()
    )  # fmt: skip
    tree = ast.parse(file.read_text())
    wanted = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "JsonlWriter"
    ]
    names = {
        "os": os, "json": json, "Queue": Queue, "Thread": Thread, **vars(typing),
        "is_master": lambda: True, "check_json_format": lambda x: x,
        "dist": None, "logger": None,
    }  # fmt: skip
    exec(compile(ast.Module(wanted, []), str(file), "exec"), names)
    return names["JsonlWriter"]


def main(out):
    chosen = random.Random(0)
    writer = jsonl_writer()(str(out / "completions.jsonl"))
    for step in (1, 2):
        asked = [question for question in QUESTIONS for _ in range(4)]
        said = [chosen.choice(["4", "8", "It is 4.", "It is 8."]) for _ in asked]
        right = [float(QUESTIONS[q] in text) for q, text in zip(asked, said, strict=True)]
        form = [float(text.endswith(".")) for text in said]
        writer.append(
            {"step": [str(step)] * len(asked), "prompt": asked, "completion": said, "Accuracy": right,
             "Format": form, "advantages": [0.0] * len(asked)}
        )  # fmt: skip
    told = {
        "rlhf_type": "grpo",
        "reward_funcs": ["accuracy", "format"],
        "reward_weights": [1.0, 0.2],
    }
    (out / "args.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
