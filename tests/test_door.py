"""The door as an attacker meets it: the real app asked by raw HTTP, and what binds the browsers of its visitors."""

import asyncio
import re
import secrets
import shutil
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.routes import App
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from core.settings import Settings
from tests.conftest import Server
from tests.test_rights import routes
from ui import door
from ui.door import Door
from ui.uploads import COOKIE, MAX_FIELD, MAX_FILES

MEGABYTE = bytes(1_000_000)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A browser that has opened the page."""
    with browser(server) as client:
        yield client


@contextmanager
def browser(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert COOKIE in client.get("/").cookies
        yield client


def program(server: Server, secret: str = "") -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30, headers={"x-telltale-visitor": secret} if secret else {})


def upload(http: httpx.Client, name: str = "clip.mp4", content: bytes = b"0123456789") -> str:
    answer = http.post("/gradio_api/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def analyze(http: httpx.Client, video: Any, **more: Any) -> str:
    """The answer to a program that names its clip like this."""
    asked = http.post("/gradio_api/call/v2/analyze", json={"video": video} | more)
    if asked.status_code != 200:
        return asked.text
    return http.get(f"/gradio_api/call/v2/analyze/{asked.json()['event_id']}").text


def left(server: Server) -> list[Path]:
    return [file for file in (server.data / "uploads").rglob("*") if file.is_file()]


@pytest.fixture(autouse=True)
def _nothing_stays(server: Server) -> Iterator[None]:
    yield
    for file in left(server):
        file.unlink()


# What browsers are told


def test_every_answer_binds_the_browser(http):
    asset = re.search(r'src="\./(assets/[^"]+\.js)"', http.get("/").text).group(1)
    asked = (
        "/",
        "/config",
        "/gradio_api/app_id",
        f"/{asset}",
        "/example.mp4",
        "/nothing",
        "/gradio_api/file=/etc/passwd",
    )
    for answer in [
        *(http.get(path) for path in asked),
        http.post("/config", headers={"origin": "https://evil.example"}),
    ]:
        told = answer.headers
        assert told["x-content-type-options"] == "nosniff", answer.url
        assert told["referrer-policy"] == "same-origin"
        assert "camera=()" in told["permissions-policy"]
        assert "default-src 'none'" in told["content-security-policy"]
        assert "strict-transport-security" not in told, "this is plain HTTP"
    assert http.get("/config").headers["cache-control"] == "no-store"
    assert "cache-control" not in http.get(f"/{asset}").headers
    forwarded = http.get("/", headers={"x-forwarded-proto": "https"})
    assert forwarded.headers["strict-transport-security"].startswith("max-age=")


def test_no_script_runs_but_those_of_the_page(http):
    answers = [http.get("/") for _ in range(2)]
    found = set()
    for answer in answers:
        told = answer.headers["content-security-policy"]
        scripts = re.search("script-src ([^;]+)", told).group(1).split()
        assert "'unsafe-inline'" not in scripts
        (nonce,) = [script[7:-1] for script in scripts if script.startswith("'nonce-")]
        assert set(re.findall(r"<script[^>]*", answer.text)) == set(
            re.findall(rf'<script nonce="{nonce}"[^>]*', answer.text)
        )
        found.add(nonce)
    assert len(found) == 2
    injected = http.get("/?__theme=</script><script>1</script>", headers={"x-forwarded-host": "</script><script>evil"})
    assert "<script>" not in injected.text


@pytest.mark.parametrize(
    ("space", "mode", "framed_by", "cookie"),
    [
        ("", "public", "'none'", "SameSite=Lax"),
        ("someone/telltale", "public", "https://huggingface.co", "SameSite=None; Secure; Partitioned"),
        ("someone/telltale", "moderation", "'none'", None),
    ],
)
def test_only_the_page_of_a_space_may_frame_a_public_page_and_nobody_the_desk(tmp_path, space, mode, framed_by, cookie):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path), "SPACE_ID": space, "TELLTALE_MODE": mode})
    answer = TestClient(behind_a_door(settings, admit=(lambda _: None) if settings.moderated else None)).get("/")
    assert answer.headers["content-security-policy"].endswith(f"frame-ancestors {framed_by}")
    assert answer.headers.get("set-cookie", "").endswith(cookie or "")
    assert ("set-cookie" in answer.headers) == bool(cookie)


def behind_a_door(settings: Settings, **more: Any) -> Door:
    """A page that says how many bytes it was sent."""

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])
    return Door(app, settings, [], [], **more)


# Other sites


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


def test_another_sites_page_can_do_nothing_on_a_public_page_either(http):
    for own in FOREIGN:
        for path in ("queue/join", "call/analyze", "run/turn", "upload", "cancel", "reset"):
            assert http.post(f"/gradio_api/{path}", headers=own).status_code == 403, (own, path)
    assert http.get("/config", headers={"origin": "https://evil.example"}).status_code == 403
    assert http.get("/config", headers={"origin": str(http.base_url).rstrip("/")}).status_code == 200
    assert http.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200, "a link, or the page of a Space"


def test_nobody_is_sent_to_another_site(http):
    for headers in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        for path in ("/", "//evil.example", "/login", "/logout", "/config/", "/gradio_api/file=https://evil.example/x"):
            for method in ("GET", "POST"):
                answer = http.request(method, path, headers=headers)
                assert "evil" not in answer.headers.get("location", ""), (headers, method, path)


# What Gradio serves besides


def test_of_gradios_routes_those_are_served_that_the_page_needs(http):
    known = sorted({path for _, path in routes(App.create_app(gr.Blocks()))})
    served = {path.rstrip("/") for path in known if door.SERVED.fullmatch(path.rstrip("/") or "/")}
    api = (
        "app_id",
        "startup-events",
        "info",
        "openapi.json",
        "cancel",
        "reset",
        "upload",
        "upload_progress",
        "heartbeat/x",
    )
    api += ("queue/join", "queue/data", "queue/status", "run/x", "call/x", "call/x/x", "call/v2/x", "call/v2/x/x")
    page = ("", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/assets/x", "/static/x")
    assert served == {*page, *(f"/gradio_api/{path}" for path in api)}
    for path in known:
        if path.rstrip("/") not in served:
            for method in ("GET", "POST"):
                assert http.request(method, path).status_code in (404, 405), (method, path)


def test_nothing_is_fetched_for_a_stranger(http):
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        own = f"http://127.0.0.1:{inside.getsockname()[1]}/secret.mp4"
        for path in ("proxy=", "file=", "file/", "file=//"):
            assert http.get(f"/gradio_api/{path}{own}").status_code == 404
        tag = {"_type": "gradio.FileData"}
        named = [
            {"path": own, "meta": tag},
            {"path": own, "url": own, "meta": tag},
            {"path": own, "is_stream": True, "meta": tag},
        ]
        named += [{"path": "https://huggingface.co/x.mp4", "meta": tag}]
        for file in named:
            for asked in ({"video": file}, {"video": None, "detectors": [file]}, {"video": None, "reference": [file]}):
                answer = analyze(http, **asked)
                assert "event: error" in answer, asked
                assert "verdict" not in answer
        assert "Files have to be uploaded" in analyze(http, {"path": own, "meta": tag})
        with pytest.raises(BlockingIOError):
            inside.accept()


# Files


def test_an_upload_is_its_browsers_alone(server, http):
    path = upload(http)
    mine = f"/gradio_api/file={path}"
    assert http.get(mine).content == b"0123456789"
    assert http.head(mine).status_code == 200
    with browser(server) as other, program(server) as nobody, program(server, "x" * 20) as named:
        for stranger in (other, nobody, named):
            assert stranger.get(mine).status_code == 404
            assert stranger.get(mine, headers={"range": "bytes=0-3"}).status_code == 404
            assert stranger.head(mine).status_code == 404
            answer = analyze(stranger, {"path": path, "meta": {"_type": "gradio.FileData"}})
            assert "no longer on the server" in answer
        stop = next(d for d in other.get("/config").json()["dependencies"] if d["api_name"] == "stop")
        body = {"data": [{"video": {"path": path}}, []], "fn_index": stop["id"], "session_hash": secrets.token_hex(8)}
        other.post("/gradio_api/run/predict", json=body)
    assert http.get(mine).content == b"0123456789", "and nobody else has deleted it"


def test_an_upload_of_a_program_is_its_alone_that_sends_the_same_secret(server, http):
    with program(server, "a secret of its own") as mine, program(server, "a secret of another") as other:
        path = upload(mine)
        answers = [who.get(f"/gradio_api/file={path}").status_code for who in (mine, other, http)]
    assert answers == [200, 404, 404]


def test_no_path_leads_out_of_the_uploads(server, http):
    own = Path(upload(http))
    uploads = own.parent.parent
    (uploads / "loose.mp4").write_bytes(b"not in a folder of somebody")
    paths = [server.data / "telltale.db", "/etc/passwd", uploads, own.parent, uploads / "loose.mp4", "", "."]
    paths += [f"{own.parent}/../../telltale.db", f"{own.parent}/..%2f..%2ftelltale.db", f"{own}/../../loose.mp4"]
    paths += [
        f"{own}%00.png",
        "%00",
        f"{own.parent}/{'x' * 400}",
        f"{own.parent.name}/{own.name}",
        f"file://{own}",
        "~/x",
    ]
    link = own.parent / "link.mp4"
    link.symlink_to(server.data / "telltale.db")
    for path in [*paths, link]:
        for way in ("file=", "file/"):
            answer = http.get(f"/gradio_api/{way}{path}")
            assert answer.status_code == 404, path
            assert b"SQLite" not in answer.content
    for path in (
        "/assets/../../../app.py",
        "/static/%2e%2e/%2e%2e/index.html",
        "/clip/x",
        "/assets/..%2f..%2findex.html",
    ):
        assert http.get(path).status_code in (403, 404), path


def test_what_was_uploaded_is_never_a_page(http):
    for name in ("page.html", "page.svg", "page.mp4.xhtml", "page"):
        answer = http.get(f"/gradio_api/file={upload(http, name, b'<script>alert(1)</script>')}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    video = http.get(f"/gradio_api/file={upload(http)}")
    assert video.headers["content-type"] == "video/mp4"
    assert video.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nSet-Cookie: evil=1\r\n.mp4",
        'a"; filename="b.mp4',
        "../../../a.mp4",
        "/etc/a.mp4",
        "ü\u202e4pm.mp4",
        "x" * 300,
    ],
)
def test_a_name_of_a_file_stays_a_name(server, http, name):
    sent = name.encode().replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
    for written in {sent, sent.replace(b"%22", b'\\"'), sent.replace(b"%0D%0A", b"\n ")}:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + written + b'"\r\n\r\nabc\r\n--x--\r\n'
        )
        kind = {"content-type": "multipart/form-data; boundary=x"}
        answer = http.post("/gradio_api/upload", content=body, headers=kind)
        assert answer.status_code in (200, 400)
        for path in answer.json() if answer.status_code == 200 else ():
            assert Path(path).parent.parent == server.data / "uploads"
            served = http.get("/gradio_api/file=" + path.replace("%", "%25").replace("#", "%23").replace("?", "%3F"))
            assert "evil" not in served.headers.get("set-cookie", "")
            assert served.content == b"abc"


def test_parts_of_a_file_come_as_asked_and_reflect_nothing(http):
    mine = f"/gradio_api/file={upload(http)}"
    part = http.get(mine, headers={"range": "bytes=2-4", "x-secret": "reflected"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert "x-secret" not in part.headers
    assert http.get(mine, headers={"range": "bytes=20-40"}).status_code == 416
    for odd in ("bytes=-", "bytes=a-b", "bytes=5-2", "bytes=" + ",".join(["0-9"] * 2000), "bytes=-9999", "lines=1-2"):
        answer = http.get(mine, headers={"range": odd})
        assert answer.status_code in (200, 206, 400, 416), odd
        assert len(answer.content) < 1000


# Sessions of others


def test_nothing_is_told_of_what_others_ask_and_upload(server, http):
    for path in ("queue/data?session_hash=guess", "call/analyze/guess"):
        with http.stream("GET", f"/gradio_api/{path}") as stream:
            assert "404" in next(stream.iter_text())
    assert set(http.get("/gradio_api/queue/status").json()) <= {"msg", "event_id", "rank", "queue_size", "rank_eta"}
    go = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="mine.mp4"\r\n\r\nabc'
        go.wait(20)
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    sending = threading.Thread(
        target=lambda: http.post("/gradio_api/upload?upload_id=known", content=slowly(), headers=kind)
    )
    sending.start()
    with browser(server) as other:
        assert other.get("/gradio_api/upload_progress?upload_id=known").status_code == 404
    go.set()
    sending.join(20)
    mine = httpx.get(f"{server.url}/gradio_api/upload_progress?upload_id=known", cookies=http.cookies)
    assert "done" in mine.text


# Bodies


def endless(size: int) -> Iterator[bytes]:
    for _ in range(size):
        yield MEGABYTE


def test_a_body_that_is_too_large_or_too_deep_is_refused(http):
    for path in ("call/analyze", "run/predict", "queue/join", "cancel"):
        assert http.post(f"/gradio_api/{path}", content=2 * MEGABYTE).status_code == 413
        try:
            answer = http.post(f"/gradio_api/{path}", content=endless(3))
        except httpx.TransportError:
            continue  # it was hung up on before it had said everything
        assert answer.status_code == 413
    deep = '{"data": ' + "[" * 100_000 + "]" * 100_000 + "}"
    for path in ("call/analyze", "run/predict", "queue/join"):
        answer = http.post(f"/gradio_api/{path}", content=deep, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500


def test_an_upload_of_too_many_or_endless_parts_leaves_nothing(server, http):
    many = [("files", (f"{i}.mp4", b"x")) for i in range(MAX_FILES + 1)]
    assert http.post("/gradio_api/upload", files=many).status_code == 400
    field = {"note": "x" * (MAX_FIELD + 1)}
    assert http.post("/gradio_api/upload", data=field, files={"files": ("a.mp4", b"x")}).status_code == 413
    assert not left(server)


def test_a_body_that_says_it_will_be_too_large_is_not_read(tmp_path):
    http = TestClient(behind_a_door(Settings.from_env({"TELLTALE_DATA": str(tmp_path)})))
    for path, size in (("upload", MAX_FILES * 200_000_000), ("cancel", door.MAX_BODY)):
        sizes = [
            http.post(f"/gradio_api/{path}", headers={"content-length": str(n)}).status_code for n in (size, size + 1)
        ]
        assert sizes == [200, 413]


def test_an_upload_that_breaks_off_leaves_nothing(server):
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as wire:
        start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n' + MEGABYTE
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {server.url[7:]}\r\nContent-Length: 50000000\r\n"
        wire.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + start)
        _wait(lambda: bool(left(server)))
    _wait(lambda: not left(server))


def _wait(until: Any) -> None:
    for _ in range(100):
        if until():
            return
        threading.Event().wait(0.1)
    assert until()


def test_a_body_that_falls_silent_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "SILENCE_S", 0.2)
    app, sent = behind_a_door(Settings.from_env({"TELLTALE_DATA": str(tmp_path)})), []
    parts = iter([{"type": "http.request", "body": b"x", "more_body": True}])

    async def receive() -> dict[str, Any]:
        if part := next(parts, None):
            return part
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/cancel", "headers": [], "query_string": b""}
    asyncio.run(app(scope | {"scheme": "http", "server": ("x", 80)}, receive, send))
    assert sent[0]["status"] == 408


def test_uploads_leave_room_on_the_disk(tmp_path, monkeypatch):
    http = TestClient(behind_a_door(Settings.from_env({"TELLTALE_DATA": str(tmp_path)})))
    assert http.post("/gradio_api/upload").status_code == 200
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10, 10))
    assert http.post("/gradio_api/upload").status_code == 507
    assert http.post("/gradio_api/cancel").status_code == 200
