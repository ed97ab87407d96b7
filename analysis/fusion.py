"""Evidence becomes a number and a band: per person over methods, then per video over persons."""

import math
from collections.abc import Mapping, Sequence

from analysis.calibration import Evidence
from core.settings import Settings
from core.types import Label, Person

METHODS_ALIKE = 0.5
REGIONS_ALIKE = 0.8
"""Assumed correlation of methods on one face, and of one method on its regions: two that agree are worth more than
one and less than two."""
MIN_COVERAGE = 0.5
"""With less than this share looked at, "no signs" is not said."""


def fuse_methods(by_method: Mapping[str, Sequence[Evidence]]) -> Evidence:
    """One person's evidence: over the regions of each method, then over the methods. What is missing is left out.

    How reliable a method was measured to be is in its calibration already: the less it tells, the nearer to 0 its
    log-odds.
    """
    return fuse([fuse(regions, REGIONS_ALIKE) for regions in by_method.values()], METHODS_ALIKE)


def fuse(evidence: Sequence[Evidence], correlation: float) -> Evidence:
    """Log-odds of n equally correlated witnesses: their sum over 1 + (n - 1) x correlation.

    One witness stands as it is.

    Raises:
        ValueError: there is none. No evidence is not one half.
    """
    if not evidence:
        raise ValueError("no evidence to fuse; the verdict is not_assessed")
    weight = 1 / (1 + (len(evidence) - 1) * correlation)
    own = sum(e.sd**2 for e in evidence)
    shared = sum(e.sd for e in evidence) ** 2 - own
    return Evidence(weight * sum(e.logit for e in evidence), weight * math.sqrt(own + correlation * shared))


def band(fake: float, coverage: float, settings: Settings, *, calibrated: bool = True) -> Label:
    """The band of a fused P(fake), by the operator's thresholds; nothing uncalibrated alone is called strong."""
    if fake >= settings.strong_signs and calibrated:
        return Label.STRONG_SIGNS
    if fake >= settings.some_signs:
        return Label.SOME_SIGNS
    if fake < settings.no_signs and coverage >= MIN_COVERAGE:
        return Label.NO_SIGNS
    return Label.INCONCLUSIVE


def decisive(persons: Sequence[Person]) -> Person | None:
    """The person whose verdict is the video's: the highest P(fake), since one manipulated face makes the video so.

    None where nobody could be assessed. The more people, the more chances for a false alarm; the page says so.
    """
    assessed = [p for p in persons if p.verdict.fake is not None]
    return max(assessed, key=lambda p: p.verdict.fake or 0.0, default=None)
