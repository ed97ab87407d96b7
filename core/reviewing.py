"""What people decide about a report, and how it moves from one state to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.types import Label


class Decision(StrEnum):
    """What a person says of a video; the words of people, not the bands of the methods."""

    MANIPULATED = "manipulated"
    NOT_MANIPULATED = "not_manipulated"
    CANNOT_TELL = "cannot_tell"
    OUT_OF_SCOPE = "out_of_scope"


class State(StrEnum):
    """Where a report stands. All but `decided` are open: somebody has yet to act."""

    UNREVIEWED = "unreviewed"
    SECOND_REVIEW = "second_review"
    ESCALATED = "escalated"
    REOPENED = "reopened"
    DECIDED = "decided"


class Move(StrEnum):
    """What takes a report from one state to the next.

    A decision settles it, asks for a second one, or differs from the first; `escalate` hands it to a lead, `appeal`
    takes a settled one up again.
    """

    SETTLE = "settle"
    ASK_SECOND = "ask_second"
    DIFFER = "differ"
    ESCALATE = "escalate"
    APPEAL = "appeal"


AFTER: Mapping[tuple[State, Move], State] = {
    (State.UNREVIEWED, Move.SETTLE): State.DECIDED,
    (State.UNREVIEWED, Move.ASK_SECOND): State.SECOND_REVIEW,
    (State.UNREVIEWED, Move.ESCALATE): State.ESCALATED,
    (State.SECOND_REVIEW, Move.SETTLE): State.DECIDED,
    (State.SECOND_REVIEW, Move.DIFFER): State.ESCALATED,
    (State.SECOND_REVIEW, Move.ESCALATE): State.ESCALATED,
    (State.ESCALATED, Move.SETTLE): State.DECIDED,
    (State.REOPENED, Move.SETTLE): State.DECIDED,
    (State.REOPENED, Move.ASK_SECOND): State.SECOND_REVIEW,
    (State.REOPENED, Move.ESCALATE): State.ESCALATED,
    (State.DECIDED, Move.APPEAL): State.REOPENED,
}
"""The state after each move; what is not listed is not possible."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule of the organisation's own that decisions rest on; one that is not active is kept for the old ones."""

    id: str
    title: str
    text: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on a report, until when (UTC, ISO 8601)."""

    by: str
    until: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision as recorded: bound to a policy, whose title is kept as it was.

    `blind` tells that whoever decided had not been shown the scores.
    """

    decision: Decision
    policy: str
    policy_title: str
    blind: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One move in the life of a report; never changed. A later ruling supersedes an earlier one, which stays.

    `why` says what took it further than a plain decision, `note` is the person's own.
    """

    at: str
    actor: str
    move: Move
    before: State
    after: State
    note: str
    why: str = ""
    ruling: Ruling | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reviewer held before seeing the scores; `blind` is False where they had seen them all the same."""

    reviewer: str
    at: str
    decision: Decision
    blind: bool


@dataclass(frozen=True, slots=True)
class Queued:
    """One report in the queue.

    `label` and `fake` are None where they are kept from whoever asks; `fake` also where there is no number.
    `decision` and `reviewer` are those of the last ruling.
    """

    report_id: str
    created_at: str
    name: str
    persons: int
    label: Label | None
    fake: float | None
    state: State
    why: str
    claim: Claim | None
    decision: Decision | None
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """All that people did to one report: steps and opinions, oldest first; `claim` only while it holds."""

    queued: Queued
    steps: tuple[Step, ...]
    opinions: tuple[Opinion, ...]

    @property
    def rulings(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.ruling)


@dataclass(frozen=True, slots=True)
class Case:
    """A decided clip, as statistics see it: what the methods said, what people ruled.

    `blind` are opinions that reviewers gave before the scores were shown; `rulings` reviewer and decision, oldest
    first, of which the last stands.
    """

    report_id: str
    at: str
    label: Label
    fake: float | None
    rulings: tuple[tuple[str, Decision], ...]
    blind: tuple[tuple[str, Decision], ...] = ()

    @property
    def decision(self) -> Decision:
        return self.rulings[-1][1]

    @property
    def manipulated(self) -> bool | None:
        """None where people could not, or need not, tell."""
        told = {Decision.MANIPULATED: True, Decision.NOT_MANIPULATED: False}
        return told.get(self.decision)


@dataclass(frozen=True, slots=True)
class Bands:
    """The thresholds of the bands on P(manipulated): rising."""

    no_signs: float
    some_signs: float
    strong_signs: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of n pairs of judgements with its 95 % interval; `share` of them are the same.

    `kappa` is None where there are too few pairs, or all are of one kind, so that chance alone would agree as well.
    """

    n: int
    share: float
    kappa: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Month:
    """One month, as `2026-03`: the scores of all that was analysed in it, and how decisions on it agree with them.

    `quartiles` of P(manipulated) over the `scored` clips; None where there are none.
    """

    month: str
    scored: int
    quartiles: tuple[float, float, float] | None
    agreement: Agreement
