"""The answer of `klimit.plan`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klimit._estimate import Estimate, finite, format_estimate
from klimit._text import safe
from klimit.estimate.plan.settings import Setting
from klimit.estimate.result import nats
from klimit.estimate.samples_needed import ErrorSplit

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Plan:
    """What to set, what to expect and what to sample for a KL budget. Made by `klimit.plan`.

    Attributes
    ----------
    kl : the budget, nats per completion, prompts on average; with an interval where it follows from
        a gain, a beta, or an N of rewards that tie
    beta : KL coefficient whose optimal policy spends it, reward units per nat
    gain : the most that any method can gain there, reward units over the base's mean, as
        uncertain as the KL makes it
    n : smallest N whose best-of-N spends it; None where the samples at hand show none, or where
        best-of-2 spends over 1.5 times as much
    prompts, samples : prompts, and samples of each, that estimate the gain to within `error` with
        the fewest rewards
    error : root mean square error over the gain that they are for
    error_now : the same with the data at hand
    split : where the error at hand comes from
    next : ``"prompts"`` or ``"samples"``: which of the two lowers the error at hand more, reward
        for reward
    settings : what to type in each trainer, those whose optimum is the tilt first; empty where the
        gain is flat
    asked : which of kl, gain, n and beta was given
    reward : which reward
    notes : what to mind, in words
    """

    kl: Estimate
    beta: Estimate
    gain: Estimate
    n: int | None
    prompts: int
    samples: int
    error: float
    error_now: float
    split: ErrorSplit
    next: str
    settings: tuple[Setting, ...] = field(repr=False)
    asked: str
    reward: str
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        from klimit.view.notebook import plan

        return plan(self)

    def __str__(self) -> str:
        """The verdict in words."""
        return "\n".join([*self._lines(), *(f"note: {note}" for note in self.notes)])

    def _lines(self) -> list[str]:
        unit = safe(self.reward, longest=40)
        split = self.split
        budget = nats(float(self.kl))
        kinds = ("prompts", "samples of each")
        better, worse = kinds if self.next == "prompts" else kinds[::-1]
        advice = f"More {better} help more than more {worse}"
        if abs(split.favour) < 0.1:
            advice = "More prompts and more samples of each help alike"
        lines = [
            f"To spend {budget}, train with beta = {float(self.beta):.3g} {unit} "
            f"per nat{f', or keep the best of {self.n:,} answers' if self.n else ''}.",
            f"The most that any method can gain there is {_range(self.gain)}, "
            f"in {unit} over the base.",
            f"To know that to {_percent(self.error)}, take {self.prompts:,} prompts x "
            f"{self.samples:,} samples; the {split.prompts:,} x {split.samples:,.0f} at hand know "
            f"it to about {_percent(self.error_now)}.",
            f"{advice}: {self._reason()}.",
        ]
        if self.settings:
            lines.append(
                f"What to type, for example in {self.settings[0]}. "
                "For other trainers see plan.settings."
            )
        return lines

    def _reason(self) -> str:
        split = self.split
        parts = {
            "how prompts differ": split.between,
            "which samples were drawn": split.within,
            "bias": split.bias,
        }
        total = sum(part**2 for part in parts.values())
        if not total > 0:
            return "the error at hand is too small to split"
        said = ", ".join(f"{_percent(part**2 / total)} {name}" for name, part in parts.items())
        return f"the squared error at hand is {said}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what is not finite is null, and a `reason` says why."""
        split = self.split
        parts = {
            name: finite(getattr(split, name)) for name in ("between", "within", "bias", "rate")
        }
        return {
            "asked": self.asked,
            "reward": self.reward,
            **{name: getattr(self, name).to_dict() for name in ("kl", "beta", "gain")},
            "n": self.n,
            "prompts": self.prompts,
            "samples": self.samples,
            "error": self.error,
            "error_now": finite(self.error_now),
            "at_hand": {"prompts": split.prompts, "samples": round(split.samples, 9), **parts},
            "next": self.next,
            "settings": [setting.to_dict() for setting in self.settings],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pl.DataFrame:
        """A polars frame: a row per number of the plan, then one per trainer.

        Columns quantity, value, low, high, unit, note; null where there is no number.
        """
        import polars as pl

        unit = self.reward
        rows: list[dict[str, Any]] = [
            _row("kl", self.kl, "nats"),
            _row("beta", self.beta, f"{unit} per nat"),
            _row("gain", self.gain, unit),
            _row("n", self.n, "answers"),
            _row("prompts", self.prompts, "prompts"),
            _row("samples", self.samples, "samples per prompt"),
            _row("error", self.error, "of the gain"),
            _row("error_now", self.error_now, "of the gain"),
        ]
        rows += [
            _row(str(setting), setting.value, "coefficient", setting.note)
            for setting in self.settings
        ]
        numbers = dict.fromkeys(("value", "low", "high"), pl.Float64)
        return pl.DataFrame(
            rows, schema={"quantity": pl.String, **numbers, "unit": pl.String, "note": pl.String}
        )


def _row(quantity: str, value: Any, unit: str, note: str = "") -> dict[str, Any]:
    if not isinstance(value, Estimate):
        number = math.nan if value is None else value
        value = Estimate(number, number, number, note=note)
    found = {name: finite(getattr(value, name)) for name in ("value", "low", "high")}
    return {"quantity": quantity, **found, "unit": unit, "note": value.note}


def _range(estimate: Estimate) -> str:
    """An estimate; a given number without an interval."""
    if estimate.high == math.inf and estimate.low <= 0:
        return "not known"
    return f"{estimate.value:.4g}" if estimate.low == estimate.high else format_estimate(estimate)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if 100 * share < 9.95 else f"{100 * share:.0f} %"
