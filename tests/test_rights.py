"""Who may what: every function of the page, asked of the real app by raw HTTP in every role, and the way in."""

import io
import re
import secrets
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App

from core.people import Role
from storage import users
from tests.conftest import Server, running
from ui.login import OPEN

PASSWORD = "correct horse battery"
PEOPLE = {"vera": Role.VIEWER, "rolf": Role.REVIEWER, "lea": Role.LEAD, "ada": Role.ADMIN}

LEAST: dict[Role | None, set[str]] = {
    # They tell of nothing that was analysed.
    None: {"close_log", "new_secret", "foretell", "wait", "turn_away", "cards", "detectors"},
    Role.VIEWER: {
        *("greet", "report", "look", "write", "weigh", "animate", "history"),
        *("queue", "turn", "open_one", "leave", "similar", "show", "read_log"),
        *("open_account", "change_password", "make_key", "revoke_key"),
    },
    Role.REVIEWER: {
        *("measure_clip", "measure_all", "run", "stop", "analyze"),
        *("claim", "release", "commit", "decide", "escalate", "appeal", "take_next", "review", "run_again", "again"),
    },
    Role.LEAD: {"pick", "keep", "assess", "consider", "put_in_force"},
    Role.ADMIN: {"add_user", "change_user"},
}
"""The least role that each function lets in; None, whoever the door has let in. What is new has to be entered here."""

PUBLIC = (LEAST[None] - {"close_log"}) | {
    *("report", "look", "write", "weigh", "animate", "history"),
    *("turn", "reopen", "remove"),
    *("measure_clip", "measure_all", "run", "stop", "analyze"),
}
"""What there is on a public page, and nothing else."""


@dataclass(frozen=True)
class Office:
    """The real app as a moderators' desk, with one key of each of `PEOPLE`."""

    server: Server
    keys: dict[str, str]

    def http(self, who: str | None = None, **more: Any) -> httpx.Client:
        headers = {"x-api-key": self.keys[who]} if who else {}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=30, **more)

    def users(self, *arguments: str, typed: str = "") -> str:
        """What the operator's command answers."""
        return shell(self.server.data, *arguments, typed=typed)


def shell(data: Path, *arguments: str, typed: str = "") -> str:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as answer:
        patch.setenv("TELLTALE_DATA", str(data))
        patch.setattr("sys.stdin", io.StringIO(typed + "\n"))
        assert users.main(list(arguments)) == 0
    return answer.getvalue().strip()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    keys = {}
    for name, role in PEOPLE.items():
        shell(folder / "data", "add", name, "--role", role, typed=PASSWORD)
        keys[name] = shell(folder / "data", "keys", name, "--add", "tests")
    with running(folder, TELLTALE_MODE="moderation") as server:
        yield Office(server, keys)


def functions(http: httpx.Client) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Everything behind the page that runs: its name, what Gradio says of it, and the first value of each input."""
    config = http.get("/config").json()
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    return [
        (re.sub(r"_\d+$", "", route["api_name"]), route, [values[part] for part in route["inputs"]])
        for route in config["dependencies"]
        if route["backend_fn"]
    ]


def ask(http: httpx.Client, route: dict[str, Any], data: list[Any]) -> str:
    """What the page would be answered: at once, or by whatever waits in line, over the line."""
    body = {"data": data, "event_data": {"report": "none"}, "session_hash": secrets.token_hex(8)}
    if not route["queue"]:
        return http.post("/gradio_api/run/predict", json=body | {"fn_index": route["id"]}).text
    event = http.post(f"/gradio_api/call/{route['api_name']}", json=body).json()["event_id"]
    return http.get(f"/gradio_api/call/{route['api_name']}/{event}").text


def test_every_function_lets_in_who_may_and_refuses_everybody_else(office):
    with office.http("ada") as admin:
        found = functions(admin)
    assert {name for name, _, _ in found} == set().union(*LEAST.values())
    wrong = []
    for who, role in PEOPLE.items():
        with office.http(who) as http:
            for name, route, data in found:
                least = next(least for least, names in LEAST.items() if name in names)
                answer = ask(http, route, data)
                if least is None or role.includes(least):
                    as_it_should = "takes the role" not in answer
                else:
                    as_it_should = f"takes the role {least}, and yours is {role}" in answer
                wrong += [] if as_it_should else [(who, name, answer)]
    assert not wrong


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "telltale_guess"}, {"authorization": "Bearer telltale_guess"}])
def test_without_a_key_no_function_runs(office, headers):
    with office.http("ada") as admin:
        found = functions(admin)
    body = {"data": [], "session_hash": secrets.token_hex(8)}
    with httpx.Client(base_url=office.server.url, headers=headers, timeout=30) as stranger:
        ways = ["/gradio_api/run/predict", "/gradio_api/api/predict", "/gradio_api/queue/join"]
        asked = [(way, body | {"fn_index": route["id"]}) for _, route, _ in found for way in ways]
        names = [route["api_name"] for _, route, _ in found]
        asked += [(f"/gradio_api/{way}/{name}", body) for name in names for way in ("call", "run")]
        assert {stranger.post(path, json=json).status_code for path, json in asked} == {401}


def routes(router: Any) -> Iterator[tuple[str, str]]:
    """Every method and path that Gradio answers."""
    for route in router.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(route, "path") and getattr(route, "methods", None):
            yield from ((method, re.sub(r"\{[^}]*\}", "x", route.path)) for method in route.methods)
        elif hasattr(inner, "routes"):
            yield from routes(inner)


def test_of_all_that_gradio_serves_strangers_get_the_door_only(office):
    known = set(routes(App.create_app(gr.Blocks())))
    paths = {path for _, path in known}
    for needed in ("upload", "file=x", "queue/data", "heartbeat/x", "queue/join", "info"):
        assert f"/gradio_api/{needed}" in paths, sorted(paths)
    with office.http() as stranger:
        got = {}
        for method, path in sorted(known):
            if path not in OPEN:
                answer = stranger.request(method, path)
                got[method, path] = "login" if answer.headers.get("location") == "login" else answer.status_code
    assert {how for how, answer in got.items() if answer == "login"} == {("GET", "/"), ("HEAD", "/")}
    assert set(got.values()) == {"login", 401}
