"""The users of the moderators' desk, their sessions and keys; `python -m storage.users` keeps them from a shell."""

import argparse
import getpass
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from core.errors import AppError, InputError, NotAllowed
from core.people import Role, User, role_called, user_name
from core.settings import Settings
from storage.attempts import Attempts
from storage.database import prepare, sessions
from storage.tables import KeyRow, SessionRow, UserRow

COMMAND = "python -m storage.users"
MIN_PASSWORD, MAX_PASSWORD = 12, 200
MAX_LABEL, MAX_KEYS = 80, 50
KEY_PREFIX = "telltale_"
"""By which people and scanners for leaked secrets know one of our keys."""
USED_EVERY_S = 60
"""How exactly the last use of a key is kept: a key that is used without pause is not written without pause."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user as those see them who keep the users; `created_at` is UTC, ISO 8601."""

    name: str
    role: Role
    disabled: bool
    created_at: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its user sees it: all but the key itself. Times are UTC, ISO 8601; `used_at` to the minute."""

    id: int
    label: str
    created_at: str
    used_at: str | None


class UserStore:
    """Users, sessions and keys; of passwords, sessions and keys only hashes are kept.

    The database must be up to date (`storage.upgrade`). Each call has its own session, so threads may share a store.
    """

    def __init__(
        self,
        database: Engine | str,
        *,
        session_hours: float = 12,
        clock: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._session = sessions(database)
        self.session_s, self._clock = 3600 * session_hours, clock
        self._attempts = Attempts(self._session, clock)
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def add(self, name: str, role: Role, password: str) -> User:
        """Makes a user.

        Raises:
            InputError: the name is taken or none, or the password is too weak.
        """
        name = user_name(name)
        row = UserRow(name=name, role=role, password=self._hash(password, name), disabled=False, created_at=self._now())
        with self._session.begin() as session:
            if session.get(UserRow, name):
                raise InputError(f"There is a user called {name} already; choose another name.")
            session.add(row)
        return User(name, role)

    def accounts(self) -> tuple[Account, ...]:
        """All users by name, those who were disabled too."""
        rows = select(UserRow.name, UserRow.role, UserRow.disabled, UserRow.created_at).order_by(UserRow.name)
        with self._session() as session:
            return tuple(Account(*row) for row in session.execute(rows))

    def user(self, name: str) -> User | None:
        """The user of this name, unless disabled."""
        with self._session() as session:
            return _user(session.get(UserRow, name))

    def set_role(self, name: str, role: Role) -> None:
        """Takes effect at their next request.

        Raises:
            InputError: there is no such user, or no admin would be left.
        """
        self._change(name, role=role)

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Who is disabled is logged out, and their keys open nothing.

        Raises:
            InputError: there is no such user, or no admin would be left.
        """
        self._change(name, disabled=disabled)

    def set_password(self, name: str, password: str) -> None:
        """Logs the user out everywhere.

        Raises:
            InputError: there is no such user, or the password is too weak.
        """
        self._change(name, password=self._hash(password, user_name(name)))

    def change_password(self, name: str, old: str, new: str, *, token: str | None) -> None:
        """By the user themselves; logs them out everywhere but in the session of this token.

        Raises:
            NotAllowed: the old password is wrong, or was tried too often.
            InputError: the new one is too weak.
        """
        hashed = self._hash(new, name)
        self._attempts.begin(name, None)
        if self._verified(name, old) is None:
            raise NotAllowed("This is not your present password; try again.")
        self._attempts.succeed(name, None)
        self._change(name, password=hashed, keep=token)

    def log_in(self, name: str, password: str, address: str | None) -> str:
        """The token of a new session, which the browser keeps.

        Raises:
            NotAllowed: no such user, or a wrong password, which nobody is told apart; or too many attempts.
        """
        try:
            name = user_name(name)
        except InputError:
            name = ""
        self._attempts.begin(name, address)
        user = self._verified(name, password)
        if user is None:
            raise NotAllowed("Name and password do not belong together; try again, or ask an admin.")
        self._attempts.succeed(name, address)
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._session.begin() as session:
            session.execute(delete(SessionRow).where(SessionRow.until_s <= now))
            session.add(SessionRow(token=_sha256(token), user_name=user.name, until_s=now + self.session_s))
        return token

    def log_out(self, token: str) -> None:
        with self._session.begin() as session:
            session.execute(delete(SessionRow).where(SessionRow.token == _sha256(token)))

    def by_session(self, token: str) -> User | None:
        """Whose session this is, unless it has ended or they were disabled."""
        wanted = (
            select(UserRow)
            .join(SessionRow, SessionRow.user_name == UserRow.name)
            .where(SessionRow.token == _sha256(token), SessionRow.until_s > self._clock())
        )
        with self._session() as session:
            return _user(session.scalar(wanted))

    def add_key(self, name: str, label: str) -> str:
        """A new key of a user, to be shown once.

        Raises:
            InputError: the label is none, or there are too many keys.
        """
        label = " ".join(label.split())
        if not 1 <= len(label) <= MAX_LABEL:
            raise InputError(f"Say what the key is for in 1 to {MAX_LABEL} characters, such as the program's name.")
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        with self._session.begin() as session:
            _existing(session, name)
            if len(_keys(session, name)) >= MAX_KEYS:
                raise InputError(f"A user has {MAX_KEYS} keys at most; revoke one first.")
            session.add(KeyRow(user_name=name, label=label, secret=_sha256(key), created_at=self._now()))
        return key

    def keys(self, name: str) -> tuple[Key, ...]:
        """The keys of a user, oldest first."""
        with self._session() as session:
            return tuple(Key(row.id, row.label, row.created_at, row.used_at) for row in _keys(session, name))

    def revoke(self, name: str, key_id: int) -> None:
        """From now on this key opens nothing.

        Raises:
            InputError: the user has no such key.
        """
        unwanted = delete(KeyRow).where(KeyRow.id == key_id, KeyRow.user_name == name).returning(KeyRow.id)
        with self._session.begin() as session:
            if session.scalar(unwanted) is None:
                raise InputError("There is no such key; it may have been revoked before.")

    def by_key(self, key: str) -> User | None:
        """Whose key this is, unless they were disabled."""
        wanted = select(KeyRow, UserRow).join(UserRow, KeyRow.user_name == UserRow.name)
        with self._session.begin() as session:
            found = session.execute(wanted.where(KeyRow.secret == _sha256(key))).first()
            if found is None:
                return None
            row, user = found
            now, seen = datetime.fromtimestamp(self._clock(), UTC), row.used_at
            if seen is None or (now - datetime.fromisoformat(seen)).total_seconds() >= USED_EVERY_S:
                row.used_at = now.isoformat(timespec="seconds")
            return _user(user)

    def _change(self, name: str, *, keep: str | None = None, **values: Any) -> None:
        """Anything but a change of role ends the user's sessions, except the one whose token is `keep`."""
        name = user_name(name)
        with self._session.begin() as session:
            # Locked, or two admins could make each other lead at once.
            admins = select(UserRow.name).where(UserRow.role == Role.ADMIN, ~UserRow.disabled).with_for_update()
            before = session.scalars(admins).all()
            _existing(session, name)
            session.execute(update(UserRow).where(UserRow.name == name).values(**values))
            if before and not session.scalars(admins).all():
                raise InputError("One admin has to be left; make another user admin first.")
            if "role" not in values:
                unwanted = delete(SessionRow).where(SessionRow.user_name == name)
                session.execute(unwanted.where(SessionRow.token != _sha256(keep)) if keep else unwanted)

    def _verified(self, name: str, password: str) -> User | None:
        """The user if the password is theirs; takes as long where there is no such user."""
        with self._session() as session:
            row = session.get(UserRow, name)
        try:
            self._hasher.verify(row.password if row else self._nobody, password[:MAX_PASSWORD])
        except (VerifyMismatchError, InvalidHashError):
            return None
        return _user(row)

    def _hash(self, password: str, name: str) -> str:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or name in password.casefold():
            raise InputError(
                f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters and does not hold the name; a few words "
                "that do not belong together make a good one."
            )
        return self._hasher.hash(password)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")


def _user(row: UserRow | None) -> User | None:
    return None if row is None or row.disabled else User(row.name, row.role)


def _existing(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        raise InputError(f"There is no user called {name!r}; `{COMMAND} list` shows them all.")
    return row


def _keys(session: Session, name: str) -> list[KeyRow]:
    return list(session.scalars(select(KeyRow).where(KeyRow.user_name == name).order_by(KeyRow.id)))


def _sha256(secret: str) -> str:
    """Enough for secrets of 256 random bits, which nobody can guess; passwords are hashed with argon2."""
    return hashlib.sha256(secret.encode()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        url = Settings.from_env(os.environ).database_url
        prepare(url)
        _run(given, UserStore(url))
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="The users of the moderators' desk. Passwords are asked for, or read from a pipe."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every user with their role")
    adding = commands.add_parser("add", help="a new user; the first one should be an admin")
    adding.add_argument("name")
    adding.add_argument("--role", default=Role.VIEWER.value, metavar="|".join(Role))
    changing = commands.add_parser("role", help="what a user may do from now on")
    changing.add_argument("name")
    changing.add_argument("role", metavar="|".join(Role))
    for name, words in {
        "password": "a new password; logs the user out everywhere",
        "disable": "no log-in and no keys from now on",
        "enable": "the opposite",
    }.items():
        commands.add_parser(name, help=words).add_argument("name")
    keys = commands.add_parser("keys", help="list the keys of a user, make one, or revoke one")
    keys.add_argument("name")
    keys.add_argument("--add", metavar="LABEL", help="make a key for what LABEL says; it is shown once")
    keys.add_argument("--revoke", metavar="ID", type=int)
    return parser


def _run(given: argparse.Namespace, users: UserStore) -> None:
    match given.command:
        case "list":
            for account in users.accounts():
                print(f"{account.name:40} {account.role:10}{'disabled' if account.disabled else ''}".rstrip())
        case "add":
            user = users.add(given.name, role_called(given.role), _password())
            print(f"Added {user.name}, {user.role}.")
        case "role":
            users.set_role(given.name, role_called(given.role))
        case "password":
            users.set_password(given.name, _password())
        case "disable" | "enable":
            users.set_disabled(given.name, given.command == "disable")
        case "keys":
            _run_keys(given, user_name(given.name), users)


def _run_keys(given: argparse.Namespace, name: str, users: UserStore) -> None:
    if given.add is not None:
        print(users.add_key(name, given.add))
    elif given.revoke is not None:
        users.revoke(name, given.revoke)
    else:
        for key in users.keys(name):
            print(f"{key.id:6}  made {key.created_at}  used {key.used_at or 'never':25}  {key.label}")


def _password() -> str:
    """Never an argument, which other users of the machine could read."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise InputError("The two passwords differ; try again.")
    return password


if __name__ == "__main__":
    raise SystemExit(main())
