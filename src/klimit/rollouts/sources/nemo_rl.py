"""NeMo-RL: `train_data_step{N}.jsonl` and `val_data_step{N}.jsonl` of its log folder."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from klimit._errors import DataError
from klimit.rollouts.sources.source import Flat, Records, Source, keyed
from klimit.rollouts.sources.values import number, records, said, total


def rows(lines: Records, path: str) -> Flat:
    """Every column is a list of one entry, that of the line's sample.

    The prompt is the tokens before the first trained one where tokens are logged, else what was
    said before the answer. `idx` numbers the lines and tells no prompts apart.
    """
    step = re.search(r"_step(\d+)", path)
    for line in lines:
        one = {name: _only(value) for name, value in line.items()}
        prompt, completion = _parts(one.get("content"))
        tokens = _listed(one.get("token_ids"))
        mask, logprobs = (_listed(one.get(x)) for x in ("token_loss_mask", "generation_logprobs"))
        answer = [at for at, trained in enumerate(mask[: len(tokens)]) if trained]
        key = tokens[: answer[0]] if answer else prompt
        if not key:
            raise DataError(
                "NeMo-RL data without prompts: its content is one text, and no tokens are logged. "
                "Log with a version that writes token_ids, or add a prompt column."
            )
        yield {
            "prompt_id": " ".join(str(token) for token in key) if isinstance(key, list) else key,
            "prompt": prompt or None,
            "completion": completion,
            "reward": number(one.get("rewards")),
            "logprob": total([logprobs[at] for at in answer if at < len(logprobs)])
            if len(logprobs) == len(tokens)
            else None,
            "tokens": len(answer) or None,
            "step": int(step[1]) if step else None,
        }


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parts(content: Any) -> tuple[str, str | None]:
    """Prompt and completion, of messages or of their texts; of one text the completion alone."""
    messages = records(content)
    if messages:
        given = list(takewhile(lambda message: message.get("role") != "assistant", messages))
        return said(given), said(messages[len(given) :])
    if isinstance(content, list) and len(content) > 1:
        return said(content[0]), "\n\n".join(said(text) for text in content[1:])
    return "", said(content)


DATA = Source(
    "NeMo-RL data",
    ("content", "rewards", "idx"),
    files=r"^(?P<run>(?:.*/)?)(?P<part>train|val)_data_step\d+\.jsonl$",
    distinct=True,
    rows=rows,
    shape=keyed("prompt_id", rewards=("reward",)),
)
