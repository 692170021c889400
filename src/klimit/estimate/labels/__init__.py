"""Few gold labels: what a proxy's gain is worth in gold that is known of some samples only."""

from klimit.estimate.labels.few import FewLabels
from klimit.estimate.labels.next import first_labels
from klimit.estimate.labels.verb import few_labels

__all__ = ["FewLabels", "few_labels", "first_labels"]
