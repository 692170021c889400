"""A trained policy against the limit: ``klimit.audit(base, policy)``.

The verb and its room share a name, so this package can be called; `klimit.audit.verb.audit` is the
function.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

from klimit.audit.audits import Audits
from klimit.audit.placement import place
from klimit.audit.result import Audit
from klimit.audit.verb import audit

__all__ = ["Audit", "Audits", "audit", "place"]


class _Room(ModuleType):
    """A package that answers when it is called by its name."""

    def __call__(self, *args: Any, **options: Any) -> Audit | Audits:
        return audit(*args, **options)


_Room.__call__.__doc__ = audit.__doc__
__signature__ = inspect.signature(audit)  # what help() and notebooks show
sys.modules[__name__].__class__ = _Room
