"""What detectors said becomes what is reported: findings, persons, the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from analysis.calibration import UNCALIBRATED, calibrated, evidence
from analysis.explanation import explain_person, explain_video
from analysis.fusion import band, basis_of, decisive, fuse_findings
from core.settings import Settings
from core.types import Finding, Label, Motion, Person, Scores, Skipped, Track, UsedWeights, Verdict, Video
from core.weights import Weights
from preprocessing.tracking import raw_in_crop

MOTION_FRAMES = 150
"""Landmarks kept for the animation: about five seconds."""
JPEG_QUALITY = 85


def weigh(answer: Scores | Skipped, known: Mapping[str, Weights], offsets: Mapping[str, float]) -> Finding:
    """The finding of one answer."""
    weights = known[answer.weights]
    used = UsedWeights(weights.id, weights.sha256, weights.licence)
    if isinstance(answer, Skipped):
        return Finding(answer.detector, answer.region, answer.track_id, "skipped", reason=answer.reason, weights=used)
    offset = offsets.get(weights.id, 0.0)
    calibration = (weights.id in offsets and weights.referenced) or weights.calibration
    weighing = calibrated(answer, calibration, offset=offset) if calibration else UNCALIBRATED
    worth = evidence(answer.overall, weighing)
    return Finding(
        detector=answer.detector,
        region=answer.region,
        track_id=answer.track_id,
        status="scored",
        fake=worth.fake,
        interval=worth.interval,
        calibrated=calibration is not None,
        overall=answer.overall,
        vote=answer.vote,
        reason=_grounds(answer) if calibration else "Uncalibrated: how often these weights are right was not measured.",
        weights=used,
        time_s=tuple(answer.time_s.round(4).tolist()),
        scores=tuple(answer.fake.astype(float).round(4).tolist()),
        weighing=weighing,
    )


def _grounds(scores: Scores) -> str | None:
    return f"Rests most on {'; '.join(scores.grounds)}." if scores.grounds else None


def describe(track: Track, findings: Sequence[Finding], settings: Settings) -> Person:
    """One track as reported, with the verdict fused from all that could look at it."""
    mine = [finding for finding in findings if finding.track_id == track.id]
    start_s, end_s = float(track.time_s[0]), float(track.time_s[-1])
    return Person(
        id=track.id,
        start_s=start_s,
        end_s=end_s,
        frames=len(track.time_s),
        face_px=float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1))),
        verdict=assess(mine, end_s - start_s, settings),
        quality=track.quality,
        thumbnail=jpeg(track.thumbnail),
        motion=_motion(track, mine),
    )


def assess(findings: Sequence[Finding], length_s: float, settings: Settings) -> Verdict:
    """The verdict on one person who is in the picture for `length_s`, fused from all their findings."""
    fused = fuse_findings(findings)
    if fused is None:
        return not_assessed(explain_person(Label.NOT_ASSESSED, findings))
    coverage = float(np.mean([_coverage(f, length_s) for f in findings]))
    # What nobody calibrated never makes signs strong: the calibrated methods must say so by themselves.
    known = fuse_findings(f for f in findings if f.calibrated)
    strong = known is not None and known.fake >= settings.strong_signs
    label = band(fused.fake, coverage, settings, calibrated=strong)
    reason = explain_person(label, findings)
    return Verdict(label, fused.fake, fused.interval, coverage, reason, basis_of(findings))


def judge(persons: Sequence[Person], video: Video, settings: Settings) -> Verdict:
    """The verdict on the video: that of its most suspicious person; "no signs" only if most of what was seen of people
    could be assessed, and nobody who cannot be judged shows any."""
    found = decisive(persons)
    if found is None or found.verdict.fake is None:
        return not_assessed(explain_video(Label.NOT_ASSESSED, persons, None, frames=video.frames_decoded))
    lengths_s = np.array([p.end_s - p.start_s for p in persons]) + 1e-9
    of_people = float(np.average([p.verdict.coverage for p in persons], weights=lengths_s))
    label = found.verdict.label
    if label is Label.NO_SIGNS:
        label = band(max(p.verdict.fake or 0.0 for p in persons), of_people, settings, calibrated=False)
        label = label if label is Label.NO_SIGNS else Label.INCONCLUSIVE
    reason = explain_video(label, persons, found, frames=video.frames_decoded)
    coverage = _coverage_of_video(persons, video.duration_s)
    return replace(found.verdict, label=label, coverage=coverage, reason=reason)


def _coverage_of_video(persons: Sequence[Person], duration_s: float) -> float:
    """Share of the video's whole length in which somebody was assessed, by the share of methods that could."""
    at_s = np.linspace(0, duration_s, 1000, endpoint=False)
    seen = [np.where((p.start_s <= at_s) & (at_s <= p.end_s), p.verdict.coverage, 0.0) for p in persons]
    return float(np.max(seen, axis=0).mean())


def not_assessed(reason: str) -> Verdict:
    """The verdict that has no number."""
    return Verdict(Label.NOT_ASSESSED, None, None, 0.0, reason)


def _coverage(finding: Finding, length_s: float) -> float:
    """Share of the person's time that the scores stand for; a skipped finding covers nothing."""
    if finding.fake is None:
        return 0.0
    step_s = float(np.median(np.diff(finding.time_s))) if len(finding.time_s) > 1 else length_s
    return min(1.0, len(finding.time_s) * step_s / max(length_s, 1e-9))


def _motion(track: Track, findings: Sequence[Finding]) -> Motion:
    """The run of landmarks round the highest score, within one stretch; of the longest stretch where nothing scored."""
    peaks = [(score, at_s) for f in findings for score, at_s in zip(f.scores, f.time_s, strict=True)]
    stretches = track.stretches()
    if peaks:
        middle = int(np.searchsorted(track.time_s, max(peaks)[1]))
        within = next(s for s in stretches if middle < s.stop)
    else:
        within = max(stretches, key=lambda s: s.stop - s.start)
        middle = within.start
    start = max(within.start, min(middle - MOTION_FRAMES // 2, within.stop - MOTION_FRAMES))
    where = slice(start, min(start + MOTION_FRAMES, within.stop))
    return Motion(track.time_s[where], raw_in_crop(track, where), track.calibrated[where], track.seen[where])


def jpeg(image: np.ndarray) -> bytes:
    """Of a picture uint8 (h, w, 3) RGB."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
