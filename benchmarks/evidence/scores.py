"""Answers become scores by name, and out-of-fold scores take the place of those of weights that knew the clips."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.calibration import UNCALIBRATED, Evidence, raw_logit
from analysis.fusion import band, fuse_methods
from benchmarks.evidence.answers import Answer
from core.settings import Settings
from core.types import Label
from core.weights import Weights, load_manifest
from training.clips import Clip
from training.out_of_fold import OutOfFold
from training.seen import seen

FUSED = "fused verdict"
UNSEEN = "unseen"
CONFOUNDS = ("face width alone", "bytes per pixel alone", "frame rate alone")


def put_in(
    given: OutOfFold, answers: Sequence[Answer], clips: Sequence[Clip], form: str, settings: Settings
) -> list[Answer]:
    """The answers with the scores given for their form in place of the app's own, and fused anew as the app does.

    A given score stands for the clip as a whole, so persons are no longer told apart in the verdict.
    """
    theirs = {weights: scores for (weights, of), scores in given.items() if of == form}
    manifest = load_manifest()
    replaced = []
    for answer, clip in zip(answers, clips, strict=True):
        heard = tuple(
            replace(h, fake=theirs[h.weights].get(clip.sha256)) if h.weights in theirs else h for h in answer.heard
        )
        if heard == answer.heard:
            replaced.append(answer)
            continue
        by_method: dict[str, list[Evidence]] = {}
        for h in heard:
            if h.fake is not None:
                weight = _reliability(manifest.get(h.weights))
                by_method.setdefault(h.detector, []).append(Evidence(_logit(h.fake), 0.0, weight))
        fake = fuse_methods(by_method).fake if by_method else None
        label = Label.NOT_ASSESSED if fake is None else band(fake, 1.0, settings)
        replaced.append(replace(answer, heard=heard, fake=fake, label=label))
    return replaced


def scores_of(answers: Sequence[Answer]) -> dict[str, np.ndarray]:
    """P(fake) (n,) of the fused verdict and of every set of weights and region; NaN where there is none."""
    names = dict.fromkeys(h.name for answer in answers for h in answer.heard)
    said = [{h.name: h.fake for h in answer.heard} | {FUSED: answer.fake} for answer in answers]
    return {name: np.array([_number(own.get(name)) for own in said], float) for name in (FUSED, *names)}


def confounds_of(answers: Sequence[Answer], clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """What the collection gives away by itself, (n,) each; NaN where a file could not be read."""
    values = [(c.face_width_px, a.bytes_per_px, a.rate_hz) for c, a in zip(clips, answers, strict=True)]
    return dict(zip(CONFOUNDS, np.array(values).T, strict=True))


def knew(name: str, answers: Sequence[Answer], clips: Sequence[Clip], form: str, given: OutOfFold) -> np.ndarray:
    """Of each clip, bool (n,), whether any of the weights behind a name is noted to have been trained on it."""
    notes = [seen(w, clips) for w in _behind(name, answers) if (w, form) not in given]
    return np.any([np.zeros(len(clips), bool), *(note for note in notes if note is not None)], axis=0)


def standing(name: str, answers: Sequence[Answer], clips: Sequence[Clip], form: str, given: OutOfFold) -> str:
    """Whether the weights behind a name knew the clips when they were trained, in words."""
    behind = _behind(name, answers)
    own = {w for w in behind if (w, form) not in given}
    if not behind:
        return ""
    if any(seen(w, clips) is None for w in own):
        return "not known"
    if trained_on := int(knew(name, answers, clips, form, given).sum()):
        return f"seen {trained_on} of {len(clips)}"
    return UNSEEN if own == behind else "out of fold"


def _behind(name: str, answers: Sequence[Answer]) -> set[str]:
    return {h.weights for answer in answers for h in answer.heard if name in (h.name, FUSED)}


def _reliability(weights: Weights | None) -> float:
    """What they weigh in the app's own verdict."""
    return weights.calibration.reliability if weights and weights.calibration else UNCALIBRATED.reliability


def _logit(fake: float) -> float:
    """Without the edge that `raw_logit` keeps from uncalibrated scores."""
    return math.log(fake / (1 - fake)) if 0 < fake < 1 else raw_logit(fake)


def _number(fake: float | None) -> float:
    return math.nan if fake is None else fake
