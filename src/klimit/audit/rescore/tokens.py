"""Prompts and completions as the token ids that the policy saw and drew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from klimit._errors import DataError
from klimit.audit.kl.sampling import cuts
from klimit.rollouts.rollouts import Rollouts

PROMPT_IDS = ("prompt_token_ids", "prompt_ids", "prompt_tokens")
COMPLETION_IDS = (
    *("completion_token_ids", "completion_ids", "response_token_ids", "response_tokens"),
    *("output_token_ids", "response_ids"),
)
"""Names under which dumps keep token ids, best first."""


@dataclass(frozen=True)
class Row:
    """Token ids of one sample; its completion includes the end token where that was drawn."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def token_rows(samples: Rollouts, tokenizer: Any, *, chat: bool | None) -> list[Row | None]:
    """Token ids of every sample; None where its completion is missing or empty.

    Stored ids are taken as they are. Else texts are tokenised apart and joined, so that the
    completion's tokens do not depend on the prompt, and the end token is added where the
    completion was not cut.

    Parameters
    ----------
    tokenizer : of transformers
    chat : None renders messages with the tokenizer's chat template and takes texts as they stand;
        True renders texts as one user message; False takes none
    """
    prompts = _stored(samples, PROMPT_IDS) or _prompts(samples, tokenizer, chat=chat)
    completions = _stored(samples, COMPLETION_IDS) or _completions(samples, tokenizer)
    rows: list[Row | None] = []
    for prompt, completion in zip(prompts, completions, strict=True):
        whole = prompt is not None and completion
        rows.append(Row(tuple(prompt or ()), tuple(completion or ())) if whole else None)
    return rows


def _stored(samples: Rollouts, names: Iterable[str]) -> list[Sequence[int] | None] | None:
    for name in names:
        if name in samples.table.names:
            column = samples.table.column(name)
            if isinstance(column.dtype, pl.List) and column.dtype.inner.is_integer():
                return column.to_list()
    return None


def _prompts(samples: Rollouts, tokenizer: Any, *, chat: bool | None) -> list[Sequence[int] | None]:
    if "prompt" not in samples.table.names:
        raise DataError(
            f"{samples.source} has no prompts; a column prompt (text or messages) or "
            f"{PROMPT_IDS[0]} was expected."
        )
    known: dict[str, Sequence[int]] = {}
    found: list[Sequence[int] | None] = []
    for prompt in samples.table.column("prompt").to_list():
        if prompt is None:
            found.append(None)
            continue
        key = repr(prompt)
        if key not in known:
            known[key] = _prompt(prompt, tokenizer, chat=chat)
        found.append(known[key])
    return found


def _prompt(prompt: Any, tokenizer: Any, *, chat: bool | None) -> Sequence[int]:
    if isinstance(prompt, str) and not chat:
        bos, eos = tokenizer.bos_token, tokenizer.eos_token
        special = not (bos and prompt.startswith(bos))  # a rendered template may bring its own
        ids = list(tokenizer(prompt, add_special_tokens=special)["input_ids"])
        if ids and ids[-1] == tokenizer.eos_token_id and not prompt.endswith(eos):
            ids.pop()  # some tokenizers end every text
    else:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        if not tokenizer.chat_template:
            raise DataError(
                "prompts are messages, and this tokenizer has no chat template; render them to text "
                "as they were when the policy was sampled, or store their token ids."
            )
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not ids:  # the first token has to follow something
        ids = [x for x in (tokenizer.bos_token_id, tokenizer.eos_token_id) if x is not None][:1]
    return ids


def _completions(samples: Rollouts, tokenizer: Any) -> list[Sequence[int] | None]:
    if "completion" not in samples.table.names:
        raise DataError(
            f"{samples.source} has no completions; a column completion or {COMPLETION_IDS[0]} was "
            "expected."
        )
    texts = [_said(one) for one in samples.table.column("completion").to_list()]
    there = [text for text in texts if text is not None]
    encoded = iter(tokenizer(there, add_special_tokens=False)["input_ids"] if there else [])
    found: list[Sequence[int] | None] = []
    known = "tokens" in samples.table.names
    stored = samples.table.column("tokens").to_list() if known else [None] * len(samples)
    for text, cut, tokens in zip(texts, cuts(samples), stored, strict=True):
        if text is None:
            found.append(None)
            continue
        ids = list(next(encoded))
        ended = tokens != len(ids) if cut is None and tokens is not None else not cut
        if ended and tokenizer.eos_token_id is not None and ids[-1:] != [tokenizer.eos_token_id]:
            ids.append(tokenizer.eos_token_id)
        found.append(ids)
    return found


def _said(completion: Any) -> str | None:
    """The text of a completion; of messages, what the model said first."""
    if isinstance(completion, list):
        spoken = [one.get("content") for one in completion if isinstance(one, dict)]
        completion = spoken[0] if spoken else None
    return completion if isinstance(completion, str) else None
