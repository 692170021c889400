"""One page with everything about a base and the policies trained from it, read without any network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from klimit._errors import ArgumentError
from klimit._extras import need
from klimit._notebook import InNotebooks
from klimit._text import safe

if TYPE_CHECKING:
    from klimit.view.report.findings import Findings


__all__ = ["Made", "Report", "report"]


@dataclass(frozen=True, eq=False, repr=False)
class Report(InNotebooks):
    """One page. Made by `klimit.report`.

    Attributes
    ----------
    html : the page: no other file, and no network, is needed to read it
    findings : the results that it shows
    """

    html: str
    findings: Findings

    def __repr__(self) -> str:
        limit = self.findings.limit
        return f"<Report on {safe(limit.reward, longest=40)}: {len(self.html.encode()) / 1000:,.0f} kB>"

    def __str__(self) -> str:
        """The verdict in words, as it stands at the top of the page."""
        return self.verdict

    @property
    def verdict(self) -> str:
        """What the policies did, if there are any, and what there is to gain."""
        from klimit.view import words
        from klimit.view.report.findings import verdicts

        parts = ("\n".join(lines) for _, lines in verdicts(self.findings))
        return "\n\n".join(map(words.paragraphs, parts))

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Save the page; the file is whole or not there.

        Raises
        ------
        DataError
            Where the file cannot be written.
        """
        from klimit._files import whole_file

        target = Path(path)
        with whole_file(target) as file:
            file.write(self.html.encode("utf-8", "replace"))
        return target


def report(
    base: Any,
    policies: Any = None,
    *,
    reward: str | None = None,
    gold: str | None = None,
    kl: Any = None,
    focus: float | None = None,
    level: float = 0.95,
    seed: int = 0,
    prompts: Literal["drawn", "fixed"] = "drawn",
    reward_range: tuple[float, float] | None = None,
    paired: bool | None = None,
    made: Made | None = None,
    done: Callable[[], object] = lambda: None,
) -> Report:
    """What is there to gain, how did the policies do, and what should be done next?

    Parameters
    ----------
    base : Rollouts of the base, or whatever `klimit.read` takes; with no `policies`, a run that
        holds base and policies is taken apart
    policies : the same of a trained policy, or of several by name
    reward : which reward, where there are several
    gold : another reward of the same samples, the one that is really wanted: how much of the gain
        is real
    kl : the policies' KL from the base, as `klimit.audit` takes it
    focus : the budget that the page starts at, nats; chosen if not given
    level, seed, prompts, reward_range, paired : as `klimit.audit` takes them
    made : what the page says of its own making; the command line fills it in
    done : called after each stage of the work

    Returns
    -------
    Report
        ``.write("report.html")`` saves it.

    Raises
    ------
    ArgumentError
        For an option that cannot be.
    DataError
        Where the samples do not show a limit, base and policies cannot be compared, or jinja2 is not
        installed.

    Examples
    --------
    >>> import klimit
    >>> page = klimit.report("examples/replies.parquet", reward="nontoxic")  # doctest: +SKIP
    >>> page.write("report.html")  # doctest: +SKIP
    """
    from klimit.rollouts import read
    from klimit.view.report.findings import gather
    from klimit.view.report.page import page

    need("report", "jinja2", what="a report")
    if focus is not None and not 0 < focus < float("inf"):
        raise ArgumentError(f"focus must be a positive number of nats; got {focus!r}.")
    made = made or Made()
    rollouts = read(base)
    if gold is not None and rollouts.one_reward(gold) == rollouts.one_reward(reward):
        raise ArgumentError(
            f"gold={safe(gold)!r} is the reward itself; another reward of the same samples was expected."
        )
    found = gather(
        rollouts, policies, reward=reward, gold=gold, kl=kl, focus=focus, paired=paired,
        warned=made.warned, done=done, level=level, seed=seed, prompts=prompts,
        reward_range=reward_range,
    )  # fmt: skip
    if not made.read:
        lines = [str(rollouts), *(f"{safe(name)}: {one}" for name, one in found.policies.items())]
        made = replace(made, read=lines)
    html = page(found, made)
    done()
    return Report(html, found)


@dataclass(frozen=True)
class Made:
    """How a page came about, for the page to say.

    Attributes
    ----------
    command : what makes it again
    source : the base and how it is read, as the command line takes it, for commands that are suggested
    paths : what was read
    read : the lines that say what was read
    warned : what was warned of while reading
    live : the version of a page that asks the server that it came from for a newer one
    """

    command: str = ""
    source: str = ""
    paths: Sequence[str] = ()
    read: Sequence[str] = ()
    warned: Sequence[str] = ()
    live: str = ""
