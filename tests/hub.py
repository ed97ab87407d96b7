"""A Hub on this machine, for the real client: files at revisions, consent, ranges, commits."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

REVISION = "c0ffee" + "0" * 34
COMMIT = "beef" + "1" * 36
"""The revision of what was committed here."""


class Hub:
    """`files` are by repository and path, at one revision each; `asked` are the requests: method, path, range."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.gated: set[str] = set()
        self.private = True
        self.breaks_after: int | None = None
        """The next body breaks off after so many bytes."""
        self.asked: list[tuple[str, str, str | None]] = []

    def add(self, repository: str, path: str, content: bytes, revision: str = REVISION) -> None:
        self.files[repository, path] = revision, content


@contextmanager
def running_hub() -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.hub  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        if self.path.startswith("/api/spaces/"):
            self._note()
            repository = self.path.removeprefix("/api/spaces/").partition("/tree/")[0]
            held = [path for name, path in self.hub.files if name == repository]
            self._json([{"type": "file", "path": path, "size": 1, "oid": COMMIT} for path in held])
        elif self.path.startswith("/api/models/"):
            self._note()
            self._json({"id": self.path.removeprefix("/api/models/"), "private": self.hub.private, "siblings": []})
        else:
            self._resolve()

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            made = json.loads(body)
            self._json({"url": f"{self.hub.url}/{made['organization']}/{made['name']}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [file | {"uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self._json({"files": files})
        elif "/commit/" in self.path:
            repository = self.path.partition("/commit/")[0].removeprefix("/api/models/").removeprefix("/api/spaces/")
            for line in map(json.loads, body.splitlines()):
                path = line["value"].get("path", "")
                if line["key"] == "file":
                    self.hub.add(repository, path, base64.b64decode(line["value"]["content"]), COMMIT)
                elif line["key"] == "deletedFile":
                    del self.hub.files[repository, path]
            self._json({"commitUrl": f"{self.hub.url}/{repository}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self._refuse(404, "RepoNotFound")

    def _resolve(self) -> None:
        self._note()
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, path = rest.partition("/")
        if repository in self.hub.gated:
            return self._refuse(403, "GatedRepo")
        if repository not in {name for name, _ in self.hub.files}:
            return self._refuse(401, "RepoNotFound")
        held, content = self.hub.files.get((repository, unquote(path)), ("", b""))
        if revision not in {r for (name, _), (r, _) in self.hub.files.items() if name == repository}:
            return self._refuse(404, "RevisionNotFound")
        if held != revision:
            return self._refuse(404, "EntryNotFound")
        self._send(content, revision)

    def _send(self, content: bytes, revision: str) -> None:
        begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        part = content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", revision)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(part)))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            end, self.hub.breaks_after = self.hub.breaks_after, None
            self.wfile.write(part[:end])
            self.close_connection = end is not None

    def _json(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _note(self) -> None:
        self.hub.asked.append((self.command, self.path, self.headers["Range"]))

    def log_message(self, *_: object) -> None:
        pass
