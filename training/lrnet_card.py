"""The model card of LRNet's bundled weights: every number that is known of them, the poor ones too."""

import platform
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from core.errors import NotApplicable
from core.types import Track
from core.weights import Calibration
from detectors.lrnet import blocks
from training.cards import confounds, families, lists, survival
from training.clips import ALL_FORMS, FORMS, MORE_FORMS, WORSE, Collection
from training.measures import (
    MEASURES,
    MISSED,
    SOME_FALSE_ALARMS,
    STRONG_FALSE_ALARMS,
    Auc,
    Bands,
    Estimate,
    measure_auc,
    measure_within,
    tabulate,
)

FAMILIES = ("face_swap", "reenactment", "talking_head", "lip_sync", "editing")
COMPARED = ("auc", "size_matched_auc", "pairs", "ece")
"""The measures that recipes are compared by."""
PACKAGES = ("torch", "mediapipe", "opencv-contrib-python", "av", "numpy")
Scores = dict[str, np.ndarray]
"""Clip scores in [0, 1] by form, float64 (n,) each; NaN where the form of a clip cannot be scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the training command found: `own` and the published sets' scores by manifest id."""

    own: str
    collection: Collection
    tried: Mapping[str, Mapping[str, Estimate]]
    chosen: str
    seed: int
    scores: Mapping[str, Scores]
    probabilities: Mapping[str, np.ndarray]
    """Of the clips as they are, P(fake) (n,) by calibrations that saw nothing of their source."""
    calibrations: Mapping[str, Calibration]
    bands: Bands
    unstudied: np.ndarray
    """bool (n,): the clips whose footage the published sets were not trained on."""


def describe(auc: Auc, basis: str) -> str:
    """The `measured` sentence of a manifest entry."""
    return (
        f"Clip AUC {auc.value:.2f} (95 % interval {auc.low:.2f} to {auc.high:.2f}) on {auc.genuine} genuine and "
        f"{auc.fake} manipulated clips {basis}."
    )


def judge(auc: Auc) -> str:
    """What an AUC means, in plain words."""
    found = f"Over {auc.genuine} genuine and {auc.fake} manipulated clips of sources it has never seen the AUC is {auc}"
    if auc.low <= 0.5:
        return f"{found}. That cannot be told from chance: do not expect it to tell manipulated footage from genuine."
    strength = "weak" if auc.value < 0.7 else "moderate" if auc.value < 0.85 else "good"
    return (
        f"{found}: a {strength} signal. A manipulated clip scores above a genuine one {auc.value:.0%} of the time; "
        "by chance it would be 50 %."
    )


def write_card(results: Results) -> str:
    """The card in Markdown."""
    clips = results.collection
    which = results.unstudied
    headline = measure_auc(results.scores[results.own]["original"][which], clips.fake[which], clips.group[which])
    labels = clips.labels.take(which)
    alone = {name: values[which] for name, values in confounds(clips.clips).items()}
    rows = tabulate({id: p[which] for id, p in results.probabilities.items()}, labels, alone)
    return "\n\n".join(
        [
            f"# LRNet, the bundled weights (`{results.own}`)",
            "Two recurrent networks that read how 68 landmarks of a face move, as in Sun et al., CVPR 2021, trained "
            "for this app so that it works without a download. Made by `training/lrnet.py`, which wrote this page too.",
            "## What to expect",
            judge(headline) + _beaten_by(results, headline),
            "The recipe was chosen with the very folds that these numbers are from. With other folds the AUC comes out "
            "otherwise, by more than recipes differ: `python -m training.study lrnet` measures that, and "
            "`docs/evidence.md` tells what came of it.",
            "## Clip AUC",
            "Area under the ROC curve of clips (mean block score), with the 95 % interval of a bootstrap over sources. "
            f"`{results.own}` is scored out of fold: by networks that saw no clip of the same origin, identity or "
            "pair. The last two columns are no detectors but what the collection itself gives away: width of the face "
            "and frame rate alone, each turned whichever way round suits it. A detector is worth something only "
            "as far as it does better than they do.",
            _auc_table(results),
            "The published sets were trained on FaceForensics++ and DeeperForensics, and ours began from one of them. "
            f"{int((~which).sum())} clips of the collection are known to be of that footage: the first row has "
            "them, the rows below it do not, nor do the recipes' numbers, the calibrations and the bands. "
            "The row of clips of one source compares only clips that came from the same place, so differences between "
            "sources cannot help. Intervals of rows with few sources are rough.",
            "## Every measure",
            "Of P(fake), each calibrated on the other sources, without FaceForensics++ and DeeperForensics. "
            "Size-matched AUC is the mean of the AUCs within thirds of face width; pairs are how often a manipulated "
            "clip scores above its own unmanipulated twin; ECE weighs both classes alike; *best confound* is the "
            "highest AUC that face width, bytes per pixel or frame rate alone reaches over the same clips.",
            families(rows, results.own),
            "## Encoded again",
            "Whole files at half the size through H.264 at crf 30, a form that no network was trained on; mean block "
            "scores.",
            survival({id: (s["original"][which], s[WORSE][which]) for id, s in results.scores.items()}, labels),
            "## Could not be scored",
            _unscored(clips),
            "## Bands",
            _bands(results),
            "## Calibration",
            _calibrations(results),
            "## Data",
            "Clips gathered from public repositories of the methods, labelled by where they stand there; third parties "
            "own the footage.",
            lists(clips.clips, clips.measured, clips.group),
            "## Training",
            _training(results),
            "## Limits",
            "- The clips are few and from few sources; every number here has a wide interval.\n"
            "- One person of each clip was read, the one most in view; labels do not say who was manipulated.\n"
            "- Genuine and manipulated clips of the collection differ in face size, frame rate and source. "
            "Re-encoding, scaling and weighting reduce what can be learnt from that, and cannot take it out.\n"
            "- Says nothing of clips below 91 consecutive frames of one face or outside 20 to 35 frames a second.\n"
            "- The underlying footage belongs to third parties, part of it under research terms.",
            "## Licence",
            "MIT, as that of the published weights these began from: Copyright (c) 2021 frederickszk; the full text is "
            "in `lrnet.LICENSE`.",
            "",
        ]
    )


def _compare(title: str, rows: Mapping[str, Mapping[str, Estimate]]) -> str:
    lines = [f"| {title} | {' | '.join(MEASURES[name] for name in COMPARED)} |", "| --- |" + " --- |" * len(COMPARED)]
    lines += [f"| {title} | {' | '.join(str(found[name]) for name in COMPARED)} |" for title, found in rows.items()]
    return "\n".join(lines)


def _auc_table(results: Results) -> str:
    clips, kept = results.collection, results.unstudied
    member = {name: np.array([c.family == name for c in clips.clips]) for name in FAMILIES}
    scored = np.isfinite(results.scores[results.own]["original"])
    rows = [
        ("all clips", measure_auc, np.ones_like(kept), "original"),
        ("without FF++ and DeeperForensics", measure_auc, kept, "original"),
        ("whole clips", measure_auc, kept & clips.measured, "original"),
        ("mini-clips", measure_auc, kept & ~clips.measured, "original"),
        *((f"{f} against all genuine", measure_auc, kept & (~clips.fake | member[f]), "original") for f in FAMILIES),
        *((f"form `{form}`", measure_auc, kept & scored, form) for form in ALL_FORMS if form != "original"),
        ("clips of one source", measure_within, kept, "original"),
    ]
    columns = dict(results.scores) | _confounds(results)
    lines = [
        "| clips | genuine, manipulated | " + " | ".join(columns) + " |",
        "| --- | --- |" + " --- |" * len(columns),
    ]
    for title, taken, which, form in rows:
        aucs = [taken(s[form][which], clips.fake[which], clips.group[which]) for s in columns.values()]
        lines.append(f"| {title} | {aucs[0].genuine}, {aucs[0].fake} | " + " | ".join(map(str, aucs)) + " |")
    return "\n".join(lines)


def _beaten_by(results: Results, headline: Auc) -> str:
    clips, kept = results.collection, results.unstudied
    reached = {
        name: measure_auc(values["original"][kept], clips.fake[kept], clips.group[kept])
        for name, values in _confounds(results).items()
    }
    better = [f"{name} reaches {auc.value:.2f}" for name, auc in reached.items() if auc.value >= headline.value]
    return f" On the same clips {' and '.join(better)}." if better else ""


def _confounds(results: Results) -> dict[str, Scores]:
    """Face width in px and frame rate in 1/s of what could be scored, turned so that more means manipulated."""
    clips, own = results.collection, results.unstudied
    measures = {
        "face width alone": lambda track: float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1))),
        "frame rate alone": lambda track: track.quality.frame_rate_hz,
    }
    columns = {}
    for name, of in measures.items():
        values = {form: np.full(len(clips.clips), np.nan) for form in ALL_FORMS}
        for form, scores in results.scores[results.own].items():
            for i in np.flatnonzero(np.isfinite(scores)):
                values[form][i] = of(clips.tracks(i)[form])
        if measure_auc(values["original"][own], clips.fake[own], clips.group[own]).value < 0.5:
            values = {form: -v for form, v in values.items()}
        columns[name] = values
    return columns


def _unscored(clips: Collection) -> str:
    reasons = Counter((bool(clips.fake[i]), reason) for i in range(len(clips.clips)) if (reason := _why_not(clips, i)))
    total = len(clips.clips)
    lines = [
        f"{sum(reasons.values())} of {total} clips as they are:",
        "",
        "| clips | label | reason |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {n} | {'manipulated' if fake else 'genuine'} | {why} |" for (fake, why), n in reasons.most_common()]
    return "\n".join(lines)


def _why_not(clips: Collection, i: int) -> str | None:
    """The kind of reason, without its numbers; None where the clip can be scored."""
    reading = clips.readings[i]["original"]
    try:
        if isinstance(reading, Track):
            blocks(reading)
            return None
        reason = reading
    except NotApplicable as error:
        reason = str(error)
    return re.sub(r"\d[\d.]*", "n", re.split(r"[;,] ", reason)[0])


def _bands(results: Results) -> str:
    clips, bands = results.collection, results.bands
    lines = [
        f"On P(fake) of `{results.own}`, out of fold and calibrated on other sources, without FaceForensics++ and "
        "DeeperForensics. "
        f"Strong signs: at most "
        f"{STRONG_FALSE_ALARMS:.0%} of the genuine clips, and odds of three to one; some signs or more: at most "
        f"{SOME_FALSE_ALARMS:.0%} of the genuine clips; "
        f"no signs: at most {MISSED:.0%} of the manipulated clips.",
        "",
        f"Strong signs from **{bands.strong_signs}** on, some signs from **{bands.some_signs}** on, no signs below "
        f"**{bands.no_signs}**. With these, shares of the scored clips:",
        "",
        "| weights | label | strong signs | some signs or more | no signs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for id, probability in results.probabilities.items():
        known = results.unstudied & np.isfinite(probability)
        for label, which in (("genuine", known & ~clips.fake), ("manipulated", known & clips.fake)):
            p = probability[which]
            shares = (p >= bands.strong_signs, p >= bands.some_signs, p < bands.no_signs)
            lines.append(f"| {id} | {label} | " + " | ".join(f"{s.mean():.0%}" for s in shares) + " |")
    return "\n".join(lines)


def _calibrations(results: Results) -> str:
    lines = [
        "logit P(fake) = slope x logit(mean block score, held within 0.01 and 0.99) + intercept; Platt's method at "
        "even prior odds, deviations by the sandwich over sources.",
        "",
        "| weights | slope | intercept | clips | fitted on |",
        "| --- | --- | --- | --- | --- |",
    ]
    for id, c in results.calibrations.items():
        (slope, _), (_, intercept) = np.sqrt(np.abs(c.covariance))
        lines.append(f"| {id} | {c.slope:.3f} ± {slope:.3f} | {c.intercept:.3f} ± {intercept:.3f} | {c.n} | {c.data} |")
    return "\n".join(lines)


def _training(results: Results) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    forms = ", ".join(f"`{name}` ({_say(name)})" for name in FORMS)
    lines = [
        "FaceMesh landmarks, LK and Kalman calibration, blocks of 30 frames. Adam, its rate falling to nearly 0, "
        "landmark dropout 0.1 and dropout 0.5 as published; cross entropy; input scaled per coordinate, the scale then "
        "made part of the first layer. Both classes are drawn equally often, sources by the root of their number of "
        "clips; with *labels of a source alike*, three draws of four come from sources that have both labels, and in "
        "each of these both are drawn equally often, so that the source cannot be learned in place of the "
        "manipulation; with *groups alike*, every source is drawn as often as any other of its label; with *worst "
        "groups most*, the loss weighs sources and labels by how badly they fare (group DRO).",
        f"Every whole clip, genuine or not, is read in these forms: {forms}; mini-clips, which are small "
        f"already, in {', '.join(f'`{name}`' for name in MORE_FORMS if name in FORMS)}. The other forms above were "
        "only scored. Blocks begin at any frame and are mirrored half of the time.",
        "*Convolutions over movement* is another network: six thousand weights that read how the landmarks move once "
        "the movement of the head is taken out. Beside cues it is also given what the compact detector measures on the "
        "face. It does not come with the app.",
        "Of the recipes below that train LRNet, the one with the best size-matched AUC was taken, which flatters it "
        "slightly, and trained again on all clips.",
        _compare(
            "recipe, out of fold",
            {name + " **(chosen)**" * (name == results.chosen): found for name, found in results.tried.items()},
        ),
        f"Five folds, whole sources in each. Seed {results.seed}, one thread. Python {platform.python_version()}, "
        f"{versions}.",
        "```\nTELLTALE_WEIGHTS=WEIGHTS python -m training.lrnet --clips clips.csv --more more.csv --cache DIR "
        "--cues CACHE_OF_COMPACT\n```",
    ]
    return "\n\n".join(lines)


def _say(name: str) -> str:
    form = FORMS[name]
    parts = [] if form.scale == 1 else [f"{form.scale:g} of the size"]
    parts += [f"faces at most {form.face_px:g} px wide"] * np.isfinite(form.face_px)
    parts += ["every fifth frame dropped where 20 a second remain"] * form.thinned
    parts += [f"H.264 at crf {form.crf}"] * (form.crf is not None)
    return ", ".join(parts) or "as it is"
