"""A detector's own number becomes log-odds that may be compared and fused."""

import math
from dataclasses import dataclass

import numpy as np

from core.types import Scores
from core.weights import Calibration

EDGE = 0.01
"""Scores are held this far from 0 and 1: no network's 0.9999 is worth that many log-odds."""
SHRINK = 2
"""Genuine clips of the same source count as much as the calibration only from this many on."""
TEMPERATURE = 2.0
"""By so much networks are too sure of themselves as a rule (Guo et al., ICML 2017: 1.2 to 2.5 for vision)."""
UNKNOWN_SD = 1.0
"""Log-odds by which a score without calibration may well be off: a factor of 2.7 either way."""
Z_90 = 1.6449


def raw_logit(score: float) -> float:
    """log(p / (1 - p)) of an uncalibrated score, p held within [0.01, 0.99]."""
    p = min(max(score, EDGE), 1 - EDGE)
    return math.log(p / (1 - p))


def sigmoid(logit: float) -> float:
    """P from log-odds."""
    return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Calibrated log-odds of manipulation at even prior odds, with their standard deviation. 0 says nothing."""

    logit: float
    sd: float

    @property
    def fake(self) -> float:
        return sigmoid(self.logit)

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval of `fake`."""
        return sigmoid(self.logit - Z_90 * self.sd), sigmoid(self.logit + Z_90 * self.sd)


def calibrate(scores: Scores, calibration: Calibration, *, offset: float = 0.0) -> Evidence:
    """Platt's map on the raw log-odds, less `offset`.

    The deviation joins two doubts: how much the scores differ along the track, and how well slope and intercept are
    known from the clips they were fitted on.
    """
    raw = raw_logit(scores.overall) - offset
    p = min(max(scores.overall, EDGE), 1 - EDGE)
    spread = float(np.std(scores.fake)) / math.sqrt(len(scores.fake)) / (p * (1 - p))
    at = np.array([raw, 1.0])
    fitted = float(at @ np.array(calibration.covariance) @ at)
    return Evidence(
        logit=calibration.slope * raw + calibration.intercept,
        sd=math.sqrt((calibration.slope * spread) ** 2 + fitted),
    )


def uncalibrated(scores: Scores) -> Evidence:
    """The score of weights nobody calibrated, in the same order but nearer to 0, and marked as such wherever shown."""
    return Evidence(logit=raw_logit(scores.overall) / TEMPERATURE, sd=UNKNOWN_SD)


def source_offset(genuine: list[float], calibration: Calibration) -> float:
    """How much higher than other genuine footage a source scores, from the overall scores of its genuine clips.

    Shrunk towards 0, since few clips say little about a source.
    """
    if not genuine:
        return 0.0
    excess = float(np.mean([raw_logit(score) for score in genuine])) - calibration.real_logit
    return excess * len(genuine) / (len(genuine) + SHRINK)
