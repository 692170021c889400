"""Several proxies together: what they buy in gold, and the error that they share."""

from klimit.estimate.ensembles.result import Ensemble
from klimit.estimate.ensembles.verb import ensemble

__all__ = ["Ensemble", "ensemble"]
