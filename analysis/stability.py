"""Does the verdict hold when the clip is changed in ways that should not matter? Asked when it is *thorough*.

A method that changes its mind after one more encoding was not looking at what lasts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.explanation import explain_trials
from core.types import ChangeName, Finding, Label, Person, Scores, Skipped, Track, Trial, Verdict
from core.words import named, say
from preprocessing.changes import SCALE, Change, reencode, shrink
from preprocessing.landmarks import overlap
from preprocessing.reading import Reading

CHANGES: dict[ChangeName, tuple[Change, float]] = {"re-encoded": (reencode, 1.0), "scaled": (shrink, SCALE)}
"""Each with the size it leaves the picture."""
SAME_PERSON = 0.5
"""Mean overlap of the boxes, over all frames of a track, from which on another reading's track is the same person."""
GONE = "The person was not found again."


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """What is said of one reading; a person for every track, in the same order."""

    reading: Reading
    answers: Sequence[Scores | Skipped]
    findings: Sequence[Finding]
    persons: Sequence[Person]
    verdict: Verdict


def stand_trial(first: Assessment, again: Callable[[Change, str], Assessment]) -> tuple[Assessment, tuple[Trial, ...]]:
    """The assessment, whose reasons now say where it is unstable, and what became of it after each change.

    Args:
        again: reads and assesses the clip with this change, telling people so in these words.
    """
    if first.verdict.fake is None:
        return first, ()
    trials: list[Trial] = []
    for name, (change, scale) in CHANGES.items():
        after = again(change, say("stages.again", change=named("changes", name)))
        trials += compare(name, first, after, scale)
    persons = [replace(p, verdict=_told(p.verdict, p.id, trials)) for p in first.persons]
    return replace(first, persons=persons, verdict=_told(first.verdict, None, trials)), tuple(trials)


def compare(name: ChangeName, before: Assessment, after: Assessment, scale: float = 1.0) -> list[Trial]:
    """The trial of the video, and one of each person who has a number; who is who is told by time and box."""
    trials = [_trial(name, None, after.verdict)]
    for track, person in zip(before.reading.tracks, before.persons, strict=True):
        if person.verdict.fake is not None:
            same = find_again(track, after.reading.tracks, scale)
            verdict = None if same is None else after.persons[same].verdict
            trials.append(
                _trial(name, person.id, verdict) if verdict else Trial(name, person.id, Label.NOT_ASSESSED, None, GONE)
            )
    return trials


def find_again(track: Track, others: Sequence[Track], scale: float) -> int | None:
    """Which of the tracks in a picture of `scale` times the size is this one; None if none is."""
    shares = [_in_common(track, other, scale) for other in others]
    best = int(np.argmax(shares)) if shares else 0
    return best if shares and shares[best] >= SAME_PERSON else None


def _in_common(track: Track, other: Track, scale: float) -> float:
    _, here, there = np.intersect1d(track.index, other.index, return_indices=True)
    common = sum(overlap(a, b / scale) for a, b in zip(track.boxes[here], other.boxes[there], strict=True))
    return common / len(track.index)


def _trial(name: ChangeName, track_id: int | None, verdict: Verdict) -> Trial:
    return Trial(name, track_id, verdict.label, verdict.fake, verdict.reason if verdict.fake is None else None)


def _told(verdict: Verdict, track_id: int | None, trials: Sequence[Trial]) -> Verdict:
    words = explain_trials(verdict.label, [trial for trial in trials if trial.track_id == track_id])
    return replace(verdict, reason=f"{verdict.reason} {words}".rstrip())
