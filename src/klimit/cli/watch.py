"""``klimit watch``: the report of a run that is still going on."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from klimit._errors import KlimitError
from klimit._extras import need
from klimit.cli.audit import Asked, asked, reading
from klimit.cli.report import build, judging

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts
    from klimit.view.report.serving import Shown

PORT = 8765
Print = dict[Path, tuple[int, int]]


@click.command(short_help="The report of a run, renewed as its steps arrive.")
@reading
@judging
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
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
    from klimit.cli.program import one_line, say
    from klimit.view.report.serving import Stand, serve

    need("report", "jinja2", what="a report")
    run = Run(source, gold, focus, typed)
    stand = Stand(waiting("Nothing has been read yet."))
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


class Run:
    """A run on disk, and what was last seen of it."""

    def __init__(
        self, source: Asked, gold: str | None, focus: float | None, typed: Sequence[str]
    ) -> None:
        self.source, self.gold, self.focus, self.typed = source, gold, focus, typed
        self.seen: Print | None = None
        self.whole: set[tuple[Path, tuple[int, int]]] = set()

    def look(self, before: Shown) -> Shown:
        """The page as it should be now: the one before, if nothing changed or nothing can be read."""
        from klimit.rollouts.words import counted
        from klimit.view.report.serving import Shown

        try:
            found = fingerprint(self.source.paths)
        except (KlimitError, OSError) as problem:
            return Shown(before.html, before.version, f"Waiting: {problem}")
        if found == self.seen:
            return before
        version = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]
        broken: frozenset[Path] = frozenset()
        try:
            try:
                page = self._build(broken, version)
            except (KlimitError, OSError):
                broken = self._broken(found)
                if not broken or broken == frozenset(found):
                    raise
                page = self._build(broken, version)
        except (KlimitError, OSError) as problem:
            return Shown(before.html, before.version, f"Waiting: {problem}")
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
        import klimit

        broken = set()
        for path, mark in found.items():
            if (path, mark) in self.whole:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    klimit.read(path, prompt=self.source.prompt, reward=())
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


def waiting(status: str) -> Shown:
    """The page before there is one."""
    from klimit.view.report.page import waiting_page
    from klimit.view.report.serving import Shown

    return Shown(waiting_page(status), "waiting", status)
