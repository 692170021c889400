"""KL of whole completions between the model in training and its base: measured, or as TRL logs it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from klimit._errors import EstimateWarning, warn
from klimit._estimate import Estimate
from klimit.audit.rescore.checkpoints import Pair, load_one
from klimit.audit.rescore.scoring import score
from klimit.audit.rescore.tokens import Row
from klimit.estimate.best_of_n.prompt_means import mean_of_prompts
from klimit.integrations._base import by_prompt
from klimit.integrations._batch import Batch

PPO = "objective/kl"  # what marks a log of the PPO trainer


class AdapterOff:
    """A peft model without its adapters, or with the copy that TRL keeps of one trained before."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **given: Any) -> Any:
        if "ref" not in self.model.peft_config:
            with self.model.disable_adapter():
                return self.model(**given)
        trained = self.model.active_adapter
        self.model.set_adapter("ref")
        try:
            return self.model(**given)
        finally:
            self.model.set_adapter(trained)

    def is_start(self) -> bool:
        """Whether it is the model as it is now: a new LoRA adapter adds nothing."""
        named = () if "ref" in self.model.peft_config else self.model.named_parameters()
        return not any("lora_B" in name and bool(values.any()) for name, values in named)


def base_of(model: Any, path: Any) -> Any:
    """What to score against: the checkpoint at `path`, else the model without adapters, else None."""
    if path is None:
        return AdapterOff(model) if hasattr(model, "disable_adapter") else None
    return load_one(path, model.dtype).requires_grad_(False).to(model.device)


def sequence_kl(
    model: Any, base: Any, tokenizer: Any, batch: Batch, samples: int, template: dict[str, Any]
) -> list[Any]:
    """KL of `samples` completions, some of each prompt in turn: (names of the prompt, nats).

    ``sum_t KL(model(. | x, y_<t) || base(. | x, y_<t))`` along a completion that the model drew
    (arXiv 2504.10637).
    """
    assert batch.completion_ids is not None
    names = batch.names
    rows, places = [], []
    for at in _in_turn(names):
        completion = tuple(int(token) for token in batch.completion_ids[at])
        if completion:
            asked = prompt_ids(batch.prompts[at], tokenizer, **template)
            rows.append(Row(tuple(asked), completion))
            places.append(at)
        if len(rows) == samples:
            break
    with _undisturbed(model):
        scores = score(Pair(model, base), rows)
    return [(names[at], one[2]) for at, one in zip(places, scores, strict=True)]


def prompt_ids(prompt: Any, tokenizer: Any, **template: Any) -> Sequence[int]:
    """Token ids of a prompt, text or messages, as TRL's GRPO and RLOO make them."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    how = {"tokenize": True, "return_dict": True, "add_generation_prompt": True} | template
    return list(tokenizer.apply_chat_template(prompt, **how)["input_ids"])


def _in_turn(names: Sequence[tuple[str, ...]]) -> list[int]:
    """Places of samples: the first of every prompt, then the second of every prompt, ..."""
    nth: dict[tuple[str, ...], int] = {}
    order = []
    for at, name in enumerate(names):
        nth[name] = nth.get(name, -1) + 1
        order.append((nth[name], at))
    return [at for _, at in sorted(order)]


@contextmanager
def _undisturbed(model: Any) -> Any:
    """Without dropout, and every part as it was afterwards."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def mean_kl(found: Sequence[tuple[tuple[str, ...], float]], level: float) -> Estimate:
    """The mean over prompts, with an interval."""
    grouped = by_prompt([name for name, _ in found], np.array([nats for _, nats in found]))
    means = np.array([[values.mean() for values in grouped.values()]])
    return mean_of_prompts(means, level, least=0.0)[0]


def from_log(args: Any, logs: dict[str, Any], level: float) -> Estimate | None:
    """KL of completions in nats, where this log has one to the base; no interval comes with it.

    Where completions that were cut are masked, mean and tokens are of those that ended; of a batch
    without any there is none. What is no number ends no training.
    """
    from klimit.audit.kl import logged_kl

    masked = getattr(args, "mask_truncated_completions", False)
    kl = logs.get("kl")
    tokens = logs.get(f"completions/mean_{'terminated_' if masked else ''}length") or 0.0
    framework = "trl-rloo" if "RLOO" in type(args).__name__ else "trl-grpo"
    if PPO in logs:
        framework, kl, tokens = "trl-ppo", logs[PPO], 1.0
    if kl is None or not math.isfinite(kl) or not 1 <= tokens < math.inf:
        return None
    return logged_kl(float(kl), framework=framework, tokens=float(tokens), level=level)


def check_sampling(args: Any) -> None:
    """Warn where rollouts are drawn at settings that make another policy of it."""
    off = {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}
    settings = {name: getattr(args, name, None) for name in off}
    odd = [f"{name} {x:g}" for name, x in settings.items() if x not in (None, off[name], -1)]
    if odd:
        warn(
            f"rollouts are drawn at {' and '.join(odd)}, from another policy than the one whose KL is "
            "measured; the limit is that of a base drawn at temperature 1.",
            EstimateWarning,
        )
