"""Carry the limit beyond the base's own samples by samples of policies (balance heuristic, MBAR)."""

from klimit.estimate.bridge.draws import Draws
from klimit.estimate.bridge.result import Bridged
from klimit.estimate.bridge.verb import bridge

__all__ = ["Bridged", "Draws", "bridge"]
