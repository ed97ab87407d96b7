"""Who may do what: every handler of the page and every endpoint asks here, before it does anything."""

import hashlib
from typing import TYPE_CHECKING

import gradio as gr

from core.errors import InputError, NotAllowed
from core.people import Role, User
from core.words import say
from storage.reports import VISITOR

if TYPE_CHECKING:
    from ui.visit import Desk

VISITOR_HEADER = "x-telltale-visitor"
MIN_SECRET = 16
"""Characters of a visitor's own secret; fewer could be guessed."""


def require(desk: "Desk", request: gr.Request, role: Role) -> User:
    """Who asks, by their role of this moment, if it includes `role`.

    Raises:
        NotAllowed: it does not, nobody has logged in, or there are no accounts here.
    """
    if desk.users is None:
        raise NotAllowed(say("rights.public"))
    # Set by Gradio from what `ui.login` has let in; nothing a request holds can stand in for it.
    user = desk.users.user(request.username) if request.username else None
    if user is None:
        raise NotAllowed(say("rights.nobody"))
    if not user.role.includes(role):
        raise NotAllowed(say("rights.too_low", wanted=role, own=user.role))
    return user


def allow(desk: "Desk", request: gr.Request, role: Role) -> None:
    """For what anybody may do on a public page, and at the moderators' desk who has the role.

    Raises:
        NotAllowed: at the desk, it takes another role.
    """
    if desk.users is not None:
        require(desk, request, role)


def whose(desk: "Desk", secret: str | None, request: gr.Request, role: Role = Role.VIEWER) -> str | None:
    """Whose reports a request may reach: a visitor's own, or at the moderators' desk everybody's, as None.

    Raises:
        NotAllowed: at the desk, it takes another role.
        InputError: a visitor's secret that others could guess.
    """
    allow(desk, request, role)
    return visitor(secret, request) if desk.users is None else None


def acting(desk: "Desk", request: gr.Request, role: Role = Role.VIEWER) -> str:
    """Who the log says has done this: a user, or at a public page anybody.

    Raises:
        NotAllowed: at the desk, it takes another role.
    """
    return VISITOR if desk.users is None else require(desk, request, role).name


def visitor(secret: str | None, request: gr.Request) -> str:
    """Whose reports these are: a hash of what only this visitor knows, so that the database holds no key to them.

    Pages keep a random secret in the browser; programs may send one of theirs in the header `x-telltale-visitor`,
    and without it their reports belong to the session.

    Raises:
        InputError: a secret that others could guess.
    """
    secret = secret or request.headers.get(VISITOR_HEADER)
    if len(secret or request.session_hash or "") < MIN_SECRET:
        raise InputError(say("visit.no_secret", least=MIN_SECRET, header=VISITOR_HEADER))
    return hashlib.sha256((f"visitor:{secret}" if secret else f"session:{request.session_hash}").encode()).hexdigest()


def address_of(request: gr.Request) -> str | None:
    """Where a request comes from; a proxy in front of the app has to be one that it trusts, or it is the proxy's."""
    client = getattr(request, "client", None)
    return client.host if client else None
