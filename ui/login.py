"""Who is let in at the moderators' desk: nothing is served to anybody who has not logged in or sent a key.

The door (`ui.door`) asks here before all of Gradio, which asks `auth_dependency` on most of its routes, not on all.
"""

import base64
import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import NotAllowed
from core.people import Role, User
from core.words import in_language, language, say
from storage.attempts import TooManyAttempts
from storage.users import UserStore
from ui.door import SAFE, UPLOAD, is_https
from ui.health import PATH as HEALTH
from ui.languages import preferred

ASSETS = Path(__file__).parent / "assets"
COOKIE = "telltale-session"
KEY_HEADER = "x-api-key"
MAX_FORM_BYTES = 4096

OPEN = {HEALTH, "/login", "/theme.css", "/favicon.ico", "/gradio_api/app_id", "/gradio_api/startup-events"}
"""What anybody gets: whether the app is well, the log-in page with its colours, and what Gradio asks of itself when it
starts."""

DARK = 'document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches)'
POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    f"base-uri 'none'; script-src 'sha256-{base64.b64encode(hashlib.sha256(DARK.encode()).digest()).decode()}'"
)


def login_routes(users: UserStore) -> list[Route]:
    desk = _Forms(users)
    return [
        Route("/login", desk.show, methods=["GET"]),
        Route("/login", desk.log_in, methods=["POST"]),
        Route("/logout", desk.log_out, methods=["POST"]),
    ]


def admission(users: UserStore) -> Callable[[Request], Response | None]:
    """Lets a request in if it is somebody's, and notes whose; or says why not."""

    def admit(request: Request) -> Response | None:
        user = _user(users, request)
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

    return admit


class _Forms:
    """The log-in page, and what becomes of it."""

    def __init__(self, users: UserStore) -> None:
        self._users = users

    async def show(self, request: Request) -> Response:
        with _language_of(request):
            return RedirectResponse("./", 303) if caller(request) else login_page()

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
        secure = is_https(request) or urlsplit(request.headers.get("origin", "")).scheme == "https"
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


def caller(request: Request) -> str | None:
    """The name of who was let in, for Gradio, which hands it to every handler as `request.username`."""
    return getattr(request.state, "caller", None)


def _language_of(request: Request) -> AbstractContextManager[None]:
    return in_language(preferred(request.headers.get("accept-language")))


def _key(request: Request) -> str | None:
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    return request.headers.get(KEY_HEADER) or (bearer.strip() if kind.lower() == "bearer" else None)


def _user(users: UserStore, request: Request) -> User | None:
    key, token = _key(request), request.cookies.get(COOKIE)
    if key is not None:
        return users.by_key(key)
    return users.by_session(token) if token else None


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a small form; of a large one, none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode(errors="replace")))
