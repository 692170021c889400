"""Where a command's samples come from: paths, and the options that say how to read them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from klimit.cli.options import Weights, several

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts


def reading_where(
    named: str | None = None, instead: str = "leave --reward and --weights out"
) -> Callable[..., Any]:
    """The paths and reading options of a command.

    Parameters
    ----------
    named : which options name the rewards instead; --reward and --weights are then not listed, and
        refused
    """

    def refuse(_: Any, __: Any, value: Any) -> Any:
        if value is not None and named is not None:
            raise click.UsageError(f"{named}; {instead}")
        return value

    other = named is not None
    return several(
        click.argument("paths", metavar="PATH...", nargs=-1, required=True),
        click.option(
            "-r", "--reward", metavar="NAME", callback=refuse, hidden=other,
            help="The reward, where there are several.",
        ),
        click.option("-p", "--prompt", metavar="NAME", help="The column that tells prompts apart."),
        click.option(
            "--weights", type=Weights(), metavar="NAME=W,...", callback=refuse, hidden=other,
            help="Rewards whose weighted sum is the reward.",
        ),
        click.option("--step", metavar="N", help="Only samples of this training step."),
        click.option("--policy", metavar="NAME", help="Only samples of this policy."),
    )  # fmt: skip


reading = reading_where()

_OWN = ("reward", "prompt", "weights", "step", "policy")


@dataclass(frozen=True)
class Source:
    """What was said about the samples, as it was typed."""

    paths: tuple[str, ...]
    reward: str | None
    prompt: str | None
    weights: dict[str, float] | None
    step: str | None
    policy: str | None

    def load(self, *, judge: str | None = None, rewards: list[str] | None = None) -> Rollouts:
        """Read the rollouts; with a judge, its rewards as well as those that select.

        Parameters
        ----------
        rewards : those that a command names itself
        """
        import klimit

        wanted: Any = [self.reward, judge] if self.reward and judge else self.reward
        wanted = wanted if rewards is None else rewards
        if self.weights and self.reward:
            raise click.UsageError(
                "--reward and --weights were both given; weights make the reward"
            )
        paths = self.paths[0] if len(self.paths) == 1 else list(self.paths)
        rollouts: Rollouts = klimit.read(
            paths, prompt=self.prompt, reward=wanted, weights=self.weights
        )
        if self.policy is not None:
            rollouts = rollouts.filter(policy=self.policy)
        if self.step is not None:
            named = {str(known): known for known in rollouts.steps}
            rollouts = rollouts.filter(step=named.get(self.step, self.step))
        return rollouts

    def keep(self, output: Path | None) -> None:
        """Refuse to write over what is read."""
        if output and any(Path(path).resolve() == output.resolve() for path in self.paths):
            raise click.UsageError(f"--output {output} is also read from; name another file")

    def __str__(self) -> str:
        words = list(self.paths)
        given = {name: getattr(self, name) for name in ("reward", "prompt", "step", "policy")}
        if self.weights:
            given["weights"] = ",".join(f"{name}={w:g}" for name, w in self.weights.items())
        for name, value in given.items():
            words += [f"--{name}", value] if value is not None else []
        return shlex.join(words)


def from_source(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its paths and reading options as one `Source`."""

    @wraps(command)
    def collected(*, paths: tuple[str, ...], **options: Any) -> None:
        own = {name: options.pop(name) for name in _OWN}
        command(Source(paths, **own), **options)

    return collected


def usual_size(rollouts: Rollouts, *rewards: str | None) -> int:
    """The samples that nearly all prompts have, or where these are hardly any, half of them.

    Counted are samples that have all of these rewards: the first may be None where there is one.
    """
    from klimit.estimate.inputs import reward_column
    from klimit.estimate.samples import nearly_all

    column = reward_column(rollouts, rewards[0], others=tuple(x for x in rewards[1:] if x))
    known = ~np.isnan([column.values, *column.others.values()]).any(axis=0)
    prompt = np.repeat(np.arange(len(column.lengths)), column.lengths)
    counts = np.bincount(prompt[known], minlength=len(column.lengths))
    counts = counts[counts > 0]
    most = nearly_all(counts)
    return most if most >= 4 else int(np.quantile(counts, 0.5, method="lower"))
