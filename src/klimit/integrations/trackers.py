"""Results in a tracker: numbers and a picture to Trackio or Weights & Biases.

::

    limit = klimit.frontier(base, reward="rm")
    klimit.integrations.trackers.log(limit, to="trackio")

A placement's numbers have the names that the callback for TRL gives them (``docs/training.md``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._extras import need
from klimit._text import safe
from klimit.rollouts.steps import number

if TYPE_CHECKING:
    from klimit.audit import Audit
    from klimit.estimate.best_of_n import BestOfN
    from klimit.estimate.plan import Plan
    from klimit.estimate.proxy.result import Hacking
    from klimit.estimate.result import Frontier

__all__ = ["TRACKERS", "log", "scalars"]

TRACKERS = ("trackio", "wandb")
_PLACED = {"kl": "kl", "gain": "gain", "limit": "limit", "efficiency": "efficiency",
           "least_kl": "least_kl", "gap_nats": "nats_from_optimal"}  # fmt: skip


def log(
    result: Any, to: Any = "trackio", *, step: int | None = None, project: str | None = None,
    figure: bool = True,
) -> None:  # fmt: skip
    """Log a result: its numbers, and its picture where it has one.

    Parameters
    ----------
    result : `Frontier`, `BestOfN`, `Plan`, `Hacking`, `Audit` or `Audits`, each step at its own
    to : ``"trackio"`` or ``"wandb"``: the run that is active, or else a new one, which is finished
        when the result is logged; or a run of either
    step : where on the run's own axis; the next one if not given
    project : of a new run; ``TRACKIO_PROJECT`` or ``WANDB_PROJECT``, else ``klimit``
    figure : whether to draw; needs matplotlib

    Raises
    ------
    ArgumentError
        For another tracker or result.
    DataError
        Where the tracker, or matplotlib, is not installed.
    """
    rows = scalars(result)
    with _opened(to, project) as (run, tracker):
        prefix = next(iter(rows[0][1])).partition("/")[0]
        picture = _picture(result, tracker, prefix) if figure else {}
        along = len({at for at, _ in rows}) > 1
        if along and tracker == "wandb":  # whose own axis only goes forward
            run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/step")
        for place, (at, numbers) in enumerate(rows):
            last = place == len(rows) - 1
            values = {**numbers, **(picture if last else {})}
            if at is not None:
                values[f"{prefix}/step"] = at
            here = at if along and tracker == "trackio" and step is None else step
            run.log(values) if here is None else run.log(values, step=here)


def scalars(result: Any) -> list[tuple[int | None, dict[str, float]]]:
    """The numbers of a result by name, a row per step of training (None: no step); finite ones only.

    Examples
    --------
    >>> import klimit
    >>> rewards = np.random.default_rng(0).normal(size=(200, 64))
    >>> ((step, numbers),) = scalars(klimit.best_of_n(rewards, n=4))
    >>> step, round(numbers["best_of_n/gain_at_4"], 2)
    (None, 1.02)
    """
    import klimit

    readers: dict[type, Callable[[Any], dict[str, float]]] = {
        klimit.Frontier: _limit,
        klimit.BestOfN: _best_of_n,
        klimit.Plan: _plan,
        klimit.Hacking: _hacking,
    }
    for kind, read in readers.items():
        if isinstance(result, kind):
            return [(None, _finite(read(result)))]
    if isinstance(result, klimit.Audit | klimit.Audits):
        return _placements(result.each())
    raise ArgumentError(
        f"{type(result).__name__} was given; a Frontier, BestOfN, Plan, Hacking, Audit or Audits was "
        "expected."
    )


def _limit(limit: Frontier) -> dict[str, float]:
    from klimit.view.limit import budgets

    found = {"limit/trusted_kl": limit.trusted_kl, "limit/base_reward": limit.base_reward}
    for kl in budgets(limit):
        at = f"at_{kl:g}_nats"
        found |= _three("limit/gain", limit.gain(kl), f"_{at}")
        beta = limit.beta(kl)
        if beta.trusted:
            found[f"limit/beta_{at}"] = beta.value
    return found


def _best_of_n(best: BestOfN) -> dict[str, float]:
    from klimit.view.best_of_n import each

    found: dict[str, float] = {}
    for one in each(best):
        for name in ("gain", "kl", "efficiency", "win_rate"):
            estimate = getattr(one, name)
            if estimate.trusted:
                found[f"best_of_n/{name}_at_{one.n}"] = estimate.value
    return found


def _plan(plan: Plan) -> dict[str, float]:
    found = {name: float(getattr(plan, name).value) for name in ("kl", "beta", "gain")}
    found |= {"prompts": plan.prompts, "samples": plan.samples, "error_now": plan.error_now}
    if plan.n is not None:
        found["n"] = plan.n
    return {f"plan/{name}": value for name, value in found.items()}


def _hacking(hack: Hacking) -> dict[str, float]:
    from klimit.view.hacking import budgets

    found = {"hacking/trusted_kl": hack.trusted_kl, "hacking/stop_kl": hack.stop_kl.value}
    for kl in budgets(hack):
        at = f"at_{kl:g}_nats"
        for name in ("proxy_gain", "gold_gain"):
            gain = getattr(hack, name)(kl)
            if gain.trusted:
                found |= _three(f"hacking/{name}", gain, f"_{at}")
    return found


def _placements(audits: Sequence[Audit]) -> list[tuple[int | None, dict[str, float]]]:
    """Numbers of all placements, those of one step together."""
    from klimit.view.audit import points

    placed = [one for audit in audits for one in points(audit)]
    several = len({one.run for one in placed}) > 1
    rows: dict[int | None, dict[str, float]] = {}
    for one in placed:
        prefix = f"frontier/{safe(one.run)}/" if several else "frontier/"
        numbers: dict[str, float] = {"trusted": float(bool(one.limit.trusted))}
        for name, called in _PLACED.items():
            numbers |= _three(called, getattr(one, name))
        row = rows.setdefault(_whole(one.step), {})
        row |= {f"{prefix}{name}": value for name, value in _finite(numbers).items()}
    return sorted(rows.items(), key=lambda row: -1 if row[0] is None else row[0])


def _three(name: str, estimate: Any, at: str = "") -> dict[str, Any]:
    ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{end}{at}": found for end, found in ends.items()}


def _whole(step: Any) -> int | None:
    """The whole number at which a tracker takes a step, which text may say; None where there is none."""
    found = number(step)
    return int(found) if found.is_integer() else None


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _picture(result: Any, tracker: str, prefix: str) -> dict[str, Any]:
    """The picture as the tracker takes it; nothing where the result draws none."""
    if not hasattr(result, "plot"):
        return {}
    from klimit.view import plots

    drawn, ax = plots.figure()
    drawn.set_dpi(150)
    result.plot(ax)
    drawn.canvas.draw()
    pixels = np.asarray(drawn.canvas.buffer_rgba())[..., :3].copy()
    return {f"{prefix}/figure": import_module(tracker).Image(pixels)}


@contextmanager
def _opened(to: Any, project: str | None) -> Iterator[tuple[Any, str]]:
    """A run, and whose it is; a run that is opened here is finished here."""
    if not isinstance(to, str):
        tracker = type(to).__module__.partition(".")[0]
        if tracker not in TRACKERS:
            raise ArgumentError(
                f"to={safe(to)} is no run of trackio or wandb; 'trackio', 'wandb' or such a run was "
                "expected."
            )
        yield to, tracker
        return
    if to not in TRACKERS:
        raise ArgumentError(f"to={to!r} was given; 'trackio', 'wandb' or a run was expected.")
    need("trackers", to, what=f"logging to {to}")
    module = import_module(to)
    run = _active(module, to)
    if run is not None:
        yield run, to
        return
    project = project or os.environ.get(f"{to.upper()}_PROJECT") or "klimit"
    run = module.init(project=project)
    try:
        yield run, to
    finally:
        module.finish()


def _active(module: Any, tracker: str) -> Any:
    """The run that the program has open, if any."""
    return module.run if tracker == "wandb" else module.context_vars.current_run.get()
