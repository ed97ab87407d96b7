"""Reports in, reports out; nobody else sees a row, a session or SQL.

A row's attributes are named as the record's fields, so both are copied by name, and a field without a column raises at
the first report that is added.
"""

from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.orm import Session

from core.errors import AppError, ReportNotFound
from core.jobs import Claim
from core.metrics import observe
from core.types import Basis, Exhibit, Finding, Label, Occlusion, Person, Report, Trial
from storage.audit import Action, append
from storage.database import sessions
from storage.jobs import finish, forget
from storage.media import Media
from storage.outbox import tell_analysed
from storage.reviews import queued
from storage.tables import (
    ExhibitRow,
    FindingRow,
    LikenessRow,
    OcclusionRow,
    PersonRow,
    ReportRow,
    ReviewRow,
    ScoreRow,
    TrialRow,
)

SCORE = ("fake", "interval", "calibrated", "overall", "vote", "time_s", "scores", "weighing")
"""The fields of a `Finding` that only a scored one fills: those of a `ScoreRow`."""
PARTS = ("tracks", "findings", "exhibits", "occlusions", "trials", "likeness")
"""The fields of a `Report` that have tables of their own."""
REMAINS: dict[str, Any] = {
    **dict.fromkeys(("video_name", "verdict_reason"), ""),
    **dict.fromkeys(("warnings", "references"), ()),
    "timings_s": {},
    "provenance": None,
}
"""What is blotted out in the row that stays of a deleted report."""
GOES: tuple[type[Any], ...] = (PersonRow, FindingRow, ExhibitRow, OcclusionRow, TrialRow)
"""What hangs on a report and goes with it; decisions about it stay with its row, and hashes by which it is found."""
VISITOR, TIMER = "visitor", "retention timer"
"""Who the log says has acted: anybody at a public page, of whom it keeps no more than that, and time itself."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One report in a listing: `name` is the video's, `fake` and `basis` the verdict's, `persons` how many it found."""

    id: str
    created_at: str
    name: str
    duration_s: float
    label: Label
    fake: float | None
    basis: Basis | None
    persons: int


@dataclass(frozen=True, slots=True)
class History:
    """One page of a listing; `total` counts the reports on all its pages."""

    rows: tuple[HistoryRow, ...]
    total: int


class ReportStore:
    """The reports of every owner, each seen by its own owner only; an `owner` of None sees those of all.

    With `media`, as at the moderators' desk, owners are users, uploaded files are kept, and of a deleted report a row
    stays: what entries of the log and decisions are about. Without, all of it goes.

    The database must be up to date (`storage.upgrade`). Each call has its own session, so threads may share a store.
    """

    def __init__(self, database: Engine | str, media: Media | None = None) -> None:
        self._session, self.media = sessions(database), media

    def add(
        self,
        report: Report,
        *,
        owner: str,
        file: Path | None = None,
        again: str | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Keeps a report whole, save for its motions and heat maps, which are rounded as `storage.tables` says.

        At the moderators' desk the hooks are told of it.

        Args:
            file: what was analysed.
            again: the id of the report that was run again, if this is what came out.
            claim: on the job that ends with this report.

        Raises:
            Cancelled: the job was cancelled, or is another worker's; nothing is kept.
        """
        actor = owner if self.media else VISITOR
        with self._session.begin() as session:
            if claim:
                finish(session, claim, report.id)
            session.add(_row(report, owner))
            if self.media:
                tell_analysed(session, report)
            if again:
                append(session, actor=actor, action=Action.RERUN, report_id=again, details={"report": report.id})
            said = {"file": report.video.sha256, "verdict": report.verdict.label} if self.media else {}
            said |= {"again": again} if again else {}
            append(session, actor=actor, action=Action.ANALYSED, report_id=report.id, details=said)
            # Within the lock of the log, or who deletes the last report of this file now would take it away.
            if self.media and file:
                self.media.keep(file, report.video.sha256)
        observe(report)

    def get(self, report_id: str, *, owner: str | None) -> Report:
        """The report of this id.

        Raises:
            ReportNotFound: there is none, or it is another owner's.
        """
        wanted = select(ReportRow).where(ReportRow.id == report_id, *_of(owner))
        with self._session() as session:
            row = session.scalar(wanted)
            if row is None:
                raise _not_found()
            return _report(row)

    def find(self, fingerprint: str, *, owner: str | None) -> Report | None:
        """The owner's newest report of the same file, settings and weights."""
        wanted = (
            select(ReportRow)
            .where(ReportRow.fingerprint == fingerprint, *_of(owner))
            .order_by(ReportRow.created_at.desc())
            .limit(1)
        )
        with self._session() as session:
            row = session.scalar(wanted)
            return None if row is None else _report(row)

    def history(
        self,
        *,
        owner: str | None,
        page: int = 1,
        page_size: int = 20,
        label: Label | None = None,
        text: str | None = None,
    ) -> History:
        """The owner's reports, newest first.

        Args:
            label: only reports with this verdict.
            text: only videos whose name contains it, in either case; `%` and `_` mean themselves.

        Raises:
            AppError: page or page_size is below 1.
        """
        if page < 1 or page_size < 1:
            raise AppError(f"Pages count from 1 and hold at least 1 report, got page {page} of {page_size}.")
        column = ReportRow.__table__.c
        wanted = _of(owner)
        if label is not None:
            wanted.append(column.verdict_label == label)
        if text is not None:
            wanted.append(column.video_name.icontains(text, autoescape=True))
        persons = select(func.count()).where(PersonRow.report_id == column.id).scalar_subquery()
        rows = (
            select(
                column.id,
                column.created_at,
                column.video_name,
                column.video_duration_s,
                column.verdict_label,
                column.verdict_fake,
                column.verdict_basis,
                persons,
            )
            .where(*wanted)
            # Reports of the same instant still need one order, or a row could show on two pages.
            .order_by(column.created_at.desc(), column.id.desc())
            .limit(page_size)
            .offset((page - 1) * page_size)
        )
        with self._session() as session:
            total = session.scalar(select(func.count()).select_from(ReportRow).where(*wanted))
            return History(tuple(HistoryRow(*row) for row in session.execute(rows)), total or 0)

    def delete(self, report_id: str, *, owner: str | None, actor: str = VISITOR, reason: str = "asked") -> None:
        """Removes a report with all that hangs on it, and says so in the log.

        Raises:
            ReportNotFound: there is none, or it is another owner's.
        """
        wanted = (ReportRow.id == report_id, *_of(owner))
        with self._session.begin() as session:
            if self.media is None:
                if session.scalar(delete(ReportRow).where(*wanted).returning(ReportRow.id)) is None:
                    raise _not_found()
                forget(session, report_id)
                append(session, actor=actor, action=Action.DELETED, report_id=report_id, details={"reason": reason})
                return
            blotted = update(ReportRow).where(*wanted).values(REMAINS | {"deleted_at": _now()})
            column = ReportRow.__table__.c
            gone = session.execute(blotted.returning(column.video_sha256, column.verdict_label)).one_or_none()
            if gone is None:
                raise _not_found()
            forget(session, report_id)
            for part in GOES:
                session.execute(delete(part).where(part.report_id == report_id))
            # What it was decided stays; nobody has anything to do about it any more.
            session.execute(
                update(ReviewRow)
                .where(ReviewRow.report_id == report_id)
                .values(name="", open=False, claimed_by=None, claimed_until=None)
            )
            said = {"reason": reason, "file": gone.video_sha256, "verdict": gone.verdict_label}
            append(session, actor=actor, action=Action.DELETED, report_id=report_id, details=said)
            if not _is_used(session, gone.video_sha256):
                self.media.discard(gone.video_sha256)

    def expire(self, age: timedelta) -> int:
        """Deletes all reports that are older, and files that belong to none; returns how many reports it were."""
        before = (datetime.now(UTC) - age).isoformat(timespec="seconds")
        old = select(ReportRow.id).where(ReportRow.created_at < before, *_of(None))
        with self._session() as session:
            expired = session.scalars(old).all()
        # One by one, since nobody else can write meanwhile.
        for report_id in expired:
            with suppress(ReportNotFound):  # somebody was faster
                self.delete(report_id, owner=None, actor=TIMER, reason=f"older than {age}")
        if self.media:
            with self._session() as session:
                self.media.sweep(lambda sha256: _is_used(session, sha256))
        return len(expired)


def _is_used(session: Session, sha256: str) -> bool:
    """Whether some report is left that was made of this file."""
    column = ReportRow.__table__.c
    wanted = select(column.id).where(column.video_sha256 == sha256, column.deleted_at.is_(None)).limit(1)
    return session.scalar(wanted) is not None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _of(owner: str | None) -> list[ColumnElement[bool]]:
    column = ReportRow.__table__.c
    return [column.deleted_at.is_(None), *([] if owner is None else [column.owner == owner])]


def _row(report: Report, owner: str) -> ReportRow:
    return ReportRow(
        owner=owner,
        review=queued(report),
        tracks=[PersonRow(position=i, **_copy(person, *_names(Person))) for i, person in enumerate(report.tracks)],
        findings=[_finding_row(i, finding) for i, finding in enumerate(report.findings)],
        exhibits=[ExhibitRow(position=i, **_copy(e, *_names(Exhibit))) for i, e in enumerate(report.exhibits)],
        occlusions=[OcclusionRow(position=i, **_copy(o, *_names(Occlusion))) for i, o in enumerate(report.occlusions)],
        trials=[TrialRow(position=i, **_copy(trial, *_names(Trial))) for i, trial in enumerate(report.trials)],
        likeness=LikenessRow(likeness=report.likeness) if report.likeness else None,
        **_copy(report, *_names(Report, *PARTS)),
    )


def _finding_row(position: int, finding: Finding) -> FindingRow:
    return FindingRow(
        position=position,
        score=ScoreRow(**_copy(finding, *SCORE)) if finding.status == "scored" else None,
        **_copy(finding, *_names(Finding, "status", *SCORE)),
    )


def _report(row: ReportRow) -> Report:
    return Report(
        tracks=tuple(Person(**_copy(person, *_names(Person))) for person in row.tracks),
        findings=tuple(_finding(finding) for finding in row.findings),
        exhibits=tuple(Exhibit(**_copy(exhibit, *_names(Exhibit))) for exhibit in row.exhibits),
        occlusions=tuple(Occlusion(**_copy(occlusion, *_names(Occlusion))) for occlusion in row.occlusions),
        trials=tuple(Trial(**_copy(trial, *_names(Trial))) for trial in row.trials),
        likeness=row.likeness.likeness if row.likeness else None,
        **_copy(row, *_names(Report, *PARTS)),
    )


def _finding(row: FindingRow) -> Finding:
    score = _copy(row.score, *SCORE) if row.score else {}
    return Finding(
        status="scored" if row.score else "skipped", **score, **_copy(row, *_names(Finding, "status", *SCORE))
    )


def _names(record: type, *without: str) -> list[str]:
    return [field.name for field in fields(record) if field.name not in without]


def _copy(source: object, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def _not_found() -> ReportNotFound:
    return ReportNotFound("This report was deleted, never was, or is another visitor's; the history lists yours.")
