"""What detectors said becomes what is reported: findings, persons, the verdict."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from analysis.calibration import Evidence, calibrate, uncalibrated
from analysis.explanation import explain_person, explain_video
from analysis.fusion import band, decisive, fuse_methods
from core.settings import Settings
from core.types import Finding, Label, Motion, Person, Scores, Skipped, Track, UsedWeights, Verdict
from core.weights import Weights
from preprocessing.reading import Reading
from preprocessing.tracking import raw_in_crop

MOTION_FRAMES = 150
"""Landmarks kept for the animation: about five seconds."""
JPEG_QUALITY = 85


def weigh(
    answer: Scores | Skipped, known: Mapping[str, Weights], offsets: Mapping[str, float]
) -> tuple[Finding, Evidence | None]:
    """The finding of one answer, and the evidence it is; None where a detector could not look."""
    weights = known[answer.weights]
    used = UsedWeights(weights.id, weights.sha256, weights.licence)
    if isinstance(answer, Skipped):
        return Finding(
            answer.detector, answer.region, answer.track_id, "skipped", reason=answer.reason, weights=used
        ), None
    calibration = weights.calibration
    if weights.id in offsets and weights.referenced:
        calibration = weights.referenced
    evidence = (
        calibrate(answer, calibration, offset=offsets.get(weights.id, 0.0)) if calibration else uncalibrated(answer)
    )
    finding = Finding(
        detector=answer.detector,
        region=answer.region,
        track_id=answer.track_id,
        status="scored",
        fake=evidence.fake,
        interval=evidence.interval,
        calibrated=calibration is not None,
        overall=answer.overall,
        vote=answer.vote,
        reason=_grounds(answer) if calibration else "Uncalibrated: how often these weights are right was not measured.",
        weights=used,
        time_s=tuple(answer.time_s.round(4).tolist()),
        scores=tuple(answer.fake.astype(float).round(4).tolist()),
    )
    return finding, evidence


def _grounds(scores: Scores) -> str | None:
    return f"Rests most on {'; '.join(scores.grounds)}." if scores.grounds else None


def describe(track: Track, weighed: Sequence[tuple[Finding, Evidence | None]], settings: Settings) -> Person:
    """One track as reported, with the verdict fused from all that could look at it."""
    mine = [(finding, evidence) for finding, evidence in weighed if finding.track_id == track.id]
    findings = [finding for finding, _ in mine]
    by_method: dict[str, list[Evidence]] = {}
    for finding, evidence in mine:
        if evidence:
            by_method.setdefault(finding.detector, []).append(evidence)
    if by_method:
        fused, coverage = fuse_methods(by_method), float(np.mean([_coverage(f, track) for f in findings]))
        calibrated = any(f.calibrated for f in findings)
        label = band(fused.fake, coverage, settings, calibrated=calibrated)
        verdict = Verdict(label, fused.fake, fused.interval, coverage, explain_person(label, findings))
    else:
        verdict = not_assessed(explain_person(Label.NOT_ASSESSED, findings))
    return Person(
        id=track.id,
        start_s=float(track.time_s[0]),
        end_s=float(track.time_s[-1]),
        frames=len(track.time_s),
        face_px=float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1))),
        verdict=verdict,
        quality=track.quality,
        thumbnail=_jpeg(track.thumbnail),
        motion=_motion(track, findings),
    )


def judge(persons: Sequence[Person], reading: Reading, settings: Settings) -> Verdict:
    """The verdict on the video: that of its most suspicious person; "no signs" only if most of what was seen of people
    could be assessed."""
    found = decisive(persons)
    if found is None or found.verdict.fake is None:
        return not_assessed(explain_video(Label.NOT_ASSESSED, persons, None, frames=reading.video.frames_decoded))
    lengths_s = np.array([p.end_s - p.start_s for p in persons]) + 1e-9
    of_people = float(np.average([p.verdict.coverage for p in persons], weights=lengths_s))
    label = found.verdict.label
    if label is Label.NO_SIGNS:
        label = band(found.verdict.fake, of_people, settings)
    reason = explain_video(label, persons, found, frames=reading.video.frames_decoded)
    coverage = _coverage_of_video(persons, reading.video.duration_s)
    return Verdict(label, found.verdict.fake, found.verdict.interval, coverage, reason)


def _coverage_of_video(persons: Sequence[Person], duration_s: float) -> float:
    """Share of the video's whole length in which somebody was assessed, by the share of methods that could."""
    at_s = np.linspace(0, duration_s, 1000, endpoint=False)
    seen = [np.where((p.start_s <= at_s) & (at_s <= p.end_s), p.verdict.coverage, 0.0) for p in persons]
    return float(np.max(seen, axis=0).mean())


def not_assessed(reason: str) -> Verdict:
    """The verdict that has no number."""
    return Verdict(Label.NOT_ASSESSED, None, None, 0.0, reason)


def _coverage(finding: Finding, track: Track) -> float:
    """Share of the track's time that the scores stand for; a skipped finding covers nothing."""
    if finding.fake is None:
        return 0.0
    length_s = float(track.time_s[-1] - track.time_s[0])
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


def _jpeg(image: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
