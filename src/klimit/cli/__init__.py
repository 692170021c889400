"""The command line, one command per verb: ``klimit limit``, ``best-of-n``, ``audit`` and the others.

Exit codes: 0 done, 1 failed (the data, a file), 2 used wrongly (an option, a value),
3 a run falls short (``gate``), 130 interrupted.
An error is one line on stderr, and then nothing has been written.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from klimit._files import unfinished
from klimit.cli.audit import audit, gate
from klimit.cli.best_of_n import best_of_n, choose
from klimit.cli.hacking import ensemble, hacking, labels
from klimit.cli.limit import limit, plan
from klimit.cli.plot import plot
from klimit.cli.program import program
from klimit.cli.prompts import prompts
from klimit.cli.report import report, watch
from klimit.cli.samples import describe, rescore

for command in (
    limit,
    best_of_n,
    hacking,
    labels,
    ensemble,
    choose,
    audit,
    gate,
    plan,
    report,
    watch,
    plot,
    prompts,
    describe,
    rescore,
):
    program.add_command(command)


def main() -> NoReturn:
    """Run the program with the arguments of the shell; this is the console script."""
    for name in ("SIGTERM", "SIGHUP"):  # not every system has both
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _end)
    program.main(prog_name="klimit")


def _end(number: int, _frame: object) -> None:
    """Take away what is half written, and end as the signal ends a program.

    An exception would do it too, but for one that is raised while Python clears up: that is lost.
    """
    for part in unfinished:
        part.unlink(missing_ok=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


__all__ = ["main", "program"]
