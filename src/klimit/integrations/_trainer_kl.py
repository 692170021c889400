"""The KL that TRL's trainers log of themselves, and at what settings they sample."""

from __future__ import annotations

import math
from typing import Any

from klimit._errors import EstimateWarning
from klimit._estimate import Estimate
from klimit._warn import warn

PPO = "objective/kl"  # what marks a log of the PPO trainer


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
