"""Probabilities and log-odds, and the way from one to the other."""

import math

from core.types import Weighing

EDGE = 0.01
"""Scores are held this far from 0 and 1: no network's 0.9999 is worth that many log-odds."""


def raw_logit(score: float) -> float:
    """log(p / (1 - p)) of a detector's own score, p held within [0.01, 0.99]."""
    p = min(max(score, EDGE), 1 - EDGE)
    return math.log(p / (1 - p))


def sigmoid(logit: float) -> float:
    """P from log-odds."""
    return 1 / (1 + math.exp(-logit))


def weighed_logit(score: float, weighing: Weighing) -> float:
    """Log-odds of manipulation as which a detector's own score enters the verdict."""
    return weighing.slope * raw_logit(score) + weighing.intercept
