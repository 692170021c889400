"""KL with one meaning: of whole sequences, policy first, in nats, with an interval."""

from klimit.audit.kl.logged import LOGGED, LoggedKL, logged_kl
from klimit.audit.kl.measured import Alternative, MeasuredKL, measured_kl
from klimit.audit.kl.sampling import sampling_notes, settings_differ, start_notes, truncated_share

__all__ = [
    "LOGGED",
    "Alternative",
    "LoggedKL",
    "MeasuredKL",
    "logged_kl",
    "measured_kl",
    "sampling_notes",
    "settings_differ",
    "start_notes",
    "truncated_share",
]
