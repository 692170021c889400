"""What users have -> one validated table of samples with rewards, grouped by prompt."""

from klimit.rollouts.grouped import Grouped, group_arrays
from klimit.rollouts.read import read
from klimit.rollouts.rollouts import Rollouts

__all__ = ["Grouped", "Rollouts", "group_arrays", "read"]
