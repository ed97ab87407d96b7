"""What must never be logged: the real app at the desk, used and misused, and then everything it has written."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from sqlalchemy import make_url

from core.errors import AppError
from storage import prepare
from storage.webhooks import Webhooks
from tests import clips
from tests.conftest import POSTGRESQL, free_port, new_database, running, wait_for
from tests.test_rights import log_in, shell

TYPED, MISTYPED = "a password of nobody else", "a password that was mistyped"
OF_DATABASE = "the-password-of-the-database"


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """PostgreSQL by an address with a password, where there is a server; else SQLite, whose address has none."""
    request.param = "postgresql" if os.environ.get(POSTGRESQL) else "sqlite"
    with new_database(request, tmp_path) as address:
        url = make_url(address)
        if request.param == "postgresql":
            url = url.set(password=OF_DATABASE)
        yield url.render_as_string(hide_password=False)


def test_no_secret_and_no_name_of_a_file_is_logged(database, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    folder = tmp_path / "desk"
    folder.mkdir()
    shell(folder / "data", "add", "rolf", "--role", "reviewer", typed=TYPED)
    key, stray = shell(folder / "data", "keys", "rolf", "--add", "tests"), f"telltale_{secrets.token_urlsafe(32)}"
    token, visitor = secrets.token_hex(16), secrets.token_urlsafe(16)
    # Nothing listens there, so that every delivery fails and is logged.
    _, signing = Webhooks(database).add(f"http://127.0.0.1:{free_port()}/hook?token={token}", [])
    chosen = {"TELLTALE_MODE": "moderation", "DATABASE_URL": database}
    with running(folder, TELLTALE_WEBHOOKS_PRIVATE="1", **chosen) as server:
        with httpx.Client(base_url=server.url, timeout=30) as http:
            assert log_in(http, "rolf", MISTYPED).status_code == 401
            assert log_in(http, "rolf", TYPED).status_code == 303
            session = dict(http.cookies)
            # Of an error in a route of Gradio's the connection is closed.
            once = {"x-telltale-visitor": visitor, "connection": "close"}
            for body in ({"video": stray}, {"data": [key]}, [key], "{"):
                for way in ("call/v2/analyze", f"call/v2/{key}", "run/predict", "queue/join", "component_server"):
                    http.post(f"/gradio_api/{way}", json=body, headers=once)
            assert http.get("/config", headers={"x-api-key": stray}).status_code == 401
        call = Client(server.url, headers={"x-api-key": key}, verbose=False, analytics_enabled=False).predict
        report = call(handle_file(clips.good(tmp_path / "private name.mp4", 30)), ["lrnet"], api_name="/analyze")
        call(report["id"], "pdf", api_name="/report")
        with pytest.raises(Exception, match="not a video"):
            call(handle_file(clips.text(tmp_path / "private name.mov")), api_name="/analyze")
        wait_for(lambda: "did not get delivery" in server.log.read_text())
    logged = server.log.read_text()
    assert "analysis" in logged.lower()
    told = [TYPED, MISTYPED, OF_DATABASE, key, stray, token, signing, visitor, *session.values(), "private name"]
    assert not [secret for secret in told if secret in logged]


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://telltale:{OF_DATABASE}@127.0.0.1:1/x",
        f"postgresql://telltale:{OF_DATABASE}@127.0.0.1:1/x?no_such_option=1",
        f"postgresql://telltale:it@{OF_DATABASE}@127.0.0.1:1/x",
        f"mysql://telltale:{OF_DATABASE}@127.0.0.1/x",
        OF_DATABASE,
    ],
)
def test_a_database_that_cannot_be_used_is_told_of_without_its_password(address):
    with pytest.raises(AppError) as told:
        prepare(address)
    assert "database" in str(told.value).lower()
    assert OF_DATABASE not in str(told.value)
