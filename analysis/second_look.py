"""When a first decision is followed by a second, by rule."""

import hashlib

from analysis.disagreement import disagreement
from core.reviewing import Bands
from core.settings import Settings
from core.types import Report


def second_look(report: Report, bands: Bands, settings: Settings) -> str:
    """Why somebody else should look as well, in words; empty where no rule says so."""
    fake, near = report.verdict.fake, settings.second_near
    reasons = []
    if settings.second_disagreement and any(
        disagreement([f for f in report.findings if f.track_id == person.id]) for person in report.tracks
    ):
        reasons.append("methods contradict each other")
    if fake is not None and near:
        edges = (bands.no_signs, bands.some_signs, bands.strong_signs)
        reasons += [f"P(manipulated) {fake:.2f} is near the threshold {e:g}" for e in edges if abs(fake - e) <= near][
            :1
        ]
    if _drawn(report.id) < settings.second_share:
        reasons.append("drawn by chance")
    return "; ".join(reasons)


def _drawn(report_id: str) -> float:
    """In [0, 1), by chance but the same whenever it is asked: who tries again draws no other lot."""
    return int.from_bytes(hashlib.sha256(f"second look: {report_id}".encode()).digest()[:8]) / 2**64
