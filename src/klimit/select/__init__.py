"""Choosing at inference time: which of the answers drawn for a prompt to keep, and what that brings."""

from klimit.select.result import Choices, Setting, Tuned
from klimit.select.rules import best_of_n, draw, pessimism, rejection, soft_best_of_n
from klimit.select.verb import compare

__all__ = [
    "Choices",
    "Setting",
    "Tuned",
    "best_of_n",
    "compare",
    "draw",
    "pessimism",
    "rejection",
    "soft_best_of_n",
]
