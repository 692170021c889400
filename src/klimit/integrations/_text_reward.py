"""Reward functions of texts as the module that TRL's PPO trainer asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit.integrations._batch import total
from klimit.integrations._kl import prompt_ids


def text_reward(
    functions: Callable[..., Any] | Sequence[Callable[..., Any]],
    tokenizer: Any,
    prompts: Iterable[Any],
    *,
    weights: Sequence[float] | None = None,
) -> Any:
    """Make PPO's ``reward_model`` of reward functions as GRPO takes them.

    Parameters
    ----------
    functions : one or several, called with prompts, completions (texts, or messages where prompts are) and
        completion_ids; may be wrapped by a `FrontierCallback`
    tokenizer : of the policy
    prompts : all prompts of the training data, texts or messages; their ids are what the trainer's
        ``input_ids`` must be: ``text_reward(...).input_ids`` has them, in this order
    weights : of the functions in the reward; None: 1 each

    Returns
    -------
    torch.nn.Module
        That answers a batch of token ids with one reward for each row.
    """
    import torch

    called = [functions] if callable(functions) else list(functions)
    known = {tuple(_begun(prompt, tokenizer)): prompt for prompt in prompts}
    if not known:
        raise ArgumentError("prompts is empty; the prompts of the training data were expected.")

    class Scorer(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        """The 'backbone': rewards in place of hidden states."""

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
            asked, drawn = [], []
            for row, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
                ids = [token for token, there in zip(row, mask, strict=True) if there]
                prompt = _prefix(ids, known)
                asked.append(known[prompt])
                drawn.append(ids[len(prompt) :])
            texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
            said = [
                text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
                for prompt, text in zip(asked, texts, strict=True)
            ]
            seen = {"prompts": asked, "completions": said, "completion_ids": drawn}
            rewards = [
                [np.nan if x is None else float(x) for x in function(**seen)] for function in called
            ]
            column = torch.tensor(
                total(np.array(rewards), weights), dtype=torch.float32, device=input_ids.device
            )
            states = column[:, None, None].expand(-1, input_ids.shape[1], 1)
            return SimpleNamespace(hidden_states=(states,))  # all of it that the trainer reads

    class TextReward(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        """What the trainer calls: a backbone under `base_model_prefix`, and `score`."""

        base_model_prefix = "scorer"

        def __init__(self) -> None:
            super().__init__()
            self.scorer = Scorer()
            self.score = torch.nn.Identity()
            self.input_ids = [list(ids) for ids in known]

    return TextReward()


def _begun(prompt: Any, tokenizer: Any) -> Sequence[int]:
    """Token ids of a prompt; the policy goes on with what the assistant has begun."""
    on = not isinstance(prompt, str) and prompt[-1].get("role") == "assistant"
    return prompt_ids(prompt, tokenizer, add_generation_prompt=not on, continue_final_message=on)


def _prefix(ids: list[int], known: dict[tuple[int, ...], Any]) -> tuple[int, ...]:
    """The longest prompt that these tokens begin with."""
    for length in sorted({len(one) for one in known}, reverse=True):
        if tuple(ids[:length]) in known:
            return tuple(ids[:length])
    raise DataError(
        "the trainer scored a row that begins with none of the prompts; make its input_ids from the "
        "same prompts: text_reward(...).input_ids."
    )
