"""Dumps that were written twice: what copies look like, and what only looks like copies."""

import shutil

import numpy as np
import polars as pl
import pytest

import klimit
from klimit import DataWarning
from klimit.rollouts import copies, read


def table(rewards, **more):
    """A row per sample."""
    rewards = np.asarray(rewards)
    ids = np.repeat([f"p{i}" for i in range(len(rewards))], rewards.shape[1])
    return pl.DataFrame({"prompt_id": ids, "rm": rewards.ravel()} | more)


def short(seed, *, answers, prompts=40, samples=16):
    """A model that repeats itself word for word: few answers, of which some are likelier."""
    rng = np.random.default_rng(seed)
    return [
        rng.choice(rng.normal(size=answers), samples, p=rng.dirichlet(np.full(answers, 0.3)))
        for _ in range(prompts)
    ]


NORMAL = table(np.random.default_rng(0).normal(size=(40, 8)))
VERDICTS = table(
    (np.random.default_rng(1).random((40, 8)) < 0.4).astype(float),
    tokens=np.random.default_rng(2).integers(50, 400, 320),
)


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (pl.concat([NORMAL, NORMAL]), "100 % of the samples are there 2 times"),
        (pl.concat([NORMAL] * 3).sample(fraction=1, shuffle=True, seed=0), "100 %.* 3 times"),
        (pl.concat([NORMAL, NORMAL.head(160)]), "67 % of the samples"),  # half of the prompts
        (pl.concat([NORMAL, NORMAL[::2]]), "67 % of the samples"),  # half of each prompt's
        (pl.concat([VERDICTS, VERDICTS]), "100 % of the samples"),  # told by their tokens
        (pl.concat([table(short(3, answers=6))] * 2), "100 % of the samples are there 2 times"),
    ],
)
def test_samples_that_are_there_again_are_warned_of(again, said, tmp_path):
    again.write_ndjson(tmp_path / "run.jsonl")
    with pytest.warns(DataWarning, match=f"run.jsonl: {said}.*leave them out"):
        klimit.frontier(klimit.read(tmp_path / "run.jsonl"), reward="rm")
    with pytest.warns(DataWarning, match=said):
        klimit.best_of_n(read(again), n=2, reward="rm")


@pytest.mark.parametrize("answers", [2, 4, 8, 32])
@pytest.mark.parametrize("seed", range(3))
def test_answers_that_come_back_are_no_copies(answers, seed):
    read(table(short(seed, answers=answers))).grouped()
    read(table(short(seed, answers=answers, samples=4))).grouped()


@pytest.mark.parametrize(
    "alone",
    [
        NORMAL,
        VERDICTS,
        NORMAL.with_columns(pl.col("rm").round(1)),
        NORMAL.sample(len(NORMAL), with_replacement=True, seed=0),
        pl.concat([VERDICTS.drop("tokens")] * 2),  # verdicts alone cannot tell
        table([[0.0, 0.0, 1.0, 1.0]] * 40),
        table(np.full((40, 2), np.arange(40.0)[:, None])),
        NORMAL.with_columns(rm=pl.when(pl.int_range(pl.len()) % 2 == 0).then("rm")),
    ],
)
def test_samples_that_are_there_once_or_cannot_be_told_are_not_warned_of(alone):
    read(alone).grouped("rm")


def test_of_many_samples_some_prompts_are_looked_at(monkeypatch):
    monkeypatch.setattr(copies, "_LOOK", 200)
    at, prompt = copies.some(np.full(1000, 8))
    assert len(at) == 200
    assert (at // 8 == prompt).all()
    assert prompt[-1] == 999
    with pytest.warns(DataWarning, match="100 %"):
        read(pl.concat([NORMAL, NORMAL])).grouped()


@pytest.mark.parametrize("names", [("rank_0", "rank_1"), ("run", "run copy")])
def test_a_file_that_is_there_again_is_named(names, tmp_path):
    first, other = (tmp_path / f"{name}.jsonl" for name in names)
    VERDICTS.drop("tokens").write_ndjson(first)
    shutil.copy(first, other)
    with pytest.warns(DataWarning, match=r"\.jsonl is .*\.jsonl again, byte for byte"):
        read(tmp_path)
    VERDICTS.drop("tokens")[::-1].write_ndjson(other)
    read(tmp_path)
