"""What was measured, as rows, and the rows as Markdown, CSV and JSON."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.evidence.answers import REFERENCED, Answer
from benchmarks.evidence.scores import CONFOUNDS, UNSEEN, confounds_of, knew, scores_of, standing
from core.types import Label
from training.clips import Clip, labels_of
from training.evaluate.results import in_kind
from training.measures import ALL, MEASURES, UNKNOWN, Estimate, Labels, Row, measure_change, tabulate
from training.out_of_fold import ORIGINAL, OutOfFold


@dataclass(frozen=True, slots=True)
class Line:
    """A row over the clips in one form, and whether the weights behind it knew them.

    `change` of the AUC since the original form, over the clips scored in both; None in the original.
    """

    form: str
    standing: str
    row: Row
    change: Estimate | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that was found: clips, their answers by form, and the lines made of them.

    `referenced` are the positions of the clips of pairs that were also analysed with a reference; the answers with and
    those without it are of these clips alone.
    """

    clips: Sequence[Clip]
    labels: Labels
    answers: Mapping[str, Sequence[Answer]]
    referenced: Sequence[int]
    lines: Sequence[Line]


UNREFERENCED = "without a reference"


def gather(
    clips: Sequence[Clip], answers: Mapping[str, Sequence[Answer]], referenced: Sequence[int], given: OutOfFold
) -> Evidence:
    """The lines of every form; `answers` hold those of all clips, under `REFERENCED` those of `referenced` alone."""
    labels = labels_of(clips)
    lines: list[Line] = []
    for form, of_form in answers.items():
        if form != REFERENCED:
            lines += _lines(form, clips, labels, of_form, answers[ORIGINAL], given)
    if referenced:
        some = [clips[i] for i in referenced]
        plain = [answers[ORIGINAL][i] for i in referenced]
        for form, of_form in ((UNREFERENCED, plain), (REFERENCED, answers[REFERENCED])):
            found = _lines(form, some, labels.take(np.array(referenced)), of_form, plain, given)
            lines += [line for line in found if line.row.family == ALL]
    return Evidence(clips, labels, answers, referenced, lines)


def _lines(
    form: str,
    clips: Sequence[Clip],
    labels: Labels,
    answers: Sequence[Answer],
    originals: Sequence[Answer],
    given: OutOfFold,
) -> list[Line]:
    """The lines of detectors, of what partly known weights say of unseen clips, and of confounds."""
    scores, before, confounds = scores_of(answers), scores_of(originals), confounds_of(answers, clips)
    of = ORIGINAL if form == UNREFERENCED else form
    lines = []
    for row in tabulate(scores, labels, confounds):
        change = None
        if form != ORIGINAL and row.name in scores:
            kept = ~labels.fake | (labels.family == row.family) | (row.family == ALL)
            change = measure_change(before[row.name][kept], scores[row.name][kept], labels.take(kept))
        lines.append(Line(form, standing(row.name, answers, clips, of, given), row, change))
    for name, values in scores.items():
        new = ~knew(name, answers, clips, of, given)
        if form == ORIGINAL and 0 < new.sum() < len(new):
            alone = {f"{name}: unseen clips": values[new]}
            rows = tabulate(alone, labels.take(new), {confound: own[new] for confound, own in confounds.items()})
            lines += [Line(form, UNSEEN, row) for row in rows if row.name in alone]
    return sorted(lines, key=lambda line: line.row.name in confounds)


def as_csv(evidence: Evidence) -> str:
    """One line a form, name and family; each measure with its interval."""
    text = io.StringIO()
    flat = [_flat(line) for line in evidence.lines]
    writer = csv.DictWriter(text, flat[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def as_json(evidence: Evidence, made_by: Mapping[str, Any]) -> str:
    """The same lines, with the clips that were not assessed and the verdicts; what has no number is null."""
    plain = {
        **made_by,
        "clips": {"genuine": int((~evidence.labels.fake).sum()), "manipulated": int(evidence.labels.fake.sum())},
        "lines": [
            {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
            for row in map(_flat, evidence.lines)
        ],
        "unassessed": [
            {"count": count, "manipulated": fake, "reason": reason}
            for (fake, reason), count in unassessed(evidence).most_common()
        ],
        "verdicts": verdicts(evidence),
    }
    return json.dumps(plain, indent=1) + "\n"


def _flat(line: Line) -> dict[str, Any]:
    row = line.row
    flat: dict[str, Any] = {"form": line.form, "scores": row.name, "family": row.family, "weights": line.standing}
    flat |= {"genuine": row.genuine, "manipulated": row.fake, "sources": row.sources, "unassessed": row.unassessed}
    measures = {**row.measures, "auc_change": line.change or UNKNOWN}
    for name, found in measures.items():
        flat |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return flat | {"best_confound_auc": row.confound}


def unassessed(evidence: Evidence) -> Counter[tuple[bool, str]]:
    """How many clips of which label have no verdict for which kind of reason, its numbers left out."""
    return Counter(
        (clip.fake, in_kind(answer.reason))
        for clip, answer in zip(evidence.clips, evidence.answers[ORIGINAL], strict=True)
        if answer.fake is None
    )


def verdicts(evidence: Evidence) -> dict[str, dict[str, int]]:
    """How many genuine and how many manipulated clips came into which band."""
    counts = {label.value: {"genuine": 0, "manipulated": 0} for label in Label}
    for clip, answer in zip(evidence.clips, evidence.answers[ORIGINAL], strict=True):
        counts[answer.label]["manipulated" if clip.fake else "genuine"] += 1
    return counts


def as_markdown(evidence: Evidence, made_by: Mapping[str, Any]) -> str:
    """The tables people read."""
    fake, group = evidence.labels.fake, evidence.labels.group
    forms = [form for form in evidence.answers if form not in (ORIGINAL, REFERENCED)]
    parts = [
        "# Evidence",
        f"`{made_by['command']}`: {int((~fake).sum())} genuine and {int(fake.sum())} manipulated clips of "
        f"{len(np.unique(group))} sources (clips that share an origin, an identity or a pair are of one). Intervals: "
        "95 %, whole sources resampled. *Size-matched*: mean over thirds of face width. *Best confound*: the AUC that "
        "face width, bytes per pixel or frame rate alone reaches over the clips that this row scored. ECE weighs both "
        "classes alike. Pairs: a manipulated clip and its unmanipulated twin.",
        "## All families",
        _table(
            ["scores", "weights", "clips", "not assessed", *MEASURES.values(), "best confound"],
            (
                [
                    line.row.name,
                    line.standing,
                    f"{line.row.genuine} + {line.row.fake}",
                    f"{line.row.unassessed:.0%}",
                    *map(str, line.row.measures.values()),
                    _confound(line),
                ]
                for line in _of(evidence, ORIGINAL)
                if line.row.family == ALL
            ),
        ),
        "## Families, each against all genuine clips",
        _table(
            ["family", "scores", "clips", "sources", "not assessed", *(MEASURES[m] for m in _SHORT), "best confound"],
            (
                [
                    line.row.family,
                    line.row.name,
                    f"{line.row.genuine} + {line.row.fake}",
                    str(line.row.sources),
                    f"{line.row.unassessed:.0%}",
                    *(str(line.row.measures[name]) for name in _SHORT),
                    _confound(line),
                ]
                for line in sorted(_of(evidence, ORIGINAL), key=lambda line: line.row.family)
                if line.row.family != ALL
            ),
        ),
    ]
    if evidence.referenced:
        parts += ["## With a genuine clip of the same source as reference", _references(evidence)]
    if forms:
        parts += ["## Re-encoded: AUC, and its change over the clips scored both ways", _sweep(evidence, forms)]
    bands = verdicts(evidence)
    parts += [
        "## Verdicts",
        _table(
            ["clips", *(label.replace("_", " ") for label in bands)],
            ([of, *(str(counts[of]) for counts in bands.values())] for of in ("genuine", "manipulated")),
        ),
        "## Not assessed",
        _table(
            ["clips", "label", "reason"],
            (
                [str(count), "manipulated" if manipulated else "genuine", reason]
                for (manipulated, reason), count in unassessed(evidence).most_common()
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


_SHORT = ("auc", "size_matched_auc", "tpr_at_5", "pairs")


def _references(evidence: Evidence) -> str:
    """Pairs and AUC without and with the reference, over the same clips."""
    without = {line.row.name: line.row for line in _of(evidence, UNREFERENCED)}
    rows = (
        [
            line.row.name,
            f"{line.row.genuine} + {line.row.fake}",
            *(str(row.measures[name]) for name in ("pairs", "auc") for row in (without[line.row.name], line.row)),
        ]
        for line in _of(evidence, REFERENCED)
        if line.row.name not in CONFOUNDS
    )
    return _table(
        ["scores", "clips", "pairs without", "pairs with", "AUC without", "AUC with"],
        rows,
    )


def _sweep(evidence: Evidence, forms: Sequence[str]) -> str:
    lines = {(line.form, line.row.name, line.row.family): line for line in evidence.lines}
    keys = [(line.row.family, line.row.name) for line in _of(evidence, forms[0])]

    def cells(family: str, name: str) -> Iterator[str]:
        for form in forms:
            line = lines[form, name, family]
            yield f"{_value(line)}; {line.change}" if line.change else _value(line)

    return _table(
        ["family", "scores", ORIGINAL, *forms],
        (
            [family, name, _value(lines[ORIGINAL, name, family]), *cells(family, name)]
            for family, name in sorted(keys, key=lambda key: (key[0] != ALL, key[0]))
        ),
    )


def _value(line: Line) -> str:
    return str(replace(line.row.measures["auc"], low=math.nan, high=math.nan))


def _of(evidence: Evidence, form: str) -> list[Line]:
    return [line for line in evidence.lines if line.form == form]


def _confound(line: Line) -> str:
    known = line.row.name not in CONFOUNDS and not math.isnan(line.row.confound)
    return f"{line.row.confound:.2f}" if known else "-"


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
