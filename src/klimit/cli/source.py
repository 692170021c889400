"""Where a command's samples come from: paths, and the options that say how to read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import klimit
from klimit._errors import EstimateWarning, warn
from klimit.cli.options import Weights, several

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts


def naming(refuse: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The options that name columns; --reward and --weights are hidden where they are refused."""
    hidden = refuse is not None
    return several(
        click.option(
            "-r", "--reward", metavar="NAME", callback=refuse, hidden=hidden,
            help="The reward, where there are several.",
        ),
        click.option("-p", "--prompt", metavar="NAME", multiple=True,
                     help="The column that tells prompts apart; given again, each of them."),
        click.option(
            "--weights", type=Weights(), metavar="NAME=W,...", callback=refuse, hidden=hidden,
            help="Rewards whose weighted sum is the reward.",
        ),
    )  # fmt: skip


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
        if value is not None:
            raise click.UsageError(f"{named}; {instead}")
        return value

    return several(
        click.argument("paths", metavar="PATH...", nargs=-1, required=True),
        naming(None if named is None else refuse),
        click.option("--step", metavar="N", help="Only samples of this training step."),
        click.option("--policy", metavar="NAME", help="Only samples of this policy."),
    )


reading = reading_where()


@dataclass(frozen=True)
class Typed:
    """Paths and what columns are in them, as it was typed."""

    paths: tuple[str, ...]
    reward: str | None
    prompt: tuple[str, ...]
    weights: dict[str, float] | None

    def read(self, path: Any, rewards: list[str] | None = None) -> Rollouts:
        """Read one or several of the paths, for these rewards instead of the one asked for."""
        if self.weights and self.reward:
            raise click.UsageError(
                "--reward and --weights were both given; weights make the reward"
            )
        found: Rollouts = klimit.read(
            path, prompt=self.prompt or None, reward=rewards or self.reward, weights=self.weights
        )
        return found

    def policies(self, rewards: list[str] | None = None) -> dict[str, Rollouts]:
        """Read every path but the first, which is the base, by the names of their files."""
        from klimit.rollouts.steps import bases

        paths = self.paths[1:]
        names = short_names(self.paths)
        if (called := bases(names)) and names[0] not in called:
            warn(
                f"{names[0]}, which comes first, is the base, not {called[0]}; give the base first."
            )
        named = zip(short_names(paths), paths, strict=True)
        return {name: self.read(path, rewards) for name, path in named}

    def keep(self, output: Path | None, *others: str | None) -> None:
        """Refuse to write over what is read: the paths, and `others` that options name."""
        from klimit.rollouts.paths import files

        if output is None or not output.exists():
            return
        read = (file for path in (*self.paths, *others) if path for file in files(path))
        if any(output.samefile(file) for file in read):
            raise click.UsageError(f"--output {output} is also read from; name another file")

    def again(self, paths: Sequence[str], **chosen: str | None) -> str:
        """These paths and how they are read, as the shell takes it."""
        given = {"reward": self.reward, **chosen}
        if self.weights:
            given["weights"] = ",".join(f"{name}={w:g}" for name, w in self.weights.items())
        words = [*paths, *(word for name in self.prompt for word in ("--prompt", name))]
        for name, value in given.items():
            words += [f"--{name}", value] if value is not None else []
        return shlex.join(words)


def warn_of_sampling(base: Rollouts) -> None:
    """Say where samples are another model's than that which a trainer starts from.

    Of a run that holds both base and policies, who takes it apart says so.
    """
    from klimit.audit.kl import sampling_notes

    if len(base.steps) > 1 or len(base.policies) > 1:
        return
    for line in sampling_notes(base, base=True):
        warn(f"{line}.", EstimateWarning)


def only(rollouts: Rollouts, policy: str | None, step: str | None) -> Rollouts:
    """Samples of this policy and step, where they were named."""
    if policy is not None:
        rollouts = rollouts.filter(policy=policy)
    if step is not None:
        named = {str(known): known for known in rollouts.steps if known is not None}
        rollouts = rollouts.filter(step=named.get(step, step))
    return rollouts


@dataclass(frozen=True)
class Source(Typed):
    """What was said about the samples, as it was typed."""

    step: str | None
    policy: str | None

    def load(
        self, *, judge: str | None = None, rewards: list[str] | None = None, base: bool = True
    ) -> Rollouts:
        """Read the rollouts; with a judge, its rewards as well as those that select.

        Parameters
        ----------
        rewards : those that a command names itself
        base : whether they are of a base; then odd sampling is warned of
        """
        if self.reward and judge:
            rewards = [self.reward, judge]
        paths = self.paths[0] if len(self.paths) == 1 else list(self.paths)
        found = only(self.read(paths, rewards), self.policy, self.step)
        if base:
            warn_of_sampling(found)
        return found

    def __str__(self) -> str:
        return self.again(self.paths, step=self.step, policy=self.policy)


def gathered(kind: type[Typed]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command its paths and reading options as one object of this kind."""

    def wrapped(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def collected(**said: Any) -> Any:
            own = {one.name: said.pop(one.name) for one in fields(kind)}
            return command(kind(**own), **said)

        return collected

    return wrapped


from_source = gathered(Source)


def short_names(paths: tuple[str, ...]) -> list[str]:
    """Short names of files and folders; longer ones where two would be alike."""
    short = [_stem(path) for path in paths]
    if len(set(short)) == len(short):
        return short
    longer = ["/".join([*PurePath(path).parent.parts[-1:], _stem(path)]) for path in paths]
    return longer if len(set(longer)) == len(longer) else [str(PurePath(path)) for path in paths]


def _stem(path: str) -> str:
    from klimit.rollouts.paths import stem
    from klimit.rollouts.steps import apart

    name = stem(PurePath(path))
    return apart(re.sub(r"[*?[].*", "*", name)) if name else path


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
    counts = counts[counts > 1]  # one sample shows no spread, and is left out
    if not len(counts):
        return 1  # the verb says what is wrong
    most = nearly_all(counts)
    return most if most >= 4 else int(np.quantile(counts, 0.5, method="lower"))
