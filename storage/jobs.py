"""Jobs in, jobs out: the line in which analyses wait, for threads, processes and machines that share a database.

Who works on a job holds a lease on it, which every sign of life renews. A job whose lease runs out was lost with its
worker: it goes back into the line once, and fails when it is lost again.
"""

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from core.errors import Cancelled, InputError
from core.jobs import Claim, Job, JobNotFound, JobState, Priority, QueueFull, Request, TooManyJobs
from core.kept import read_key
from core.metrics import JOB_WAIT_SECONDS
from core.settings import Settings
from core.words import in_language, say
from storage.database import sessions
from storage.sender import is_public
from storage.spool import Spool
from storage.tables import JobRow

TRIES = 2
"""A file that takes its worker with it twice is not given to a third one."""
WINDOW_S = 3600
"""In which the jobs that somebody asks for are counted."""
RECENT = 20
"""By so many of the last jobs it is told how long the next ones take."""
MAX_KEY = 200
_LOCK = 0x74656C6C
"""Of those that PostgreSQL lends out by number, the one of this table."""


class JobStore:
    """The jobs of every owner, each seen by its own owner only; an `owner` of None sees those of all.

    The database must be up to date (`storage.upgrade`). Each call has its own session, so threads may share a store.
    """

    def __init__(self, database: Engine | str, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._session, self._settings, self._clock = sessions(database), settings, clock
        self.spool = Spool(settings.jobs)

    # Who asks

    def submit(
        self,
        request: Request,
        files: Mapping[str, Path],
        *,
        owner: str,
        language: str,
        priority: Priority = Priority.BATCH,
        key: str | None = None,
        address: str | None = None,
        known: str | None = None,
        id: str | None = None,
    ) -> Job:
        """A new job, whose files are taken over; or the one that this owner has asked for by the same key before.

        Args:
            files: what the request names, by SHA-256.
            known: the id of the report that answers the request already; the job is then done from the start.
            address: where it was asked from. Only a keyed hash of it is kept, for an hour.
            id: of the new job, 32 hex digits; made up where it is not given.

        Raises:
            InputError: the key was used for something else, or is too long.
            QueueFull: as many wait already as may.
            TooManyJobs: this owner, or this address, asked for too many.
        """
        if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
            raise InputError(f"A key has 1 to {MAX_KEY} printable characters, got {len(key)}: {key!a:.40}.")
        now, place = self._clock(), self._place(address)
        with self._session.begin() as session:
            _alone(session)
            before = session.scalar(select(JobRow).where(JobRow.owner == owner, JobRow.key == key)) if key else None
            if before:
                if not request.is_same(_asked(before)):
                    raise InputError("This idempotency key stands for another file or other options; use a new one.")
                return self._job(session, before)
            row = JobRow(
                id=id or uuid.uuid4().hex,
                owner=owner,
                key=key,
                address=place,
                language=language,
                name=request.name,
                sha256=request.sha256,
                options=request.options,
                references=request.references,
                reference_names=request.reference_names,
                again=request.again,
                priority=priority,
                state=JobState.QUEUED,
                created_s=now,
            )
            if known:
                row.state, row.ended_s, row.report_id, row.from_store = JobState.DONE, now, known, True
            else:
                self._limit(session, JobRow.owner == owner, self._settings.per_hour)
                if place:
                    self._limit(session, JobRow.address == place, self._settings.per_address)
                self._bound(session, row)
            session.add(row)
            session.flush()
            job = self._job(session, row)
            # Last, so that whoever is refused keeps their files; a crash in between leaves some, which are swept.
            if not known:
                self.spool.keep(row.id, files)
        return job

    def get(self, id: str, *, owner: str | None) -> Job:
        """The job of this id.

        Raises:
            JobNotFound: there is none, or it is another owner's.
        """
        with self._session() as session:
            return self._job(session, _found(session.scalar(select(JobRow).where(JobRow.id == id, *_of(owner)))))

    def cancel(self, id: str, *, owner: str | None) -> Job:
        """Ends a job that has not ended; its worker, if it has one, stops at its next sign of life.

        Raises:
            JobNotFound: there is none, or it is another owner's.
        """
        wanted = (JobRow.id == id, *_of(owner))
        unended = JobRow.state.in_([JobState.QUEUED, JobState.RUNNING])
        ended = {"state": JobState.CANCELLED, "ended_s": self._clock(), "worker": None}
        with self._session.begin() as session:
            gone = session.scalar(update(JobRow).where(*wanted, unended).values(ended).returning(JobRow.id))
            job = self._job(session, _found(session.scalar(select(JobRow).where(*wanted))))
        if gone:
            self.spool.discard(id)
        return job

    # Who works

    def claim(self) -> Claim | None:
        """The next job, for this caller alone; None where nobody waits. Jobs that were lost are put back first."""
        now = self._clock()
        lost = (JobRow.state == JobState.RUNNING) & (JobRow.lease_s < now)
        with self._session() as session:  # asked before anything is written, as most often there is nothing to do
            waits = select(JobRow.id).where(or_(JobRow.state == JobState.QUEUED, lost)).limit(1)
            if session.scalar(waits) is None:
                return None
        back = {"state": JobState.QUEUED, "worker": None, "stage": "", "fraction": 0.0}
        over = {"state": JobState.FAILED, "worker": None, "ended_s": now}
        first = select(JobRow.id).where(JobRow.state == JobState.QUEUED).order_by(*_ORDER).limit(1)
        taken = {
            "state": JobState.RUNNING,
            "worker": uuid.uuid4().hex,
            "tries": JobRow.tries + 1,
            "started_s": now,
            "lease_s": now + self._settings.lease_seconds,
        }
        with self._session.begin() as session:
            session.execute(update(JobRow).where(lost, JobRow.tries < TRIES).values(back))
            ended = update(JobRow).where(lost).values(over).returning(JobRow.id, JobRow.language)
            failed = session.execute(ended).all()
            for id, spoken in failed:
                with in_language(spoken):
                    session.execute(update(JobRow).where(JobRow.id == id).values(reason=say("jobs.lost")))
            # Asked once more in the statement that takes it: another worker may have been quicker.
            mine = (
                JobRow.id == first.with_for_update(skip_locked=True).scalar_subquery(),
                JobRow.state == JobState.QUEUED,
            )
            row = session.scalar(update(JobRow).where(*mine).values(taken).returning(JobRow))
            if row and row.tries == 1:
                JOB_WAIT_SECONDS.labels(Priority(row.priority).name.lower()).observe(now - row.created_s)
            claim = row and Claim(row.id, row.worker or "", row.owner, row.language, _asked(row))
        for id, _ in failed:
            self.spool.discard(id)
        return claim

    def beat(self, claim: Claim, stage: str, fraction: float) -> bool:
        """A sign of life. False where the job is no longer this worker's: it was cancelled, or taken for lost."""
        lease_s = self._clock() + self._settings.lease_seconds
        with self._session.begin() as session:
            return _change(session, claim, {"stage": stage, "fraction": fraction, "lease_s": lease_s})

    def done(self, claim: Claim, report_id: str) -> None:
        """The job is answered by a report that was there already; `ReportStore.add` ends it with a new one.

        Raises:
            Cancelled: it is no longer this worker's.
        """
        with self._session.begin() as session:
            finish(session, claim, report_id, from_store=True)

    def fail(self, claim: Claim, reason: str) -> bool:
        """The job ends without a report. False, and nothing done, where it is no longer this worker's."""
        with self._session.begin() as session:
            ended = {"state": JobState.FAILED, "ended_s": self._clock(), "reason": reason}
            is_ours = _change(session, claim, ended)
        if is_ours:
            self.spool.discard(claim.id)
        return is_ours

    def release(self, claim: Claim) -> None:
        """Back into the line, at its old place: the worker is told to go home, which is no loss."""
        back = {"state": JobState.QUEUED, "worker": None, "stage": "", "fraction": 0.0, "tries": JobRow.tries - 1}
        with self._session.begin() as session:
            _change(session, claim, back)

    # Time

    def expire(self, age: timedelta) -> int:
        """Deletes all jobs that were asked for longer ago and do not run, files that belong to none, and the hashes of
        addresses that no longer count; returns how many jobs it were."""
        now = self._clock()
        old = (JobRow.created_s < now - age.total_seconds(), JobRow.state != JobState.RUNNING)
        counted = (JobRow.address.is_not(None), JobRow.created_s < now - WINDOW_S)
        with self._session.begin() as session:
            session.execute(update(JobRow).where(*counted).values(address=None))
            gone = session.scalars(delete(JobRow).where(*old).returning(JobRow.id)).all()
        for id in gone:
            self.spool.discard(id)
        with self._session() as session:
            self.spool.sweep(lambda id: _is_live(session, id))
        return len(gone)

    # Pieces

    def _job(self, session: Session, row: JobRow) -> Job:
        ahead, wait_s = self._line(session, row) if row.state == JobState.QUEUED else (None, None)
        return Job(
            id=row.id,
            state=row.state,
            priority=Priority(row.priority),
            name=row.name,
            sha256=row.sha256,
            created_at=_iso(row.created_s) or "",
            started_at=_iso(row.started_s),
            ended_at=_iso(row.ended_s),
            stage=row.stage or "",
            fraction=row.fraction or 0.0,
            tries=row.tries or 0,
            reason=row.reason,
            report_id=row.report_id,
            from_store=bool(row.from_store),
            ahead=ahead,
            wait_s=wait_s,
        )

    def _line(self, session: Session, row: JobRow) -> tuple[int, float | None]:
        """How many jobs come before this one, those that run included, and how long they will take: as long as the
        last ones took, shared among as many workers as are at work now."""
        now = self._clock()
        sooner = or_(
            JobRow.priority < row.priority,
            (JobRow.priority == row.priority)
            & or_(JobRow.created_s < row.created_s, (JobRow.created_s == row.created_s) & (JobRow.id < row.id)),
        )
        waiting = session.scalar(select(func.count()).where(JobRow.state == JobState.QUEUED, sooner)) or 0
        running = session.scalars(select(JobRow.started_s).where(JobRow.state == JobState.RUNNING)).all()
        timed = (JobRow.state == JobState.DONE, JobRow.started_s.is_not(None), JobRow.from_store.is_(False))
        took = (JobRow.ended_s - JobRow.started_s).label("took")
        last = select(took).where(*timed).order_by(JobRow.ended_s.desc()).limit(RECENT).subquery()
        usual_s = session.scalar(select(func.avg(last.c.took)))
        if usual_s is None:
            return waiting + len(running), None
        left_s = sum(max(0.0, usual_s - (now - (began or now))) for began in running)
        return waiting + len(running), (waiting * usual_s + left_s) / max(1, len(running))

    def _bound(self, session: Session, row: JobRow) -> None:
        """So many may wait of each priority, or whoever submits a heap of files would lock out people."""
        same = (JobRow.state == JobState.QUEUED, JobRow.priority == row.priority)
        waiting = session.scalar(select(func.count()).where(*same)) or 0
        if waiting >= self._settings.waiting:
            raise QueueFull(*self._line(session, row))

    def _limit(self, session: Session, who: ColumnElement[bool], limit: int) -> None:
        now = self._clock()
        counted = (who, JobRow.created_s > now - WINDOW_S, JobRow.from_store.is_(False))
        newest = select(JobRow.created_s).where(*counted).order_by(JobRow.created_s.desc()).limit(limit)
        times = session.scalars(newest).all()
        if len(times) >= limit:
            raise TooManyJobs(limit, times[-1] + WINDOW_S - now)

    def _place(self, address: str | None) -> str | None:
        """A hash by which an address of the internet is known again. Of others none: many may sit behind a proxy."""
        try:
            ip = ip_address(address or "")
        except ValueError:
            return None
        if not is_public(str(ip)):
            return None
        place: object = ip
        if isinstance(ip, IPv6Address):  # whoever has one has 2^64 of them, save for those that stand for one of IPv4
            place = ip.ipv4_mapped or ip_network((ip, 64), strict=False)
        return hmac.new(read_key(self._settings.data / "address.key"), str(place).encode(), hashlib.sha256).hexdigest()


_ORDER = (JobRow.priority, JobRow.created_s, JobRow.id)


def finish(session: Session, claim: Claim, report_id: str, *, from_store: bool = False) -> None:
    """The job is done, in the transaction that keeps its report: neither is ever there without the other.

    Raises:
        Cancelled: it is no longer this worker's.
    """
    ended = {"state": JobState.DONE, "ended_s": time.time(), "report_id": report_id, "from_store": from_store}
    if not _change(session, claim, ended):
        raise Cancelled("The analysis was cancelled, or is another worker's by now.")


def forget(session: Session, report_id: str) -> None:
    """Of a job whose report is deleted, only that it was there stays, so that it still counts."""
    blotted = {"name": "", "sha256": "", "references": (), "reference_names": (), "key": None, "report_id": None}
    session.execute(update(JobRow).where(JobRow.report_id == report_id).values(blotted))


def _change(session: Session, claim: Claim, values: dict[str, Any]) -> bool:
    """Whether the job was still this worker's to change."""
    mine = (JobRow.id == claim.id, JobRow.worker == claim.worker, JobRow.state == JobState.RUNNING)
    return session.scalar(update(JobRow).where(*mine).values(values).returning(JobRow.id)) is not None


def _alone(session: Session) -> None:
    """Until this transaction ends nobody else is let into the line, so that what is counted stays true."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    else:
        session.execute(text("BEGIN IMMEDIATE"))


def _asked(row: JobRow) -> Request:
    return Request(row.name, row.sha256, row.options, row.references, row.reference_names, row.again)


def _is_live(session: Session, id: str) -> bool:
    live = (JobRow.id == id, JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
    return session.scalar(select(JobRow.id).where(*live)) is not None


def _of(owner: str | None) -> list[ColumnElement[bool]]:
    return [] if owner is None else [JobRow.owner == owner]


def _found(row: JobRow | None) -> JobRow:
    if row is None:
        raise JobNotFound("This job was removed after its end, never was, or is another visitor's.")
    return row


def _iso(moment_s: float | None) -> str | None:
    return None if moment_s is None else datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="seconds")
