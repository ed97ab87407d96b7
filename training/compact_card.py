"""The model card of the compact detector's bundled weights: every number that is known of them, the poor ones too."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from scipy.special import expit

from core.weights import Calibration
from detectors.compact import MIN_WIDTH_PX, Model
from detectors.cues import CANVAS, MOVING, RUN, STICKING, STILL, cues_of
from preprocessing.regions import REGIONS
from training.cues import Collection
from training.measures import ALL, Estimate, Labels, Row, auc, measure, measure_change, tabulate

PACKAGES = ("mediapipe", "opencv-contrib-python", "av", "numpy", "scipy")
FUSED = "all regions"
GOALS = (
    ("all", "size_matched_auc", 0.75),
    ("face_swap", "size_matched_auc", 0.85),
    ("reenactment", "size_matched_auc", 0.75),
    ("talking_head", "size_matched_auc", 0.70),
)
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
    rows = tabulate({FUSED: results.fused}, results.labels, _confounds(results))
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
            "itself, each turned whichever way round suits it.",
            _families(rows),
            "Of the two lists of clips, and of each region before calibration, over all families:",
            _parts(results),
            "## Encoded again",
            _encoded(results),
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
            _data(results),
            "## Making it again",
            f"No random number is drawn. Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
            + ".",
            "```\npython -m training.compact extract --clips clips.csv --more more.csv --cache DIR\n"
            "python -m training.compact train --clips clips.csv --more more.csv --cache DIR\n```",
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


def expect(rows: Sequence[Row], name: str) -> str:
    """In words what the scores of this name are worth, and of which goals they fall short."""
    (overall,) = (row for row in rows if row.name == name and row.family == ALL)
    matched, plain = overall.measures["size_matched_auc"], overall.measures["auc"]
    worth = (
        "That cannot be told from chance: do not expect it to tell manipulated footage from genuine"
        if plain.low <= 0.5
        else "A weak signal"
        if plain.value < 0.7
        else "A moderate signal"
    )
    missed = []
    for family, measured, goal in GOALS:
        found = next((r for r in rows if r.name == name and r.family == family), None)
        if found and found.measures[measured].value < goal:
            missed.append(f"{_plain(family)} {goal:.2f}, reached {found.measures[measured].value:.2f}")
    hopes = f" It was hoped for more (size-matched AUC: {'; '.join(missed)})." if missed else ""
    return (
        f"Over {overall.genuine} genuine and {overall.fake} manipulated clips of sources it has never seen the AUC is "
        f"{plain}, size-matched {matched}. {worth}; the best of the confounds alone reaches {overall.confound:.2f}."
        f"{hopes}"
    )


def _confounds(results: Results) -> dict[str, np.ndarray]:
    clips = results.collection
    size_bytes = np.array([clip.path.stat().st_size for clip in clips.clips], float)
    return {
        "face width alone": clips.width_px,
        "file size alone": size_bytes,
        "frame rate alone": clips.rate_hz,
    }


def _families(rows: Sequence[Row]) -> str:
    lines = [
        "| scores | manipulated by | genuine, manipulated (sources) | AUC | size-matched AUC | AP | EER | "
        "TPR at 1 % FPR | TPR at 5 % FPR | ECE | pairs |",
        "| --- |" + " --- |" * 10,
    ]
    columns = ("auc", "size_matched_auc", "ap", "eer", "tpr_at_1", "tpr_at_5", "ece", "pairs")
    for row in rows:
        if row.name != FUSED and row.family != ALL:
            continue
        lines.append(
            f"| {row.name} | {_plain(row.family)} | {row.genuine}, {row.fake} ({row.sources}) | "
            + " | ".join(str(row.measures[column]) for column in columns)
            + " |"
        )
    return "\n".join(lines)


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


def _encoded(results: Results) -> str:
    """The change of the AUC by family, over the clips scored in both forms."""
    before, after = (np.mean([*raw.values()], axis=0) for raw in (results.raw, results.encoded))
    known = np.isfinite(after)
    if not known.any():
        return "Not measured."
    lines = [
        f"Whole files at half the size through H.264 at crf 30, scored by the same models: {int(known.sum())} of "
        f"{len(known)} clips. Mean log-odds of the regions, before calibration.",
        "",
        "| manipulated by | genuine, manipulated | AUC | after | change |",
        "| --- | --- | --- | --- | --- |",
    ]
    labels = results.labels
    for family in (ALL, *sorted(set(labels.family[labels.fake & known].tolist()))):
        which = known & (~labels.fake | (labels.family == family) | (family == ALL))
        own = labels.take(which)
        was, now = (auc(values[which], own.fake) for values in (before, after))
        lines.append(
            f"| {_plain(family)} | {int((~own.fake).sum())}, {int(own.fake.sum())} | {was:.2f} | {now:.2f} | "
            f"{measure_change(before[which], after[which], own)} |"
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
    for region, plain in results.calibrations.items():
        numbers = []
        for c in (plain, results.with_reference[region]):
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


def _data(results: Results) -> str:
    clips = results.collection
    lines = [
        "Clips gathered from public repositories of the methods, labelled by where they stand there.",
        "",
        "| | genuine | manipulated | sources | of these |",
        "| --- | --- | --- | --- | --- |",
    ]
    for title, which in (("whole clips", clips.measured), ("mini-clips", ~clips.measured)):
        families = Counter(c.family for c, kept in zip(clips.clips, which, strict=True) if kept and c.fake)
        counted = ", ".join(f"{n} {_plain(family)}" for family, n in families.most_common())
        lines.append(
            f"| {title} | {int((which & ~clips.fake).sum())} | {int((which & clips.fake).sum())} | "
            f"{len(np.unique(clips.group[which]))} | {counted} |"
        )
    failed = Counter((clip.fake, reason.partition(";")[0]) for clip, reason in clips.failures)
    lines += ["", f"{sum(failed.values())} more clips could not be scored:", ""]
    lines += [f"- {n} {'manipulated' if fake else 'genuine'}: {why}" for (fake, why), n in failed.most_common()]
    return "\n".join(lines)


def _plain(family: str) -> str:
    return family.replace("_", " ")
