"""Write a made-up rollout dump: text ids, completions, rewards; Parquet or JSON lines.

Rows come in rounds over the prompts, as epochs leave them, so no prompt's samples are together.
"""

from __future__ import annotations

import sys
from pathlib import Path


def dump(path: Path, rows: int, prompts: int) -> None:
    """`rows` samples of `prompts` prompts; a completion has about 100 characters."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng([1, rows, prompts])
    rounds = -(-rows // prompts)
    prompt = np.concatenate([rng.permutation(prompts) for _ in range(rounds)])[:rows]
    scale, level = rng.uniform(0.5, 1.5, prompts), rng.standard_normal(prompts)
    number = pl.int_range(rows, dtype=pl.UInt64)
    text = [number.hash(seed).cast(pl.String) for seed in range(5)]
    frame = pl.LazyFrame({"prompt": prompt}).select(
        prompt_id=pl.format(
            "task-{}-{}", pl.col("prompt").hash(7), pl.col("prompt")
        ),  # about 30 characters, as uids have
        completion=pl.concat_str(text, separator=" "),
        tokens=20 + number % 50,
        reward=pl.lit(pl.Series(rng.standard_normal(rows) * scale[prompt] + level[prompt])),
    )
    if path.suffix == ".jsonl":
        frame.sink_ndjson(path)
    else:
        frame.sink_parquet(path)


if __name__ == "__main__":
    dump(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
