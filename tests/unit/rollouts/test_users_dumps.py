"""Dumps as users have them, against counts by hand: nothing is pooled, and no setting is a reward."""

import json

import polars as pl
import pytest

from klimit.rollouts import read

PROMPTS = ("1+1?", "2+2?", "3+3?")


def rows(prompt="prompt", answer="response", reward="score", *, samples=4, **more):
    """Rows of three prompts; what is a function is asked for the number of the sample."""
    return [
        {prompt: p, answer: f"answer {i}", reward: (at + i) % 5 / 4}
        | {name: x(i) if callable(x) else x for name, x in more.items()}
        for at, p in enumerate(PROMPTS)
        for i in range(samples)
    ]


@pytest.fixture
def written(tmp_path):
    """Write files of records by name, and give the folder."""

    def write(files):
        for name, records in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".parquet":
                pl.DataFrame(records).write_parquet(path)
            elif path.suffix == ".csv":
                pl.DataFrame(records).write_csv(path)
            else:
                path.write_text("".join(json.dumps(row) + "\n" for row in records))
        return tmp_path

    return write


def test_outputs_of_reward_bench_are_told_by_the_models_in_their_names(written):
    answers = rows(answer="text", reward="results")
    found = read(written({f"{m}_outputs.jsonl": answers for m in ("llama-base", "llama-dpo")}))
    assert found.read_as == "reward-bench outputs"
    assert (found.policies, found.shape.most) == (("llama-base", "llama-dpo"), 4)


def test_samples_of_lm_eval_are_told_by_the_folders_of_their_models(written):
    sample = {"target": "4", "resps": [["4"]], "filtered_resps": ["4"], "metrics": ["acc"]}
    lines = [{"doc_id": i, "arguments": [[p, {}]], "acc": 1.0} for i, p in enumerate(PROMPTS)]
    lines = [line | sample for line in lines]
    name = "samples_gsm8k_2026-01-0{}T00-00-00.000.jsonl"
    found = read(written({f"{m}/{name.format(1)}": lines for m in ("gpt2", "distilgpt2")}))
    assert (found.policies, found.shape.most) == (("distilgpt2", "gpt2"), 1)
    again = read(written({f"gpt2/{name.format(day)}": lines for day in (1, 2)}) / "gpt2")
    assert (again.policies, again.shape.most) == ((), 2)  # two runs of a model that samples
