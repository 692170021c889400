"""Training steps, which are numbers or text with numbers in it: their order, number and name."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from klimit.rollouts import names
from klimit.rollouts.words import UNNAMED

_DIGITS = re.compile(r"([0-9]+)")
_NUMBERED = re.compile(r"[^0-9]*([0-9]+)([._-][^0-9]*)?")
_PLAIN = re.compile(r"[+-]?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?", re.IGNORECASE)
_LAST = ("final", "last")
_BASE = re.compile(
    r"(base|ref|reference|initial|init|pretrained|sft|untrained|start)([-_ ]?(model|policy))?"
    r"([-_ ]?(part|shard|rank|seed|more|extra)?[-_ ]?[0-9]*)"
    r"|(step|checkpoint|ckpt|iter|iteration|global_step)[-_ ]?0+",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"[ _./-]*(?:(?<![a-z])(?:global_?)?(?:step|checkpoint|ckpt|iter(?:ation)?)s?[ _=.-]?"
    r"([0-9]{1,18}|[*])|[*])$",
    re.IGNORECASE,
)
_IN_PATH = re.compile(
    r"(?<![a-z])(?:step|checkpoint|ckpt|iter(?:ation)?)s?[ _=.-]?([0-9]{1,18})(?![a-z0-9])"
    r"|_([0-9]{1,18})_[0-9a-f]{20}\.table\.json$",  # as trackers name their tables
    re.IGNORECASE,
)


def in_order(steps: Iterable[Any]) -> list[Any]:
    """Steps of one column ascending; in texts, whole numbers compare as numbers.

    Texts that are nothing but a number come first, "base" among them, and "final" or "last" comes last.

    Examples
    --------
    >>> in_order([20, 5, 100]), in_order(["100", "20", "5"])
    ([5, 20, 100], ['5', '20', '100'])
    >>> in_order(["final", "step_100", "step_20", "step_5"])
    ['step_5', 'step_20', 'step_100', 'final']
    """
    return sorted(steps, key=lambda step: _place(step) if isinstance(step, str) else step)


def number(step: Any) -> float:
    """The number of a step, 0 of "base"; nan where a text has none, several, or one of epochs.

    Examples
    --------
    >>> number(20), number("20"), number("global_step_20"), number("step_1k"), number("epoch_1")
    (20.0, 20.0, 20.0, nan, nan)
    """
    if not isinstance(step, str):
        try:
            return float(step)
        except (TypeError, ValueError):
            return math.nan
    if is_base(step):
        return 0.0
    if _PLAIN.fullmatch(step):
        return float(step)
    found = _NUMBERED.fullmatch(step)
    return float(found[1]) if found and "epoch" not in str(step).lower() else math.nan


def called(step: Any) -> str:
    """A step as sentences and tables call it; one that is called a step already needs no second word.

    Examples
    --------
    >>> called(20), called("20"), called("step_20")
    ('step 20', 'step 20', 'step_20')
    """
    return str(step) if "step" in str(step).lower() else f"step {step}"


def labelled(name: str, step: Any = None) -> str:
    """A policy at a step, as tables call it; by the step alone where its name says nothing else."""
    run = apart(name, step) or "policy"
    if step is None:
        return name
    return called(step) if run == "policy" else f"{run} {called(step)}"


def apart(name: str, step: Any = None) -> str:
    """A name without the step, or the pattern, that it ends with where that is said beside it.

    Examples
    --------
    >>> apart("grpo_step-200", 200), apart("step_*", 200), apart("grpo-200", 200), apart("step-5", 6)
    ('grpo', '', 'grpo-200', 'step-5')
    """
    while (said := _SAID.search(name)) and (said[1] in (None, "*") or int(said[1]) == number(step)):
        name = name[: said.start()]
    return name


def present(values: Iterable[Any]) -> list[Any]:
    """Of steps or policies those that have a name; None stands for samples that name none."""
    return [value for value in values if value is not None]


def is_base(name: str) -> bool:
    """Whether a policy, a file or a folder of this name holds what training starts from.

    Examples
    --------
    >>> is_base("base"), is_base("ref_policy"), is_base("step_0"), is_base("database")
    (True, True, True, False)
    """
    return _BASE.fullmatch(name) is not None


def bases(called: Iterable[str]) -> list[str]:
    """Those of several policies or files that by their names are what training starts from.

    By the whole name, else by what the others' lack; but not where all have a method's name, or another
    a size, and "sft" only where all others have a method's.

    Examples
    --------
    >>> bases(["base", "ppo-base"]), bases(["run_base", "run_ppo"]), bases(["m-sft", "m-dpo"])
    (['base'], ['run_base'], ['m-sft'])
    >>> bases(["grpo", "grpo_ref"]), bases(["t5-base", "t5-large"]), bases(["m", "m-sft"])
    ([], [], [])
    """
    known = list(called)
    if found := [name for name in known if is_base(name)]:
        return found
    shared, own = _own_words(known)
    found = [name for name, words in zip(known, own, strict=True) if is_base("-".join(words))]
    others = [set(words) for words in own if not is_base("-".join(words))]
    unsure = shared & names.METHODS or any(one and one <= names.SIZES for one in others)
    if any("sft" in words for words in own):
        unsure = unsure or not all(one & names.METHODS for one in others)
    return [] if unsure else found


def likely_base(values: Sequence[Any]) -> Any:
    """The one of several policies or steps to name first: a base, else of no name, else of no method."""
    trained = lambda one: not names.METHODS.isdisjoint(names.plain(str(one)).split("_"))  # noqa: E731
    unnamed = [UNNAMED] if None in values else sorted(values, key=trained)
    return (bases(map(str, present(values))) or unnamed)[0]


def unlike(called: Iterable[str]) -> bool:
    """Whether names differ in words for a base or a method, so that they are of several policies.

    Examples
    --------
    >>> unlike(["base", "x"]), unlike(["gsm_base", "math_ppo"]), unlike(["ppo_a", "ppo_b"])
    (True, True, False)
    """
    words = (names.plain(name).split("_") for name in called)
    return len({frozenset(x for x in one if x in names.SIDES or is_base(x)) for one in words}) > 1


def _own_words(called: Sequence[str]) -> tuple[set[str], list[list[str]]]:
    """Words that all names share, and those that each has beside them."""
    words = [names.plain(name).split("_") for name in called]
    shared = set.intersection(*map(set, words)) if words else set()
    return shared, [[word for word in one if word not in shared] for one in words]


def _place(text: str) -> tuple[Any, ...]:
    parts: list[Any] = _DIGITS.split(text)
    for at in range(1, len(parts), 2):  # by length first: as numbers compare, however long they are
        digits = parts[at].lstrip("0")
        parts[at] = len(digits), digits
    plain = _PLAIN.fullmatch(text) is not None or is_base(text)
    value = number(text) if plain else 0.0
    return (0 if plain else 2 if text.lower() in _LAST else 1), value, parts, text


def in_paths(paths: Iterable[str]) -> dict[str, int | None]:
    """The step that each path names, None where it names none; empty where they do not differ.

    What is called base beside numbered steps is step 0.

    Examples
    --------
    >>> in_paths(["run/step_20/a.jsonl", "run/step_100/a.jsonl"])
    {'run/step_20/a.jsonl': 20, 'run/step_100/a.jsonl': 100}
    >>> in_paths(["run/base.jsonl", "run/checkpoint-100.jsonl"])
    {'run/base.jsonl': 0, 'run/checkpoint-100.jsonl': 100}
    >>> list(in_paths(["x_base.jsonl", "x_step_100.jsonl"]).values())
    [0, 100]
    >>> in_paths(["step_20/a.jsonl", "step_20/b.jsonl"])
    {}
    """
    parts = {path: Path(path).parts for path in paths}
    shared = len(os.path.commonprefix(list(parts.values())))  # noqa: RUF071 - of tuples
    own = {path: [name.split(".")[0] for name in parts[shared:]] for path, parts in parts.items()}
    found = {path: _IN_PATH.findall("/".join(parts[path][shared:])) for path in own}
    steps = {path: int("".join(tail[-1])) if tail else None for path, tail in found.items()}
    if len(set(steps.values())) < 2:
        return {}
    if 0 not in steps.values():
        words = _own_words(["/".join(parts[path][shared:]) for path in own])[1]
        for (path, own_names), mine in zip(own.items(), words, strict=True):
            if steps[path] is None and any(map(is_base, [*own_names, "-".join(mine)])):
                steps[path] = 0
    return steps
