"""What to set for an aggregate: the KL and beta to train with, the N to serve with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._estimate import Estimate
from klimit.estimate.ensembles.kept import best_n, best_n_of_few
from klimit.estimate.labels.few import FewLabels
from klimit.estimate.proxy.result import Hacking


@dataclass(frozen=True)
class Recommendation:
    """Where gold is highest along one aggregate.

    Attributes
    ----------
    kl : nats at which gold is highest within the trusted range; `high` is inf where a peak beyond it
        is not ruled out
    at_the_end : whether gold is highest at the end of the trusted range
    beta : KL coefficient that spends `kl`, in units of the aggregate per nat
    gold_gain : of the aggregate's best policy there
    n : the N of best-of-N, selected by the aggregate, that keeps most gold; None where prompts are
        too few to choose by
    best_of_n : gold gain of best-of-N whose N other prompts chose
    largest_n : whether `n` is the largest that the samples show
    """

    kl: Estimate
    at_the_end: bool
    beta: Estimate
    gold_gain: Estimate
    n: int | None
    best_of_n: Estimate
    largest_n: bool

    @property
    def trainable(self) -> bool:
        """Whether a beta is shown to spend `kl`: of saturated rewards any small one may spend less."""
        return bool(self.kl.value > 0 and self.beta.trusted and self.beta.low > 0)


def recommendation(hack: Hacking | FewLabels) -> Recommendation:
    """The peak within trust, or the end of it; and the N at which other prompts keep most gold."""
    stop, level = hack.stop_kl, hack.proxy.settings.level
    place = float(stop.value)
    nothing = Estimate(np.nan, -np.inf, np.inf, level, False, "no KL is trusted with these samples")
    known = bool(np.isfinite(place) and place > 0)
    n, kept, largest = best_n_of_few(hack) if isinstance(hack, FewLabels) else best_n(hack)
    return Recommendation(
        kl=stop,
        at_the_end=known and not hack.turns,
        beta=hack.beta(place) if known else nothing,
        gold_gain=hack.gold_gain(place) if known else nothing,
        n=n, best_of_n=kept, largest_n=largest,
    )  # fmt: skip
