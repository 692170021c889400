"""Rollout summaries by tinker-cookbook's own serialiser, for tests/golden/tinker.

Needs the files of the tinker-cookbook package alone (pip download --no-deps, unzip, PYTHONPATH): the
module that writes summaries is loaded without the training code around it, which needs a service.
Run: python tinker_summaries.py OUT.
"""

import importlib.util
import json
import random
import sys
import types
from pathlib import Path
from types import SimpleNamespace


def serialiser():
    found = next(
        Path(place) / "tinker_cookbook"
        for place in sys.path
        if (Path(place) / "tinker_cookbook").is_dir()
    )
    stub = types.ModuleType("tinker_cookbook.rl.types")
    stub.TrajectoryGroup = object  # a name in annotations only
    package = types.ModuleType("tinker_cookbook")
    package.__path__ = [str(found)]
    rl = types.ModuleType("tinker_cookbook.rl")
    rl.__path__ = [str(found / "rl")]
    sys.modules |= {"tinker_cookbook": package, "tinker_cookbook.rl": rl, stub.__name__: stub}
    spec = importlib.util.spec_from_file_location(
        "tinker_cookbook.rl.rollout_logging", found / "rl" / "rollout_logging.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.serialize_rollout_summaries


def group(chosen):
    rewards = [float(chosen.random() < 0.4) for _ in range(4)]
    steps = [
        SimpleNamespace(
            ob=SimpleNamespace(length=12), ac=SimpleNamespace(tokens=[0] * chosen.randint(3, 9)),
            reward=reward, episode_done=True, metrics={"correct": reward}, logs={},
        )
        for reward in rewards
    ]  # fmt: skip
    return SimpleNamespace(
        trajectories_G=[
            SimpleNamespace(transitions=[step], final_ob=SimpleNamespace(length=0)) for step in steps
        ],
        final_rewards_G=[0.0] * 4, metrics_G=[{}] * 4, get_total_rewards=lambda: rewards,
    )  # fmt: skip


def main(out):
    serialise, chosen = serialiser(), random.Random(0)
    for split, name, iterations in (
        ("train", "train", (0, 1)),
        ("eval/sums", "eval_sums", (0, 10)),
    ):
        for iteration in iterations:
            records = serialise(
                split=split, iteration=iteration, trajectory_groups_P=[group(chosen) for _ in range(3)],
                taglist_P=[["sums"]] * 3, sampling_client_steps_P=[iteration] * 3,
            )  # fmt: skip
            folder = out / f"iteration_{iteration:06d}"
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(record) + "\n" for record in records)
            (folder / f"{name}_rollout_summaries.jsonl").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
