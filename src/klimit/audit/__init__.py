"""A trained policy against the limit."""

from klimit.audit.placement import Audit, place

__all__ = ["Audit", "place"]
