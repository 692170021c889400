"""Colours and axis labels that plots and the report share, for light and for dark paper.

Marks stand out from the paper by 3 to 1 and text by 4.5 to 1 or more, and any two marks stay apart
for people of any colour vision (tests/view/test_colours.py). Policies also differ by marker, so
that a copy in black and white can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from klimit._text import safe

LONGEST = 40  # characters of a reward's name on an axis
KL = "KL(policy || base), nats per answer"


@dataclass(frozen=True)
class Palette:
    """Colours by what they stand for, as ``#rrggbb``.

    Attributes
    ----------
    paper, ink, quiet, grid : background; text; second text and axes; grid lines
    limit : the frontier and its interval
    best_of_n : best-of-N
    policies : trained policies, in order; a fifth one has the first one's colour again
    """

    paper: str
    ink: str
    quiet: str
    grid: str
    limit: str
    best_of_n: str
    policies: tuple[str, ...]

    def policy(self, place: int) -> str:
        """The colour of the policy at this place of the order."""
        return self.policies[place % len(self.policies)]


LIGHT = Palette(
    paper="#FFFFFF", ink="#1B1F24", quiet="#59616B", grid="#E4E7EB", limit="#0040BB",
    best_of_n="#BD871C", policies=("#B73900", "#39877A", "#852E6D", "#029DE5"),
)  # fmt: skip
DARK = Palette(
    paper="#14171C", ink="#E8EAED", quiet="#A3ABB5", grid="#2C323A", limit="#6BB7FE",
    best_of_n="#E9BF65", policies=("#F74116", "#479486", "#AB54F7", "#CDE7FA"),
)  # fmt: skip


def unit(reward: str, *, objective: str = "reward") -> str:
    """What is gained, as pictures call it.

    Examples
    --------
    >>> unit("quality"), unit("quality", objective="win-rate")
    ('quality', 'win rate')
    """
    return "win rate" if objective == "win-rate" else safe(reward, longest=LONGEST)


def gain(reward: str, *, objective: str = "reward") -> str:
    """The label of an axis of gains.

    Examples
    --------
    >>> gain("quality"), gain("quality", objective="win-rate")
    ('gain in quality over the base', 'gain in win rate over 1/2')
    """
    if objective == "win-rate":
        return "gain in win rate over 1/2"
    return f"gain in {unit(reward)} over the base"


def beta(reward: str, *, objective: str = "reward") -> str:
    """The label of an axis of KL coefficients.

    Examples
    --------
    >>> beta("quality")
    'beta, quality per nat'
    """
    return f"beta, {unit(reward, objective=objective)} per nat"
