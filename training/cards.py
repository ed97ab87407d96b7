"""What the model cards of the bundled weights share: their tables, and what a number is worth in words."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from training.clips import Clip, facts
from training.measures import ALL, MEASURES, Labels, Row, auc, measure_change

GOALS = (
    ("all", "size_matched_auc", 0.75),
    ("face_swap", "size_matched_auc", 0.85),
    ("reenactment", "size_matched_auc", 0.75),
    ("talking_head", "size_matched_auc", 0.70),
)


def confounds(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """What a collection gives away by itself, float (n,) each."""
    bytes_per_px, rate_hz = np.array([facts(clip) for clip in clips]).T
    return {
        "face width alone": np.array([clip.face_width_px for clip in clips]),
        "bytes per pixel alone": bytes_per_px,
        "frame rate alone": rate_hz,
    }


def expect(rows: Sequence[Row], name: str) -> str:
    """In words what the scores of this name are worth, and of which goals they fall short."""
    (overall,) = (row for row in rows if row.name == name and row.family == ALL)
    matched, found = overall.measures["size_matched_auc"], overall.measures["auc"]
    worth = (
        "That cannot be told from chance: do not expect it to tell manipulated footage from genuine"
        if found.low <= 0.5
        else "A weak signal"
        if found.value < 0.7
        else "A moderate signal"
    )
    missed = []
    for family, measured, goal in GOALS:
        own = next((r for r in rows if r.name == name and r.family == family), None)
        if own and own.measures[measured].value < goal:
            missed.append(f"{plain(family)} {goal:.2f}, reached {own.measures[measured].value:.2f}")
    hopes = f" It was hoped for more (size-matched AUC: {'; '.join(missed)})." if missed else ""
    return (
        f"Over {overall.genuine} genuine and {overall.fake} manipulated clips of sources it has never seen the AUC is "
        f"{found}, size-matched {matched}. {worth}; the best of the confounds alone reaches {overall.confound:.2f}."
        f"{hopes}"
    )


def families(rows: Sequence[Row], name: str) -> str:
    """Every measure: of the scores of this name by family, of all others over all families."""
    lines = [
        f"| scores | manipulated by | genuine, manipulated (sources) | {' | '.join(MEASURES.values())} "
        "| best confound |",
        "| --- |" + " --- |" * (len(MEASURES) + 3),
    ]
    for row in rows:
        if name == row.name or row.family == ALL:
            numbers = " | ".join(str(row.measures[measure]) for measure in MEASURES)
            lines.append(
                f"| {row.name} | {plain(row.family)} | {row.genuine}, {row.fake} ({row.sources}) | {numbers} | "
                f"{row.confound:.2f} |"
            )
    return "\n".join(lines)


def lists(clips: Sequence[Clip], whole: np.ndarray, group: np.ndarray) -> str:
    """What was learned from; `whole` bool (n,) and `group` int (n,) of n clips."""
    lines = ["| | genuine | manipulated | sources | of these |", "| --- |" + " --- |" * 4]
    for title, which in (("whole clips", whole), ("mini-clips, most at most 320 px", ~whole)):
        own = [clip for clip, kept in zip(clips, which, strict=True) if kept]
        counts = Counter(clip.family for clip in own if clip.fake)
        counted = ", ".join(f"{n} {plain(family)}" for family, n in counts.most_common())
        genuine = sum(not clip.fake for clip in own)
        sources = len(np.unique(group[which]))
        lines.append(f"| {title} | {genuine} | {len(own) - genuine} | {sources} | {counted} |")
    return "\n".join(lines)


def survival(scores: Mapping[str, tuple[np.ndarray, np.ndarray]], labels: Labels) -> str:
    """By family, the AUC of scores (n,) before and after something was done to the clips, and its change with the
    interval, over the clips scored both times; NaN where a clip was not scored."""
    lines = ["| scores | manipulated by | genuine, manipulated | AUC | after | change |", "| --- |" + " --- |" * 5]
    for name, (before, after) in scores.items():
        known = np.isfinite(before) & np.isfinite(after)
        for family in (ALL, *sorted(set(labels.family[labels.fake & known].tolist()))):
            which = known & (~labels.fake | (labels.family == family) | (family == ALL))
            own = labels.take(which)
            was, now = (auc(of[which], own.fake) for of in (before, after))
            lines.append(
                f"| {name} | {plain(family)} | {int((~own.fake).sum())}, {int(own.fake.sum())} | {was:.2f} | "
                f"{now:.2f} | {measure_change(before[which], after[which], own)} |"
            )
    return "\n".join(lines)


def plain(family: str) -> str:
    """Its name as it is read."""
    return family.replace("_", " ")
