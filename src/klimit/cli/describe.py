"""``klimit describe``: what klimit reads in these files."""

from __future__ import annotations

import click

from klimit._progress import steps
from klimit.cli.options import json_flag
from klimit.cli.output import print_json, print_text
from klimit.cli.source import Source, from_source, reading


@click.command(short_help="What klimit reads in these files.")
@reading
@json_flag
@from_source
def describe(source: Source, as_json: bool) -> None:
    """What does klimit read in these files: prompts, samples, rewards, and how they were drawn?"""
    from klimit.view import records

    with steps("reading", "describing") as job:
        rollouts = source.load(base=False)
        job.next()
        found = records.rollouts_record(rollouts) if as_json else str(rollouts.describe())
    if isinstance(found, str):
        first, _, rest = found.partition("\n")
        print_text(first, rest)
    else:
        print_json(found)
