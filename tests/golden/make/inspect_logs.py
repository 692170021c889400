"""Inspect logs of a mock model, for tests/golden/inspect.

Needs inspect-ai. Run it in an empty folder outside of any repository: python inspect_logs.py OUT.
Logs are zstd inside zip since version 0.3.190 or so; the deflated one is what older versions wrote,
made by handing the same writer the other method.
"""

import random
import shutil
import sys
import zipfile
from pathlib import Path

from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai._util.zipfile import zipfile_compress_kwargs
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, match, mean, scorer
from inspect_ai.solver import generate

GRADES = {"?": "N", "twelve": "I"}  # correct is C, any other number P, for partial
QUESTIONS = {"2 + 2 = ?": "4", "3 + 5 = ?": "8", "7 - 6 = ?": "1"}


@scorer(metrics=[mean()])
def brevity():
    async def score(state, target):
        text = state.output.completion
        return Score(value=float("nan") if text == "?" else -float(len(text)))

    return score


@scorer(metrics=[accuracy()])
def graded():
    async def score(state, target):
        text = state.output.completion
        return Score(value=GRADES.get(text, "P") if text != target.text else "C")

    return score


def answers():
    drawn = random.Random(7)
    while True:
        made = ModelOutput.from_content(
            "mockllm/model", drawn.choice(["4", "8", "1", "?", "twelve"])
        )
        made.usage = ModelUsage(input_tokens=7, output_tokens=3, total_tokens=10)
        yield made


def task():
    samples = [
        Sample(id=f"sum-{i}", input=q, target=a) for i, (q, a) in enumerate(QUESTIONS.items())
    ]
    return Task(
        name="sums", dataset=MemoryDataset(samples), solver=generate(),
        scorer=[match(), brevity(), graded()], epochs=4,
    )  # fmt: skip


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    for name, method in (("zstd", None), ("deflate", zipfile.ZIP_DEFLATED)):
        if method is not None:
            zipfile_compress_kwargs["compression"] = method
        evaluate(
            task(), model=get_model("mockllm/model", custom_outputs=answers(), memoize=False),
            log_dir=f"logs-{name}", log_format="eval", display="none", max_samples=1,
        )  # fmt: skip
        (log,) = Path(f"logs-{name}").glob("*.eval")
        shutil.copy(log, out / f"{name}.eval")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
