"""What people read: the tables, and a model card around them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from core.weights import Weights
from detectors import DETECTORS
from training.evaluate.results import COLUMNS, UNSEEN, VIDEO, Comparison, Evaluation
from training.measures import Estimate


def tables(evaluations: Sequence[Evaluation], comparisons: Sequence[Comparison]) -> str:
    """Every number, in Markdown whose columns line up."""
    parts = ["## By level", _levels(evaluations)]
    if any(len(one.families) > 1 for one in evaluations):
        parts += ["## Video AUC by manipulation, each against all genuine clips", _families(evaluations)]
    if any(one.robustness for one in evaluations):
        parts += ["## When the picture is changed", _robustness(evaluations)]
    if comparisons:
        parts += ["## One against another", *map(_comparison, comparisons)]
    parts += ["## Not scored", _unscored(evaluations)]
    return "\n\n".join(parts)


def card(evaluations: Sequence[Evaluation], comparisons: Sequence[Comparison], made_by: Mapping[str, Any]) -> str:
    """The model card: what these weights are, what they were measured on and how far that can be trusted."""
    first, *others = evaluations
    fake, group = first.labels.fake, first.labels.group
    shown = "as the app shows it" if first.weights.calibration else "not calibrated"
    parts = [
        f"# `{first.weights.id}`",
        "\n".join(_facts(first.weights)),
        "## What it was measured on",
        f"`{made_by['command']}`, version {made_by['app_version']}: {int((~fake).sum())} genuine and {int(fake.sum())} "
        f"manipulated clips of {len(np.unique(group))} sources (clips that share a source, an identity or a pair are "
        "of one)." + (f" Beside it: {', '.join(f'`{one.weights.id}`' for one in others)}." if others else ""),
        *(standing(one) for one in evaluations),
        "Scored by the app's own detector, of the person most in view. Intervals: 95 %, whole sources resampled. Ranks "
        f"(AUC, AP, EER, TPR) are of the detector's own scores; accuracy, at one half, and ECE of P(fake), {shown}.",
        tables(evaluations, comparisons),
        "## Limits",
        f"- {DETECTORS[first.weights.detector].card.limits}\n"
        "- A number holds for footage like that of the list, and says little of other manipulations.\n"
        "- A score is a sign, never proof.",
        "ROC curves and reliability: `evaluation.html`. Everything in numbers: `evaluation.json`.",
    ]
    return "\n\n".join(parts) + "\n"


def standing(found: Evaluation) -> str:
    """Whether these weights knew the clips from training, in words."""
    if found.known is None:
        return f"**What `{found.weights.id}` was trained on is not noted here**, so these clips may be among it."
    known, count = int(found.known.sum()), len(found.known)
    if known:
        unseen = f"only the row *{UNSEEN}* is" if known < count else "none of its numbers is"
        return (
            f"**`{found.weights.id}` knew {known} of the {count} clips from its training** (their content, a source, "
            f"an identity or a pair): {unseen} a measure of what it can do."
        )
    return f"None of the {count} clips is noted as training material of `{found.weights.id}`."


def _facts(weights: Weights) -> list[str]:
    calibration = weights.calibration
    return [
        f"- **Detector:** {DETECTORS[weights.detector].card.title}; region: {weights.region}",
        f"- **Trained on:** {weights.trained_on}",
        f"- **Licence:** {weights.licence}" + ("" if weights.commercial_use else ", no commercial use"),
        f"- **Paper:** {weights.paper}",
        f"- **Files:** {', '.join(f'{file.name} (SHA-256 {file.sha256})' for file in weights.files)}",
        "- **Calibration:** "
        + (
            f"P(fake) = sigmoid({calibration.slope:.3f} x logit {calibration.intercept:+.3f}), on {calibration.n} "
            f"{calibration.data}"
            if calibration
            else "none"
        ),
    ]


def _levels(evaluations: Sequence[Evaluation]) -> str:
    """The last column counts clips without a score as wrong."""
    return table(
        ["weights", "level", "scored", *COLUMNS.values(), "accuracy, all clips"],
        (
            [
                f"`{one.weights.id}`",
                level.name,
                f"{level.genuine} + {level.fake}",
                *map(str, level.measures.values()),
                str(one.all_clips) if level.name == VIDEO else "",
            ]
            for one in evaluations
            for level in one.levels
        ),
    )


def _families(evaluations: Sequence[Evaluation]) -> str:
    labels = evaluations[0].labels
    return table(
        ["manipulation", "clips", *(f"`{one.weights.id}`" for one in evaluations)],
        (
            [family, str((labels.family == family).sum()), *(str(one.families[family]) for one in evaluations)]
            for family in evaluations[0].families
        ),
    )


def _robustness(evaluations: Sequence[Evaluation]) -> str:
    return table(
        ["weights", "change", "not scored", "AUC", "AUC less that of the same clips unchanged", "accuracy"],
        (
            [f"`{one.weights.id}`", row.form, f"{row.unscored:.0%}", *map(str, (row.auc, row.change, row.accuracy))]
            for one in evaluations
            for row in one.robustness
        ),
    )


def _comparison(found: Comparison) -> str:
    if found.delong.p != found.delong.p:
        return f"`{found.first}` and `{found.second}` scored too few clips of each label in common to be compared."
    return (
        f"AUC of `{found.first}` less that of `{found.second}`, over the {found.delong.n} clips that both scored: "
        f"{_signed(found.delong.change)}, p = {found.delong.p:.3g} by DeLong's test, which takes every clip for "
        f"independent; {_signed(found.over_sources)} with whole sources resampled."
    )


def _signed(found: Estimate) -> str:
    interval = "no interval" if found.low != found.low else f"{found.low:+.2f} to {found.high:+.2f}"
    return f"{found.value:+.2f} ({interval})"


def _unscored(evaluations: Sequence[Evaluation]) -> str:
    rows = [
        [f"`{one.weights.id}`", str(count), "manipulated" if fake else "genuine", reason]
        for one in evaluations
        for (fake, reason), count in sorted(one.unscored.items(), key=lambda item: -item[1])
    ]
    return table(["weights", "clips", "label", "reason"], rows) if rows else "Every clip has a score."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown whose columns line up, so that it can be read where it is printed."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |" for cells in lines
    )
