"""Users, their passwords, sessions and keys, and what is forgotten about them by nobody."""

import io
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from core.errors import InputError, NotAllowed
from core.people import Role, User, user_name
from storage import upgrade, users
from storage.attempts import BY_ADDRESS, BY_NAME, WINDOW_S, TooManyAttempts
from storage.database import open_database
from storage.users import UserStore
from tests.conftest import Clock

QUICKLY = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD, OTHER = "correct horse battery", "staple of another kind"


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'telltale.db'}"
    upgrade(address)
    return address


@pytest.fixture
def people(url: str, clock: Clock) -> UserStore:
    store = UserStore(url, session_hours=1, clock=clock, hasher=QUICKLY)
    store.add("Anna", Role.ADMIN, PASSWORD)
    store.add("bert", Role.REVIEWER, PASSWORD)
    return store


def test_each_role_includes_those_before_it_and_no_other():
    order = [Role.VIEWER, Role.REVIEWER, Role.LEAD, Role.ADMIN]
    assert list(Role) == order
    assert [[a.includes(b) for b in order] for a in order] == [[i >= j for j in range(4)] for i in range(4)]


@pytest.mark.parametrize("name", ["", " ", "a b", "<b>", "a" * 41, "a/b", "a\nb"])
def test_what_is_no_name_is_refused(people, name):
    with pytest.raises(InputError, match="1 to 40 letters"):
        people.add(name, Role.VIEWER, PASSWORD)


def test_a_name_has_one_spelling_and_one_user(people):
    assert user_name(" Jürgen@Example.org ") == user_name("ju\u0308rgen@example.org") == "jürgen@example.org"
    with pytest.raises(InputError, match="anna already"):
        people.add("ANNA", Role.VIEWER, PASSWORD)


@pytest.mark.parametrize("password", ["", "short", "x" * 201, "I am Carl and long"])
def test_a_password_that_is_short_endless_or_holds_the_name_is_refused(people, password):
    with pytest.raises(InputError, match="12 to 200 characters"):
        people.add("carl", Role.VIEWER, password)


def test_a_session_is_its_users_until_it_ends_or_they_log_out(people, clock):
    one, other = people.log_in("anna", PASSWORD, "10.0.0.1"), people.log_in(" ANNA", PASSWORD, "10.0.0.2")
    assert people.by_session(one) == User("anna", Role.ADMIN)
    people.log_out(one)
    assert people.by_session(one) is None
    assert people.by_session("guess") is None
    clock.now += 3599
    assert people.by_session(other)
    clock.now += 2
    assert people.by_session(other) is None


def test_nobody_is_told_whether_the_name_or_the_password_was_wrong(people):
    people.set_disabled("bert", True)
    said = set()
    for name, password in (("anna", OTHER), ("bert", PASSWORD), ("nobody", PASSWORD), ("<b>", PASSWORD)):
        with pytest.raises(NotAllowed) as seen:
            people.log_in(name, password, None)
        said.add(str(seen.value))
    assert len(said) == 1


def fail(people: UserStore, name: str, address: str | None) -> None:
    with pytest.raises(NotAllowed, match="do not belong together"):
        people.log_in(name, OTHER, address)


def test_after_too_many_failures_a_name_waits_even_with_its_password_and_after_a_restart(people, url, clock):
    for i in range(BY_NAME):
        fail(people, "anna", f"10.0.0.{i}")
        clock.now += 60
    again = UserStore(url, clock=clock, hasher=QUICKLY)
    for store in (people, again):
        with pytest.raises(TooManyAttempts, match="try again in 10 minutes"):
            store.log_in("anna", PASSWORD, "10.1.1.1")
    assert people.log_in("bert", PASSWORD, "10.1.1.1"), "others are not kept waiting"
    clock.now += WINDOW_S - BY_NAME * 60 + 1
    assert again.log_in("anna", PASSWORD, "10.1.1.1")
    for _ in range(BY_NAME):
        fail(people, "anna", None)


def test_names_that_do_not_exist_are_throttled_alike_and_so_is_an_address_that_tries_many(people, url):
    for i in range(BY_ADDRESS):
        fail(people, f"name{i}", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        people.log_in("anna", PASSWORD, "10.0.0.1")
    assert people.log_in("anna", PASSWORD, "10.0.0.2")
    for _ in range(BY_NAME):
        fail(people, "nobody", "10.0.0.2")
    with pytest.raises(TooManyAttempts):
        people.log_in("nobody", PASSWORD, "10.0.0.2")


def test_a_log_in_forgives_a_name_its_failures_but_an_address_none(people):
    fail(people, "anna", "10.0.0.1")
    for _ in range(BY_ADDRESS - 1):
        people.log_in("anna", PASSWORD, "10.0.0.1")
        fail(people, "anna", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        people.log_in("anna", PASSWORD, "10.0.0.1")


def test_a_key_opens_in_the_name_of_its_user_until_it_is_revoked(people, clock):
    key = people.add_key("bert", " nightly \n import ")
    assert people.by_key(key) == User("bert", Role.REVIEWER)
    (shown,) = people.keys("bert")
    assert (shown.label, shown.used_at) == ("nightly import", shown.created_at)
    clock.now += 3600
    people.by_key(key)
    assert people.keys("bert")[0].used_at > shown.used_at
    with pytest.raises(InputError, match="no such key"):
        people.revoke("anna", shown.id)
    people.revoke("bert", shown.id)
    assert people.by_key(key) is None
    with pytest.raises(InputError, match="what the key is for"):
        people.add_key("bert", " ")


def test_who_is_disabled_is_out_at_once_and_comes_back_without_old_sessions(people):
    token, key = people.log_in("bert", PASSWORD, None), people.add_key("bert", "import")
    people.set_disabled("bert", True)
    assert (people.by_session(token), people.by_key(key), people.user("bert")) == (None, None, None)
    people.set_disabled("bert", False)
    assert people.by_session(token) is None
    assert people.by_key(key)


def test_a_new_role_counts_at_once(people):
    token = people.log_in("bert", PASSWORD, None)
    people.set_role("bert", Role.LEAD)
    assert people.by_session(token) == User("bert", Role.LEAD)


def test_one_admin_is_always_left(people):
    for change in (lambda: people.set_disabled("anna", True), lambda: people.set_role("anna", Role.LEAD)):
        with pytest.raises(InputError, match="One admin has to be left"):
            change()
    assert people.user("anna") == User("anna", Role.ADMIN)
    people.set_role("bert", Role.ADMIN)
    people.set_role("anna", Role.VIEWER)


def test_ones_own_new_password_takes_the_old_one_and_ends_all_other_sessions(people):
    here, elsewhere = people.log_in("anna", PASSWORD, None), people.log_in("anna", PASSWORD, None)
    with pytest.raises(NotAllowed, match="not your present password"):
        people.change_password("anna", OTHER, OTHER, token=here)
    people.change_password("anna", PASSWORD, OTHER, token=here)
    assert (people.by_session(here) is None, people.by_session(elsewhere) is None) == (False, True)
    with pytest.raises(NotAllowed):
        people.log_in("anna", PASSWORD, None)
    assert people.log_in("anna", OTHER, None)


def test_the_database_holds_no_secret(people, url, tmp_path):
    secrets = [
        people.log_in("anna", PASSWORD, "10.9.8.7"),
        people.add_key("bert", "import"),
        PASSWORD,
        OTHER,
        "10.9.8.7",
    ]
    fail(people, "a password typed in the wrong field", "10.9.8.7")
    with open_database(url).connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    stored = (tmp_path / "telltale.db").read_bytes()
    assert b"argon2id" in stored
    assert not [secret for secret in [*secrets, "wrong field"] if secret.encode() in stored]


def test_users_are_kept_from_a_shell_with_passwords_from_a_pipe(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_DATA", str(tmp_path / "new"))

    def run(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = users.main(list(arguments))
        return code, *capsys.readouterr()

    assert run("add", "Anna", "--role", "admin", typed=f"{PASSWORD}\n") == (0, "Added anna, admin.\n", "")
    code, _, refusal = run("add", "bert", "--role", "boss", typed=f"{PASSWORD}\n")
    assert (code, "choose among: viewer, reviewer, lead, admin" in refusal) == (1, True)
    assert run("add", "bert", typed="short\n")[0] == 1
    run("add", "bert", typed=f"{PASSWORD}\n")
    run("role", "bert", "lead")
    run("disable", "bert")
    assert run("list")[1].split() == ["anna", "admin", "bert", "lead", "disabled"]
    assert run("role", "carl", "lead")[2].startswith("There is no user called 'carl'")
    assert run("disable", "anna")[0] == 1
    key = run("keys", "anna", "--add", "import")[1].strip()
    store = UserStore(f"sqlite:///{tmp_path / 'new' / 'telltale.db'}", hasher=QUICKLY)
    assert store.by_key(key) == User("anna", Role.ADMIN)
    assert "import" in run("keys", "anna")[1]
    run("keys", "anna", "--revoke", "1")
    assert store.by_key(key) is None
    assert run("password", "anna", typed=f"{OTHER}\n")[0] == 0
    assert store.log_in("anna", OTHER, None)
