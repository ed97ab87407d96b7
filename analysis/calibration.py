"""A detector's own number becomes log-odds that may be compared and fused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.odds import EDGE, sigmoid, weighed_logit
from core.odds import raw_logit as raw_logit
from core.types import Finding, Scores, Weighing
from core.weights import UNMEASURED_AUC, Calibration, reliability

SHRINK = 2
"""Genuine clips of the same source count as much as the calibration only from this many on."""
TEMPERATURE = 2.0
"""By so much networks are too sure of themselves as a rule (Guo et al., ICML 2017: 1.2 to 2.5 for vision)."""
UNKNOWN_SD = 1.0
"""Log-odds by which a score without calibration may well be off: a factor of 2.7 either way."""
Z_90 = 1.6449


@dataclass(frozen=True, slots=True)
class Evidence:
    """Calibrated log-odds of manipulation at even prior odds, with their standard deviation. 0 says nothing.

    `weight` > 0 is what it counts beside others; alone, any weight is the same.
    """

    logit: float
    sd: float
    weight: float = 1.0

    @property
    def fake(self) -> float:
        return sigmoid(self.logit)

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval of `fake`."""
        return sigmoid(self.logit - Z_90 * self.sd), sigmoid(self.logit + Z_90 * self.sd)


def calibrated(scores: Scores, calibration: Calibration, *, offset: float = 0.0) -> Weighing:
    """Platt's map on the raw log-odds, less `offset`.

    The deviation joins two doubts: how much the scores differ along the track, and how well slope and intercept are
    known from the clips they were fitted on.
    """
    at = np.array([raw_logit(scores.overall) - offset, 1.0])
    fitted = float(at @ np.array(calibration.covariance) @ at)
    return Weighing(
        slope=calibration.slope,
        intercept=calibration.intercept - calibration.slope * offset,
        sd=math.sqrt((calibration.slope * _spread(scores)) ** 2 + fitted),
        reliability=calibration.reliability,
    )


def _spread(scores: Scores) -> float:
    """How well the overall score is known from those along the track, as a standard deviation of raw log-odds."""
    p = min(max(scores.overall, EDGE), 1 - EDGE)
    return float(np.std(scores.fake)) / math.sqrt(len(scores.fake)) / (p * (1 - p))


UNCALIBRATED = Weighing(slope=1 / TEMPERATURE, intercept=0.0, sd=UNKNOWN_SD, reliability=reliability(UNMEASURED_AUC))
"""Of weights nobody calibrated: scores in the same order but nearer to 0, all alike, and marked wherever shown."""


def evidence(score: float, weighing: Weighing) -> Evidence:
    """What a score of a detector's own is worth."""
    return Evidence(weighed_logit(score, weighing), weighing.sd, weighing.reliability)


def evidence_of(finding: Finding) -> Evidence | None:
    """What a finding is worth to the verdict; None where the detector could not look."""
    if finding.weighing is None or finding.overall is None:
        return None
    return evidence(finding.overall, finding.weighing)


def source_offset(genuine: list[float], calibration: Calibration) -> float:
    """How much higher than other genuine footage a source scores, from the overall scores of its genuine clips.

    Shrunk towards 0, since few clips say little about a source.
    """
    if not genuine:
        return 0.0
    excess = float(np.mean([raw_logit(score) for score in genuine])) - calibration.real_logit
    return excess * len(genuine) / (len(genuine) + SHRINK)


def against(scores: Scores, genuine: Sequence[Scores]) -> tuple[float, tuple[float, float]]:
    """By how many raw log-odds a track scores above genuine ones of its source, with the 90 % interval.

    The interval joins how scores differ along the track with how the genuine ones differ from each other or, where that
    is more or there is but one, along themselves.
    """
    theirs = [raw_logit(one.overall) for one in genuine]
    between = float(np.var(theirs, ddof=1)) if len(theirs) > 1 else 0.0
    along = float(np.mean([_spread(one) ** 2 for one in genuine]))
    difference = raw_logit(scores.overall) - float(np.mean(theirs))
    sd = math.sqrt(_spread(scores) ** 2 + max(between, along) / len(theirs))
    return difference, (difference - Z_90 * sd, difference + Z_90 * sd)
