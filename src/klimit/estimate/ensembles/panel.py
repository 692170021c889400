"""Several proxies, and gold where it is known, of the same samples: complete, aligned, comparable.

Only rewards relative to their prompt matter to any policy, so every member is centred on each
prompt (Bradley-Terry rewards are fixed only up to such constants). Members of different scales are
divided by their own spread, or else the loudest one decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError, EstimateWarning, warn
from klimit._text import safe
from klimit.estimate.checks import check_choice
from klimit.estimate.kernel import Floats
from klimit.estimate.samples import Integers, centred, collect, shown
from klimit.rollouts.grouped import Grouped, group_arrays
from klimit.rollouts.words import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALES = ("pooled", "prompt", "none")
_APART = 2.0  # a ratio of spreads from which members are on different scales
_OPPOSED = -0.8  # a correlation within prompts below which two members say the opposite


@dataclass(frozen=True)
class Panel:
    """Samples that every member has scored, prompt after prompt.

    Attributes
    ----------
    names : of the members
    members : (members, samples) centred at the prompt's mean and scaled; a prompt's samples stand in
        an order of their own, whichever the file's was
    gold : (samples,) gold reward, NaN where it is not known; None without gold
    gold_name : empty without gold
    lengths : (prompts,) samples of each prompt, two or more
    ids : (prompts,)
    spreads : (members,) standard deviation within prompts, in the member's own units
    scale : "pooled", "prompt" or "none"
    total : prompts seen
    missing : samples that lack a proxy, and are left out
    notes : what to mind, in words
    base, grouped, origin : what the caller gave, its rewards, and the place there of every sample
    """

    names: tuple[str, ...]
    members: Floats
    gold: Floats | None
    gold_name: str
    lengths: Integers
    ids: Sequence[Any]
    spreads: Floats
    scale: str
    total: int
    missing: int
    notes: tuple[str, ...]
    base: Any
    grouped: Grouped
    origin: Integers

    @property
    def prompt(self) -> Integers:
        """(samples,) the prompt of each sample."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def labelled(self) -> int:
        """Samples whose gold reward is known."""
        return 0 if self.gold is None else int((~np.isnan(self.gold)).sum())

    @property
    def complete(self) -> bool:
        """Whether gold is known of every sample."""
        return self.gold is not None and self.labelled == len(self.gold)


def panel(base: Any, proxies: Sequence[str] | None, gold: str | None, scale: str) -> Panel:
    """Read members and gold, leave out what is incomplete, and bring members to one scale."""
    check_choice("scale", scale, SCALES)
    grouped, names, gold_name = _columns(base, proxies, gold)
    values = np.stack([grouped.columns[name] for name in names])
    read = grouped.columns[gold_name] if gold_name else None
    there = np.asarray(~np.isnan(values).any(axis=0))
    lengths = np.asarray(grouped.lengths, dtype=np.int64)
    number, missing = shown(there, lengths), int((~there).sum())
    there &= np.repeat(number >= 2, lengths)
    kept = np.flatnonzero(number >= 2)
    if not len(kept):
        raise DataError(
            f"no prompt has two samples with all of {len(names)} proxies ({len(lengths):,} prompts "
            "seen); score every sample by every proxy, two samples a prompt at least."
        )
    # samples of a prompt in an order of their own, so that no digit depends on that of the file
    prompt = np.repeat(kept, number[kept])
    keys = (*(() if read is None else (read[there],)), *values[::-1, there], prompt)
    rows = np.flatnonzero(there)[np.lexsort(keys)]
    found = Panel(
        tuple(names), values[:, rows], None if read is None else read[rows], gold_name,
        number[kept], [grouped.ids[i] for i in kept.tolist()], np.ones(len(names)), scale,
        len(lengths), missing, (), base, grouped, rows,
    )  # fmt: skip
    found = _informative(replace(found, members=centred(found.members, found.lengths)))
    _check_alike(found)
    return _opposed(_scaled(_counted(found)))


def _columns(
    base: Any, proxies: Sequence[str] | None, gold: str | None
) -> tuple[Grouped, list[str], str]:
    if isinstance(proxies, str):
        proxies = [proxies]
    if hasattr(base, "grouped"):
        gold_name = base.one_reward(gold) if gold is not None else ""
        asked = [n for n in base.rewards if n != gold_name] if proxies is None else list(proxies)
        names = [base.one_reward(name) for name in asked]
        _check_names(names, gold_name)
        return base.grouped(*names, *([gold_name] if gold_name else [])), names, gold_name
    if not isinstance(base, Mapping):
        raise ArgumentError(
            "an ensemble needs several rewards of the same samples: Rollouts (klimit.read), or a "
            "dict of (prompts, samples) arrays by name, were expected; got "
            f"{type(base).__name__}."
        )
    if gold is not None and not isinstance(gold, str):
        raise ArgumentError(
            f"gold is {type(gold).__name__}; the name of one of the rewards was expected. Put the gold "
            "rewards into the dict, under a name of their own."
        )
    known = [str(name) for name in base]
    for name in [*(proxies or []), *([gold] if gold is not None else [])]:
        if name not in known:
            raise ArgumentError(
                f"no reward {safe(repr(name), longest=40)} in the dict; there are "
                f"{', '.join(safe(k, longest=20) for k in known[:8])}."
            )
    names = [n for n in known if n != gold] if proxies is None else list(proxies)
    _check_names(names, gold or "")
    wanted = [*names, *([gold] if gold is not None else [])]
    return group_arrays({name: base[name] for name in wanted}), names, gold or ""


def _check_names(names: list[str], gold: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(
            f"proxy {safe(twice)!r} was given twice; a member that is counted twice adds nothing."
        )
    if gold and gold in names:
        raise ArgumentError(
            f"gold {safe(gold)!r} is also among the proxies; a proxy that is gold has no error. "
            "Leave it out of the proxies."
        )
    if len(names) < 2:
        raise ArgumentError(
            f"{'one proxy was' if names else 'no proxies were'} given; an ensemble has two members "
            "or more. For a single proxy against gold ask klimit.hacking."
        )


def _informative(found: Panel) -> Panel:
    """Without members that never vary within a prompt; gold must vary somewhere."""
    varies = np.atleast_1d(found.members.any(axis=1))
    if not varies.all():
        flat = [safe(found.names[i], longest=30) for i in np.flatnonzero(~varies).tolist()]
        if varies.sum() < 2:
            raise DataError(
                f"the answers to a prompt never differ in {', '.join(flat)}, and fewer than two proxies "
                "are left; an ensemble has two members or more."
            )
        warn(
            f"{', '.join(flat)} never differs between the answers to a prompt and cannot judge "
            "them: left out of the ensemble."
        )
        found = replace(
            found,
            names=tuple(found.names[i] for i in np.flatnonzero(varies).tolist()),
            members=found.members[varies],
            spreads=found.spreads[varies],
            notes=(*found.notes, f"{', '.join(flat)} is constant on every prompt: left out."),
        )
    if found.gold is not None:
        known = ~np.isnan(found.gold)
        if not known.any():
            raise DataError(
                f"gold {safe(found.gold_name)!r} is known of no sample that all proxies have "
                "scored; label some of these samples, or leave gold out."
            )
        if np.ptp(found.gold[known]) == 0:
            raise DataError(
                f"gold {safe(found.gold_name)!r} is constant: nothing can be gained, and no error "
                "be measured. Check which column holds it."
            )
        # refuses numbers too large or too small to compute with
        collect(found.gold[known], np.array([known.sum()]))
        _check_gold_varies(found, known)
    return found


def _check_gold_varies(found: Panel, known: NDArray[np.bool_]) -> None:
    """Refuse gold that never tells two answers to one prompt apart."""
    assert found.gold is not None
    often = shown(known, found.lengths)
    several = known & (often >= 2)[found.prompt]
    if several.any() and not centred(found.gold[several], often[often >= 2]).any():
        prompts = int((often >= 2).sum())
        labels = "" if found.complete else " labelled"
        raise DataError(
            f"gold {safe(found.gold_name)!r} never differs between the{labels} answers to a prompt "
            f"({counted(prompts, 'prompt')} with two or more): nothing can be gained in it, and no "
            "error be measured. Check which column holds it, or score with a finer gold reward."
        )


def _check_alike(found: Panel) -> None:
    """No two members with the same numbers on whatever scale, none with gold's."""
    rows = [*found.members]
    names = [*found.names]
    if found.gold is not None and found.complete:
        rows.append(centred(found.gold, found.lengths))
        names.append(found.gold_name)
    for i, one in enumerate(rows):
        for j in range(i):
            scaled = [row / (float(np.abs(row).max()) or 1.0) for row in (one, rows[j])]
            if np.abs(scaled[0] - scaled[1]).max() <= 1e-12:
                raise DataError(
                    f"{safe(names[j])!r} and {safe(names[i])!r} give every answer the same reward, "
                    "up to its scale and a constant on each prompt; they are one reward under two "
                    "names. "
                    "Leave one of them out."
                )


def _opposed(found: Panel) -> Panel:
    """Warn of two members of which one is likely upside down; refuse a mean in which all cancels."""
    size = np.sqrt((found.members**2).sum(axis=1, keepdims=True))
    together = (found.members / size) @ (found.members / size).T
    pair = np.unravel_index(int(together.argmin()), together.shape)
    first, second = (safe(found.names[i], longest=30) for i in sorted(int(i) for i in pair))
    lowest = float(together[pair])
    if still(found.members.mean(axis=0), found):
        raise DataError(
            f"the mean of the proxies is the same for all answers to a prompt: what {first} and {second} "
            f"say cancels (they correlate by {lowest:.2f}). Turn one of them around, or leave it out."
        )
    if lowest > _OPPOSED:
        return found
    said = (
        f"{first} and {second} correlate by {lowest:.2f} within prompts: one of them is likely upside "
        "down. Turn it around, or leave it out."
    )
    warn(said)
    return replace(found, notes=(*found.notes, said))


def still(values: Floats, found: Panel, weight: float = 1.0) -> bool:
    """Whether (samples,) values never differ within a prompt, up to the rounding of members so weighed."""
    apart = np.abs(centred(values, found.lengths)).max()
    return bool(apart <= 1e-12 * weight * np.abs(found.members).max())


def _counted(found: Panel) -> Panel:
    members, least = len(found.names), int(found.lengths.min())
    notes = list(found.notes)
    if found.missing:
        notes.append(f"{found.missing:,} samples lack a proxy and are left out.")
    lost = found.total - len(found.lengths)
    if lost:
        notes.append(f"{lost:,} of {found.total:,} prompts have fewer than two such samples.")
    if members > least:
        said = (
            f"{members} proxies, but only {least} samples of some prompts: between so many proxies "
            "correlations rest on all prompts together."
        )
        warn(said, EstimateWarning)
        notes.append(said)
    return replace(found, notes=tuple(notes))


def _scaled(found: Panel) -> Panel:
    for row in found.members:
        collect(row, found.lengths)  # refuses numbers too large or too small to compute with
    starts = np.cumsum(found.lengths) - found.lengths
    squares = np.add.reduceat(found.members**2, starts, axis=1) / (found.lengths - 1)
    spreads = np.sqrt(np.sort(squares, axis=1).mean(axis=1))
    notes = list(found.notes)
    loud, quiet = int(spreads.argmax()), int(spreads.argmin())
    if spreads[loud] > _APART * spreads[quiet]:
        said = (
            f"proxies are on different scales: within prompts {safe(found.names[loud])} varies by "
            f"{spreads[loud]:.3g}, {safe(found.names[quiet])} by {spreads[quiet]:.3g}"
        )
        if found.scale == "none":
            advice = f'{said}, so the first decides nearly alone; scale="pooled" weighs them alike.'
            warn(advice, EstimateWarning)
            notes.append(advice)
        else:
            notes.append(f"{said}; each was divided by its own.")
    if found.scale != "prompt" and _uneven(squares, spreads, found.lengths):
        said = (
            "which proxy varies most differs from prompt to prompt, so different ones decide on "
            'different prompts; scale="prompt" gives them equal spread on each.'
        )
        warn(said, EstimateWarning)
        notes.append(said)
    if found.scale == "pooled":
        members = found.members / spreads[:, None]
    elif found.scale == "prompt":
        each = np.sqrt(np.where(squares > 0, squares, 1.0))
        members = found.members / np.repeat(each, found.lengths, axis=1)
    else:
        members = found.members
    return replace(found, members=members, spreads=spreads, notes=tuple(notes))


def _uneven(squares: Floats, spreads: Floats, lengths: Integers) -> bool:
    """Whether the relative spreads of members differ between prompts by more than chance."""
    moving = (squares > 0).all(axis=0)
    if moving.sum() < 5:
        return False
    logs = np.log(squares[:, moving] / spreads[:, None] ** 2) / 2
    logs = logs - logs.mean(axis=0)
    chance = float(np.mean(1 / (lengths[moving] - 1)))  # twice that of normal rewards
    return bool(np.sqrt(np.maximum(logs.var(axis=1) - chance, 0.0)).max() > np.log(_APART))
