"""A training run in proxy and gold, checkpoint by checkpoint."""

from klimit.audit.path.result import Checkpoint, TrainedPath
from klimit.audit.path.verb import joined, trained_path

__all__ = ["Checkpoint", "TrainedPath", "joined", "trained_path"]
