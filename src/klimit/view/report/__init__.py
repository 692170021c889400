"""One page with everything: made from templates of its own, read without any network."""

from klimit.view.report.verb import Made, Report, report

__all__ = ["Made", "Report", "report"]
