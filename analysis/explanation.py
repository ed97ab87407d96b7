"""The reason of a verdict, in one or two plain sentences."""

from collections.abc import Sequence

from core.types import Finding, Label, Person
from detectors import DETECTORS

MEANING = {
    Label.STRONG_SIGNS: "Few genuine clips score this high.",
    Label.SOME_SIGNS: "More manipulated than genuine clips score this high, but genuine ones do too.",
    Label.INCONCLUSIVE: "Genuine and manipulated clips both score like this.",
    Label.NO_SIGNS: "That does not make it genuine: a method sees only what it was trained to see.",
}

PARTLY = "Part of this is uncalibrated: how often it is right was not measured."


def explain_person(label: Label, findings: Sequence[Finding]) -> str:
    """Which methods said what of one person, and what that is worth."""
    if label is Label.NOT_ASSESSED:
        return " ".join(dict.fromkeys(f.reason for f in findings if f.reason)) or "No method was chosen."
    scored = [f for f in findings if f.fake is not None]
    heard = [_say([f for f in scored if f.detector == name]) for name in dict.fromkeys(f.detector for f in scored)]
    calibrated = {f.calibrated for f in scored}
    if calibrated == {False}:
        return f"{'; '.join(heard)}. This is uncalibrated: how often it is right was not measured."
    caution = "" if calibrated == {True} else f" {PARTLY}"
    return f"{'; '.join(heard)}. {MEANING[label]}{caution}"


def explain_video(label: Label, persons: Sequence[Person], decisive: Person | None, *, frames: int) -> str:
    """Whose verdict it is, and who could not be judged."""
    if not persons:
        return f"No face was found in the {frames} frames that were looked at, so there was nothing to assess."
    if decisive is None:
        return (
            persons[0].verdict.reason if len(persons) == 1 else f"Nobody could be assessed. {persons[0].verdict.reason}"
        )
    if len(persons) == 1:
        return decisive.verdict.reason
    unjudged = sum(p.verdict.fake is None for p in persons)
    rest = f" {unjudged} of {len(persons)} people could not be assessed." if unjudged else ""
    lead = "Nobody stands out; the highest score is that of" if label is Label.NO_SIGNS else "The verdict rests on"
    return f"{lead} person {decisive.id}. {decisive.verdict.reason}{rest}"


def _say(findings: Sequence[Finding]) -> str:
    """What one method said, of one region or of several."""
    finding = max(findings, key=lambda f: f.overall or 0.0)
    method = DETECTORS[finding.detector].card.title.split(":")[0]
    if len(findings) > 1:
        lowest = min(f.overall or 0.0 for f in findings)
        return (
            f"{method} scores {len(findings)} regions {lowest:.2f} to {finding.overall:.2f} from 0 to 1 on average, "
            f"the {finding.region} region highest"
        )
    if finding.vote is not None:
        count = len(finding.scores)
        votes = f"{round(finding.vote * count)} of {count} stretches of the clip"
        return f"{method} scores {finding.overall:.2f} from 0 to 1 on average, and one half or more in {votes}"
    return f"{method} scores the {finding.region} region {finding.overall:.2f} from 0 to 1 on average"
