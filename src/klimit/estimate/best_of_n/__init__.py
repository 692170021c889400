"""Best-of-N from samples: gain, KL, win rate and how near it comes to the limit."""

from klimit.estimate.best_of_n.result import BestOfN
from klimit.estimate.best_of_n.verb import best_of_n

__all__ = ["BestOfN", "best_of_n"]
