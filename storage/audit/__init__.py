"""The log of everything that was done to reports: entries are only ever added, and each carries the hash of the one
before.

So whoever changes, removes or slips in an entry breaks the chain at that place, and the head, which says how many there
are and how the last one is hashed, tells what is gone from the end. Somebody who may write the whole database could
still make up a new chain from some entry on: an export that is kept elsewhere says otherwise.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any

from sqlalchemy import Engine, insert, select, true, update
from sqlalchemy.orm import Session

from core.errors import AppError
from storage.database import sessions
from storage.tables import AuditHeadRow, AuditRow

BEGINNING = "0" * 64
"""What the first entry carries for the hash of the one before."""


class Action(StrEnum):
    """What can be done to a report."""

    ANALYSED = "analysed"
    VIEWED = "viewed"
    CLAIMED = "claimed"
    OPINED = "opined"
    RELEASED = "released"
    DECIDED = "decided"
    CHANGED = "changed"
    ESCALATED = "escalated"
    APPEALED = "appealed"
    EXPORTED = "exported"
    RERUN = "rerun"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log.

    `number` counts from 1; `at` is UTC, ISO 8601; `details` is canonical JSON as text; `previous` and `hash` are
    SHA-256 in hex.
    """

    number: int
    at: str
    actor: str
    action: str
    report_id: str | None
    details: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the hash of the last."""

    count: int
    hash: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first entry that is not as it was written, by its number, and what became of it."""

    number: int
    sentence: str


def append(
    session: Session, *, actor: str, action: Action, report_id: str | None, details: Mapping[str, Any] | None = None
) -> None:
    """Adds an entry in the caller's transaction, which it holds against all others that append until it ends.

    So append last, with nothing slow to follow.

    Args:
        actor: a user's name, or what acts by itself, such as a timer.
        details: what plain JSON can hold.
    """
    # Writing first takes the lock: the row on a server, the whole file on SQLite. Reading first would let two read the
    # same end and fork the chain.
    taken = update(AuditHeadRow).values(count=AuditHeadRow.count + 1).returning(AuditHeadRow.count, AuditHeadRow.hash)
    number, previous = session.execute(taken).one()
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    entry = Entry(number, at, actor, action.value, report_id, canonical(details or {}), previous, hash="")
    entry = replace(entry, hash=digest(entry))
    session.execute(insert(AuditRow).values(asdict(entry)))
    session.execute(update(AuditHeadRow).values(hash=entry.hash))


def canonical(value: Any) -> str:
    """The one way to write a value as JSON: ASCII, keys sorted, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(entry: Entry) -> str:
    """SHA-256 over all fields of an entry but its hash, as a list in canonical JSON."""
    *fields, _ = astuple(entry)
    return hashlib.sha256(canonical(fields).encode()).hexdigest()


def verify(entries: Iterable[Entry], head: Head) -> Flaw | None:
    """The first flaw of a whole log, its entries by rising number; None where the chain holds."""
    hashes = [BEGINNING]
    for entry in entries:
        number, before = len(hashes), hashes[-1]
        if entry.number < number:
            return Flaw(entry.number, "was inserted: the log counts from 1, each number once.")
        if entry.number > number:
            return Flaw(number, f"was removed or moved: in its place the log goes on with number {entry.number}.")
        if entry.previous != before and entry.previous in hashes:
            return Flaw(hashes.index(entry.previous) + 1, f"was inserted: entry {number} was written without it.")
        if entry.hash != digest(entry):
            return Flaw(number, "was altered or moved: what it holds does not give its hash.")
        if entry.previous != before:
            return Flaw(max(1, number - 1), f"was altered: entry {number} was written after another one.")
        hashes.append(entry.hash)
    count = len(hashes) - 1
    if count < head.count:
        return Flaw(count + 1, f"was removed: the log ends with {count}, and {head.count} were written.")
    if count > head.count:
        return Flaw(head.count + 1, f"was inserted: only {head.count} were written.")
    if hashes[-1] != head.hash:
        return Flaw(count, "was altered: the log's head knows it by another hash.")
    return None


class AuditLog:
    """The log of a database, for who has no transaction of their own. Threads may share it."""

    def __init__(self, database: Engine | str) -> None:
        self._session = sessions(database)

    def record(
        self, *, actor: str, action: Action, report_id: str | None, details: Mapping[str, Any] | None = None
    ) -> None:
        """Adds one entry."""
        with self._session.begin() as session:
            append(session, actor=actor, action=action, report_id=report_id, details=details)

    def head(self) -> Head:
        """As it stands now.

        Raises:
            AppError: it is gone.
        """
        with self._session() as session:
            found = session.execute(select(AuditHeadRow.count, AuditHeadRow.hash)).one_or_none()
        if found is None:
            raise _headless()
        return Head(*found)

    def of(self, report_id: str) -> tuple[Entry, ...]:
        """What was done to a report, the first thing first; also of one that was deleted."""
        wanted = select(*_COLUMNS).where(AuditRow.report_id == report_id).order_by(AuditRow.number)
        with self._session() as session:
            return tuple(Entry(*row) for row in session.execute(wanted))

    def read(self) -> tuple[Head, Iterator[Entry]]:
        """The head and all entries, as they stand at one moment.

        Raises:
            AppError: the head is gone.
        """
        rows = self._rows()
        first = next(rows, None)
        if first is None:
            raise _headless()
        (count, hash), entries = first[:2], (row[2:] for row in chain([first], rows))
        return Head(count, hash), (Entry(*entry) for entry in entries if entry[0] is not None)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """Each entry behind the head; where there are none, the head before nothing. In one statement, so that nobody
        can append between two."""
        wanted = (
            select(AuditHeadRow.count, AuditHeadRow.hash, *_COLUMNS)
            .outerjoin_from(AuditHeadRow, AuditRow, true())
            .order_by(AuditRow.number)
            .execution_options(yield_per=1000)
        )
        with self._session() as session:
            yield from map(tuple, session.execute(wanted))


_COLUMNS = tuple(getattr(AuditRow, field.name) for field in fields(Entry))


def _headless() -> AppError:
    return AppError("The head of the log was removed, so nobody can tell how many entries there were.")
