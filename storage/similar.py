"""Seen before: reports on the very same file, and on clips of which a good part looks nearly the same.

What is compared are hashes of whole pictures (`preprocessing.likeness`), never faces. They are kept where the app is
run for moderation only, so no visitor of a public page can learn what another one uploaded.
"""

import threading
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from core.errors import ReportNotFound
from core.types import Label, Likeness
from storage.database import sessions
from storage.lookup import Alike, Clips
from storage.tables import LikenessRow, ReportRow

MOST = 100
"""Matches that are told of; more would be no help."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class Match:
    """Another report on the same clip, or nearly; `share` and `offset_s` as in `Alike`.

    Where only the file's hash tells, since its pictures say nothing, the share is 1 and the offset 0. Of a report that
    was deleted, what was decided is still known.
    """

    report_id: str
    created_at: str
    name: str
    deleted: bool
    label: Label
    same_file: bool
    share: float
    offset_s: float


class Similar:
    """Looks clips up among those of all reports, which other threads and processes may add and delete meanwhile."""

    def __init__(self, database: Engine | str) -> None:
        self._session = sessions(database)
        self._lock = threading.Lock()
        self._kept: dict[str, Likeness] = {}
        self._clips = Clips({})

    def matches(self, report_id: str) -> list[Match]:
        """Other reports on what this one is about: those on the same file first, then the most alike, at most 100.

        Raises:
            ReportNotFound: there is no such report.
        """
        with self._session() as session:
            row = session.execute(
                select(ReportRow.__table__.c.video_sha256, LikenessRow.likeness)
                .outerjoin(LikenessRow, LikenessRow.report_id == ReportRow.id)
                .where(ReportRow.id == report_id, ReportRow.deleted_at.is_(None))
            ).one_or_none()
            if row is None:
                raise ReportNotFound("There is no report of this id; it may have been deleted.")
            sha256, likeness = row
            alike = {found.name: found for found in self._up_to_date(session).find(likeness)} if likeness else {}
            return _matches(session, report_id, sha256, alike)

    def _up_to_date(self, session: Session) -> Clips:
        """The clips as they are in the database now. Asked by their ids, since any process may add or delete."""
        with self._lock:
            there = set(session.scalars(select(LikenessRow.report_id)))
            if there != self._kept.keys():
                kept = {id: likeness for id, likeness in self._kept.items() if id in there}
                new = sorted(there - kept.keys())
                for start in range(0, len(new), BATCH):
                    wanted = select(LikenessRow.report_id, LikenessRow.likeness).where(
                        LikenessRow.report_id.in_(new[start : start + BATCH])
                    )
                    for id, likeness in session.execute(wanted):
                        kept[id] = likeness
                self._kept, self._clips = kept, Clips(kept)
            return self._clips


def _matches(session: Session, report_id: str, sha256: str, alike: dict[str, Alike]) -> list[Match]:
    column = ReportRow.__table__.c
    likeliest = sorted(alike.values(), key=lambda found: -found.share)[: MOST + 1]
    newest = select(column.id).where(column.video_sha256 == sha256).order_by(column.created_at.desc()).limit(MOST + 1)
    wanted = {*session.scalars(newest), *(found.name for found in likeliest)} - {report_id}
    rows = session.execute(
        select(
            *(column.id, column.created_at, column.video_name, column.deleted_at),
            *(column.verdict_label, column.video_sha256),
        )
        .where(column.id.in_(wanted))
        .order_by(column.created_at.desc())
    )
    matches = []
    for id, created_at, name, deleted_at, label, of in rows:
        found, deleted = alike.get(id, Alike(id, 1.0, 0.0)), deleted_at is not None
        matches.append(Match(id, created_at, name, deleted, label, of == sha256, found.share, found.offset_s))
    return sorted(matches, key=lambda match: (not match.same_file, -match.share))[:MOST]
