"""Scoring samples again under two checkpoints, where a dump has no log-probabilities."""

from klimit.audit.rescore.verb import rescore

__all__ = ["rescore"]
