"""A deliberately poor proxy of `quality`: a lexicon learnt from 200 labels.

    python lexicon.py overopt/base.parquet    # fits lexicon.json, scores the bundled base samples

Five answers of the base to each of the 40 posts get their `quality` as a label, and ridge regression
on word counts gives every word that at least five of them use a weight. A text scores the sum of the
weights of its words. So the lexicon knows which words good summaries of these posts have, and nothing
of the post that it is a summary of, of order, or of having said a word before.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

POSTS = Path(__file__).parents[1] / "posts.parquet"
WEIGHTS = Path(__file__).with_name("lexicon.json")
WORD = re.compile(r"[a-z0-9']+")
LABELS, LEAST, RIDGE, SEED = 5, 5, 10.0, 0  # labels a post, texts that use a word, penalty, draw


def lexicon(texts):
    """The proxy reward of each text, an array of shape (texts,)."""
    weights = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return np.array([sum(weights.get(word, 0.0) for word in _words(text)) for text in texts])


def fit(texts, labels):
    """The weight of each word, from texts and their centred labels."""
    counted = [Counter(_words(text)) for text in texts]
    texts_with = Counter(word for one in counted for word in one)
    words = sorted(word for word, number in texts_with.items() if number >= LEAST)
    counts = np.array([[one[word] for word in words] for one in counted], dtype=float)
    centred = counts - counts.mean(axis=0)
    penalty = RIDGE * np.eye(len(words))
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ labels)
    return dict(zip(words, weights.round(4).tolist(), strict=True))


def main(target):
    """Fit on the labels, then write proxy and gold of all base samples to `target`."""
    import polars as pl

    table = pl.read_parquet(POSTS)
    rng = np.random.default_rng(SEED)
    posts = table.with_row_index("row").group_by("prompt_id", maintain_order=True).agg("row")
    rows = np.concatenate([rng.choice(own, LABELS, replace=False) for own in posts["row"]])
    labelled = table[rows]
    labels = labelled["quality"].cast(float)
    labels = labels - labels.mean()
    WEIGHTS.write_text(
        json.dumps(fit(labelled["completion"].to_list(), labels.to_numpy()), indent=0) + "\n",
        encoding="utf-8",
    )
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    scores = pl.Series("lexicon", lexicon(table["completion"].to_list()))
    table.select("prompt_id", scores, "quality").write_parquet(target)


def _words(text):
    return WORD.findall(text.lower())


if __name__ == "__main__":
    main(sys.argv[1])
