"""Proxy against gold: how much of a proxy reward's gain is real, and where it stops being so."""

from klimit.estimate.proxy.result import Hacking
from klimit.estimate.proxy.verb import hacking

__all__ = ["Hacking", "hacking"]
