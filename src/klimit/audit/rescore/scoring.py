"""Teacher-forced log-probabilities under two models at once, and the exact KL of every next token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

from klimit.audit.rescore.checkpoints import Pair
from klimit.audit.rescore.tokens import Row

MOST_ROWS = 16  # more at a time are not faster on a CPU, and logits are wide
_LOGITS = 2 << 30  # bytes of logits at a time, both models together
_SLICE = 64 << 20  # bytes of log-probabilities at a time

Score = tuple[float, float, float]
"""Log-probability under the policy, under the base, and the exact KL summed along the completion."""


def score(pair: Pair, rows: Sequence[Row]) -> list[Score]:
    """Score rows, at most `MOST_ROWS` and `_LOGITS` at a time; those of one prompt read it once.

    ``sum_t log p(y_t | x, y_<t)`` under both, and ``sum_t KL(policy(. | x, y_<t) || base(. | x,
    y_<t))``, whose mean over the policy's samples is the KL of sequences (arXiv 2504.10637).
    """
    found: dict[int, Score] = {}
    for places, prefix in _together(rows):
        longest = max(len(rows[at]) for at in places)
        kept = longest - min(len(rows[at].prompt) for at in places) + 1
        most = max(1, min(MOST_ROWS, _LOGITS // (2 * kept * pair.bytes_per_position)))
        for start in range(0, len(places), most):
            chunk = places[start : start + most]
            found |= zip(chunk, _score(pair, [rows[at] for at in chunk], prefix), strict=True)
    return [found[at] for at in range(len(rows))]


def _together(rows: Sequence[Row]) -> Iterator[tuple[list[int], tuple[int, ...]]]:
    """Rows to score together, each kind by length, and the tokens that all of them begin with."""
    by_prompt: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, row in sorted(enumerate(rows), key=lambda pair: len(pair[1])):
        by_prompt[row.prompt].append(at)
    alone = []
    for prompt, places in by_prompt.items():
        if len(places) > 1 and len(prompt) > 1:
            yield places, prompt[:-1]  # the last token of the prompt predicts the first drawn
        else:
            alone += places
    if alone:
        yield sorted(alone, key=lambda at: len(rows[at])), ()


def _score(pair: Pair, rows: Sequence[Row], prefix: tuple[int, ...]) -> list[Score]:
    import torch

    skip = len(prefix)
    longest = max(len(row) for row in rows) - skip
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):  # padded on the right, where no token of a row looks
        ids[at, : len(row) - skip] = torch.tensor((row.prompt + row.completion)[skip:])
        mask[at, : len(row) - skip] = 1
    first = min(len(row.prompt) for row in rows) - 1 - skip
    places = [
        (at, t - skip)
        for at, row in enumerate(rows)
        for t in range(len(row.prompt) - 1, len(row) - 1)
    ]
    row_of, before = torch.tensor(places).T
    target = ids[row_of, before + 1]
    totals = torch.zeros((3, len(rows)), dtype=torch.float64)
    with torch.inference_mode():
        logits = [
            _logits(model, prefix, ids, mask, longest - first) for model in (pair.policy, pair.base)
        ]
        step = max(1, _SLICE // (4 * logits[0].shape[-1]))
        for start in range(0, len(places), step):
            own = slice(start, start + step)
            p, q = (x[row_of[own], before[own] - first].float().log_softmax(-1) for x in logits)
            chosen = target[own].to(p.device)[:, None]
            exact = torch.where(p > -torch.inf, p.exp() * (p - q), 0.0).sum(-1).clamp_min(0.0)
            drawn = p.gather(1, chosen), q.gather(1, chosen)
            for total, values in zip(totals, (*drawn, exact), strict=True):
                total.index_add_(0, row_of[own], values.flatten().double().cpu())
    return [(float(a), float(b), float(c)) for a, b, c in totals.T.tolist()]


def _logits(model: Any, prefix: tuple[int, ...], ids: Any, mask: Any, keep: int) -> Any:
    """Logits of the last `keep` positions of rows that go on from `prefix`."""
    import torch

    takes_keep = "logits_to_keep" in signature(model.forward).parameters
    ids, mask = ids.to(model.device), mask.to(model.device)

    def forward(ids: Any, keep: int, **more: Any) -> Any:
        return model(input_ids=ids, **({"logits_to_keep": keep} if takes_keep else {}), **more)

    if prefix:
        before = torch.tensor([prefix], device=model.device)
        past = forward(before, 1, use_cache=True).past_key_values
        rows = len(ids)
        whole = torch.cat([mask.new_ones((rows, len(prefix))), mask], dim=1)
        if _repeats(past):
            past.batch_repeat_interleave(rows)
            out = forward(ids, keep, attention_mask=whole, past_key_values=past, use_cache=True)
            return out.logits[:, -keep:]
        ids, mask = torch.cat([before.expand(rows, -1), ids], dim=1), whole
    return forward(ids, keep, attention_mask=mask, use_cache=False).logits[:, -keep:]


def _repeats(past: Any) -> bool:
    """Whether a cache is plain keys and values, which can be repeated for every row."""
    from transformers.cache_utils import DynamicLayer

    layers = list(getattr(past, "layers", ()))
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
