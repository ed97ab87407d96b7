"""The model card of the compact detector's bundled weights: every number that is known of them, the poor ones too."""

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from scipy.special import expit

from core.weights import Calibration
from detectors.compact import MIN_WIDTH_PX, Model
from detectors.cues import CANVAS, MOVING, RUN, STICKING, STILL, cues_of
from preprocessing.regions import REGIONS
from training.cards import confounds, expect, families, lists, survival
from training.cues import Collection
from training.measures import Estimate, Labels, measure, tabulate

PACKAGES = ("mediapipe", "opencv-contrib-python", "av", "numpy", "scipy")
FUSED = "all regions"
SHOWN = 5
"""Cues of each region that the card names."""


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the training command found; all scores are P(fake) (n,) of clips whose source was left out.

    `raw` is before calibration, in log-odds, and so is `encoded`, NaN where a clip was not scored re-encoded;
    `referenced` NaN where a clip's origin has no other genuine clip.
    """

    collection: Collection
    labels: Labels
    tried: Mapping[str, Mapping[str, Estimate]]
    chosen: str
    fused: np.ndarray
    raw: Mapping[str, np.ndarray]
    encoded: Mapping[str, np.ndarray]
    referenced: np.ndarray
    calibrations: Mapping[str, Calibration]
    with_reference: Mapping[str, Calibration]
    models: Mapping[str, Model]


def write_card(results: Results) -> str:
    """The card in Markdown."""
    rows = tabulate({FUSED: results.fused}, results.labels, confounds(results.collection.clips))
    before, after = (np.mean([*raw.values()], axis=0) for raw in (results.raw, results.encoded))
    return "\n\n".join(
        [
            "# Compact, the bundled weights (`compact/telltale`)",
            "One linear model for each of the five regions of the face, of named cues: what the face has that its "
            "surroundings and its neighbouring frames have not. Made by `training/compact.py`, which wrote this page.",
            "## What to expect",
            expect(rows, FUSED),
            "## Clip AUC, one source left out at a time",
            "Sources are origin repositories, joined where they share a person or a pair; intervals (95 %) draw whole "
            "sources. Size-matched: the mean over thirds of face width. Pairs: how often a manipulated clip scores "
            "above its unmanipulated twin. The last rows are no detectors but what the collection gives away by "
            "itself, each turned whichever way round suits it; *best confound* is the highest AUC that one of them "
            "reaches over the same clips.",
            families(rows, FUSED),
            "Of the two lists of clips, and of each region before calibration, over all families:",
            _parts(results),
            "## Encoded again",
            "Whole files at half the size through H.264 at crf 30, scored by the same models. Mean log-odds of the "
            "regions, before calibration.",
            survival({FUSED: (before, after)}, results.labels),
            "## With reference clips",
            _references(results),
            "## What each region looks at",
            _cues(results),
            "## Calibration",
            _calibrations(results),
            "## Recipes that were compared",
            "The one with the best sum of size-matched AUC and pairs was taken, which flatters it slightly. Pairs are "
            "here before calibration, the mean over regions.",
            _tried(results),
            "## Data",
            "Clips gathered from public repositories of the methods, labelled by where they stand there.",
            lists(results.collection.clips, results.collection.measured, results.collection.group),
            _failures(results),
            "## Making it again",
            f"No random number is drawn. Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
            + ".",
            "```\npython -m training.compact --clips clips.csv --more more.csv --cache DIR\n```",
            "## Limits",
            "- What a genuine face looks like beside its surroundings differs from source to source by more than "
            "manipulation changes it. Reference clips were meant to mend that; the table above says how far they do.\n"
            f"- Says nothing of faces below {MIN_WIDTH_PX} px of width, or of fewer than two runs of {RUN} frames.\n"
            "- Without head movement it cannot tell what sticks to the face from what sticks to the picture.\n"
            "- One person of each clip was read, the one most in view; labels do not say who was manipulated.\n"
            "- The clips are few and from few sources; the footage belongs to third parties.",
            "## Licence",
            "Apache-2.0, as the app.",
            "",
        ]
    )


def _parts(results: Results) -> str:
    listed = results.collection.measured
    parts = [
        ("whole clips", results.fused, listed),
        ("mini-clips", results.fused, ~listed),
        *((region, expit(results.raw[region]), np.ones(len(listed), bool)) for region in REGIONS),
    ]
    lines = ["| | genuine, manipulated | AUC | size-matched AUC | pairs |", "| --- | --- | --- | --- | --- |"]
    for name, scores, which in parts:
        labels = results.labels.take(which)
        found = measure(scores[which], labels)
        lines.append(
            f"| {name} | {int((~labels.fake).sum())}, {int(labels.fake.sum())} | {found['auc']} | "
            f"{found['size_matched_auc']} | {found['pairs']} |"
        )
    return "\n".join(lines)


def _references(results: Results) -> str:
    known = np.isfinite(results.referenced)
    labels = results.labels.take(known)
    lines = [
        "Clips whose origin has other genuine clips, with those as references (never a clip's own twin, which would be "
        "the answer): how much higher than usual they score is taken off, as the page does.",
        "",
        "| | genuine, manipulated | AUC | size-matched AUC | pairs |",
        "| --- | --- | --- | --- | --- |",
    ]
    uncalibrated = expit(np.mean([*results.raw.values()], axis=0))
    for name, scores in (
        ("without reference", results.fused),
        ("without reference, before calibration", uncalibrated),
        ("with reference", results.referenced),
    ):
        found = measure(scores[known], labels)
        lines.append(
            f"| {name} | {int((~labels.fake).sum())}, {int(labels.fake.sum())} | {found['auc']} | "
            f"{found['size_matched_auc']} | {found['pairs']} |"
        )
    return "\n".join(lines)


def _cues(results: Results) -> str:
    named = STILL | MOVING | STICKING
    lines = [
        f"Faces on a canvas of {CANVAS.size_px} px, in runs of {RUN} consecutive frames. Weights are log-odds per "
        "deviation of genuine faces; the heaviest of each region:",
        "",
        "| region | cue | weight | what it measures |",
        "| --- | --- | --- | --- |",
    ]
    for region, model in results.models.items():
        weight = model.weight * model.genuine[1]
        cues = cues_of(region)
        for i in np.argsort(-np.abs(weight), kind="stable")[:SHOWN]:
            if weight[i]:
                lines.append(f"| {region} | {cues[i].name} | {weight[i]:+.2f} | {named[cues[i].measure]} |")
    return "\n".join(lines)


def _calibrations(results: Results) -> str:
    lines = [
        "logit P(fake) = slope x log-odds (held within those of 0.01 and 0.99) + intercept; Platt's method at even "
        "prior odds on clips of sources left out, deviations by the sandwich over sources. A slope of 0 says that "
        "nothing carried over: such a region stands at one half. With reference clips, what they score above usual is "
        "taken off first and the second pair of numbers holds.",
        "",
        "| weights | slope | intercept | clips | slope with reference | intercept with reference | clips |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for region, calibration in results.calibrations.items():
        numbers = []
        for c in (calibration, results.with_reference[region]):
            (slope, _), (_, intercept) = np.sqrt(np.abs(c.covariance))
            numbers.append(f"{c.slope:.3f} ± {slope:.3f} | {c.intercept:.3f} ± {intercept:.3f} | {c.n}")
        lines.append(f"| compact/telltale/{region} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _tried(results: Results) -> str:
    lines = ["| recipe | AUC | size-matched AUC | pairs | ECE |", "| --- | --- | --- | --- | --- |"]
    for name, found in results.tried.items():
        mark = " **(chosen)**" if name == results.chosen else ""
        numbers = " | ".join(str(found[measured]) for measured in ("auc", "size_matched_auc", "pairs", "ece"))
        lines.append(f"| {name}{mark} | {numbers} |")
    return "\n".join(lines)


def _failures(results: Results) -> str:
    failed = Counter((clip.fake, reason.partition(";")[0]) for clip, reason in results.collection.failures)
    lines = [f"{sum(failed.values())} more clips could not be scored:", ""]
    lines += [f"- {n} {'manipulated' if fake else 'genuine'}: {why}" for (fake, why), n in failed.most_common()]
    return "\n".join(lines)
