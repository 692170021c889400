"""How the estimate of a limit moves as samples are added: by what is there, a part of it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError
from klimit._estimate import Estimate
from klimit.estimate.frontier import frontier
from klimit.estimate.kernel import Floats
from klimit.estimate.members import front
from klimit.estimate.result import Frontier

if TYPE_CHECKING:
    import polars as pl

PARTS = (4, 2, 1)


@dataclass(frozen=True)
class Convergence:
    """The gain at one KL, from a quarter, half and all of every prompt's samples.

    Where no prompt has eight samples, from half and all of them.

    Attributes
    ----------
    kl : nats
    samples : (sizes,) samples a prompt (geometric mean), ascending
    parts : (sizes,) into how many disjoint parts the samples were dealt for each size
    gain : (sizes,) the estimate, with the ends of its interval, each averaged over the parts
    plugin : (sizes,) the papers' estimate, averaged likewise; it never falls
    reward, objective : what is gained, and whether it is reward or win rate
    left_out : prompts with too few samples to be divided
    """

    kl: float
    samples: Floats
    parts: tuple[int, ...]
    gain: Estimate
    plugin: Floats
    reward: str
    left_out: int = 0
    objective: str = "reward"

    def to_frame(self) -> pl.DataFrame:
        """A polars frame with a row per size; null where not finite."""
        from klimit.view.records import columns, framed

        rows = [
            {"samples": float(size), "parts": parts, "kl": self.kl, **columns("gain", self.gain[at]),
             "plugin": float(self.plugin[at]), "trusted": bool(self.gain[at].trusted)}
            for at, (size, parts) in enumerate(zip(self.samples, self.parts, strict=True))
        ]  # fmt: skip
        return framed(rows, whole=["parts"])

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it; see `klimit.view.plots.convergence`."""
        from klimit.view.plots import convergence

        return convergence(self, ax, **options)


def convergence(limit: Frontier, kl: float, *, exact: bool = True) -> Convergence:
    """Has the estimate settled, or would more samples move it?

    Every prompt's samples are dealt without replacement into quarters, then into halves, and each
    part is estimated as if it were all there is. Estimates of one size are averaged.

    Parameters
    ----------
    kl : nats per sequence
    exact : the plug-in to ten digits, which takes as long again; False: to four, for a picture

    Raises
    ------
    ArgumentError
        Where no prompt has four samples, or `kl` is no budget.

    Notes
    -----
    The plug-in rises with samples in expectation (Jensen), and as halves hold two quarters
    each it rises here too: the log of a mean is at least the mean of the parts' logs, and the least
    over tilts of a mean at least the mean of the least. Only up to three samples a prompt that do
    not divide by four can break this. The corrected estimate should stay where it is; where it does
    not, the samples do not reach this KL.

    Examples
    --------
    >>> limit = frontier(np.random.default_rng(0).normal(size=(200, 64)))
    >>> found = convergence(limit, kl=0.5)  # the truth is 1
    >>> found.samples.tolist(), found.plugin.round(2).tolist()
    ([16.0, 32.0, 64.0], [0.93, 0.96, 0.97])
    """
    if np.ndim(limit.gain(kl).value):  # which also checks kl
        raise ArgumentError(f"one KL at a time was expected; got {np.size(kl)}.")
    rows = _dealt(limit)
    known = len(rows)
    sizes = PARTS if max(map(len, rows)) >= 2 * PARTS[0] else PARTS[1:]
    rows = [row for row in rows if len(row) >= 2 * sizes[0]]
    if not rows:
        raise ArgumentError(
            "no prompt has 4 samples, which could be divided. Draw more samples a prompt."
        )
    if len(rows) < known or type(limit) is not Frontier:  # such as one that policy samples carry
        limit = _again(limit, rows)
    samples, gains, plugins = [], [], []
    for parts in sizes:
        found = [limit] if parts == 1 else [_again(limit, part) for part in _divided(rows, parts)]
        gains.append([one.gain(kl) for one in found])
        plugins.append(np.mean([_plugin(one, kl, exact=exact) for one in found]))
        samples.append(found[0].samples.size)
    value, low, high = (
        [np.mean([getattr(gain, name) for gain in group]) for group in gains]
        for name in ("value", "low", "high")
    )
    trusted = np.array([all(gain.trusted for gain in group) for group in gains])
    level, note = limit.settings.level, gains[-1][0].note
    gain = Estimate.of(value, low, high, level=level, trusted=trusted, note=note)
    return Convergence(
        float(kl), np.array(samples, dtype=float).round(9), sizes, gain, np.array(plugins), limit.reward,
        known - len(rows), limit.settings.objective,
    )  # fmt: skip


def _dealt(limit: Frontier) -> list[Floats]:
    """Every prompt's rewards in a random order, which neither rows nor prompts of the file decide."""
    samples, settings = limit.samples, limit.settings
    rows: list[Floats] = [np.empty(0)] * samples.prompts
    for block in samples.blocks:
        rng = np.random.default_rng([settings.seed, 17, block.rewards.shape[1]])
        for prompt, row, count in zip(block.prompts, block.rewards, block.counts, strict=True):
            mixed = rng.permutation(row[len(row) - count :])
            rows[prompt] = mixed + samples.means[prompt]
    return restored(rows, limit)


def restored(rows: list[Floats], limit: Frontier) -> list[Floats]:
    """Every prompt's rewards as they were before they were centred, in their range and on their levels.

    Adding the mean again moves the last digit, which makes two levels of one where prompts share it.
    """
    settings, samples = limit.settings, limit.samples
    rewards = np.concatenate(rows)
    if settings.objective == "win-rate":
        rewards = rewards.round(9)
    elif settings.range_implied:
        rewards = rewards.round()  # 0 and 1
    else:
        largest = float(np.abs(samples.means).max() + samples.ranges().max()) or 1.0
        round_ones = rewards.round(15 - int(np.ceil(np.log10(largest))))
        if len(np.unique(round_ones)) < len(np.unique(rewards)):
            rewards = round_ones
    if settings.reward_range is not None:
        rewards = np.clip(rewards, *settings.reward_range)
    return np.split(rewards, np.cumsum([len(row) for row in rows])[:-1])


def _divided(rows: list[Floats], parts: int) -> Iterator[list[Floats]]:
    """Parts of one size of every prompt's rewards, no reward in two of them; a half is two quarters."""
    sizes = [PARTS[0] // parts * (len(row) // PARTS[0]) for row in rows]
    for part in range(parts):
        yield [row[part * size : (part + 1) * size] for row, size in zip(rows, sizes, strict=True)]


def _again(limit: Frontier, rows: list[Floats], **instead: Any) -> Frontier:
    how = asdict(limit.settings) | {"reward": limit.reward}
    if how.pop("range_implied"):
        how["reward_range"] = None
    return frontier(rows, **(how | instead))


def _plugin(limit: Frontier, kl: float, *, exact: bool) -> float:
    """The plug-in estimate from the same samples."""
    members = limit.members
    if not exact and members is not None and limit.settings.budget == "average":
        return float(front(members.plugin, members.grid, np.array([kl])).gain[0])
    if limit.settings.estimator == "plugin":
        return float(limit.gain(kl).value)
    return float(_again(limit, _dealt(limit), estimator="plugin").gain(kl).value)
