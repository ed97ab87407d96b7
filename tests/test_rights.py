"""Who may what: every function of the page, asked of the real app by raw HTTP in every role, and the way in."""

import io
import math
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
from gradio_client import Client, handle_file

from core.people import Role
from storage import users
from storage.attempts import BY_NAME
from tests import clips
from tests.conftest import Server, running
from ui.login import OPEN

PASSWORD = "correct horse battery"
PEOPLE = {"vera": Role.VIEWER, "rolf": Role.REVIEWER, "lea": Role.LEAD, "ada": Role.ADMIN}

LEAST: dict[Role | None, set[str]] = {
    # They tell of nothing that was analysed.
    None: {"foretell", "wait", "turn_away", "say_stopped", "cards", "installation", "detectors"},
    Role.VIEWER: {
        *("greet", "report", "look", "write", "weigh", "animate", "history"),
        "job",
        *("queue", "turn", "open_one", "leave", "similar", "show", "read_log"),
        *("open_account", "change_password", "make_key", "revoke_key"),
    },
    Role.REVIEWER: {
        *("measure_clip", "measure_all", "run", "stop", "analyze", "submit", "cancel"),
        *("claim", "release", "commit", "decide", "escalate", "appeal", "take_next", "review", "run_again", "again"),
    },
    Role.LEAD: {"remove", "pick", "keep", "assess", "consider", "put_in_force"},
    Role.ADMIN: {"add_user", "change_user"},
}
"""The least role that each function lets in; None, whoever the door has let in. What is new has to be entered here."""

PUBLIC = LEAST[None] | {
    *("report", "look", "write", "weigh", "animate", "history"),
    *("turn", "reopen", "remove"),
    *("measure_clip", "measure_all", "run", "stop", "analyze", "submit", "job", "cancel"),
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
        assert stranger.get("/healthz").json()["status"] == "ok"
        got = {}
        for method, path in sorted(known):
            if path not in OPEN:
                answer = stranger.request(method, path)
                got[method, path] = "login" if answer.headers.get("location") == "login" else answer.status_code
    assert {how for how, answer in got.items() if answer == "login"} == {("GET", "/"), ("HEAD", "/")}
    assert set(got.values()) == {"login", 401}


def test_a_public_page_has_nothing_of_the_desk(server):
    with httpx.Client(base_url=server.url, timeout=30) as http:
        assert {name for name, _, _ in functions(http)} == PUBLIC
    for name in set().union(*LEAST.values()) - PUBLIC:
        assert httpx.post(f"{server.url}/gradio_api/run/{name}", json={"data": []}).status_code >= 400
    for route in ("/login", "/logout"):
        answer = httpx.post(server.url + route, data={"name": "ada", "password": PASSWORD})
        assert answer.status_code >= 400, route


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_programs_come_in_by_their_key_until_it_is_revoked(office, header):
    key = office.users("keys", "rolf", "--add", header)
    headers = {header: f"Bearer {key}" if header == "authorization" else key}
    client = Client(office.server.url, headers=headers, verbose=False, analytics_enabled=False)
    assert client.predict(api_name="/detectors")
    assert client.predict(api_name="/history") == {"rows": [], "total": 0}
    assert key not in office.users("keys", "rolf")
    number = next(line.split()[0] for line in office.users("keys", "rolf").splitlines() if line.endswith(header))
    office.users("keys", "rolf", "--revoke", number)
    assert httpx.get(f"{office.server.url}/config", headers=headers).status_code == 401


def test_a_viewer_uploads_nothing_and_a_file_is_nobodys_who_has_not_logged_in(office):
    post = {"files": ("clip.mp4", b"bytes")}
    with office.http("vera") as viewer, office.http("rolf") as reviewer, office.http() as stranger:
        refused = viewer.post("/gradio_api/upload", files=post)
        assert (refused.status_code, "takes the role reviewer" in refused.text) == (403, True)
        assert stranger.post("/gradio_api/upload", files=post).status_code == 401
        (path,) = reviewer.post("/gradio_api/upload", files=post).json()
        assert reviewer.get(f"/gradio_api/file={path}").content == b"bytes"
        assert stranger.get(f"/gradio_api/file={path}").status_code == 401
        with office.http("lea") as lead:
            assert lead.get(f"/gradio_api/file={path}").status_code == 404, "not even a lead's"
        assert reviewer.get(f"/gradio_api/file={office.server.data / 'telltale.db'}").status_code == 404


def test_the_clip_of_a_report_is_for_those_who_are_let_in(office, tmp_path):
    clip = clips.good(tmp_path / "clip.mp4", 30)
    call = Client(office.server.url, headers={"x-api-key": office.keys["rolf"]}, verbose=False, analytics_enabled=False)
    report = call.predict(handle_file(clip), ["lrnet"], api_name="/analyze")
    with office.http("vera") as viewer, office.http() as stranger:
        played = viewer.get(f"/clip/{report['id']}", headers={"range": "bytes=0-9"})
        assert (played.status_code, played.content) == (206, clip.read_bytes()[:10])
        assert played.headers["content-type"] == "video/mp4"
        assert stranger.get(f"/clip/{report['id']}").status_code == 401
        for other in ("no-such-report", report["video"]["sha256"], "../telltale.db", "%2e%2e%2ftelltale.db"):
            assert viewer.get(f"/clip/{other}").status_code == 404, other


def log_in(http: httpx.Client, name: str = "vera", password: str = PASSWORD, **headers: str) -> httpx.Response:
    return http.post("/login?next=//evil.example", data={"name": name, "password": password}, headers=headers)


def test_a_log_in_leads_to_the_page_and_nowhere_else_until_the_log_out(office):
    with office.http() as http:
        answer = log_in(http)
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert "secure" not in flags, "or it would not come back over plain HTTP"
        assert http.get("/config").status_code == 200
        kept = dict(http.cookies)
        assert http.post("/logout").headers["location"] == "login"
        assert not http.cookies
    with office.http(cookies=kept) as again:
        assert again.get("/config").status_code == 401
    with office.http() as http:
        assert "secure" in log_in(http, origin=office.server.url.replace("http", "https")).headers["set-cookie"].lower()


def test_another_sites_page_can_neither_log_in_nor_out_nor_call(office):
    with office.http() as http:
        log_in(http)
        for own in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            for path in ("/login", "/logout", "/gradio_api/run/predict", "/gradio_api/upload"):
                assert http.post(path, headers=own).status_code == 403, (own, path)
        assert http.get("/config").status_code == 200, "still logged in"


def test_the_log_in_page_answers_in_the_language_of_the_request_and_escapes(office):
    with office.http() as http:
        page = http.get("/login", headers={"accept-language": "de-AT,en;q=0.5"})
        assert '<html lang="de">' in page.text
        assert "Passwort" in page.text
        refused = log_in(http, "<b>vera", "wrong", **{"accept-language": "de"})
        assert (refused.status_code, "gehören nicht zusammen" in refused.text) == (401, True)
        assert "<b>" not in refused.text
        assert "do not belong together" in log_in(http, "<b>vera", "wrong").text
        assert "Melden Sie sich" in http.get("/config", headers={"accept-language": "de"}).json()["detail"]


def test_who_is_disabled_is_out_at_once(office):
    office.users("add", "dora", typed=PASSWORD)
    key = office.users("keys", "dora", "--add", "tests")
    with office.http() as http:
        log_in(http, "dora")
        assert http.get("/config").status_code == 200
        office.users("disable", "dora")
        assert http.get("/config").status_code == 401
        assert http.get("/config", headers={"x-api-key": key}).status_code == 401
        assert log_in(http, "dora").status_code == 401


def test_after_too_many_attempts_the_page_says_when_to_come_back(office):
    office.users("add", "theo", typed=PASSWORD)
    with office.http() as http:
        for _ in range(BY_NAME):
            assert log_in(http, "theo", "wrong").status_code == 401
        answer = log_in(http, "theo")
    assert answer.status_code == 429
    minutes = math.ceil(int(answer.headers["retry-after"]) / 60)
    assert f"Too many attempts to log in; try again in {minutes} min." in answer.text
