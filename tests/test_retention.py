"""What is kept, for how long, and what stays of it: files and reports, deleted on request and by time."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select

from core.errors import ReportNotFound
from storage import Action, AuditLog, ReportStore
from storage.database import sessions
from storage.media import SETTLED_S, Media
from storage.reports import GOES, TIMER, VISITOR
from storage.retention import keep_deleting
from storage.tables import Base, ReportRow
from tests.test_storage import REPORT, connected, rows

HASH = REPORT.video.sha256
STAYS = {"reviews", "opinions", "steps", "likenesses"}
"""Tables that hang on a report and outlive it at the moderators' desk: what was decided, and by what the same clip is
known when it comes back."""


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(tmp_path / "media")


@pytest.fixture
def desk(database_url: str, media: Media) -> ReportStore:
    """The store as moderators have it."""
    return ReportStore(database_url, media)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "..%2f; rm -rf <b>.mp4"
    file.write_text("a clip")
    return file


def made(age: timedelta, **changes: object):
    return replace(REPORT, created_at=(datetime.now(UTC) - age).isoformat(timespec="seconds"), **changes)


def test_a_kept_file_outlives_the_upload_and_is_called_by_its_hash_alone(media, clip, tmp_path):
    media.keep(clip, HASH)
    media.keep(clip, HASH)
    clip.unlink()
    assert media.path(HASH).read_text() == "a clip"
    assert [file.name for file in (tmp_path / "media").iterdir()] == [HASH]


def test_a_file_from_another_disk_is_copied(media, clip, monkeypatch):
    def link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    media.keep(clip, HASH)
    assert media.path(HASH).read_text() == "a clip"


@pytest.mark.parametrize("name", ["../clip.mp4", "", ".", HASH.upper(), f"{HASH}/..", f"{HASH}\n"])
def test_what_is_no_hash_is_no_file(media, clip, name):
    media.keep(clip, HASH)
    assert media.path(name) is None
    for act in (media.discard, lambda name: media.keep(clip, name)):
        with pytest.raises(ValueError, match="64 hex digits"):
            act(name)
    assert clip.exists()


def test_of_a_deleted_report_moderators_keep_what_the_log_speaks_of_and_nothing_else(desk, database_url, media, clip):
    desk.add(REPORT, owner="anna", file=clip)
    desk.delete(REPORT.id, owner=None, actor="bert")

    assert media.path(HASH) is None
    with pytest.raises(ReportNotFound):
        desk.get(REPORT.id, owner=None)
    with pytest.raises(ReportNotFound):
        desk.delete(REPORT.id, owner=None, actor="bert")
    assert desk.history(owner=None).total == 0
    assert desk.find(REPORT.fingerprint, owner=None) is None

    with connected(database_url) as connection:
        assert {name for name, count in rows(connection).items() if count} == {"reports", "reviews", "likenesses"}
    with sessions(database_url)() as session:
        left = session.scalar(select(ReportRow))
        assert (left.id, left.video.sha256, left.verdict.label) == (REPORT.id, HASH, REPORT.verdict.label)
        assert (left.video.name, left.verdict.reason, left.warnings) == ("", "", ())
        assert left.deleted_at
        assert (left.review.name, left.review.open) == ("", False)
    made, deleted = AuditLog(database_url).of(REPORT.id)
    assert (made.action, made.actor) == (Action.ANALYSED, "anna")
    assert (deleted.action, deleted.actor) == (Action.DELETED, "bert")
    assert json.loads(deleted.details) == {"reason": "asked", "file": HASH, "verdict": REPORT.verdict.label}


def test_a_file_goes_with_the_last_of_its_reports(desk, media, clip):
    desk.add(REPORT, owner="anna", file=clip)
    desk.add(replace(REPORT, id="r-2"), owner="bert", file=clip)
    desk.delete(REPORT.id, owner=None, actor="anna")
    assert media.path(HASH)
    desk.delete("r-2", owner=None, actor="anna")
    assert media.path(HASH) is None


def test_of_a_visitors_report_nothing_stays_but_a_line_without_visitor_or_file(database_url, clip, tmp_path):
    store = ReportStore(database_url)
    store.add(REPORT, owner="hash of a secret", file=clip)
    store.delete(REPORT.id, owner="hash of a secret")
    with connected(database_url) as connection:
        assert not any(rows(connection).values())
    entries = AuditLog(database_url).of(REPORT.id)
    assert [(e.action, e.actor) for e in entries] == [(Action.ANALYSED, VISITOR), (Action.DELETED, VISITOR)]
    assert [e.details for e in entries] == ["{}", '{"reason":"asked"}']
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize("moderated", [False, True])
def test_time_deletes_what_is_older_and_leaves_the_rest(database_url, media, clip, moderated):
    store = ReportStore(database_url, media if moderated else None)
    store.add(made(timedelta(hours=25)), owner="anna", file=clip)
    store.add(made(timedelta(hours=23), id="r-2"), owner="anna", file=clip)

    assert store.expire(timedelta(hours=24)) == 1
    assert store.expire(timedelta(hours=24)) == 0

    assert [row.id for row in store.history(owner="anna").rows] == ["r-2"]
    assert (media.path(HASH) is not None) == moderated
    deleted = AuditLog(database_url).of(REPORT.id)[-1]
    assert (deleted.action, deleted.actor) == (Action.DELETED, TIMER)


def test_a_file_that_a_crash_left_goes_after_a_day_and_a_new_or_needed_one_stays(desk, media, clip):
    orphan, needed, new = "0" * 64, HASH, "1" * 64
    desk.add(made(timedelta(0)), owner="anna", file=clip)
    media.keep(clip, orphan)
    long_ago = time.time() - SETTLED_S - 60
    os.utime(media.path(orphan), (long_ago, long_ago))  # one inode: that of `needed` is as old
    other = clip.with_name("other")
    other.write_text("another clip")
    media.keep(other, new)

    desk.expire(timedelta(days=30))

    assert [media.path(name) is not None for name in (orphan, needed, new)] == [False, True, True]


def test_a_failure_does_not_end_the_timer(caplog):
    class Away:
        def __init__(self) -> None:
            self.asked = 0

        def expire(self, age: timedelta) -> int:
            self.asked += 1
            if self.asked == 1:
                raise ConnectionError("the server is away")
            ended.set()
            return 3

    away, ended = Away(), Event()
    timer = Thread(target=keep_deleting, args=(away, timedelta(days=1), ended), kwargs={"every_s": 0.01})
    timer.start()
    timer.join(30)
    assert not timer.is_alive()
    assert away.asked == 2
    assert "could not be deleted" in caplog.text


def test_every_table_that_hangs_on_a_report_is_said_to_go_with_it_or_to_stay():
    hanging = {
        table.name
        for table in Base.metadata.tables.values()
        if "reports" in {key.column.table.name for key in table.foreign_keys}
    }
    assert hanging == {row.__tablename__ for row in GOES} | STAYS, "name it in storage.reports.GOES, or in STAYS here"
