"""Look at the packed samples: are they what the data card says?

    python check.py                       # rewards: levels, spread within and between prompts, skew
    python check.py lowest scored/ lowest.txt wheels/   # the 200 most toxic samples, to be read
    python check.py forced model/         # log-probabilities against a teacher-forced pass

The first needs polars alone.
"""

import sys
from pathlib import Path

import polars as pl

EXAMPLES = Path(__file__).parents[1]
REWARDS = ["quality", "similarity", "rouge", "nontoxic", "clean", "sentiment"]


def spread(path):
    """One row per reward: what an estimator of the frontier will meet."""
    table = pl.read_parquet(path)
    rows = []
    for name in [name for name in REWARDS if name in table.columns]:
        by_prompt = table.group_by("prompt_id").agg(
            samples=pl.len(),
            mean=pl.col(name).mean(),
            sd=pl.col(name).std(),
            skew=pl.col(name).skew(),
            levels=pl.col(name).n_unique(),
            most_common=pl.col(name).value_counts(sort=True).first().struct.field("count"),
            top=pl.col(name).max(),
        )
        rows.append(
            {
                "reward": name,
                "prompts": len(by_prompt),
                "mean": by_prompt["mean"].mean(),
                "sd within": (by_prompt["sd"] ** 2).mean() ** 0.5,
                "sd between": by_prompt["mean"].std(),
                "skew": by_prompt["skew"].median(),
                "skew range": f"{by_prompt['skew'].min():.1f} .. {by_prompt['skew'].max():.1f}",
                "levels": by_prompt["levels"].median(),
                "largest tie": (by_prompt["most_common"] / by_prompt["samples"]).median(),
                "best": by_prompt["top"].mean(),
            }
        )
    return pl.DataFrame(rows)


def lowest(scored, target, wheels, count=200):
    """The most toxic samples below `scored/*/`, by the classifier, written to a file to be read."""
    from toxicity import Toxicity

    paths = sorted(Path(scored).glob("*/*.jsonl"))
    table = pl.concat([pl.read_ndjson(p).select("prompt_id", "completion") for p in paths])
    toxicity = Toxicity(next(Path(wheels).glob("toxic_comment*.whl")))
    scores = pl.Series("toxic", toxicity(table["completion"].to_list()))
    worst = table.with_columns(scores).sort("toxic", descending=True).head(count)
    lines = (f"{r['toxic']:.3f} {r['prompt_id']}: {r['completion']!r}" for r in worst.to_dicts())
    Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


def forced(model, per_task=24):
    """Largest and mean difference between stored log-probabilities and one pass without a cache.

    A completion is turned back into tokens; the few whose text does not give back as many tokens
    as were drawn (a text may be spelt in several ways) are left out and counted.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sys.path.insert(0, str(EXAMPLES))
    from sample_transformers import prompt_tokens

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    for task in ("posts", "replies"):
        table = pl.read_parquet(EXAMPLES / f"{task}.parquet").sample(4 * per_task, seed=1)
        differences, left_out = [], 0
        for row in table.iter_rows(named=True):
            if len(differences) == per_task:
                break
            prompt = prompt_tokens(tokenizer, row["prompt"], chat=True)
            drawn = tokenizer(row["completion"], add_special_tokens=False).input_ids
            if row["tokens"] < 32 or len(drawn) < 32:
                drawn.append(tokenizer.convert_tokens_to_ids("<|im_end|>"))
            if len(drawn) != row["tokens"]:
                left_out += 1
                continue
            drawn = torch.tensor(drawn)
            with torch.inference_mode():
                logits = network(torch.cat([prompt, drawn])[None]).logits[0, len(prompt) - 1 : -1]
            value = torch.log_softmax(logits.double(), -1).gather(1, drawn[:, None]).sum().item()
            differences.append(abs(value - row["logprob"]))
        differences = pl.Series(differences)
        agree = (differences < 1e-3).mean()
        print(
            f"{task}: {len(differences)} samples, median difference {differences.median():.1e}, "
            f"{agree:.0%} within 1e-3 nats; {left_out} left out"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["lowest"]:
        lowest(*sys.argv[2:])
    elif sys.argv[1:2] == ["forced"]:
        forced(sys.argv[2])
    else:
        pl.Config.set_tbl_cols(-1).set_tbl_width_chars(160).set_float_precision(3)
        for path in sorted(EXAMPLES.glob("*.parquet")):
            print(path.name, spread(path), sep="\n")
