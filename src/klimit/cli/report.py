"""``klimit report`` and ``watch``: everything about a base and its policies on one page, which may grow."""

from __future__ import annotations

import hashlib
import shlex
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import klimit
from klimit._errors import DataWarning, KlimitError
from klimit._extras import need
from klimit._progress import steps
from klimit._text import safe
from klimit.cli import options
from klimit.cli.audit import Asked, asked, reading
from klimit.cli.output import print_text
from klimit.cli.program import one_line, say

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts
    from klimit.view.report import Report
    from klimit.view.report.serving import Shown


judging = options.several(
    click.option("--gold", metavar="NAME", help="The reward that is really wanted, if another."),
    click.option("--focus", type=click.FloatRange(min=0, min_open=True), metavar="NATS",
                 help="The KL budget that the page starts at."),
)  # fmt: skip


@click.command(short_help="Everything about a base and its policies on one page.")
@reading
@judging
@click.option("-o", "--output", type=options.Target(".html", ".htm"), default="report.html",
              show_default=True, metavar="FILE", help="Where to write the page.")  # fmt: skip
@asked
@click.pass_obj
def report(
    typed: Sequence[str], source: Asked, gold: str | None, focus: float | None, output: Path
) -> None:
    """What is there to gain, how did the policies do, and what should be done next?

    Writes one HTML file that needs no network and no other file. BASE holds samples of the base
    model with rewards, each POLICY samples of a trained one. With one path, policies are looked for
    inside it; without any, the page is about the base.

    \b
    klimit report base.parquet --reward rm -o report.html
    klimit report base.parquet grpo/ dpo/ --reward rm --gold human
    """
    from klimit.view.report.findings import STAGES

    need("report", "jinja2", what="a report")
    source.keep(output)
    with steps("reading", *STAGES, "writing the page") as job:
        found, read = build(source, gold=gold, focus=focus, typed=typed, done=job.next)
    written = found.write(output)
    size = f"{len(found.html.encode()) / 1000:,.0f} kB"
    print_text(read, f"{found.verdict}\n\nwrote {written} ({size}); open it in a browser")


def build(
    source: Asked, *, gold: str | None, focus: float | None, typed: Sequence[str],
    live: str = "", done: Callable[[], object] = lambda: None,
) -> tuple[Report, str]:  # fmt: skip
    """Read, measure and write; also the lines that say what was read."""
    from klimit.view.report import Made
    from klimit.view.report import report as make

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        base, policies = _sides(source)
        done()
        lines = [str(base)]
        if isinstance(policies, dict):
            lines += [f"{safe(name)}: {one}" for name, one in policies.items() if name]
        warned = (str(one.message) for one in caught if one.category is DataWarning)
        made = Made(
            command=shlex.join(["klimit", *typed]), source=source.again(source.paths[:1]), paths=source.paths,
            read=lines, live=live, warned=list(dict.fromkeys(warned)),
        )  # fmt: skip
        found = make(
            base, policies, reward=source.reward, gold=gold, kl=source.kl, focus=focus,
            paired=False if source.unpaired else None, made=made, done=done, **source.how,
        )  # fmt: skip
    for one in caught:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found, "\n".join(lines)


def _sides(source: Asked) -> tuple[Rollouts, Any]:
    """Base and policies with all their rewards; where none is found by itself, with the one named."""
    if source.reward is None:
        return source.sides()
    try:
        base, policies = replace(source, reward=None).sides()
        base.one_reward(source.reward)
    except KlimitError:
        return source.sides()
    return base, policies


Print = dict[Path, tuple[int, int]]


@click.command(short_help="The report of a run, renewed as its steps arrive.")
@reading
@judging
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True,
              help="Where to serve it; 0: any that is free.")  # fmt: skip
@click.option("--every", type=click.FloatRange(min=0.1), default=5.0, show_default=True,
              metavar="SECONDS", help="How often to look for new steps.")  # fmt: skip
@asked
@click.pass_obj
def watch(
    typed: Sequence[str],
    source: Asked,
    gold: str | None,
    focus: float | None,
    port: int,
    every: float,
) -> None:
    """How is the run doing, as its steps arrive?

    Serves the page of `klimit report` to this machine only, reads the paths again whenever they
    change, and renews the page. A file that is half written is left for the next look. Ctrl-C ends
    it.

    \b
    klimit watch runs/grpo/completions
    klimit watch base.parquet runs/grpo/completions --reward rm
    """
    from klimit.view.report.page import waiting_page
    from klimit.view.report.serving import Shown, Stand, serve

    need("report", "jinja2", what="a report")
    run = Run(source, gold, focus, typed)
    status = "Nothing has been read yet."
    stand = Stand(Shown(waiting_page(status), "waiting", status))
    with serve(stand, port=port) as address:
        paths = ", ".join(source.paths)
        say(one_line(f"watching {paths} at {address} (this machine only; Ctrl-C ends it)"))
        try:
            while True:
                shown = run.look(stand.shown)
                if shown.status != stand.shown.status:
                    say(one_line(shown.status))
                stand.shown = shown
                time.sleep(every)
        except KeyboardInterrupt:
            say("")


@dataclass
class Run:
    """A run on disk, and what was last seen of it."""

    source: Asked
    gold: str | None
    focus: float | None
    typed: Sequence[str]
    seen: Print | None = None
    whole: set[tuple[Path, tuple[int, int]]] = field(default_factory=set)

    def look(self, before: Shown) -> Shown:
        """The page as it should be now: the one before, if nothing changed or nothing can be read."""
        try:
            return self._renewed(before)
        except (KlimitError, OSError) as problem:
            return replace(before, status=f"Waiting: {problem}")

    def _renewed(self, before: Shown) -> Shown:
        from klimit.rollouts.words import counted
        from klimit.view.report.serving import Shown

        found = fingerprint(self.source.paths)
        if found == self.seen:
            return before
        version = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]
        broken: frozenset[Path] = frozenset()
        try:
            page = self._build(broken, version)
        except (KlimitError, OSError):
            broken = self._broken(found)
            if not broken or broken == frozenset(found):
                raise
            page = self._build(broken, version)
        self.whole |= {(path, mark) for path, mark in found.items() if path not in broken}
        self.seen = {path: mark for path, mark in found.items() if path not in broken}
        left = f"; {len(broken)} still being written" if broken else ""
        said = (
            f"Renewed at {time.strftime('%H:%M:%S')} from {counted(len(self.seen), 'file')}{left}."
        )
        return Shown(page, version, said)

    def _build(self, broken: frozenset[Path], version: str) -> str:
        source = Without(**vars(self.source), left_out=broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they stand on the page
            report, _ = build(
                source, gold=self.gold, focus=self.focus, typed=self.typed, live=version
            )
        return report.html

    def _broken(self, found: Print) -> frozenset[Path]:
        """Files that cannot be read by themselves; those that could before are not tried again."""
        broken = set()
        for path, mark in found.items():
            if (path, mark) in self.whole:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    klimit.read(path, prompt=self.source.prompt or None, reward=())
            except (KlimitError, OSError):
                broken.add(path)
        return frozenset(broken)


@dataclass(frozen=True)
class Without(Asked):
    """The same paths without files that are still being written."""

    left_out: frozenset[Path] = frozenset()

    def read(self, path: Any, rewards: list[str] | None = None) -> Rollouts:
        """Read what is whole of one of the paths."""
        from klimit.rollouts.paths import files

        if self.left_out:
            path = [one for one in files(path) if one not in self.left_out]
        return super().read(path, rewards)


def fingerprint(paths: Sequence[str]) -> Print:
    """Size and time of every file that would be read."""
    from klimit.rollouts.paths import files

    inside = {one: one.stat() for path in paths for one in files(path)}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in inside.items()}
