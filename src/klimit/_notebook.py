"""Results that a notebook shows by their words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class InNotebooks:
    """Gives ``str(result)`` as HTML to notebooks."""

    def _repr_html_(self) -> str:
        from klimit.view.notebook import text

        return text(str(self))


class Numbers(InNotebooks):
    """Gives a result of a few numbers its words: a line for each."""

    def __str__(self) -> str:
        import numpy as np

        def words(value: Any) -> str:
            if not isinstance(value, float | np.ndarray):
                return str(value)
            return np.array2string(np.asarray(value), formatter={"float": "{:.5g}".format})

        found = {one.name: words(getattr(self, one.name)) for one in fields(self) if one.repr}  # type: ignore[arg-type]
        width = max(map(len, found))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
