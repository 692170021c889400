"""Proxy and gold of base and checkpoints in one file, step 0 being the base.

python pack.py overopt/ overoptimized.parquet    # overopt/base.parquet, overopt/step-*.parquet
"""

import sys
from pathlib import Path

import polars as pl
from lexicon import lexicon

REWARDS = ("lexicon", "quality")
SPENT = ("logprob", "ref_logprob", "kl_rb")


def main(folder, target):
    """Rows keep the order of the steps, of the prompts and of the draws."""
    base = pl.read_parquet(folder / "base.parquet").with_columns(step=pl.lit(0, pl.Int16))
    tables = [base]
    for path in sorted(folder.glob("step-*.parquet"), key=_step):
        drawn = pl.read_parquet(path)
        scores = pl.Series("lexicon", lexicon(drawn["completion"].to_list()))
        tables.append(drawn.with_columns(scores, step=pl.lit(_step(path), pl.Int16)))
    columns = ["step", "prompt_id", "completion", *REWARDS, *SPENT, "tokens"]
    table = pl.concat([one.select(pl.col(name) for name in columns if name in one.columns)
                       for one in tables], how="diagonal_relaxed").select(columns)  # fmt: skip
    table.with_columns(
        pl.col(REWARDS).round(6).cast(pl.Float32), pl.col(SPENT).round(4).cast(pl.Float32),
        pl.col("tokens").cast(pl.Int16),
    ).write_parquet(target, compression="zstd", compression_level=19)  # fmt: skip


def _step(path):
    return int(path.stem.partition("-")[2])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
