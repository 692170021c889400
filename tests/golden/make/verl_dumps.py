"""Rollout dumps by the writers of verl's two trainers, for tests/golden/verl.

Needs the files of the verl package (installed, or unzipped on PYTHONPATH): the methods that write
are loaded without the training code around them. Run: python verl_dumps.py OUT.
"""

import ast
import json
import os
import random
import sys
from pathlib import Path

QUESTIONS = {"What is 2 + 2?": "4", "What is 3 + 5?": "8", "What is 7 - 6?": "1"}


def writer(module):
    """The static method `_write_generations` of a trainer."""
    file = next(Path(place) / module for place in sys.path if (Path(place) / module).is_file())
    wanted = [
        node for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "_write_generations"
    ]  # fmt: skip
    wanted[0].decorator_list = []
    names = {"json": json, "os": os, "np": None}
    exec(compile(ast.Module(wanted, []), str(file), "exec"), names)
    return names["_write_generations"]


def write(trainer, folder, step, rows, extra):
    columns = [list(column) for column in zip(*rows, strict=True)]
    trainer(*columns, extra, str(folder), step)


def drawn(seed):
    chosen = random.Random(seed)
    return [
        (question, f"It is {guess}.", answer, float(guess == answer))
        for question, answer in QUESTIONS.items()
        for guess in chosen.choices([answer, "4", "9"], k=4)
    ]


def main(out):
    for step in (1, 2):
        rows = drawn(step)
        right = [score for *_, score in rows]
        write(
            writer("verl/trainer/ppo/ray_trainer.py"),
            out / "rollouts",
            step,
            rows,
            {"acc": [bool(x) for x in right], "reward": right},
        )
    rows = drawn(3)
    # Trainer v1: sample_rollout_output; the second rollout of each prompt took two turns.
    uid, turns = [], []
    for at, row in enumerate(rows):
        prompt, rollout = divmod(at, 4)
        for turn in range(2 if rollout == 1 else 1):
            uid.append(f"0f3a{prompt}_{rollout}_{turn}")
            turns.append(
                (
                    row[0] if turn == 0 else f"{row[0]} Are you sure?",
                    *row[1:3],
                    row[3] if turn or rollout != 1 else 0.0,
                )
            )
    write(
        writer("verl/trainer/ppo/v1/trainer_base.py"), out / "rollouts_v1", 3, turns, {"uid": uid}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
