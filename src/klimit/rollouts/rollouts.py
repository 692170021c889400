"""Samples of a policy with their rewards, as one validated table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from klimit._errors import ArgumentError, DataError
from klimit._text import safe
from klimit.rollouts import names
from klimit.rollouts.describe import Description, Shape, described, shape, summary
from klimit.rollouts.grouped import Grouped, check
from klimit.rollouts.keys import Groups, groups
from klimit.rollouts.layout import is_number
from klimit.rollouts.steps import in_order, likely_base
from klimit.rollouts.table import Table
from klimit.rollouts.words import UNNAMED, close_to, listing, quoted

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False, repr=False)
class Rollouts:
    """Samples with rewards, grouped by prompt. Made by `klimit.read`; never changed in place.

    Attributes
    ----------
    rewards : names of the rewards
    prompt_key : the source's column that says which samples share a prompt
    read_as : whose dump it is, where a reader knows it
    total : what the reward is the sum of, where it is a weighted sum of others
    by_files : what the names of files tell apart, of "policy" and "step"

    Examples
    --------
    >>> import klimit
    >>> base = klimit.read({"prompt": ["a", "a", "b", "b"], "rm": [0.5, 1.0, 0.0, None]})
    >>> print(base)
    read 2 prompts x 2 samples, reward: rm
    >>> base.grouped("rm").columns["rm"].tolist()
    [0.5, 1.0, 0.0, nan]
    """

    table: Table
    rewards: tuple[str, ...]
    prompt_key: str
    stated: Mapping[str, Any] = field(default_factory=dict)
    read_as: str = ""
    total: str = ""
    by_files: tuple[str, ...] = ()

    # ---- what there is

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        known = f"as {self.read_as}: " if self.read_as else ""
        open_ = " (--prompt, --reward override)" if self.read_as else ""
        return f"read {known}{summary(self)}{open_}"

    def __repr__(self) -> str:
        return f"<Rollouts: {summary(self)}>"

    @property
    def source(self) -> str:
        """Where the samples were read from."""
        return self.table.source

    @cached_property
    def groups(self) -> Groups:
        """Rows by prompt."""
        return groups(self.table.core["prompt_id"])

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the prompts, in order of appearance."""
        import polars as pl

        return self.table.core["prompt_id"][self.groups.first].cast(pl.String).to_list()

    @cached_property
    def steps(self) -> tuple[Any, ...]:
        """Training steps that occur, in order; empty where the source has none."""
        return self._values("step")

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """Policies that occur; empty where the source names none."""
        return self._values("policy")

    @cached_property
    def shape(self) -> Shape:
        """How many prompts, and how many samples each has per policy and step."""
        return shape(self.table.core, self.groups)

    @cached_property
    def together(self) -> tuple[str, ...]:
        """What differs among samples that are taken for one policy's: files, seeds, temperatures."""
        from klimit.rollouts.policies import together

        return together(self.table.core, self.groups.codes.astype(np.int64))

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Temperature, top_p, top_k, max_tokens, where known and the same for all samples."""
        known = {name: self.stated[name] for name in names.METADATA if name in self.stated}
        for name in names.METADATA:
            if name in self.table.core.columns:
                values = self.table.core[name].drop_nulls().unique()
                known.pop(name, None)
                if len(values) == 1:
                    known[name] = values.item()
        return known

    def describe(self) -> Description:
        """What was read: a line in words, and for each reward counts, range, mean and ties."""
        return described(self)

    # ---- what the verbs take

    def one_reward(self, name: str | None = None) -> str:
        """The reward that a verb works on.

        Raises
        ------
        ArgumentError
            Where there are several and none is named, or the name is none of them.

        Examples
        --------
        >>> import klimit
        >>> base = klimit.read({"prompt": ["a", "a"], "rm": [0.5, 1.0], "gold": [0, 1]})
        >>> base.one_reward("gold")
        'gold'
        >>> base.one_reward()
        Traceback (most recent call last):
        klimit._errors.ArgumentError: several rewards (rm, gold); say which: reward='rm' ...
        """
        if name is None:
            if not self.rewards:
                raise DataError(
                    f"{self.source} was read without rewards; join scores first: base.join(scores)."
                )
            if len(self.rewards) > 1:
                raise ArgumentError(
                    f"several rewards ({listing(self.rewards)}); say which: "
                    f"reward={self.rewards[0]!r} (--reward {self.rewards[0]}), or weigh them: "
                    f"weights={{{self.rewards[0]!r}: 1, ...}} (--weights {self.rewards[0]}=1,...)."
                )
            return self.rewards[0]
        if not isinstance(name, str):
            raise ArgumentError(
                f"reward={safe(name, longest=40)} is no name; one of {listing(self.rewards)} was expected."
            )
        if name in self.rewards:
            return name
        alias = names.same_reward(name, self.rewards)
        if alias:
            return alias
        if name in self.table.names:
            core = self.table.core
            there = core.schema if name in core.columns else self.table.lazy.collect_schema()
            if is_number(there[name]):
                return name  # asked for by name: a length may be somebody's reward
            raise DataError(
                f"column {quoted(name)} of {self.source} holds no numbers; "
                f"a reward was expected: {listing(self.rewards)}."
            )
        raise ArgumentError(
            f"no reward {quoted(name)} in {self.source}; there are {listing(self.rewards)}."
            f"{close_to(name, self.rewards)}"
        )

    def grouped(self, *columns: str) -> Grouped:
        """These rewards (all if none is named) prompt after prompt.

        Raises
        ------
        DataError
            Where the samples come from several steps or policies, which are never pooled, or where
            a reward is infinite or missing everywhere.
        """
        wanted = tuple(dict.fromkeys(self.one_reward(name) for name in columns or self.rewards))
        self.check_one_policy()
        found = self.groups
        table = self.table.columns(wanted)
        lengths = np.bincount(found.codes, minlength=len(found)).astype(np.int64)
        order = _order(found)
        arrays = {}
        for name in wanted:
            values = table[name].cast(float).fill_null(np.nan).to_numpy()
            arrays[name] = values if order is None else values[order]
        result = Grouped(self.ids, lengths, arrays)
        check(result, lambda at: self.table.row(at if order is None else int(order[at])))
        self._say_copies(result, order)
        return result

    def frame(self) -> pl.DataFrame:
        """Everything as a polars frame, a row per sample, under the canonical names."""
        import polars as pl

        first = ["prompt_id", "prompt", "completion", *self.rewards, *names.CANONICAL]
        there = self.table.names
        ordered = [name for name in dict.fromkeys([*first, *there]) if name in there]
        return self.table.columns(ordered).with_columns(pl.col(pl.Categorical).cast(pl.String))

    # ---- other rollouts

    def filter(
        self,
        *,
        prompts: str | Iterable[str] | None = None,
        step: Any = None,
        policy: str | Iterable[str] | None = None,
    ) -> Rollouts:
        """Only these prompts, steps or policies.

        Parameters
        ----------
        prompts : one id or several
        step, policy : one or several; ``"unnamed"`` for samples that name none beside others

        Raises
        ------
        ArgumentError
            Where one of them does not occur.

        Examples
        --------
        >>> import klimit
        >>> run = klimit.read({"prompt": ["a", "a"], "rm": [0.5, 1.0], "step": [0, 10]})
        >>> print(run.filter(step=10))
        read 1 prompt x 1 sample at step 10, reward: rm
        """
        keep = np.ones(len(self), dtype=bool)
        if prompts is not None:
            wanted = [str(name) for name in several(prompts)]
            places = {name: at for at, name in enumerate(self.ids)}
            unknown = [name for name in wanted if name not in places]
            if unknown:
                raise ArgumentError(
                    f"no prompt {quoted(unknown[0])} in {self.source}; "
                    f"there are {listing(self.ids, most=4)}."
                )
            keep &= np.isin(self.groups.codes, [places[name] for name in wanted])
        for column, asked in (("step", step), ("policy", policy)):
            if asked is None:
                continue
            known = self._values(column)
            named = [None if x == UNNAMED and x not in known else x for x in several(asked)]
            unknown = [UNNAMED if x is None else x for x in named if x not in known]
            if unknown:
                raise ArgumentError(
                    f"no {column} {quoted(unknown[0])} in {self.source}; there are {listing(known)}."
                )
            named = [known[known.index(x)] for x in named]  # 10.0 stands for 10
            keep &= self.table.core[column].is_in(named, nulls_equal=True).to_numpy()
        if not keep.any():
            raise ArgumentError(f"no sample of {self.source} is left by this filter; loosen it.")
        return replace(self, table=self.table.take(keep))

    def join(self, other: Any, *, on: str | Iterable[str] | None = None) -> Rollouts:
        """With the columns of another table, such as a reward that was scored elsewhere.

        Parameters
        ----------
        other : anything that `klimit.read` takes, or Rollouts; one row per key
        on : columns that both have; found if not given (prompt_id, sample_id, completion, ...)

        Raises
        ------
        ArgumentError
            Where the tables share no key.
        DataError
            Where `other` has two rows of one key, or none of its keys occurs here.
        """
        from klimit.rollouts.joining import join

        return join(self, other, on=on)

    def write(self, path: str | Path) -> Path:
        """Save as Parquet, JSONL or CSV, by the path's suffix; nothing is left if it fails."""
        from klimit.rollouts.writing import write

        return write(self, Path(path))

    # ---- helpers

    def _values(self, column: str) -> tuple[Any, ...]:
        if column not in self.table.core.columns:
            return ()
        values = self.table.core[column]
        known = tuple(in_order(values.drop_nulls().unique().to_list()))
        return (*known, None) if known and values.null_count() else known

    def _say_copies(self, grouped: Grouped, order: np.ndarray[Any, Any] | None) -> None:
        """Warn of samples that are there twice, by their rewards and other numbers at hand."""
        from klimit.rollouts.copies import say_copies, some

        core = self.table.core
        at, prompt = some(grouped.lengths)
        rows = at if order is None else order[at]
        beside = {x: core[x].gather(rows) for x in core.columns if x in ("logprob", "tokens")}
        rewards = {name: values[at] for name, values in grouped.columns.items()}
        say_copies(prompt, rewards, beside, self.source)

    def check_one_policy(self, option: str = "--") -> None:
        """Raise a `DataError` where samples of several policies or steps stand together.

        `option` is what the names of the command's options for them begin with.
        """
        for column, several, values in (
            ("policy", "policies", self.policies), ("step", "steps", self.steps),
        ):  # fmt: skip
            if len(values) > 1:
                files = column in self.by_files
                told = " by the names of its files" if files else ""
                first = likely_base(values)
                raise DataError(
                    f"{self.source} has samples of {len(values):,} {several}{told} "
                    f"({listing(values, most=4)}), which are never pooled. "
                    f"Choose one: .filter({column}={first!r}) ({option}{column} {safe(first, longest=60)})"
                    + (f"; or put files of one {column} into one file." if files else ".")
                )


def several(asked: Any) -> list[Any]:
    """One or many as a list."""
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        return [asked]
    return list(asked)


def _order(found: Groups) -> np.ndarray[Any, Any] | None:
    """Rows prompt after prompt; None where they are so already."""
    codes = found.codes
    return None if bool((codes[1:] >= codes[:-1]).all()) else found.order
