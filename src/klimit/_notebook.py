"""Results that a notebook shows by their words."""

from __future__ import annotations


class InNotebooks:
    """Gives ``str(result)`` as HTML to notebooks."""

    def _repr_html_(self) -> str:
        from klimit.view.notebook import text

        return text(str(self))
