"""Traces by the verifiers package, whose records prime-rl writes, for tests/golden/prime_rl.

Needs verifiers: python prime_rl_traces.py OUT/run. The episodes are built by hand, their records and
rounding are the package's own (`Episode.to_record`).
"""

import json
import random
import sys
from pathlib import Path

from verifiers.v1 import episode, graph, trace

QUESTIONS = {"What is 2 + 2?": "4", "What is 3 + 5?": "8"}


def record(chosen, number, question, answer, step):
    guess = chosen.choice([answer, "4", "9"])
    logprobs = [-chosen.random(), -chosen.random()]
    task = {"type": "Sums", "data": {"idx": number, "prompt": question}, "key": f"sums-{number}"}
    spoken = [("user", question, False, {}), ("assistant", guess, True, {"logprobs": logprobs})]
    nodes = [
        graph.MessageNode(
            parent=at - 1 if at else None, message={"role": role, "content": text}, sampled=sampled,
            token_ids=[7 + at, 8 + at], mask=[sampled] * 2, timestamp=0.0,
            reference_logprobs=[value - 0.1 for value in logprobs] if sampled else None, **more,
        )
        for at, (role, text, sampled, more) in enumerate(spoken)
    ]  # fmt: skip
    rewards = {"right": {"score": float(guess == answer)}, "short": {"score": 0.5, "weight": 0.2}}
    one = trace.WireTrace.model_validate(
        {"id": f"{step}{number}{chosen.randrange(1 << 30):x}", "task": task, "agent": {"config": {}},
         "rewards": rewards, "ok": True, "is_completed": True,
         "verifiers": {"version": "0.4.0"}, "timing": {"start": 0.0}}
    ).model_copy(update={"nodes": nodes})  # fmt: skip
    made = episode.WireEpisode.model_validate(
        {"id": f"e{one.id}", "env": {"id": "sums", "name": "sums"}, "task": task, "ok": True,
         "group": {"id": f"g{step}{number}"},
         "run": {"type": "train", "id": "tiny", "work": {"type": "train", "step": step}}}
    ).model_copy(update={"traces": [one]})  # fmt: skip
    return made.to_record()


def main(out):
    chosen = random.Random(0)
    for step in (1, 2):
        folder = out / "rollouts" / f"step_{step}" / "train"
        rows = [
            record(chosen, at, question, answer, step)
            for at, (question, answer) in enumerate(QUESTIONS.items())
            for _ in range(4)
        ]
        for name, kept in (("all", rows), ("effective", rows[:4])):
            (folder / name).mkdir(parents=True)
            text = "".join(json.dumps(row) + "\n" for row in kept)
            (folder / name / "traces.jsonl").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
