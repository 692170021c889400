"""Add rewards to a folder of samples: read each slice, write it again with columns of scores.

    from add_rewards import add_rewards

    def score(prompt_id, prompt, completions):
        return {"reward": my_reward_model(prompt, completions)}

    for path in add_rewards("samples", "scored", score):
        print(path)

`klimit.read("scored")` reads the result.
"""

import json
import os
from pathlib import Path


def add_rewards(samples, scored, score):
    """Score the slices that have no scores yet; yield the path of each new file.

    `score` takes a prompt's id, its text and a list of completions, and returns a dictionary of
    reward names and lists of numbers, None where a completion could not be scored.
    """
    samples, scored = Path(samples), Path(scored)
    scored.mkdir(parents=True, exist_ok=True)
    for path in sorted(samples.glob("*.jsonl")):
        target = scored / path.name
        if target.exists():
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        completions = [row["completion"] for row in rows]
        rewards = score(rows[0]["prompt_id"], rows[0]["prompt"], completions)
        for name, values in rewards.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = None if value is None else float(value)
        partial = target.with_name(target.name + ".part")
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        os.replace(partial, target)
        yield target
