"""The log of what was done: a chain in which nothing can be altered, removed or slipped in unseen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from core.errors import AppError
from storage import Action, AuditLog, open_database
from storage.audit import BEGINNING, Entry, Flaw, append, canonical, digest, verify
from storage.audit.__main__ import main
from storage.database import sessions
from storage.tables import AuditHeadRow, AuditRow

DETAILS = {"note": "Ünsicher; <b>\u0000", "scores": [0.1 + 0.2, None], "before": {"b": 1, "a": 2}}


@pytest.fixture
def log(database_url: str) -> AuditLog:
    """Six entries about two reports."""
    log = AuditLog(database_url)
    for i, action in enumerate((Action.ANALYSED, Action.VIEWED, Action.CLAIMED, Action.DECIDED, Action.VIEWED)):
        log.record(actor="anna", action=action, report_id=f"r-{i % 2}", details=DETAILS)
    log.record(actor="retention", action=Action.DELETED, report_id=None)
    return log


@pytest.fixture
def tamper(log: AuditLog, database_url: str) -> Callable[..., None]:
    """Runs statements as somebody with the password of the database could."""

    def run(*statements: Any) -> None:
        with open_database(database_url).begin() as connection:
            for statement in statements:
                connection.execute(statement)

    return run


def found(log: AuditLog) -> Flaw | None:
    head, entries = log.read()
    return verify(entries, head)


def whole(log: AuditLog) -> list[Entry]:
    return list(log.read()[1])


def test_what_was_done_comes_back_in_order_and_the_chain_holds(log):
    first, second, third = log.of("r-0")
    assert [(e.number, e.action, e.actor) for e in (first, second, third)] == [
        (1, Action.ANALYSED, "anna"),
        (3, Action.CLAIMED, "anna"),
        (5, Action.VIEWED, "anna"),
    ]
    assert first.details == canonical(DETAILS)
    assert first.previous == BEGINNING
    assert first.at <= second.at <= third.at
    assert found(log) is None


def test_an_empty_log_holds(database_url):
    assert found(AuditLog(database_url)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "bert"},
        {"action": "released"},
        {"report_id": None},
        {"at": "2026-01-01T00:00:00+00:00"},
        {"details": "{}"},
        {"details": "no JSON"},
        {"hash": "0" * 64},
    ],
)
def test_an_altered_entry_is_named(log, tamper, change):
    tamper(update(AuditRow).where(AuditRow.number == 3).values(change))
    flaw = found(log)
    assert flaw.number == 3
    assert "was altered" in flaw.sentence


@pytest.mark.parametrize("number", [3, 6])
def test_an_altered_entry_that_was_hashed_anew_is_named(log, tamper, number):
    forged = replace(whole(log)[number - 1], actor="bert")
    forged = replace(forged, hash=digest(forged))
    tamper(update(AuditRow).where(AuditRow.number == number).values(asdict(forged)))
    assert found(log).number == number


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_removed_entry_is_named(log, tamper, number):
    tamper(delete(AuditRow).where(AuditRow.number == number))
    flaw = found(log)
    assert flaw.number == number
    assert "was removed" in flaw.sentence


def test_a_removed_entry_is_named_when_those_after_it_moved_up(log, tamper):
    tamper(
        delete(AuditRow).where(AuditRow.number == 3),
        *(update(AuditRow).where(AuditRow.number == n).values(number=n - 1) for n in (4, 5, 6)),
        update(AuditHeadRow).values(count=5),
    )
    assert found(log).number == 3


def test_an_inserted_entry_is_named_even_when_it_was_hashed_well_and_those_after_it_moved_down(log, tamper):
    forged = replace(whole(log)[2], actor="bert", previous=whole(log)[2].previous)
    tamper(
        *(update(AuditRow).where(AuditRow.number == n).values(number=n + 1) for n in (6, 5, 4, 3)),
        insert(AuditRow).values(asdict(replace(forged, hash=digest(forged)))),
        update(AuditHeadRow).values(count=7),
    )
    flaw = found(log)
    assert flaw.number == 3
    assert "was inserted" in flaw.sentence


def test_an_entry_added_past_the_head_is_named(log, tamper):
    last = whole(log)[-1]
    forged = replace(last, number=7, previous=last.hash)
    tamper(insert(AuditRow).values(asdict(replace(forged, hash=digest(forged)))))
    flaw = found(log)
    assert flaw.number == 7
    assert "was inserted" in flaw.sentence


def test_entries_that_changed_places_are_named(log, tamper):
    tamper(*(update(AuditRow).where(AuditRow.number == a).values(number=b) for a, b in ((2, 99), (4, 2), (99, 4))))
    assert found(log).number == 2


def test_a_log_without_its_head_says_so(log, tamper):
    tamper(delete(AuditHeadRow))
    with pytest.raises(AppError, match="head of the log was removed"):
        log.read()


def test_an_entry_stands_or_falls_with_the_transaction_it_is_part_of(log, database_url):
    with sessions(database_url)() as session:
        append(session, actor="anna", action=Action.CHANGED, report_id="r-1")
        session.rollback()
    assert len(whole(log)) == 6
    log.record(actor="anna", action=Action.CHANGED, report_id="r-1")
    assert len(whole(log)) == 7
    assert found(log) is None


def test_many_threads_that_append_at_once_do_not_fork_the_chain(database_url):
    threads, each = 8, 5
    together = Barrier(threads)

    def work(thread: int) -> None:
        log = AuditLog(database_url)  # an engine of its own, as another process has
        together.wait()
        for i in range(each):
            log.record(actor=f"thread {thread}", action=Action.VIEWED, report_id=f"r-{i}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))

    log = AuditLog(database_url)
    assert found(log) is None
    assert [e.number for e in whole(log)] == list(range(1, threads * each + 1))
    assert {e.actor for e in whole(log)} == {f"thread {i}" for i in range(threads)}


def test_the_command_verifies_names_and_exports(log, tamper, database_url, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", database_url)
    file = tmp_path / "log.jsonl"

    assert main(["verify"]) == 0
    assert f"6 entries hold; the last is {whole(log)[-1].hash}" in capsys.readouterr().out
    assert main(["export", str(file)]) == 0
    assert main(["verify", str(file)]) == 0

    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    assert main(["verify", str(file)]) == 1
    assert "Entry 6 was removed" in capsys.readouterr().out
    file.write_text("\n".join([*lines[:3], "{}"]))
    assert main(["verify", str(file)]) == 1
    assert "Line 4" in capsys.readouterr().err

    tamper(update(AuditRow).where(AuditRow.number == 2).values(actor="bert"))
    assert main(["verify"]) == 1
    assert "Entry 2 was altered" in capsys.readouterr().out


def test_a_log_that_is_not_there_is_not_called_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'nothing.db'}")
    assert main(["verify"]) == 1
    assert "not there yet" in capsys.readouterr().err
