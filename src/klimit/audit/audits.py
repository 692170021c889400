"""Several policies, or several steps of a run, each placed on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from klimit._errors import ArgumentError
from klimit.audit.result import Audit, Shown
from klimit.estimate.samples import nearly_all
from klimit.rollouts.words import close_to, listing, quoted

if TYPE_CHECKING:
    import polars as pl

    from klimit.audit.compare import Comparison
    from klimit.estimate.best_of_n import BestOfN

SIZES = (4, 16, 64)  # best-of-N that stands beside policies


@dataclass(frozen=True, eq=False)
class Audits(Shown):
    """Placements of several policies or steps, an `Audit` each. Made by `klimit.audit`.

    Iterable, in the order in which they were given; ``audits["grpo"]`` is one by its name.

    Attributes
    ----------
    placements : all of them
    """

    placements: tuple[Audit, ...]

    def __iter__(self) -> Iterator[Audit]:
        return iter(self.placements)

    def __len__(self) -> int:
        return len(self.placements)

    def __getitem__(self, which: int | str) -> Audit:
        """By place, or by name: ``"grpo"``, ``"step 100"``, ``"grpo step 100"``.

        Raises
        ------
        ArgumentError
            Where no placement, or more than one, has this name.
        """
        if not isinstance(which, str):
            return self.placements[which]
        found = [one for one in self.placements if one.label == which]
        found = found or [one for one in self.placements if which in (one.name, str(one.step))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ArgumentError(
                f"{quoted(which)} names {len(found)} placements ({listing(one.label for one in found)}); "
                "say which."
            )
        labels = [one.label for one in self.placements]
        raise ArgumentError(
            f"no placement {quoted(which)}; there are {listing(labels)}.{close_to(which, labels)}"
        )

    def compare(self, a: str | int, b: str | int) -> Comparison:
        """How much better is `a` than `b`? Paired differences where they share prompts."""
        from klimit.audit.compare import compare

        return compare(self[a], self[b])

    def best_of_n(self, n: Sequence[int] | None = None) -> BestOfN | None:
        """Best-of-N of the same base on the same prompts, to stand beside the policies.

        Parameters
        ----------
        n : sizes; 4, 16 and 64, as far as the samples allow, if not given

        Returns
        -------
        BestOfN, or None where the base has too few samples for any of the sizes
        """
        return best_of_n_beside(self.placements, n)

    def to_frame(self, n: Sequence[int] | None = ()) -> pl.DataFrame:
        """A polars frame with a row per placement: each estimate with its limits, null where missing.

        Parameters
        ----------
        n : rows of best-of-N to add; None for the usual sizes
        """
        from klimit.view.records import audit_frame

        beside = None if n is not None and not len(n) else self.best_of_n(n)
        return audit_frame(self.placements, beside)

    def each(self) -> Sequence[Audit]:
        """All of them."""
        return self.placements


def best_of_n_beside(audits: Sequence[Audit], n: Sequence[int] | None = None) -> BestOfN | None:
    """Best-of-N from the base of these audits; of the one on most prompts, where they differ."""
    from klimit.estimate.best_of_n import best_of_n

    cases = [one.case for one in audits if one.case is not None]
    if not cases:
        return None
    case = max(cases, key=lambda case: len(case.ids))
    samples, settings = case.limit.samples, case.limit.settings
    most = nearly_all(samples.counts)
    sizes = [size for size in (SIZES if n is None else n) if n is not None or size <= most / 2]
    if not sizes or case.limit.members is None:
        return None
    stated = None if settings.range_implied else settings.reward_range
    return best_of_n(
        case.samples(), n=sizes, reward=settings.reward, reward_range=stated,
        level=settings.level, seed=settings.seed,
    )  # fmt: skip
