"""From the paths on a command line to rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from klimit.rollouts import Rollouts


def load(
    paths: Sequence[str], *, reward: str | Sequence[str] | None, prompt: str | None, step: int | None
) -> Rollouts:
    """Read the rollouts that the paths name, of one training step if asked."""
    import klimit

    source = paths[0] if len(paths) == 1 else list(paths)
    rollouts: Rollouts = klimit.read(source, prompt=prompt, reward=reward)
    return rollouts if step is None else rollouts.filter(step=step)


def keep_inputs(paths: Sequence[str], output: Path | None) -> None:
    """Refuse to write over what is being read."""
    if output is not None and any(Path(path).resolve() == output.resolve() for path in paths):
        raise click.UsageError(f"--output {output} is also read from; name another file")
