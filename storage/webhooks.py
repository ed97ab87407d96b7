"""Webhooks: who hears of what was analysed or decided, and the deliveries they have not received yet."""

import argparse
import os
import secrets
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from sqlalchemy import Engine, delete, func, select, update

from core.errors import AppError, InputError
from core.settings import Settings
from storage.database import prepare, sessions
from storage.outbox import Event
from storage.tables import DeliveryRow, HookRow

ATTEMPTS = 10
"""After so many a delivery is given up; `retry` gives it as many again."""
FIRST_RETRY_S = 30.0
"""From one attempt to the second; each further wait is twice as long, so the last attempt is made after four hours."""
LEASE_S = 60.0
"""So long a sender has a hook to itself. If it dies meanwhile, another may go on after that."""
MAX_URL = 2000


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook without its secret.

    `waiting` counts deliveries that will be tried again, `given_up` those that will not; `trouble` says why the last
    attempt failed, None where it did not.
    """

    id: str
    url: str
    events: tuple[Event, ...]
    created_at: str
    delivered_at: str | None
    waiting: int
    given_up: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt that is to be made now; the hook is its sender's own up to `until` (seconds since 1970)."""

    id: str
    hook_id: str
    url: str
    secret: str = field(repr=False)
    event: str
    body: str
    is_last: bool
    until: float


class Webhooks:
    """The hooks and their deliveries; any number of processes may share them."""

    def __init__(
        self, database: Engine | str, *, attempts: int = ATTEMPTS, first_retry_s: float = FIRST_RETRY_S
    ) -> None:
        self._session = sessions(database)
        self._attempts = attempts
        self._first_retry_s = first_retry_s

    def add(self, url: str, events: Sequence[str] = ()) -> tuple[Hook, str]:
        """A new hook and its secret, which is told this once; no events means all.

        Raises:
            InputError: not an address that can be called, or an event that is not.
        """
        check_url(url)
        unknown = [event for event in events if event not in list(Event)]
        if unknown:
            raise InputError(f"There is no event called {unknown[0]!r}; choose among: {', '.join(Event)}.")
        chosen = tuple(Event(event) for event in dict.fromkeys(events)) or tuple(Event)
        id, secret = uuid.uuid4().hex, secrets.token_urlsafe(32)
        with self._session.begin() as session:
            session.add(HookRow(id=id, url=url, secret=secret, events=chosen, created_at=_now(), busy_until=0.0))
        return self.list(id)[0], secret

    def list(self, id: str | None = None) -> list[Hook]:
        """All hooks, oldest first, or the one of this id."""
        tried = DeliveryRow.attempts >= self._attempts
        counts = {}
        with self._session() as session:
            for hook_id, given_up, count in session.execute(
                select(DeliveryRow.hook_id, tried, func.count()).group_by(DeliveryRow.hook_id, tried)
            ):
                counts[hook_id, bool(given_up)] = count
            wanted = select(HookRow).order_by(HookRow.created_at, HookRow.id)
            return [
                Hook(
                    id=row.id,
                    url=row.url,
                    events=tuple(map(Event, row.events)),
                    created_at=row.created_at,
                    delivered_at=row.delivered_at,
                    waiting=counts.get((row.id, False), 0),
                    given_up=counts.get((row.id, True), 0),
                    trouble=row.trouble,
                )
                for row in session.scalars(wanted if id is None else wanted.where(HookRow.id == id))
            ]

    def remove(self, id: str) -> None:
        """With all it has not received.

        Raises:
            InputError: there is no such hook.
        """
        with self._session.begin() as session:
            if session.scalar(delete(HookRow).where(HookRow.id == id).returning(HookRow.id)) is None:
                raise _no_hook(id)

    def retry(self, id: str, *, now: float) -> int:
        """Everything this hook has not received is due now, with all attempts before it; returns how much that is.

        Raises:
            InputError: there is no such hook.
        """
        with self._session.begin() as session:
            if session.get(HookRow, id) is None:
                raise _no_hook(id)
            again = update(DeliveryRow).where(DeliveryRow.hook_id == id).values(attempts=0, due_at=now)
            return len(session.scalars(again.returning(DeliveryRow.id)).all())

    def claim(self, now: float) -> Delivery | None:
        """The next attempt, if one is due, for this caller alone; it must be settled before its time is up.

        The attempt counts from now on, so that one which ends the process is not made forever.
        """
        due = (DeliveryRow.due_at <= now, DeliveryRow.attempts < self._attempts)
        idle = HookRow.busy_until <= now
        waiting = (
            select(HookRow.id)
            .join(DeliveryRow, DeliveryRow.hook_id == HookRow.id)
            .where(idle, *due)
            .group_by(HookRow.id)
            .order_by(func.min(DeliveryRow.due_at))
        )
        with self._session() as session:
            hooks = session.scalars(waiting).all()
        for id in hooks:
            with self._session.begin() as session:
                # Asked once more in the statement that takes it: another sender may have been quicker.
                taken = update(HookRow).where(HookRow.id == id, idle).values(busy_until=now + LEASE_S)
                hook = session.scalar(taken.returning(HookRow))
                if hook is None:
                    continue
                first = select(DeliveryRow).where(DeliveryRow.hook_id == id, *due).order_by(DeliveryRow.due_at)
                row = session.scalar(first.limit(1))
                if row is None:
                    hook.busy_until = 0.0
                    continue
                row.due_at = now + self._first_retry_s * 2**row.attempts
                row.attempts += 1
                return Delivery(
                    id=row.id,
                    hook_id=id,
                    url=hook.url,
                    secret=hook.secret,
                    event=row.event,
                    body=row.body,
                    is_last=row.attempts >= self._attempts,
                    until=hook.busy_until,
                )
        return None

    def settle(self, delivery: Delivery, trouble: str | None = None) -> None:
        """Ends an attempt: the hook received it, or `trouble` says why not."""
        with self._session.begin() as session:
            hook = update(HookRow).where(HookRow.id == delivery.hook_id)
            if trouble is None:
                session.execute(delete(DeliveryRow).where(DeliveryRow.id == delivery.id))
                session.execute(hook.values(trouble=None, delivered_at=_now()))
            else:
                session.execute(hook.values(trouble=trouble))
            # If this took too long, the hook may be another sender's by now.
            session.execute(hook.where(HookRow.busy_until == delivery.until).values(busy_until=0.0))


def check_url(url: str) -> None:
    """Whether an address can be called at all; where it leads is looked at each time something is sent.

    Raises:
        InputError: not http or https, without a host, or with a password in it.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host or len(url) > MAX_URL:
        raise InputError(f"A webhook needs an address such as https://example.org/hook, got {url[:100]!r}.")
    if parsed.userinfo:
        raise InputError("Leave user and password out of the address; deliveries are signed instead.")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage.webhooks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="tell an address of events from now on; prints the secret, once")
    adding.add_argument("url", metavar="URL")
    adding.add_argument("--event", metavar="EVENT", action="append", default=[], help=f"{' or '.join(Event)}; else all")
    commands.add_parser("list", help="every hook, and how it is doing")
    for command, does in (("remove", "tell it nothing more"), ("retry", "try now what it has not received")):
        commands.add_parser(command, help=does).add_argument("id", metavar="ID")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        if not settings.moderated:
            raise AppError("Nothing is told about a public page; set TELLTALE_MODE=moderation.")
        prepare(settings.database_url)
        print(_run(given, Webhooks(settings.database_url)))
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace, webhooks: Webhooks) -> str:
    match given.command:
        case "add":
            hook, secret = webhooks.add(given.url, given.event)
            return f"{_line(hook)}\nIts secret, which is not shown again: {secret}"
        case "remove":
            webhooks.remove(given.id)
            return f"{given.id} is removed."
        case "retry":
            now = datetime.now(UTC).timestamp()
            return f"Deliveries that are tried again: {webhooks.retry(given.id, now=now)}."
    return "\n".join(map(_line, webhooks.list())) or "There are no hooks; `add` makes one."


def _line(hook: Hook) -> str:
    state = f"waiting {hook.waiting}, given up {hook.given_up}, last received {hook.delivered_at or 'nothing yet'}"
    return f"{hook.id}  {hook.url}  {' '.join(hook.events)}  {state}" + (f"  ({hook.trouble})" if hook.trouble else "")


def _no_hook(id: str) -> InputError:
    return InputError(f"There is no hook {id!r}; `python -m storage.webhooks list` shows them all.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    raise SystemExit(main())
