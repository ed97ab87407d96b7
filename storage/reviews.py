"""What people do about reports: the queue, claims, opinions, decisions, second reviews, escalations, appeals.

Every act locks the one row of its report first, then looks, then writes, and appends to the audit log in the same
transaction: of two acts at once the second sees what the first did. Nothing that was decided is ever changed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select, tuple_, update
from sqlalchemy.orm import Session

from core.errors import Claimed, InputError, NotAllowed, NotPossible, ReportNotFound
from core.people import Role, User
from core.reviewing import (
    AFTER,
    Bands,
    Case,
    Claim,
    Decision,
    Move,
    Opinion,
    Policy,
    Queued,
    Review,
    Ruling,
    State,
    Step,
)
from core.settings import Settings
from core.types import Label, Report
from storage import audit
from storage.audit import Action
from storage.database import sessions
from storage.tables import BandsRow, OpinionRow, PolicyRow, ReportRow, ReviewRow, RulingRow, StepRow

NO_SCORE = -1.0
COUNTED = 1000
"""Reports are counted up to here; who has more in the queue needs no exact number, and counting takes its time."""
MAX_NOTE, MAX_TITLE, MAX_ID = 4000, 200, 40


class Order(StrEnum):
    """How the queue is sorted."""

    NEWEST = "newest"
    OLDEST = "oldest"
    HIGHEST = "highest"
    LOWEST = "lowest"

    @property
    def by_score(self) -> bool:
        return self in (Order.HIGHEST, Order.LOWEST)

    @property
    def falling(self) -> bool:
        return self in (Order.NEWEST, Order.HIGHEST)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reports: those to which all that is given here applies.

    `open` are those somebody has yet to act on; `claimed_by` and `reviewer` names of users, the latter of who decided
    last; `since` and `until` days, both included; `text` a part of the file name, in either case.
    """

    open: bool | None = None
    state: State | None = None
    label: Label | None = None
    detector: str | None = None
    persons: int | None = None
    reviewer: str | None = None
    claimed_by: str | None = None
    since: date | None = None
    until: date | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the queue. `total` counts all pages, up to `COUNTED` + 1, which means more than `COUNTED`.

    `before` and `after` lead to the pages on either side; None where there is none.
    """

    rows: tuple[Queued, ...]
    total: int
    before: str | None
    after: str | None


def queued(report: Report) -> ReviewRow:
    """A new report as it enters the queue."""
    return ReviewRow(
        report_id=report.id,
        created_at=report.created_at,
        name=report.video.name,
        label=report.verdict.label,
        score=NO_SCORE if report.verdict.fake is None else report.verdict.fake,
        persons=len(report.tracks),
        detectors=_listed({f.detector for f in report.findings if f.status == "scored"}),
    )


class ReviewStore:
    """The queue, and what was decided. Who may act at all is for the caller to check; who may act now is checked here.

    Acts raise `Claimed` where somebody else is at work on the report, `NotPossible` where its state does not allow
    them, `NotAllowed` where it takes another person, and `ReportNotFound`.
    """

    def __init__(
        self, database: Engine | str, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._session = sessions(database)
        self._settings, self._clock = settings, clock

    # Looking

    def queue(
        self,
        user: User,
        wanted: Wanted = Wanted(),
        order: Order = Order.NEWEST,
        *,
        after: str | None = None,
        before: str | None = None,
        size: int = 20,
    ) -> Page:
        """The page after, or before, the place that an earlier page named; without one the first.

        Raises:
            InputError: the place is not one of ours, or band and score are asked about by whom they are kept from.
        """
        if self._blinds(user) and (wanted.label or order.by_score):
            raise InputError(
                "Bands and scores are kept back until you have given your opinion; sort and filter by others."
            )
        conditions = _conditions(wanted)
        key = ReviewRow.score if order.by_score else ReviewRow.created_at
        falling = order.falling != bool(before)
        place = tuple_(key, ReviewRow.report_id)
        here = list(conditions)
        if edge := after or before:
            at = tuple_(*_place(edge, order))
            here.append(place < at if falling else place > at)
        columns = (key, ReviewRow.report_id)
        page = select(ReviewRow).where(*here).order_by(*(c.desc() if falling else c.asc() for c in columns))
        counted = select(ReviewRow.report_id).where(*conditions).limit(COUNTED + 1).subquery()
        with self._session() as session:
            found = list(session.scalars(page.limit(size + 1)))
            total = session.scalar(select(func.count()).select_from(counted)) or 0
            further, found = len(found) > size, found[:size]
            if before:
                found.reverse()
            rows = self._rows(session, found, user)
        ends = [f"{row.score if order.by_score else row.created_at}|{row.report_id}" for row in found]
        return Page(
            tuple(rows),
            total,
            before=ends[0] if ends and (further if before else after) else None,
            after=ends[-1] if ends and (before or further) else None,
        )

    def review(self, report_id: str, user: User) -> Review:
        """Where a report stands and how it came there; from whom scores are kept, what others decided is too."""
        hidden = self.hides(report_id, user)
        with self._session() as session:
            row = session.get(ReviewRow, report_id)
            if row is None:
                raise _not_found()
            seen = self._row(row, shown=not hidden)
            steps = [_copy_step(row) for row in session.scalars(_of(StepRow, report_id).order_by(StepRow.id))]
            opinions = [_copy(Opinion, o) for o in session.scalars(_of(OpinionRow, report_id).order_by(OpinionRow.at))]
        if hidden:
            # Whoever opined and is still kept from the scores would be nobody: all opinions here are others'.
            return Review(seen, tuple(replace(step, note="", why="", ruling=None) for step in steps), ())
        return Review(seen, tuple(steps), tuple(opinions))

    def hides(self, report_id: str, user: User) -> bool:
        """Whether the scores of a report are kept from a user: a reviewer who owes an opinion on it.

        Not from who had it analysed and saw them then, nor from leads, who answer for the methods.
        """
        if not self._blinds(user):
            return False
        with self._session() as session:
            row = session.get(ReviewRow, report_id)
            owner = session.scalar(select(ReportRow.owner).where(ReportRow.id == report_id))
            return (
                row is not None
                and row.open
                and owner != user.name
                and session.get(OpinionRow, (report_id, user.name)) is None
            )

    # Acting

    def claim(self, report_id: str, user: User) -> Claim:
        """Keeps others off a report for `claim_minutes`; for who holds it already, anew from now."""
        with self._acting(report_id, user) as (session, row):
            self._may_decide(session, row, user)
            return self._claim(session, row, user)

    def claim_next(self, user: User, wanted: Wanted = Wanted(), order: Order = Order.OLDEST) -> str | None:
        """Claims the first open report that is wanted and that this user may decide; None where there is none."""
        page = self.queue(user, replace(wanted, open=True), order, size=50)
        while True:
            for row in page.rows:
                try:
                    self.claim(row.report_id, user)
                except (Claimed, NotAllowed, NotPossible, ReportNotFound):
                    continue
                return row.report_id
            if page.after is None:
                return None
            page = self.queue(user, replace(wanted, open=True), order, after=page.after, size=50)

    def release(self, report_id: str, user: User) -> None:
        """Gives up a claim of one's own; a lead may end anybody's."""
        with self._locked(report_id) as (session, row):
            claim = self._claim_on(row)
            if claim is None:
                return
            if claim.by != user.name and not user.role.includes(Role.LEAD):
                raise Claimed(_busy(claim))
            self._unclaim(row)
            self._note(session, user, Action.RELEASED, report_id, {"claimed_by": claim.by})

    def give_opinion(self, report_id: str, user: User, opinion: Decision) -> None:
        """Commits what a reviewer holds before the scores are shown; once, and never changed."""
        hidden = self.hides(report_id, user)
        with self._acting(report_id, user) as (session, row):
            self._may_decide(session, row, user)
            if session.get(OpinionRow, (report_id, user.name)):
                raise NotPossible("You have given your opinion on this report already; it stays as it was.")
            self._opine(session, row, user, opinion, hidden)
            self._claim(session, row, user)

    def decide(
        self,
        report_id: str,
        user: User,
        decision: Decision,
        policy: str,
        note: str = "",
        *,
        ask_second: bool = False,
        due: str = "",
    ) -> State:
        """Records a decision, and returns the state it leads to.

        Args:
            policy: id of an active policy that it rests on.
            ask_second: whether somebody else is asked to look as well.
            due: why a second review is due by rule; empty where it is not. Counts for a first decision only.

        Raises:
            InputError: the policy does not exist or is not active, or the note is too long.
        """
        note = plain(note, "note", MAX_NOTE)
        blind = self.hides(report_id, user)
        with self._acting(report_id, user) as (session, row):
            self._may_decide(session, row, user)
            rule = session.get(PolicyRow, policy)
            if rule is None or not rule.active:
                raise InputError(f"There is no active policy {policy!r}; {_choose(_policies(session))}.")
            move, why = self._move(session, row, user, decision, ask_second, due)
            ruling = RulingRow(decision=decision, policy=rule.id, policy_title=rule.title, blind=blind)
            if blind:
                self._opine(session, row, user, decision, blind)
            self._step(session, row, user, move, note, why, ruling)
            details = {"decision": decision, "policy": rule.id, "note": note, "blind": blind, "why": why}
            self._note(session, user, Action.DECIDED, report_id, details | {"state": row.state})
            return row.state

    def escalate(self, report_id: str, user: User, note: str) -> None:
        """Hands a report to a lead, who is told why by the note."""
        note = plain(note, "note", MAX_NOTE, needed="A lead needs to know why: write a note first.")
        with self._acting(report_id, user) as (session, row):
            self._step(session, row, user, Move.ESCALATE, note, f"{user.name} asks a lead")
            self._note(session, user, Action.ESCALATED, report_id, {"note": note})

    def appeal(self, report_id: str, user: User, note: str) -> None:
        """Takes up again what was decided; somebody else than who decided, or a lead, decides anew."""
        note = plain(note, "note", MAX_NOTE, needed="An appeal needs its reason: write a note first.")
        with self._acting(report_id, user) as (session, row):
            self._step(session, row, user, Move.APPEAL, note, f"appeal, entered by {user.name}")
            self._note(session, user, Action.APPEALED, report_id, {"note": note})

    # Policies

    def policies(self, *, active_only: bool = False) -> tuple[Policy, ...]:
        """The organisation's own list, in the order of their ids."""
        with self._session() as session:
            return tuple(p for p in _policies(session) if p.active or not active_only)

    def keep_policy(self, user: User, policy: Policy) -> None:
        """Adds a policy, or changes the one of this id; past decisions keep the title they were made under.

        Raises:
            InputError: no id or title, or one that is too long.
        """
        kept = Policy(
            plain(policy.id, "id of the policy", MAX_ID, needed="A policy needs an id, such as SYN-1."),
            plain(policy.title, "title", MAX_TITLE, needed="A policy needs a title."),
            plain(policy.text, "text", MAX_NOTE),
            policy.active,
        )
        with self._session.begin() as session:
            before = session.get(PolicyRow, kept.id, with_for_update=True)
            was = _copy(Policy, before) if before else None
            session.merge(PolicyRow(**_values(kept)))
            self._note(session, user, Action.CHANGED, None, {"policy": _values(kept), "was": was and _values(was)})

    # What decisions add up to

    def cases(self) -> tuple[Case, ...]:
        """Every report whose decision stands, with all rulings and blind opinions on it, oldest first."""
        columns = (ReviewRow.report_id, ReviewRow.created_at, ReviewRow.label, ReviewRow.score)
        decided = ReviewRow.state == State.DECIDED
        rulings = (
            select(StepRow.report_id, StepRow.actor, RulingRow.decision)
            .join(RulingRow, RulingRow.step_id == StepRow.id)
            .join(ReviewRow, ReviewRow.report_id == StepRow.report_id)
            .where(decided)
            .order_by(StepRow.id)
        )
        blind = (
            select(OpinionRow.report_id, OpinionRow.reviewer, OpinionRow.decision)
            .join(ReviewRow, ReviewRow.report_id == OpinionRow.report_id)
            .where(decided, OpinionRow.blind)
            .order_by(OpinionRow.at)
        )
        with self._session() as session:
            ruled, opined = (_grouped(session.execute(q)) for q in (rulings, blind))
            rows = session.execute(select(*columns).where(decided).order_by(ReviewRow.created_at, ReviewRow.report_id))
            return tuple(
                Case(id, at, label, None if score == NO_SCORE else score, ruled[id], opined.get(id, ()))
                for id, at, label, score in rows
                if id in ruled
            )

    def scores(self) -> list[tuple[str, float]]:
        """When each report was made, and its P(fake), of those that have one; oldest first."""
        scored = select(ReviewRow.created_at, ReviewRow.score).where(ReviewRow.score != NO_SCORE)
        with self._session() as session:
            return [(at, fake) for at, fake in session.execute(scored.order_by(ReviewRow.created_at))]

    def bands(self) -> Bands:
        """The thresholds in force: those a lead applied last, or else the settings'."""
        with self._session() as session:
            row = session.scalar(select(BandsRow).order_by(BandsRow.id.desc()).limit(1))
            return _copy(Bands, row or self._settings)

    def apply_bands(self, user: User, bands: Bands, why: str) -> None:
        """Puts thresholds in force for analyses from now on; reports that were made keep their bands.

        Raises:
            InputError: they do not rise from 0 to 1.
        """
        if not 0 < bands.no_signs <= bands.some_signs <= bands.strong_signs < 1:
            raise InputError(
                "Thresholds must rise from 0 to 1: no signs, some signs, strong signs; got "
                f"{bands.no_signs:g}, {bands.some_signs:g}, {bands.strong_signs:g}."
            )
        was = _values(self.bands())
        with self._session.begin() as session:
            session.add(BandsRow(at=self._now(), actor=user.name, why=why, **_values(bands)))
            self._note(session, user, Action.CHANGED, None, {"bands": _values(bands), "was": was, "why": why})

    # Pieces

    @contextmanager
    def _locked(self, report_id: str) -> Iterator[tuple[Session, ReviewRow]]:
        """The row of a report, which nobody else can change before this transaction ends."""
        mine = update(ReviewRow).where(ReviewRow.report_id == report_id).values(why=ReviewRow.why)
        mine = mine.execution_options(synchronize_session=False)
        with self._session.begin() as session:
            # A write comes first, even if of nothing new: SQLite has no other lock, and one that was read before
            # somebody else wrote could not be written any more.
            session.execute(mine)
            row = session.get(ReviewRow, report_id)
            deleted = session.scalar(select(ReportRow.deleted_at).where(ReportRow.id == report_id))
            if row is None or deleted:
                raise _not_found()
            yield session, row

    @contextmanager
    def _acting(self, report_id: str, user: User) -> Iterator[tuple[Session, ReviewRow]]:
        """The same, unless somebody else is at work on it."""
        with self._locked(report_id) as (session, row):
            claim = self._claim_on(row)
            if claim and claim.by != user.name:
                raise Claimed(_busy(claim))
            yield session, row

    def _may_decide(self, session: Session, row: ReviewRow, user: User) -> None:
        if not row.open:
            raise NotPossible(f"{row.reviewer} has decided this report already; an appeal takes it up again.")
        lead = user.role.includes(Role.LEAD)
        if row.state is State.ESCALATED and not lead:
            raise NotAllowed("This report was escalated, so a lead decides it.")
        if row.state is State.SECOND_REVIEW and row.reviewer == user.name:
            raise NotAllowed(
                "You made the first decision, so somebody else makes the second; or escalate it to a lead."
            )
        if row.state is State.REOPENED and row.reviewer == user.name and not lead:
            raise NotAllowed("The appeal is against your decision, so somebody else, or a lead, decides anew.")

    def _move(
        self, session: Session, row: ReviewRow, user: User, decision: Decision, ask_second: bool, due: str
    ) -> tuple[Move, str]:
        if row.state is State.SECOND_REVIEW and decision is not row.decision:
            return Move.DIFFER, f"{row.reviewer} and {user.name} decided differently"
        reasons = [f"{user.name} asks for it"] if ask_second else []
        reasons += [due] if due and row.state is State.UNREVIEWED else []
        if reasons and (row.state, Move.ASK_SECOND) in AFTER:
            return Move.ASK_SECOND, "; ".join(reasons)
        return Move.SETTLE, ""

    def _step(
        self,
        session: Session,
        row: ReviewRow,
        user: User,
        move: Move,
        note: str,
        why: str = "",
        ruling: RulingRow | None = None,
    ) -> None:
        after = AFTER.get((row.state, move))
        if after is None:
            raise NotPossible(_IMPOSSIBLE[move])
        session.add(
            StepRow(
                report_id=row.report_id,
                at=self._now(),
                actor=user.name,
                move=move,
                before=row.state,
                after=after,
                note=note,
                why=why,
                ruling=ruling,
            )
        )
        row.state, row.open, row.why = after, after is not State.DECIDED, why
        if ruling:
            row.decision, row.reviewer = ruling.decision, user.name
        self._unclaim(row)

    def _claim(self, session: Session, row: ReviewRow, user: User) -> Claim:
        until = self._clock() + timedelta(minutes=self._settings.claim_minutes)
        row.claimed_by, row.claimed_until = user.name, _iso(until)
        self._note(session, user, Action.CLAIMED, row.report_id, {"until": row.claimed_until})
        return Claim(user.name, row.claimed_until)

    def _unclaim(self, row: ReviewRow) -> None:
        row.claimed_by = row.claimed_until = None

    def _claim_on(self, row: ReviewRow) -> Claim | None:
        """The claim on a report, while it holds."""
        if row.claimed_by is None or row.claimed_until is None or row.claimed_until <= self._now():
            return None
        return Claim(row.claimed_by, row.claimed_until)

    def _opine(self, session: Session, row: ReviewRow, user: User, opinion: Decision, blind: bool) -> None:
        session.add(
            OpinionRow(report_id=row.report_id, reviewer=user.name, at=self._now(), decision=opinion, blind=blind)
        )
        self._note(session, user, Action.OPINED, row.report_id, {"opinion": opinion, "blind": blind})

    def _note(
        self, session: Session, user: User, action: Action, report_id: str | None, details: dict[str, Any]
    ) -> None:
        audit.append(session, actor=user.name, action=action, report_id=report_id, details=details)

    def _rows(self, session: Session, rows: Sequence[ReviewRow], user: User) -> list[Queued]:
        opined = select(OpinionRow.report_id).where(
            OpinionRow.reviewer == user.name, OpinionRow.report_id.in_([row.report_id for row in rows])
        )
        shown = set(session.scalars(opined)) if self._blinds(user) else {row.report_id for row in rows}
        return [self._row(row, shown=row.report_id in shown or not row.open) for row in rows]

    def _row(self, row: ReviewRow, *, shown: bool) -> Queued:
        return Queued(
            row.report_id,
            row.created_at,
            row.name,
            row.persons,
            row.label if shown else None,
            row.score if shown and row.score != NO_SCORE else None,
            row.state,
            row.why if shown else "",
            self._claim_on(row),
            row.decision if shown else None,
            row.reviewer,
        )

    def _blinds(self, user: User) -> bool:
        return self._settings.blind_first and user.role is Role.REVIEWER

    def _now(self) -> str:
        return _iso(self._clock())


_IMPOSSIBLE = {
    Move.ESCALATE: "Only what is open and not yet with a lead can be escalated.",
    Move.APPEAL: "Only what was decided can be appealed.",
}


def plain(text: str, what: str, limit: int, *, needed: str = "") -> str:
    """A text as it is kept: without spaces around it.

    Raises:
        InputError: it is too long; or it is empty, and `needed` says that it must not be.
    """
    text = text.replace("\0", "").strip()
    if needed and not text:
        raise InputError(needed)
    if len(text) > limit:
        raise InputError(f"The {what} may have {limit} characters, this one has {len(text)}.")
    return text


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    same = {
        ReviewRow.open: wanted.open,
        ReviewRow.state: wanted.state,
        ReviewRow.label: wanted.label,
        ReviewRow.persons: wanted.persons,
        ReviewRow.reviewer: wanted.reviewer,
        ReviewRow.claimed_by: wanted.claimed_by,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in same.items() if value is not None]
    if wanted.detector:
        conditions.append(ReviewRow.detectors.contains(_listed({wanted.detector}), autoescape=True))
    if wanted.since:
        conditions.append(ReviewRow.created_at >= wanted.since.isoformat())
    if wanted.until:
        conditions.append(ReviewRow.created_at < (wanted.until + timedelta(days=1)).isoformat())
    if wanted.text:
        conditions.append(ReviewRow.name.icontains(wanted.text, autoescape=True))
    return conditions


def _place(edge: str, order: Order) -> tuple[Any, str]:
    value, _, report_id = edge.partition("|")
    try:
        return (float(value) if order.by_score else value), report_id
    except ValueError as error:
        raise InputError("This page of the queue does not exist under this order; begin at the first.") from error


def _listed(names: set[str]) -> str:
    return f",{','.join(sorted(names))}," if names else ","


def _of(table: Any, report_id: str) -> Any:
    return select(table).where(table.report_id == report_id)


def _copy_step(row: StepRow) -> Step:
    ruling = _copy(Ruling, row.ruling) if row.ruling else None
    return Step(row.at, row.actor, row.move, row.before, row.after, row.note, row.why, ruling)


def _policies(session: Session) -> list[Policy]:
    return [_copy(Policy, row) for row in session.scalars(select(PolicyRow).order_by(PolicyRow.id))]


def _choose(policies: Sequence[Policy]) -> str:
    names = ", ".join(policy.id for policy in policies if policy.active)
    return f"choose among: {names}" if names else "the list is empty, and a lead can add the first"


def _grouped(rows: Any) -> dict[str, tuple[tuple[str, Decision], ...]]:
    groups: dict[str, list[tuple[str, Decision]]] = {}
    for report_id, name, decision in rows:
        groups.setdefault(report_id, []).append((name, decision))
    return {report_id: tuple(group) for report_id, group in groups.items()}


def _copy(record: type, source: object) -> Any:
    return record(**{field.name: getattr(source, field.name) for field in fields(record)})


def _values(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _busy(claim: Claim) -> str:
    return f"{claim.by} is at work on this report until {claim.until[11:16]} (UTC), unless they release it before."


def _not_found() -> ReportNotFound:
    return ReportNotFound("There is no report of this id in the queue; it may have been deleted.")
