"""Answers become numbers: by level, by manipulation, by change of the picture, and of one set against another."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.weights import Weights
from training.evaluate.data import Subject
from training.evaluate.scores import Answers
from training.layouts.sample import groups
from training.measures import (
    MEASURES,
    DeLong,
    Estimate,
    Labels,
    apply,
    delong,
    measure,
    measure_accuracy,
    measure_change,
)
from training.out_of_fold import ORIGINAL

VIDEO = "video"
UNSEEN = "video, unseen"
"""The same without the clips that training had."""
COLUMNS = {
    "accuracy": "accuracy",
    **{name: MEASURES[name] for name in ("auc", "ap", "eer", "tpr_at_1", "tpr_at_5", "ece")},
}
"""What is measured at every level, and the headings of its columns."""


@dataclass(frozen=True, slots=True)
class Level:
    """How well single frames, blocks of frames, or whole videos are told apart, by the names of `COLUMNS`.

    `genuine` and `fake` count what has a score.
    """

    name: str
    genuine: int
    fake: int
    measures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Robustness:
    """What is left after a change to the picture: `change` of the video AUC over the clips scored both ways."""

    form: str
    unscored: float
    auc: Estimate
    change: Estimate
    accuracy: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All that was found of one set of weights over n clips.

    `raw` and `probability` are the scores of the clips as they are, float (n,), NaN for none: a detector's own, and as
    the calibration has it. `all_clips` is the accuracy over all clips, those without a score counted as wrong. `known`
    bool (n,): clips of which training had the content, an identity or a pair; None where nobody noted what it had.
    """

    weights: Weights
    labels: Labels
    levels: Sequence[Level]
    all_clips: Estimate
    families: Mapping[str, Estimate]
    robustness: Sequence[Robustness]
    unscored: Mapping[tuple[bool, str], int]
    raw: np.ndarray
    probability: np.ndarray
    known: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One set against another over the clips that both scored: DeLong's test, which takes clips for independent, and
    the difference with the interval of a bootstrap over sources."""

    first: str
    second: str
    delong: DeLong
    over_sources: Estimate


def label(subjects: Sequence[Subject], face_px: np.ndarray) -> Labels:
    """What the measures need to know of the clips; sources, identities and pairs that hang together are one group."""
    samples = [subject.sample for subject in subjects]
    return Labels(
        fake=np.array([bool(sample.label) for sample in samples]),
        group=np.array(groups(samples)),
        width_px=face_px,
        family=np.array([sample.method for sample in samples]),
        pair=np.array([sample.pair for sample in samples]),
    )


def evaluate(weights: Weights, answers: Mapping[str, Answers], labels: Labels, known: np.ndarray | None) -> Evaluation:
    """The numbers of one set, from the answers by form; `labels` are of the clips as they are."""
    as_they_are = answers[ORIGINAL]
    said, raw = as_they_are.said[weights.id], as_they_are.overall(weights.id)
    each = np.repeat(np.arange(len(said)), [len(one.fake) for one in said])
    single = np.array([fake for one in said for fake in one.fake])
    families = sorted(set(labels.family[labels.fake].tolist()))
    probability = calibrated(weights, raw)
    levels = [_level(weights, VIDEO, raw, labels), _level(weights, unit_of(weights), single, labels.take(each))]
    if known is not None and known.any() and not known.all():
        levels.insert(1, _level(weights, UNSEEN, raw[~known], labels.take(~known)))
    return Evaluation(
        weights=weights,
        labels=labels,
        levels=levels,
        all_clips=measure_accuracy(probability, labels),
        families={family: _auc(raw, labels, ~labels.fake | (labels.family == family)) for family in families},
        robustness=[
            _robustness(weights, form, raw, changed.overall(weights.id), labels)
            for form, changed in answers.items()
            if form != ORIGINAL
        ],
        unscored=Counter(
            (fake, in_kind(one.reason)) for fake, one in zip(labels.fake.tolist(), said, strict=True) if one.reason
        ),
        raw=raw,
        probability=probability,
        known=known,
    )


def in_kind(reason: str) -> str:
    """The first clause of a reason, its numbers left out, so that reasons of one kind can be counted."""
    return re.sub(r"\d[\d.]*", "n", re.split(r"[;.] ", reason)[0].rstrip("."))


def unit_of(weights: Weights) -> str:
    """What one score of these weights is of: a frame, or a block of consecutive ones."""
    return "block" if {"clip_frames", "block", "run"} & set(weights.input) else "frame"


def calibrated(weights: Weights, raw: np.ndarray) -> np.ndarray:
    """P(fake) as the app would show it; the detector's own scores where nobody calibrated."""
    if weights.calibration is None:
        return raw
    known = np.isfinite(raw)
    probability = np.full(len(raw), np.nan)
    probability[known] = apply(weights.calibration, raw[known])
    return probability


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Of the same clips."""
    return Comparison(
        first.weights.id,
        second.weights.id,
        delong(first.raw, second.raw, first.labels.fake),
        measure_change(second.raw, first.raw, first.labels),
    )


def _level(weights: Weights, name: str, raw: np.ndarray, labels: Labels) -> Level:
    """Ranks by the detector's own scores, right and wrong by what the app would show."""
    known = np.isfinite(raw)
    raw, labels = raw[known], labels.take(known)
    probability = calibrated(weights, raw)
    found = measure(raw, labels)
    if weights.calibration is not None:
        found = found | {"ece": measure(probability, labels)["ece"]}
    found = {"accuracy": measure_accuracy(probability, labels)} | found
    return Level(name, int((~labels.fake).sum()), int(labels.fake.sum()), {column: found[column] for column in COLUMNS})


def _robustness(weights: Weights, form: str, before: np.ndarray, after: np.ndarray, labels: Labels) -> Robustness:
    known = np.isfinite(after)
    return Robustness(
        form=form,
        unscored=float(1 - known.mean()),
        auc=_auc(after, labels, known),
        change=measure_change(before, after, labels),
        accuracy=measure_accuracy(calibrated(weights, after)[known], labels.take(known)),
    )


def _auc(scores: np.ndarray, labels: Labels, which: np.ndarray) -> Estimate:
    return measure(scores[which], labels.take(which))["auc"]


def as_json(evaluations: Sequence[Evaluation], comparisons: Sequence[Comparison], subjects: Sequence[Subject]) -> Any:
    """Everything, for programs; what has no number is null."""
    return {
        "weights": [_plain(one) for one in evaluations],
        "comparisons": [
            {
                "first": one.first,
                "second": one.second,
                "clips": one.delong.n,
                "auc_difference": _number(one.delong.change.value),
                "delong_interval": _interval(one.delong.change),
                "p": _number(one.delong.p),
                "interval_over_sources": _interval(one.over_sources),
            }
            for one in comparisons
        ],
        "clips": [
            {
                "id": subject.sample.id,
                "fake": bool(subject.sample.label),
                "method": subject.sample.method,
                "scores": {one.weights.id: _number(float(one.raw[i])) for one in evaluations},
            }
            for i, subject in enumerate(subjects)
        ],
    }


def _plain(found: Evaluation) -> dict[str, Any]:
    return {
        "id": found.weights.id,
        "sha256": found.weights.sha256,
        "trained_on_clips": None if found.known is None else int(found.known.sum()),
        "levels": [
            {"level": level.name, "genuine": level.genuine, "manipulated": level.fake} | _estimates(level.measures)
            for level in found.levels
        ],
        "accuracy_of_all_clips": _estimate(found.all_clips),
        "auc_by_method": _estimates(found.families),
        "robustness": [
            {"form": row.form, "unscored": row.unscored}
            | _estimates({"auc": row.auc, "auc_change": row.change, "accuracy": row.accuracy})
            for row in found.robustness
        ],
        "unscored": [
            {"count": count, "manipulated": fake, "reason": reason} for (fake, reason), count in found.unscored.items()
        ],
    }


def _estimates(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: _estimate(value) for name, value in found.items()}


def _estimate(found: Estimate) -> dict[str, Any]:
    return {"value": _number(found.value), "interval": _interval(found)}


def _interval(found: Estimate) -> list[float] | None:
    return None if found.low != found.low else [found.low, found.high]


def _number(value: float) -> float | None:
    return None if value != value else value
