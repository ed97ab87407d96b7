"""Where methods contradict each other, and what that typically means.

Two sides contradict each other only if one finds manipulation more likely than not, the other less, and their 90 %
intervals do not touch. Anything less is noise.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations

from analysis.calibration import Evidence
from analysis.fusion import fuse_findings
from core.types import Finding
from detectors import DETECTORS

MOUTH = ("lipforensics",)
MOTION = ("lrnet", *MOUTH)
"""What detectors look at: movement, of the mouth or of the face; all others look at pixels."""

ABOVE_AND_BELOW = (
    (
        "the mouth",
        "the rest of the face",
        "typically that of a clip whose lips were made to fit another sound, or of a mouth that is hard to see",
    ),
    (
        "pixels",
        "movement",
        "typically that of a face whose picture was replaced or retouched while its movement was kept, or of strong "
        "compression, which such methods take for traces",
    ),
    (
        "movement",
        "pixels",
        "typically that of a face moved by somebody else's, cleanly rendered, or of points that tremble in poor light",
    ),
)
"""Of sides that contradict each other the higher, the lower, and what it means; the first that fits is told."""


def disagreement(findings: Sequence[Finding]) -> str:
    """What of one person's findings contradicts what, in one sentence; empty where nothing does."""
    return _between_methods(findings) or _between_regions(findings)


def method_title(detector: str) -> str:
    """What people call a detector; its name, where a report is of one that is no longer here."""
    return DETECTORS[detector].card.title.split(":")[0] if detector in DETECTORS else detector


def _between_methods(findings: Sequence[Finding]) -> str:
    mouth = [f for f in findings if f.detector in MOUTH or f.region == "mouth"]
    sides = {
        "the mouth": fuse_findings(mouth),
        "the rest of the face": fuse_findings([f for f in findings if f not in mouth]),
        "movement": fuse_findings([f for f in findings if f.detector in MOTION]),
        "pixels": fuse_findings([f for f in findings if f.detector not in MOTION]),
    }
    for high, low, meaning in ABOVE_AND_BELOW:
        if _contradict(sides[high], sides[low]):
            return f"Methods that look at {high} score higher than those that look at {low}: {meaning}."
    methods = {name: fuse_findings([f for f in findings if f.detector == name]) for name in _names(findings)}
    return _alone(methods) or _apart(methods)


def _alone(methods: Mapping[str, Evidence | None]) -> str:
    """One method against at least two others that all contradict it."""
    for name, own in methods.items():
        others = [evidence for other, evidence in methods.items() if other != name]
        if len(others) < 2:
            break
        if all(_contradict(own, other) for other in others):
            return (
                f"{method_title(name)} alone scores high: typically a manipulation of a kind only it knows, or a false "
                "alarm of this one method."
            )
        if all(_contradict(other, own) for other in others):
            return (
                f"{method_title(name)} alone scores low: typically a manipulation of a kind it was not trained to see."
            )
    return ""


def _apart(methods: Mapping[str, Evidence | None]) -> str:
    for high, low in permutations(methods, 2):
        if _contradict(methods[high], methods[low]):
            return (
                f"{method_title(high)} and {method_title(low)} contradict each other: typically the footage is unlike "
                "what one of them was trained on."
            )
    return ""


def _between_regions(findings: Sequence[Finding]) -> str:
    for name in _names(findings):
        mine = [f for f in findings if f.detector == name]
        regions = {r: fuse_findings([f for f in mine if f.region == r]) for r in dict.fromkeys(f.region for f in mine)}
        for high, low in permutations(regions, 2):
            if _contradict(regions[high], regions[low]):
                return (
                    f"{method_title(name)} scores the region {high} higher than {low}: typically a change to that part "
                    "alone, or hair, glasses, a hand or a shadow there."
                )
    return ""


def _contradict(high: Evidence | None, low: Evidence | None) -> bool:
    return high is not None and low is not None and high.logit > 0 > low.logit and high.interval[0] > low.interval[1]


def _names(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.detector for finding in findings if finding.fake is not None))
