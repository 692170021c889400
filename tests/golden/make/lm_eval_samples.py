"""lm-eval samples of a model that guesses, for tests/golden/lm_eval.

Needs lm-eval. Run it in an empty folder: python lm_eval_samples.py OUT. Three runs with other seeds
are three samples of every document; two filters read each answer in two ways.
"""

import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": "cache", "LOGLEVEL": "ERROR"}

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 1.0}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
filter_list:
  - name: strict
    filter: [{function: take_first}]
  - name: digits
    filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]
"""
QUESTIONS = {"2 + 2 = ?": "4", "3 + 5 = ?": "8", "7 - 6 = ?": "1", "4 + 4 = ?": "8"}


class Guesses(LM):
    def __init__(self, seed):
        super().__init__()
        self.drawn = random.Random(seed)

    def generate_until(self, requests, disable_tqdm=False):
        return [self.drawn.choice(["4", "8", "1", "it is 8", "so 4"]) for _ in requests]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def main(out):
    Path("tasks").mkdir()
    Path("tasks/sums.yaml").write_text(TASK)
    lines = [json.dumps({"question": q, "answer": a}) + "\n" for q, a in QUESTIONS.items()]
    Path("questions.jsonl").write_text("".join(lines))
    manager = TaskManager(include_path="tasks", include_defaults=False)
    for seed in range(3):
        tracker = EvaluationTracker(output_path="runs")
        found = simple_evaluate(
            model=Guesses(seed), tasks=["sums"], task_manager=manager, log_samples=True,
            evaluation_tracker=tracker, bootstrap_iters=0,
        )  # fmt: skip
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        tracker.save_results_samples(task_name="sums", samples=samples["sums"])
        time.sleep(1.1)  # files are named by the second
    for file in Path("runs").rglob("samples_*.jsonl"):
        (out / "local__guesses").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, out / "local__guesses" / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
