"""A report weighed anew, without the video: other weights, methods left out, and the fused score over time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.calibration import Evidence
from analysis.findings import assess, judge
from analysis.fusion import basis_of, fuse_findings
from core.settings import Settings
from core.types import GAP_STEPS, Finding, FusedLine, Report

POINTS = 300
"""Of a fused line, at most: more than a chart is wide."""


def reweigh(report: Report, weights: Mapping[str, float], settings: Settings) -> Report:
    """The report as it would read if each witness had this weight; witnesses that are not named keep theirs.

    Args:
        weights: by `Finding.witness`, >= 0; a witness with 0 is left out, and so are its findings.
    """
    findings = tuple(f for f in (_with(f, weights.get(f.witness)) for f in report.findings) if f)
    tracks = tuple(
        replace(p, verdict=assess([f for f in findings if f.track_id == p.id], p.end_s - p.start_s, settings))
        for p in report.tracks
    )
    return replace(report, findings=findings, tracks=tracks, verdict=judge(tracks, report.video, settings))


def fused_lines(report: Report) -> list[FusedLine]:
    """What was fused, moment by moment, of each person whom a method scored over time.

    Calibration was fitted on averages over clips; a single moment strays further than it tells.
    """
    lines = []
    for person in report.tracks:
        mine = [f for f in report.findings if f.track_id == person.id and f.weighing and f.time_s]
        basis = basis_of(mine)
        if basis:
            lines.append(FusedLine(person.id, basis, *_fused(mine, person.end_s - person.start_s)))
    return lines


def _with(finding: Finding, weight: float | None) -> Finding | None:
    """The finding with another weight; None where it has none left."""
    if weight is None:
        return finding
    if weight <= 0:
        return None
    return replace(finding, weighing=finding.weighing and replace(finding.weighing, reliability=weight))


def _fused(findings: Sequence[Finding], length_s: float) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Times at which a finding has a score, and the fused P(fake) there; a None where nothing looked between two."""
    times = np.unique(np.concatenate([f.time_s for f in findings]))
    times = times[:: -(-len(times) // POINTS)]
    scores = [_score_at(f, times, length_s) for f in findings]
    between = [_score_at(f, (times[1:] + times[:-1]) / 2, length_s) for f in findings]
    gaps = [False, *np.isnan(between).all(axis=0).tolist()]
    time_s: list[float | None] = []
    fake: list[float | None] = []
    for t, now, gap in zip(times.tolist(), np.transpose(scores), gaps, strict=True):
        if gap:
            time_s.append(None)
            fake.append(None)
        time_s.append(t)
        fake.append(_fuse(findings, now).fake)
    return tuple(time_s), tuple(fake)


def _score_at(finding: Finding, at: np.ndarray, length_s: float) -> np.ndarray:
    """A detector's own score at times (n,), between its scores in a straight line; NaN where it did not look."""
    time_s = np.array(finding.time_s)
    steps = np.diff(time_s)
    step_s = float(np.median(steps)) if len(steps) else length_s
    after = np.searchsorted(time_s, at)
    before = np.clip(after - 1, 0, None)
    after = np.clip(after, None, len(time_s) - 1)
    near = np.minimum(np.abs(at - time_s[before]), np.abs(at - time_s[after])) <= step_s / 2 + 1e-9
    joined = (time_s[before] <= at) & (at <= time_s[after]) & (time_s[after] - time_s[before] <= GAP_STEPS * step_s)
    return np.where(near | joined, np.interp(at, time_s, finding.scores), np.nan)


def _fuse(findings: Sequence[Finding], scores: np.ndarray) -> Evidence:
    """What they come to at one moment, of which each has this score, or NaN."""
    now = [replace(f, overall=s) for f, s in zip(findings, scores.tolist(), strict=True) if not np.isnan(s)]
    fused = fuse_findings(now)
    assert fused is not None, "each moment is one at which something was scored"
    return fused
