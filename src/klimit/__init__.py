"""klimit: how much reward any alignment method can buy for a KL budget."""

from typing import Any as _Any

from klimit._errors import ArgumentError, DataError, DataWarning, EstimateWarning, KlimitError
from klimit._estimate import Estimate

__version__ = "0.1.0"

_LAZY = {
    "Audit": "klimit.audit",
    "Audits": "klimit.audit",
    "BestOfN": "klimit.estimate.best_of_n",
    "Ensemble": "klimit.estimate.ensembles",
    "Frontier": "klimit.estimate.result",
    "Hacking": "klimit.estimate.proxy",
    "Plan": "klimit.estimate.plan",
    "Report": "klimit.view.report",
    "Rollouts": "klimit.rollouts",
    "audit": "klimit.audit",
    "best_of_n": "klimit.estimate.best_of_n",
    "ensemble": "klimit.estimate.ensembles",
    "first_labels": "klimit.estimate.labels",
    "frontier": "klimit.estimate.frontier",
    "hacking": "klimit.audit.hacking",
    "plan": "klimit.estimate.plan",
    "read": "klimit.rollouts",
    "report": "klimit.view.report",
}

__all__ = [
    "ArgumentError",
    "Audit",
    "Audits",
    "BestOfN",
    "DataError",
    "DataWarning",
    "Ensemble",
    "Estimate",
    "EstimateWarning",
    "Frontier",
    "Hacking",
    "KlimitError",
    "Plan",
    "Report",
    "Rollouts",
    "audit",
    "best_of_n",
    "ensemble",
    "first_labels",
    "frontier",
    "hacking",
    "plan",
    "read",
    "report",
]


def __getattr__(name: str) -> _Any:
    """Import a verb or a room when it is first used, so that `import klimit` stays fast."""
    from importlib import import_module

    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in ("select", "theory"):
        return import_module(f"klimit.{name}")
    raise AttributeError(f"module 'klimit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
