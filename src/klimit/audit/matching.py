"""Which prompts two sides share: by id, and by text where ids do not meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from klimit._errors import ArgumentError, DataError, warn
from klimit.audit.sides import Side, same_population
from klimit.rollouts.grouped import Floats, Integers
from klimit.rollouts.names import may_count_anew
from klimit.rollouts.words import counted, listing, quoted

RECUR = 0.5  # share of the policy's prompts that must recur for steps of one run to be paired,
FEWEST = 5  # and so many of them, or all
_FEWEST_TO_TELL = 8  # prompts that show whether their rewards go together


@dataclass(frozen=True)
class Match:
    """Prompts of either side that are compared.

    Attributes
    ----------
    base, policy : (prompts,) places; the same prompts in the same order where `paired`
    paired : whether they are the same prompts
    notes : what was left out, in words
    """

    base: Integers
    policy: Integers
    paired: bool
    notes: tuple[str, ...] = ()


def match(base: Side, policy: Side, paired: bool | None) -> Match:
    """Find the prompts that both sides have.

    Parameters
    ----------
    paired : True: only shared prompts; False: two samples from one population of prompts; None:
        paired where most of the policy's prompts recur, two samples where both come from one run,
        folder or data set
    """
    whole = Match(np.arange(len(base.ids)), np.arange(len(policy.ids)), paired=False)
    if paired is False:
        return whole
    if base.rollouts is None or policy.rollouts is None:
        return _by_place(base, policy)
    ours, theirs = _by_id(base, policy)
    number = len(ours)
    may_differ = paired is None and same_population(base, policy)
    fewest = min(FEWEST, len(policy.ids))
    if may_differ and number < max(RECUR * len(policy.ids), fewest):
        return whole
    key = base.rollouts.prompt_key
    counts = may_differ and base.texts is None and may_count_anew(key)
    if counts and _unrelated(base, policy, ours, theirs):
        warn(
            f"{base.source}: rewards of one {quoted(key)} at one step and another have nothing in common, as "
            "where ids count anew in each step, so steps are compared as samples of other prompts. Say "
            "paired=True if the prompts are the same, or name a key that tells them apart."
        )
        return whole
    if not number:
        raise DataError(_stranger(base, policy))
    notes = []
    if number < len(policy.ids):
        left = len(policy.ids) - number
        notes.append(
            f"{left:,} of the policy's {counted(len(policy.ids), 'prompt')} "
            f"{'is' if left == 1 else 'are'} not in the base and left out."
        )
    if number < len(base.ids):
        notes.append(
            f"the limit is that of the {counted(number, 'prompt')} that the policy was sampled on, "
            f"of {len(base.ids):,} in the base."
        )
    return Match(ours, theirs, paired=True, notes=tuple(notes))


def _unrelated(base: Side, policy: Side, ours: Integers, theirs: Integers) -> bool:
    """Whether mean rewards under one id do not go together, though those of one prompt mostly would."""
    parts = []
    for one, at in ((base, ours), (policy, theirs)):
        mean, variance, count = one.moments()
        parts += [mean[at], variance[at] / np.maximum(count[at], 1)]
    rows: Floats = np.array(parts)
    rows = rows[:, ~np.isnan(rows).any(axis=0)]
    means, noise = rows[::2], rows[1::2]
    if means.shape[1] < _FEWEST_TO_TELL or not np.ptp(means, axis=1).all():
        return False
    real = np.maximum(1 - np.mean(noise, axis=1) / np.var(means, axis=1), 0)
    expected = float(np.prod(real)) ** 0.5
    found = np.min(np.corrcoef(means))  # beside the ones on the diagonal
    chance = 2 / means.shape[1] ** 0.5  # two standard errors
    return bool(found < min(chance, expected - 1.5 * chance))


def _by_place(base: Side, policy: Side) -> Match:
    if len(base.ids) != len(policy.ids):
        raise ArgumentError(
            f"an array of {counted(len(policy.ids), 'prompt')} stands beside a base of "
            f"{len(base.ids):,}; a row of the policy for every row of the base was expected, or "
            "paired=False for two samples of prompts."
        )
    every = np.arange(len(base.ids))
    return Match(every, every, paired=True)


def _by_id(base: Side, policy: Side) -> tuple[Integers, Integers]:
    places = {name: at for at, name in enumerate(base.ids)}
    pairs = [(places[name], at) for at, name in enumerate(policy.ids) if name in places]
    odd = []
    if base.texts is not None and policy.texts is not None:
        texts = [(base.texts[ours], policy.texts[theirs]) for ours, theirs in pairs]
        odd = [at for at, (one, other) in enumerate(texts) if one and other and one != other]
    same_text = [] if pairs and not odd else _by_text(base, policy)
    if len(same_text) >= max(len(pairs), 1):
        if odd:
            warn(
                f"{counted(len(odd), 'prompt id')} of {policy.source} stand for other prompts in "
                f"{base.source}; prompts were matched by their text."
            )
        pairs = same_text
    elif odd:
        one, other = texts[odd[0]]
        raise DataError(
            f"prompt {quoted(base.ids[pairs[odd[0]][0]])} is {quoted(one)} in the base and "
            f"{quoted(other)} in the policy; one id for one prompt was expected. "
            "Name a key that both share with prompt= (--prompt)."
        )
    array = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _by_text(base: Side, policy: Side) -> list[tuple[int, int]]:
    """Pairs with equal texts; an id may itself be the text."""
    ours = base.texts or [*base.ids]
    theirs = policy.texts or [*policy.ids]
    if base.texts is None and policy.texts is None:
        return []
    places = {text: at for at, text in reversed(list(enumerate(ours))) if text}
    found: dict[int, int] = {}
    for at, text in enumerate(theirs):
        if text and text in places:
            found.setdefault(places[text], at)
    return list(found.items())


def _stranger(base: Side, policy: Side) -> str:
    return (
        f"{base.source} and {policy.source} have no prompt in common "
        f"({listing(base.ids, most=2)}; {listing(policy.ids, most=2)}), and nothing says that they "
        "come from one run or data set. Sample the base on the policy's prompts, name the key that "
        "both share with prompt= (--prompt), or say paired=False (--unpaired) to compare them as "
        "two samples from one population of prompts."
    )
