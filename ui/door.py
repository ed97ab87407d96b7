"""The door: what every request passes before Gradio, on a public page as at the moderators' desk.

It turns away what another site's page has sent, what takes an account (`ui.login`), whatever Gradio would serve and
this page has no use for, and bodies that are too large or too slow; and it gives every answer the headers that bind
browsers.
"""

import asyncio
import base64
import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlencode, urlsplit

from gradio import routes as gradio_routes
from jinja2.ext import Extension
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.metrics import HTTP_SECONDS
from core.settings import Settings
from core.words import in_language, say
from storage.health import SPARE_BYTES
from ui.languages import preferred
from ui.uploads import MAX_FILES, know_again, owner_of, uploading

SAFE = {"GET", "HEAD", "OPTIONS"}
UPLOAD, UPLOAD_PROGRESS = "/gradio_api/upload", "/gradio_api/upload_progress"
SERVED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)|/(assets|static)/.+|/gradio_api/"
    r"(app_id|startup-events|info|openapi\.json|queue/(join|data|status)|(call|run)/.+|cancel|reset|heartbeat/[^/]+"
    r"|upload|upload_progress)"
)
"""Of Gradio's routes, those that the page and the Python client use. Among the others are a proxy, a fetcher of any
address, functions of components, and an editor of the app."""

MAX_BODY = 1_000_000
"""Bytes of a request that uploads nothing; the longest that the page sends are notes of 4000 letters."""
SILENCE_S = 30
"""How long a body may make no progress."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`, with which browsers would send the origin of forms as `null`.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
A_YEAR_S = 31_536_000
FIXED = ("/assets/", "/static/", "/theme.css", "/favicon.ico")
"""What is the same for everybody and may be kept by browsers."""


class Nonces(Extension):
    """Marks the scripts of Gradio's page as ours: those of its template, and so nothing that was put into it."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return source.replace("<script", '<script nonce="{{ request.state.nonce }}"')


def mark_scripts() -> None:
    gradio_routes.templates.env.add_extension(Nonces)


def policy(scripts: Sequence[str], *, framed_by: str) -> str:
    """The Content-Security-Policy of the page, without the nonce of its inline scripts.

    `unsafe-eval`: Gradio compiles the handlers that run in the browser (`js=`, `js_on_load=`) from text. `blob:`: its
    player starts a converter from one. Inline styles: Svelte, Plotly and the page's own bars set them. Scripts that
    Gradio puts into the head go by their hashes.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-eval' blob: {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self' blob:; "
        f"manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors {framed_by}"
    )


class Door:
    """Refuses a request before its body is read, or lets it through with what is known of it.

    `routes` are our own, and `scripts` those that Gradio puts into the page. `admit` says why a request may not come
    in, if it may not; None on a public page.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        routes: Sequence[Route],
        scripts: Sequence[str],
        admit: Callable[[Request], Response | None] | None = None,
    ) -> None:
        self._app, self._settings, self._routes, self._admit = app, settings, routes, admit
        self._policy = policy(scripts, framed_by=settings.framed_by)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        request = Request(scope)  # nothing here speaks over web sockets, so there are no other kinds
        request.state.nonce = secrets.token_urlsafe(16)
        refusal = await run_in_threadpool(self._refusal, request)
        _tell_uploads_apart(request)
        if refusal:
            await _hear_out(scope, receive)
        most = self._most(request.scope["path"])
        return await (refusal or self._app)(scope, _bounded(receive, most), self._with_headers(send, request))

    def _refusal(self, request: Request) -> Response | None:
        with in_language(preferred(request.headers.get("accept-language"))):
            return self._foreign(request) or (self._admit and self._admit(request)) or self._unserved(request)

    def _foreign(self, request: Request) -> Response | None:
        return PlainTextResponse(say("door.foreign"), 403) if is_foreign(request) else None

    def _unserved(self, request: Request) -> Response | None:
        path = request.scope["path"]
        if not self._is_ours(request) and not SERVED.fullmatch(path.rstrip("/") or "/"):
            return PlainTextResponse("Not Found", 404)
        if int(request.headers.get("content-length", 0)) > self._most(path):
            return PlainTextResponse(say("door.too_large", max_mb=f"{self._most(path) / 1e6:g}"), 413)
        if path == UPLOAD and shutil.disk_usage(self._settings.data).free < SPARE_BYTES:
            return PlainTextResponse(say("door.disk_full"), 507)
        return None

    def _is_ours(self, request: Request) -> bool:
        return any(route.matches(request.scope)[0] is not Match.NONE for route in self._routes)

    def _most(self, path: str) -> float:
        return MAX_FILES * self._settings.max_mb * 1e6 if path.rstrip("/") == UPLOAD else MAX_BODY

    def _with_headers(self, send: Send, request: Request) -> Send:
        fixed = {"Content-Security-Policy": self._policy.replace("'self'", f"'self' 'nonce-{request.state.nonce}'", 1)}
        fixed |= HEADERS | ({"Strict-Transport-Security": f"max-age={A_YEAR_S}"} if is_https(request) else {})
        path, began = request.scope["path"], time.perf_counter()
        if not path.startswith(FIXED):
            fixed["Cache-Control"] = "no-store"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                HTTP_SECONDS.labels(message["status"]).observe(time.perf_counter() - began)
                headers = MutableHeaders(scope=message)
                for name, value in fixed.items():
                    headers.setdefault(name, value)  # some answers are stricter
                if path == "/" and not self._admit:
                    know_again(request, headers, framed=bool(self._settings.space_id))
            await send(message)

        return sending


def is_foreign(request: Request) -> bool:
    """Whether a page of another site makes the browser ask this, and would change or read something by it.

    Links and pictures can do neither. Programs do not say where they come from.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if origin is None and request.method in SAFE:
        return False
    if site is not None:
        return site not in ("same-origin", "none")
    host = request.headers.get("x-forwarded-host") or request.headers.get("host")
    return origin is not None and urlsplit(origin).netloc != host


def is_https(request: Request) -> bool:
    """Whether the browser speaks HTTPS, be it to a proxy. Who lies about that changes their own answer only."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())


def _tell_uploads_apart(request: Request) -> None:
    """Whose upload this is, for the name of its folder; and its progress under a name that no other visitor can ask."""
    owner = owner_of(getattr(request.state, "caller", None), request.headers)
    uploading.set(owner)
    if request.scope["path"] in (UPLOAD, UPLOAD_PROGRESS) and "upload_id" in request.query_params:
        own = hashlib.sha256(f"{owner} {request.query_params['upload_id']}".encode()).hexdigest()
        request.scope["query_string"] = urlencode({"upload_id": own}).encode()


async def _hear_out(scope: Scope, receive: Receive) -> None:
    """Reads a small body that nobody wants: who is hung up on while they speak may not hear the answer."""
    if int(Request(scope).headers.get("content-length", 0)) <= MAX_BODY:
        with suppress(HTTPException, ClientDisconnect):
            async for _ in Request(scope, _bounded(receive, MAX_BODY)).stream():
                pass


def _bounded(receive: Receive, most: float) -> Receive:
    """The body of a request, of at most so many bytes, none of which may take long."""
    seen, whole = 0, False

    async def receiving() -> Message:
        nonlocal seen, whole
        if whole:  # what comes next is the end of the connection, sooner or later
            return await receive()
        try:
            async with asyncio.timeout(SILENCE_S):  # `wait_for` would make a task of it, and miss disconnections
                message = await receive()
        except TimeoutError:
            raise HTTPException(408) from None
        seen, whole = seen + len(message.get("body", b"")), not message.get("more_body", False)
        if seen > most:
            raise HTTPException(413)
        return message

    return receiving
