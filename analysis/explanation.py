"""The reason of a verdict, in one or two plain sentences."""

from collections.abc import Mapping, Sequence

from analysis.disagreement import disagreement, method_title
from analysis.fusion import basis_of, unfit
from core.settings import Settings
from core.types import Basis, ChangeName, Finding, Label, Person, Trial, Verdict
from core.weights import Weights, state
from core.words import named, say

MEANING = {
    Label.STRONG_SIGNS: "Few genuine clips score this high.",
    Label.SOME_SIGNS: "More manipulated than genuine clips score this high, but genuine ones do too.",
    Label.INCONCLUSIVE: "Genuine and manipulated clips both score like this.",
    Label.NO_SIGNS: "That does not make it genuine: a method sees only what it was trained to see.",
}

CAUTION: dict[Basis | None, str] = {
    "uncalibrated": "This is uncalibrated: how often it is right was not measured.",
    "partly uncalibrated": "Part of this is uncalibrated: how often it is right was not measured.",
}
AFTER: dict[ChangeName, str] = {"re-encoded": "after re-encoding", "scaled": "at three quarters of its size"}
"""A clip that was changed, in words that follow a verb."""
STRONGER = "gend/clip-l14"
"""Of the sets that anyone may fetch and use, the strongest on manipulations it has not seen (`docs/methods.md`)."""


def explain_person(label: Label, findings: Sequence[Finding]) -> str:
    """Which methods said what of one person, and what that is worth."""
    if label is Label.NOT_ASSESSED:
        return " ".join(dict.fromkeys(f.reason for f in findings if f.reason)) or "No method was chosen."
    scored = [f for f in findings if f.fake is not None]
    heard = _say(scored[0]) if len(scored) == 1 else _list(scored)
    basis = basis_of(findings)
    # Nobody measured how high clips score by uncalibrated methods alone.
    meaning = "" if basis == "uncalibrated" else MEANING[label]
    return " ".join(filter(None, [f"{heard}.", meaning, CAUTION.get(basis), disagreement(findings)]))


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
    for p in persons:
        if (p.verdict.fake or 0.0) > (decisive.verdict.fake or 0.0):
            rest += f" Person {p.id} scores higher and does not decide: {unfit(p, persons)}."
    lead = "Nobody stands out; the highest score is that of" if label is Label.NO_SIGNS else "The verdict rests on"
    return f"{lead} person {decisive.id}. {decisive.verdict.reason}{rest}"


def explain_trials(label: Label, trials: Sequence[Trial]) -> str:
    """Whether this verdict changed its band when the clip was changed; empty where it did not."""
    moved = [
        f"{trial.label.replace('_', ' ')} ({trial.fake:.2f}) {AFTER[trial.change]}"
        for trial in trials
        if trial.fake is not None and trial.label is not label
    ]
    unstable = [f"Unstable: the same methods say {' and '.join(moved)}."] if moved else []
    lost = [f"Could not be assessed {AFTER[trial.change]}: {trial.reason}" for trial in trials if trial.fake is None]
    return " ".join(unstable + lost)


def explain_spread(verdict: Verdict, trials: Sequence[Trial]) -> str:
    """How far the number of this verdict moved when the clip was changed; empty where there is none or nobody tried."""
    if verdict.fake is None or not trials:
        return ""
    found = [verdict.fake, *(trial.fake for trial in trials if trial.fake is not None)]
    numbers = [say("spread.not_assessed") if trial.fake is None else f"{trial.fake:.2f}" for trial in trials]
    each = ", ".join(f"{told} {named('changes', trial.change)}" for told, trial in zip(numbers, trials, strict=True))
    return say("spread.again", trials=each, low=f"{min(found):.2f}", high=f"{max(found):.2f}")


def explain_limits(
    label: Label, findings: Sequence[Finding], manifest: Mapping[str, Weights], settings: Settings
) -> str:
    """What an operator can do where only methods that come with the app were heard and cannot tell; otherwise empty."""
    heard = [manifest[f.weights.id] for f in findings if f.weights and f.fake is not None]
    if label is not Label.INCONCLUSIVE or any(weights.source != "bundled" for weights in heard):
        return ""
    found = state(manifest[STRONGER], settings) if STRONGER in manifest else None
    if found is None or found.kind != "fetch":
        return ""
    return f"Only methods that come with the app were heard; a stronger one can be fetched: {found.command}."


def _say(finding: Finding) -> str:
    method = method_title(finding.detector)
    if finding.vote is not None:
        count = len(finding.scores)
        votes = f"{round(finding.vote * count)} of {count} stretches of the clip"
        return f"{method} scores {finding.overall:.2f} from 0 to 1 on average, and one half or more in {votes}"
    return f"{method} scores the {finding.region} region {finding.overall:.2f} from 0 to 1 on average"


def _list(findings: Sequence[Finding]) -> str:
    """Several findings, in one clause for each method."""
    by_method: dict[str, list[str]] = {}
    for f in findings:
        by_method.setdefault(method_title(f.detector), []).append(f"{f.region} {f.overall:.2f}")
    said = "; ".join(f"{method}: {', '.join(regions)}" for method, regions in by_method.items())
    return f"Average scores from 0 to 1 by {said}"
