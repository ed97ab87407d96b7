"""The door of the moderators' desk: nothing is served to anybody who has not logged in or sent a key.

It stands before all of Gradio as a middleware, because Gradio asks `auth_dependency` on most of its routes, not on all.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import NotAllowed
from core.people import Role, User
from core.words import in_language, language, say
from storage.attempts import TooManyAttempts
from storage.users import UserStore
from ui.health import PATH as HEALTH
from ui.languages import preferred

ASSETS = Path(__file__).parent / "assets"
COOKIE = "telltale-session"
KEY_HEADER = "x-api-key"
MAX_FORM_BYTES = 4096

OPEN = {HEALTH, "/login", "/theme.css", "/favicon.ico", "/gradio_api/app_id", "/gradio_api/startup-events"}
"""What anybody gets: whether the app is well, the log-in page with its colours, and what Gradio asks of itself when it
starts."""
UPLOAD = "/gradio_api/upload"
SAFE = {"GET", "HEAD", "OPTIONS"}

DARK = 'document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches)'
POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    f"base-uri 'none'; script-src 'sha256-{base64.b64encode(hashlib.sha256(DARK.encode()).digest()).decode()}'"
)


def guarded(users: UserStore, routes: Sequence[Route] = ()) -> dict[str, Any]:
    """Arguments of `Blocks.launch` that put the door before the page, and before these routes of our own."""
    desk = _Forms(users)
    forms = [
        Route("/login", desk.show, methods=["GET"]),
        Route("/login", desk.log_in, methods=["POST"]),
        Route("/logout", desk.log_out, methods=["POST"]),
    ]
    return {
        "auth_dependency": _caller,
        "app_kwargs": {"routes": [*routes, *forms], "middleware": [Middleware(Door, users=users)]},
    }


class Door:
    """Lets a request through if it is somebody's, and notes whose; or refuses it, before its body is read."""

    def __init__(self, app: ASGIApp, users: UserStore) -> None:
        self._app, self._users = app, users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] != "lifespan":
            refusal = await run_in_threadpool(self._refusal, Request(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        with _language_of(request):
            return self._refused(request)

    def _refused(self, request: Request) -> Response | None:
        if _is_foreign(request):
            return PlainTextResponse(say("login.foreign"), 403)
        user = self._user(request)
        request.state.caller = user.name if user else None
        path = request.scope["path"]  # `url` is put together with a header that anybody may write
        if path in OPEN:
            return None
        if user is None:
            if path == "/" and request.method in SAFE and _key(request) is None:
                return RedirectResponse("login", 303)
            return JSONResponse({"detail": say("rights.nobody")}, 401)
        if path.rstrip("/") == UPLOAD and not user.role.includes(Role.REVIEWER):
            return PlainTextResponse(say("login.upload", wanted=Role.REVIEWER, own=user.role), 403)
        return None

    def _user(self, request: Request) -> User | None:
        key, token = _key(request), request.cookies.get(COOKIE)
        if key is not None:
            return self._users.by_key(key)
        return self._users.by_session(token) if token else None


class _Forms:
    """The log-in page, and what becomes of it."""

    def __init__(self, users: UserStore) -> None:
        self._users = users

    async def show(self, request: Request) -> Response:
        with _language_of(request):
            return RedirectResponse("./", 303) if _caller(request) else login_page()

    async def log_in(self, request: Request) -> Response:
        fields = await _fields(request)
        name, password = fields.get("name", ""), fields.get("password", "")
        # Who sits behind a proxy on this machine is told apart by what it forwards; the limit by name holds anyway.
        address = request.client.host if request.client else None
        try:
            token = await run_in_threadpool(self._users.log_in, name, password, address)
        except TooManyAttempts as error:
            with _language_of(request):
                wait = say("login.wait", minutes=math.ceil(error.wait_s / 60))
                return login_page(wait, 429, {"Retry-After": str(error.wait_s)})
        except NotAllowed:
            with _language_of(request):
                return login_page(say("login.wrong"), 401)
        # Always to the page itself: an address to go on to could lead anywhere.
        answer = RedirectResponse("./", 303)
        secure = "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)
        answer.set_cookie(
            COOKIE, token, max_age=int(self._users.session_s), httponly=True, samesite="lax", secure=secure
        )
        return answer

    async def log_out(self, request: Request) -> Response:
        token = request.cookies.get(COOKIE)
        if token:
            await run_in_threadpool(self._users.log_out, token)
        answer = RedirectResponse("login", 303)
        answer.delete_cookie(COOKIE)
        return answer


def login_page(refusal: str = "", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The form, and why the last attempt failed."""
    style = Markup((ASSETS / "telltale.css").read_text(encoding="utf-8"))
    said = Markup('<p class="refused" role="alert">{}</p>').format(refusal) if refusal else ""
    page = Markup(
        '<!doctype html><html lang="{}"><head><meta charset="utf-8"><title>{} · Telltale</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="theme.css">'
        "<style>{}</style><script>{}</script></head>"
        '<body class="login"><main><header class="masthead"><div><h1>Telltale</h1><p>{}</p></div></header>'
        '<form method="post" action="login"><h2>{}</h2>{}'
        '<label>{} <input name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required '
        'autofocus></label><label>{} <input name="password" type="password" autocomplete="current-password" '
        'required></label><button>{}</button></form><p class="hint">{}</p></main></body></html>'
    ).format(
        *(language(), say("login.title"), style, Markup(DARK), say("page.about"), say("login.title"), said),
        *(say("login.name"), say("login.password"), say("login.button"), say("login.hint")),
    )
    return HTMLResponse(
        page,
        status,
        {"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Security-Policy": POLICY} | (headers or {}),
    )


def _caller(request: Request) -> str | None:
    """The name of who was let in, for Gradio, which hands it to every handler as `request.username`."""
    return getattr(request.state, "caller", None)


def _language_of(request: Request) -> AbstractContextManager[None]:
    return in_language(preferred(request.headers.get("accept-language")))


def _key(request: Request) -> str | None:
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    return request.headers.get(KEY_HEADER) or (bearer.strip() if kind.lower() == "bearer" else None)


def _is_foreign(request: Request) -> bool:
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


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a small form; of a large one, none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode(errors="replace")))
