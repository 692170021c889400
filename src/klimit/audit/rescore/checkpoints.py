"""Policy and base as transformers loads them: from disk, from safetensors, running no code of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klimit._errors import ArgumentError
from klimit._extras import need
from klimit._text import safe
from klimit.rollouts.words import shown


@dataclass(frozen=True)
class Pair:
    """Policy and base, on one device."""

    policy: Any
    base: Any

    @property
    def bytes_per_position(self) -> int:
        """Size of the logits of one position, of one model."""
        width: int = self.policy.get_output_embeddings().weight.shape[0]
        return width * int(self.policy.dtype.itemsize)

    @property
    def longest(self) -> int | None:
        """Tokens that both models can read; None where neither says."""
        limits = [
            getattr(model.config, "max_position_embeddings", None)
            for model in (self.policy, self.base)
        ]
        known = [limit for limit in limits if limit]
        return min(known) if known else None


def load(policy: Path, base: Path, *, device: str | None, dtype: str) -> Pair:
    """Both checkpoints from disk, safetensors only, nothing fetched and no code of theirs run."""
    torch, transformers = _libraries()
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise ArgumentError(f"dtype={dtype!r} was given; 'float32' or 'bfloat16' was expected.")

    bars = transformers.utils.logging
    noisy = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        pair = Pair(*(load_one(path, kind).to(where) for path in (policy, base)))
    finally:
        if noisy:
            bars.enable_progress_bar()
    widths = [model.get_output_embeddings().weight.shape[0] for model in (pair.policy, pair.base)]
    if widths[0] != widths[1]:
        raise ArgumentError(
            f"the policy has {widths[0]:,} logits and the base {widths[1]:,}; one vocabulary was expected. "
            "Resize the smaller one's embeddings as the other's were."
        )
    return pair


def load_one(path: Any, dtype: Any) -> Any:
    """A checkpoint from disk, to score with, as `load` has it."""
    _, transformers = _libraries()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError) as error:
        reason = safe(str(error).strip().split("\n", 1)[0], longest=200)
        raise ArgumentError(
            f"{shown(path)} holds no causal language model that transformers can load "
            f"from safetensors: {reason}"
        ) from None
    return model.eval()


def tokenizer_of(policy: Path, base: Path) -> Any:
    """The tokenizer of both; an error where they differ."""
    _, transformers = _libraries()
    found = [
        transformers.AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        for path in (policy, base)
        if (path / "tokenizer.json").is_file() or (path / "tokenizer_config.json").is_file()
    ]
    if not found:
        raise ArgumentError(
            f"neither checkpoint has a tokenizer; copy tokenizer.json into {policy}."
        )
    if len(found) == 2 and found[0].get_vocab() != found[1].get_vocab():
        raise ArgumentError(
            "policy and base have different vocabularies: their tokens mean different texts, and a KL "
            "between them is not that of completions."
        )
    return found[0]


def _libraries() -> tuple[Any, Any]:
    need("hf", "torch", "transformers", what="scoring checkpoints")
    import torch
    import transformers

    return torch, transformers
