"""A report beside another one of the same file: what each finding and verdict was, and what it is now."""

from dataclasses import dataclass

from core.types import Finding, Report
from core.words import say

VISIBLE = 0.005
"""A number that moved by less reads the same; other machines round differently in far smaller digits."""


@dataclass(frozen=True, slots=True)
class Change:
    """One method on one region of one person, before and after; None where that report has no such finding.

    `moved` is how far P(fake) moved, None unless both have a number.
    """

    track_id: int
    detector: str
    region: str
    before: Finding | None
    after: Finding | None

    @property
    def moved(self) -> float | None:
        if self.before is None or self.after is None or self.before.fake is None or self.after.fake is None:
            return None
        return self.after.fake - self.before.fake

    @property
    def same_weights(self) -> bool:
        """Whether the very same file spoke."""
        used = [f.weights.sha256 if f and f.weights else None for f in (self.before, self.after)]
        return used[0] is not None and used[0] == used[1]

    @property
    def differs(self) -> bool:
        """Whether it was scored once and not the other time, or the number moved visibly."""
        if self.moved is not None:
            return abs(self.moved) >= VISIBLE
        return (self.before and self.before.status) != (self.after and self.after.status)


def difference(before: Report, after: Report) -> tuple[Change, ...]:
    """Every finding of either report, in the order of the earlier one; which is which is told by the weights' names."""
    then, now = ({(f.track_id, f.region, f.witness): f for f in report.findings} for report in (before, after))
    return tuple(
        Change(track_id, (then.get(place) or now[place]).detector, region, then.get(place), now.get(place))
        for place in dict.fromkeys([*then, *now])
        for track_id, region, _ in [place]
    )


def sum_up(before: Report, after: Report) -> str:
    """The difference in two or three sentences, in the language of the moment."""
    changes = difference(before, after)
    differing = [change for change in changes if change.differs]
    far = max((abs(change.moved) for change in differing if change.moved is not None), default=None)
    findings = say("again.none_differs")
    if differing:
        findings = say("again.differ", differing=len(differing), total=len(changes))
    by = "" if far is None else say("again.by", far=f"{far:.2f}")
    was, now = (say(f"bands.{report.verdict.label}") for report in (before, after))
    verdict = say("again.still", now=now) if was == now else say("again.became", was=was, now=now)
    return " ".join(filter(None, (findings, by, verdict)))
