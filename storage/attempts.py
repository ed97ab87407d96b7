"""Log-ins are throttled: by name and by address, counted in the database, so that a restart forgets nothing."""

import hashlib
import math
from collections.abc import Callable

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from core.errors import NotAllowed
from storage.tables import AttemptRow

WINDOW_S = 15 * 60
"""How long an attempt counts."""
BY_NAME, BY_ADDRESS = 5, 50
"""Attempts in that time; many people may sit behind one address."""


class TooManyAttempts(NotAllowed):
    """No log-in for `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = math.ceil(wait_s)
        minutes = math.ceil(wait_s / 60)
        super().__init__(f"Too many attempts to log in; try again in {minutes} minute{'s' * (minutes > 1)}.")


class Attempts:
    """Counts before the password is looked at, so that many tries at once are no more than many in a row."""

    def __init__(self, session: sessionmaker[Session], clock: Callable[[], float]) -> None:
        self._session, self._clock = session, clock

    def begin(self, name: str, address: str | None) -> None:
        """Counts one attempt; `address` is None where it is not known or does not matter.

        Raises:
            TooManyAttempts: there were too many before; this one is then not counted, so the wait does not grow.
        """
        limits = {_subject("name", name): BY_NAME}
        if address is not None:
            limits[_subject("address", address)] = BY_ADDRESS
        now = self._clock()
        rows = [AttemptRow(subject=subject, at_s=now) for subject in limits]
        with self._session.begin() as session:
            session.execute(delete(AttemptRow).where(AttemptRow.at_s <= now - WINDOW_S))
            session.add_all(rows)
            session.flush()
            ours = [row.id for row in rows]
        # Counted once all that happen at the same time are written: two may both be turned away, never both let past.
        with self._session() as session:
            wait_s = max(self._wait(session, subject, limit, now) for subject, limit in limits.items())
        if wait_s > 0:
            with self._session.begin() as session:
                session.execute(delete(AttemptRow).where(AttemptRow.id.in_(ours)))
            raise TooManyAttempts(wait_s)

    def succeed(self, name: str, address: str | None) -> None:
        """The attempt was none: forgets all that were made on the name, and one from the address."""
        with self._session.begin() as session:
            session.execute(delete(AttemptRow).where(AttemptRow.subject == _subject("name", name)))
            if address is not None:
                last = select(func.max(AttemptRow.id)).where(AttemptRow.subject == _subject("address", address))
                session.execute(delete(AttemptRow).where(AttemptRow.id == last.scalar_subquery()))

    def _wait(self, session: Session, subject: str, limit: int, now: float) -> float:
        """Seconds until there are fewer than `limit` attempts; 0 where the one just counted may be made."""
        times = select(AttemptRow.at_s).where(AttemptRow.subject == subject, AttemptRow.at_s > now - WINDOW_S)
        newest = session.scalars(times.order_by(AttemptRow.at_s.desc()).limit(limit + 1)).all()
        return newest[-1] + WINDOW_S - now if len(newest) > limit else 0.0


def _subject(kind: str, of: str) -> str:
    return hashlib.sha256(f"{kind}:{of}".encode()).hexdigest()
