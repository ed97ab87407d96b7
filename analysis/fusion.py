"""Evidence becomes a number and a band: per person over methods, then per video over persons."""

import math
from collections.abc import Iterable, Mapping, Sequence

from analysis.calibration import Evidence, evidence_of
from core.settings import Settings
from core.types import Basis, Finding, Label, Person
from preprocessing.quality import BLURRED, TURNED_DEG

METHODS_ALIKE = 0.5
REGIONS_ALIKE = 0.8
"""Assumed correlation of methods on one face, and of one method on its regions: two that agree are worth more than
one and less than two."""
MIN_COVERAGE = 0.5
"""With less than this share looked at, "no signs" is not said."""
MIN_SHARE = 0.25
"""Who was looked at for less than this share of the best covered person does not decide for the video."""


def fuse_findings(findings: Iterable[Finding]) -> Evidence | None:
    """What findings on one person come to; None where no method could look."""
    by_method: dict[str, list[Evidence]] = {}
    for finding in findings:
        if worth := evidence_of(finding):
            by_method.setdefault(finding.detector, []).append(worth)
    return fuse_methods(by_method) if by_method else None


def fuse_methods(by_method: Mapping[str, Sequence[Evidence]]) -> Evidence:
    """One person's evidence: over the regions of each method, then over the methods. What is missing is left out."""
    return fuse([fuse(regions, REGIONS_ALIKE) for regions in by_method.values()], METHODS_ALIKE)


def fuse(evidence: Sequence[Evidence], correlation: float) -> Evidence:
    """Log-odds of equally correlated witnesses: their weighted mean, times what so many agreeing ones are worth.

    That is n / (1 + (n - 1) x correlation), where n = (sum of weights)^2 / sum of squared weights is how many equal
    ones the weights stand for: all of them if they weigh the same, one if one outweighs the rest. One witness stands
    as it is. The result weighs as much as its weightiest witness.

    Raises:
        ValueError: there is none. No evidence is not one half.
    """
    if not evidence:
        raise ValueError("no evidence to fuse; the verdict is not_assessed")
    total = sum(e.weight for e in evidence)
    count = total**2 / sum(e.weight**2 for e in evidence)
    worth = count / (1 + (count - 1) * correlation)
    shares = [worth * e.weight / total for e in evidence]
    deviations = [share * e.sd for share, e in zip(shares, evidence, strict=True)]
    own = sum(sd**2 for sd in deviations)
    shared = sum(deviations) ** 2 - own
    return Evidence(
        sum(share * e.logit for share, e in zip(shares, evidence, strict=True)),
        math.sqrt(own + correlation * shared),
        max(e.weight for e in evidence),
    )


def basis_of(findings: Sequence[Finding]) -> Basis | None:
    """What a number that these findings are fused to rests on; None where there is none."""
    calibrated = {f.calibrated for f in findings if f.fake is not None}
    if not calibrated:
        return None
    return "calibrated" if calibrated == {True} else "uncalibrated" if calibrated == {False} else "partly uncalibrated"


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
    """The person whose verdict is the video's: the highest P(fake) among those who can be judged, since one manipulated
    face makes the video so.

    If nobody can be judged, that of all who have a number; None where nobody has one. The more people, the more chances
    for a false alarm; the page says so.
    """
    assessed = [p for p in persons if p.verdict.fake is not None]
    eligible = [p for p in assessed if not unfit(p, persons)] or assessed
    return max(eligible, key=lambda p: p.verdict.fake or 0.0, default=None)


def unfit(person: Person, persons: Sequence[Person]) -> str:
    """Why a person should not decide for the video beside these others; empty where they may."""
    most = max(p.verdict.coverage for p in persons)
    if person.verdict.coverage < MIN_SHARE * most:
        return f"less than {MIN_SHARE:.0%} as much of them was looked at as of others"
    if person.quality.sharpness < BLURRED:
        return "the face is blurred"
    if person.quality.yaw_deg > TURNED_DEG:
        return "the head is turned away"
    return ""
