"""What to buy before a run: beta, N, samples and prompts, and what to type into a trainer."""

from klimit.estimate.plan.result import Plan
from klimit.estimate.plan.verb import plan

__all__ = ["Plan", "plan"]
