"""What a report finds, before it is a page."""

import numpy as np
import polars as pl

import klimit
from klimit.view.report.findings import gather


def test_policies_whose_names_end_with_their_step_are_all_placed():
    parts = [("base", 0), ("ppo_step_9", 9), ("dpo_step_9", 9)]
    rewards = np.random.default_rng(0).normal(size=(len(parts), 40))
    prompts = [f"p{at // 4}" for at in range(40)]
    frames = [
        pl.DataFrame({"prompt": prompts, "rm": of, "policy": who, "step": step})
        for of, (who, step) in zip(rewards, parts, strict=True)
    ]
    found = gather(klimit.read(pl.concat(frames)))
    assert sorted(one.name for one in found.audits) == ["dpo_step_9", "ppo_step_9"]
    assert found.notes[0] == "policy base of the same dump is the base."
