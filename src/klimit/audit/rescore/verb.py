"""Samples of a policy -> the same with log-probabilities under policy and base, and the exact KL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from klimit._errors import ArgumentError, DataError, warn
from klimit.audit.rescore import scoring
from klimit.audit.rescore.checkpoints import Pair, load, tokenizer_of
from klimit.audit.rescore.parts import Parts, fingerprint
from klimit.audit.rescore.tokens import Row, token_rows
from klimit.rollouts.rollouts import Rollouts
from klimit.rollouts.words import counted, shown

COLUMNS = ("logprob", "ref_logprob", "kl_rb", "tokens")

_WRITTEN = (".parquet", ".jsonl", ".csv")
_DRIFT = 0.02  # nats a token: stored and new log-probabilities differ by more than rounding


def rescore(
    policy_samples: Rollouts,
    *,
    policy: str | Path,
    base: str | Path,
    output: str | Path | None = None,
    batch_size: int = 256,
    chat: bool | None = None,
    device: str | None = None,
    dtype: str = "float32",
) -> Rollouts:
    """What do policy and base think of these samples, token by token?

    Both checkpoints read every prompt and completion (teacher forcing); nothing is generated. The
    result has the columns `logprob` and `ref_logprob` (sums over the completion, nats), `kl_rb` (the
    exact KL of every next token, summed along the completion, nats) and `tokens`; null where a
    completion is missing or too long for a model.

    Parameters
    ----------
    policy_samples : drawn from the policy at temperature 1, with prompt and completion as texts,
        messages or token ids (`prompt_token_ids`, `completion_token_ids` and their kin, which are
        preferred: a text may have been drawn as other tokens than it is split into)
    policy, base : folders with a transformers checkpoint in safetensors; one vocabulary
    output : a file to write the result to (.parquet, .jsonl, .csv). Finished batches are kept beside
        it, and the same call goes on after them
    batch_size : samples of a batch that is kept; the models see at most 16 of them at a time
    chat : None renders messages with the chat template and takes texts as they stand; True renders
        texts as one user message
    device, dtype : of both models, as torch names them

    Raises
    ------
    ArgumentError
        Where a checkpoint cannot be loaded, vocabularies differ, or torch is not installed.
    DataError
        Where no sample can be scored.

    Warns
    -----
    DataWarning
        Where samples were left out, or stored lengths or log-probabilities differ from those found.
    """
    folders = [_folder(policy, "policy"), _folder(base, "base")]
    if batch_size < 1:
        raise ArgumentError(f"batch_size={batch_size!r} was given; 1 or more was expected.")
    target = _target(output)
    rows = token_rows(policy_samples, tokenizer_of(*folders), chat=chat)
    job = fingerprint(rows, *folders, batch_size=batch_size, dtype=dtype)
    parts = Parts.of(target, job) if target else None
    pair = load(*folders, device=device, dtype=dtype)
    order = _by_prompt(rows, pair.longest, policy_samples.source)
    found = _score_all(pair, rows, order, batch_size, parts)
    scored = policy_samples.table.with_core(*found.select(COLUMNS).get_columns())
    result = replace(policy_samples, table=scored)
    _compare(policy_samples, result)
    if target and parts:
        result.write(target)
        parts.remove()
    return result


def _folder(path: str | Path, what: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ArgumentError(
            f"{what}={shown(path)!r} is no folder; a checkpoint on disk was expected "
            "(nothing is fetched from a hub)."
        )
    return folder


def _target(output: str | Path | None) -> Path | None:
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in _WRITTEN:  # found out now, not after hours of scoring
        what = f"does not end in {', '.join(_WRITTEN)}"
    elif path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
    else:
        return path
    raise ArgumentError(
        f"output={shown(path)!r} {what}; a file in a folder that exists was expected."
    )


def _by_prompt(rows: Sequence[Row | None], longest: int | None, source: str) -> list[int]:
    """Places of the rows that can be scored, prompt after prompt, short prompts first."""
    there = [at for at, row in enumerate(rows) if row is not None]
    fit = [at for at in there if longest is None or len(rows[at] or ()) <= longest]
    if not fit:
        raise DataError(
            f"no sample of {source} can be scored: {counted(len(rows) - len(there), 'sample')} without a "
            f"completion, {len(there):,} longer than the models read."
        )
    if len(fit) < len(rows):
        warn(
            f"{source}: {counted(len(rows) - len(fit), 'sample')} of {len(rows):,} not scored "
            f"({len(rows) - len(there):,} without a completion, {len(there) - len(fit):,} too long)."
        )
    keys = {
        at: (len(row.prompt), row.prompt, len(row), row.completion)
        for at in fit
        if (row := rows[at])
    }
    return sorted(fit, key=keys.__getitem__)


def _score_all(
    pair: Pair,
    rows: Sequence[Row | None],
    order: Sequence[int],
    batch_size: int,
    parts: Parts | None,
) -> pl.DataFrame:
    from klimit._progress import steps

    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    found = []
    with steps(*["scoring"] * len(batches)) as job:
        for number, places in enumerate(batches):
            part = parts.get(number, len(places)) if parts else None
            if part is None:
                chosen = [row for at in places if (row := rows[at])]
                scored = np.array(scoring.score(pair, chosen))
                part = pl.DataFrame(
                    {
                        "row": places,
                        **dict(zip(COLUMNS, scored.T, strict=False)),
                        "tokens": [len(row.completion) for row in chosen],
                    }
                )
                if parts:
                    parts.put(number, part)
            found.append(part)
            job.next()
    whole = pl.DataFrame({"row": np.arange(len(rows))})
    return whole.join(pl.concat(found), on="row", how="left", maintain_order="left")


def _compare(before: Rollouts, after: Rollouts) -> None:
    """Stored lengths and log-probabilities against those found: they tell of another tokenisation."""
    new = after.table.columns(list(COLUMNS))
    there = before.table.names
    if "tokens" in there:
        old = before.table.column("tokens").cast(float)
        other = (old != new["tokens"].cast(float)).fill_null(value=False).arg_true().to_list()
        if other:
            warn(
                f"{before.source}: {counted(len(other), 'completion')} of {len(before):,} (first row "
                f"{before.table.row(other[0]):,}) {'has' if len(other) == 1 else 'have'} another length than "
                "stored: the text was split into other tokens than were drawn, or another end token is "
                "counted, so these scores are of another sequence. Store token ids to be exact."
            )
    if "logprob" in there:
        stored = before.table.column("logprob").cast(float)
        gap = ((stored - new["logprob"]) / new["tokens"]).drop_nulls().drop_nans().to_numpy()
        # the median: texts that were split otherwise stray far, and are few
        middle = float(np.median(gap)) if gap.size else 0.0
        if abs(middle) > _DRIFT:
            warn(
                f"{before.source}: stored log-probabilities are {middle:+.3g} nats a token from those of "
                "the policy given: another checkpoint, temperature or chat template drew these samples."
            )
