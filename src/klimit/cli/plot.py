"""``klimit plot``: the picture for a paper, a slide or a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import klimit
from klimit._files import whole_file
from klimit._progress import steps
from klimit.cli import options
from klimit.cli.audit import Asked, asked, at_numbers, placed, reading
from klimit.cli.output import print_text
from klimit.cli.source import usual_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from klimit.rollouts import Rollouts

WHAT = ("limit", "best-of-n", "beta", "bounds", "allocation", "convergence", "audit")


@click.command(short_help="Draw the limit, best-of-N, policies or prompts: PNG, SVG or PDF.")
@reading
@click.option(
    "--what", type=click.Choice(WHAT), help="What to draw; limit, or audit with policies."
)
@at_numbers
@click.option("--proxy", type=options.Names(), metavar="NAME,...",
              help="The reward that is optimised, judged by --gold; several: their ensemble.")  # fmt: skip
@click.option("--gold", metavar="NAME", help="The reward that counts.")
@click.option("--plugin", is_flag=True, help="Also draw the papers' own estimate, which is low.")
@click.option("--dark", is_flag=True, help="Light on dark.")
@click.option("--title", metavar="TEXT", help="A line above the picture.")
@click.option("-o", "--output", type=options.Target(".png", ".svg", ".pdf"), required=True,
              metavar="FILE", help="Where to write: .png, .svg or .pdf.")  # fmt: skip
@asked
def plot(
    source: Asked,
    what: str | None,
    at: tuple[tuple[float, float], ...],
    proxy: list[str] | None,
    gold: str | None,
    plugin: bool,
    dark: bool,
    title: str | None,
    output: Path,
) -> None:
    """Draw what any method can gain for its KL, and what yours did.

    BASE holds samples of the base model with rewards, each POLICY samples of a trained one. Alone,
    BASE gives the limit with best-of-N beside it; with policies, or with steps of a run inside
    (--what audit), the plane of gain against KL. --kl is the KL of each policy; for allocation and
    convergence the budget; for limit, beta and bounds how far to draw. With --proxy it is gold where
    the proxy is optimised, or where an ensemble of several is; with policies, or with steps of a run
    inside (--what audit), what training on the proxy did to both rewards. Needs matplotlib.

    \b
    klimit plot base.parquet --reward rm -o limit.svg
    klimit plot base.parquet grpo.parquet --reward rm -o plane.pdf
    klimit plot base.parquet --what allocation --kl 2 -o prompts.png
    klimit plot base.parquet --proxy rm --gold human -o proxy.svg
    """
    from klimit.view import plots

    source.keep(output)
    policies = len(source.paths) > 1 or bool(at)
    what = what or ("audit" if policies else "limit")
    if policies and what != "audit":
        raise click.UsageError(f"--what {what} is drawn of BASE alone; leave POLICY and --at")
    if proxy is not None and (
        at or source.reward or source.weights or what not in ("limit", "audit")
    ):
        raise click.UsageError("--proxy and --gold name what to draw; leave the rest")
    if (proxy is None) != (gold is None):
        raise click.UsageError("--proxy and --gold go together")
    if plugin and (proxy is not None or what != "limit"):
        raise click.UsageError("--plugin is drawn beside the limit of one reward; leave it out")
    figure, ax = plots.figure(dark=dark)
    with steps("reading and measuring", "drawing") as job:
        if proxy is not None and gold is not None:
            read = _of_proxies(proxy, gold, source, ax, path=what == "audit")
        elif what == "audit":
            found, read = placed(source, at)
            plots.audits(found, ax)
        else:
            base = source.base()
            read = str(base)
            _of_base(base, what, source, ax, plugin)
        if title:
            above = figure.suptitle("", color=ax.xaxis.label.get_color())
            plots.write(above, title, longest=60)  # also above titles and legends of the axes
        job.next()
        with whole_file(output) as file:
            plots.save(figure, file, output.suffix.lower()[1:])
    print_text(read, f"wrote {output}")


def _of_proxies(proxy: list[str], gold: str, source: Asked, ax: Axes, *, path: bool) -> str:
    base, policies = source.sides([*proxy, gold])
    if path and len(proxy) > 1:
        raise click.UsageError("a run is drawn in one proxy and gold; give one --proxy")
    if path:
        run = klimit.hacking(
            base, policies, proxy=proxy[0], gold=gold, kl=source.kl, **source.how
        ).run
        if run is None:
            raise click.UsageError(
                "--what audit draws trained policies; give their samples as POLICY"
            )
        run.plot(ax)
    elif len(proxy) == 1:
        hack = klimit.hacking(base, proxy=proxy[0], gold=gold, **source.how)
        hack.plot(ax, kl=source.one_kl())
    else:
        if source.how["prompts"] != "drawn":
            raise click.UsageError("an ensemble's intervals are for drawn prompts")
        how = {name: source.how[name] for name in ("reward_range", "level", "seed")}
        klimit.ensemble(base, proxies=proxy, gold=gold, **how).plot(ax, kl=source.one_kl())
    return str(base)


def _of_base(base: Rollouts, what: str, source: Asked, ax: Axes, plugin: bool) -> None:
    from klimit.view import plots

    kl = source.one_kl()
    how = {name: source.how[name] for name in ("reward_range", "level", "seed")}
    most = usual_size(base, source.reward)
    sizes = [2**k for k in range(1, 7) if 2**k <= max(most / 2, 2)]
    best: Any = None
    if what in ("limit", "best-of-n") and most >= 2:
        best = klimit.best_of_n(base, n=sizes, reward=source.reward, **how)
    if what == "best-of-n":
        if best is None:
            raise click.UsageError("best-of-N needs prompts with two samples or more")
        plots.best_of_n(best, ax)
        return
    limit = klimit.frontier(base, reward=source.reward, **source.how)
    options: dict[str, Any] = {"kl": kl}
    if what == "limit":
        options |= {"best_of_n": best, "plugin": plugin}
    limit.plot(ax, what, **options)
