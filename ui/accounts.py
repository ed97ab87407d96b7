"""The tab Account: one's own password and keys; for admins, all users."""

import secrets
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.i18n import I18nData
from markupsafe import Markup

from core.errors import InputError
from core.people import Role, User, role_called
from core.words import say
from storage.users import MAX_LABEL, MAX_PASSWORD, Account, Key, UserStore
from ui.languages import everywhere, said
from ui.login import COOKIE, KEY_HEADER
from ui.markup import announced, each, table, titled
from ui.messages import QUICK, friendly, told_at
from ui.rights import require
from ui.visit import Desk

ASK_AND_SEND = """element.addEventListener('click', ({ target }) => {
  const button = target.closest('button[data-action]');
  if (button && (!button.dataset.ask || confirm(button.dataset.ask))) trigger('apply', { ...button.dataset });
});
element.addEventListener('change', ({ target }) => trigger('apply', { ...target.dataset, value: target.value }));"""


def masthead(user: User | None = None) -> Markup:
    """The head of the page, with who is logged in and the way out."""
    way_out = Markup(
        '<form method="post" action="logout"><span><strong>{}</strong>, {}</span><button>{}</button></form>'
    )
    return Markup('<header class="masthead"><div><h1>Telltale</h1><p>{}</p></div>{}</header>').format(
        say("page.about"),
        way_out.format(user.name, _may(user.role), say("accounts.log_out")) if user else "",
    )


def _may(role: Role) -> str:
    return f"{role} ({say('accounts.reads')})" if role is Role.VIEWER else role


def greeting(desk: Desk) -> Callable[..., Markup]:
    """The handler that says at the head of the page who is logged in."""

    @friendly
    def greet(request: gr.Request) -> Markup:
        return masthead(require(desk, request, Role.VIEWER))

    return greet


def accounts_tab(desk: Desk, users: UserStore, *, opened: gr.Tab) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            gr.HTML(everywhere(lambda: titled(say("accounts.password"), say("accounts.password_hint"))))
            old, new, again = (
                gr.Textbox(label=called, type="password", max_length=MAX_PASSWORD)
                for called in (said("accounts.present"), said("accounts.new"), said("accounts.again"))
            )
            change = gr.Button(said("accounts.change"))
            about_password = gr.HTML()
        with gr.Column(scale=2, min_width=320):
            gr.HTML(everywhere(lambda: titled(say("accounts.keys"), say("accounts.keys_hint", header=KEY_HEADER))))
            keys = gr.HTML(js_on_load=ASK_AND_SEND, elem_id="own-keys")
            label = gr.Textbox(label=said("accounts.purpose"), max_length=MAX_LABEL)
            make = gr.Button(said("accounts.make"))
            about_keys = gr.HTML()
            made = _shown_once(said("accounts.made"), said("accounts.made_hint"))
    with gr.Column(visible=False) as all_users:
        gr.HTML(everywhere(lambda: titled(say("accounts.users"), say("accounts.users_hint"))))
        listing = gr.HTML(js_on_load=ASK_AND_SEND, elem_id="users")
        with gr.Row():
            name = gr.Textbox(label=said("accounts.called"), max_length=40)
            role = gr.Dropdown(
                [(r.capitalize(), r.value) for r in Role], label=said("accounts.role"), value=Role.VIEWER.value
            )
        add = gr.Button(said("accounts.add"))
        about_users = gr.HTML()
        given = _shown_once(said("accounts.given"), said("accounts.given_hint"))

    @friendly
    def open_account(request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.VIEWER)
        is_admin = user.role.includes(Role.ADMIN)
        return {
            keys: key_table(users.keys(user.name)),
            made: _hidden(),
            all_users: gr.update(visible=is_admin),
            listing: user_table(users.accounts(), user.name) if is_admin else "",
            given: _hidden(),
        }

    @told_at(about_password)
    def change_password(present: str, wanted: str, repeated: str, request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.VIEWER)
        if wanted != repeated:
            raise InputError(say("accounts.differ"))
        users.change_password(user.name, present, wanted, token=request.cookies.get(COOKIE))
        return {old: "", new: "", again: "", about_password: announced(say("accounts.changed"))}

    @told_at(about_keys)
    def make_key(purpose: str, request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.VIEWER)
        return {made: _told(users.add_key(user.name, purpose)), keys: key_table(users.keys(user.name)), label: ""}

    @told_at(about_keys)
    def revoke_key(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        user = require(desk, request, Role.VIEWER)
        users.revoke(user.name, _number(event.key))
        return {made: _hidden(), keys: key_table(users.keys(user.name))}

    @told_at(about_users)
    def add_user(called: str, role: str, request: gr.Request) -> dict[Any, Any]:
        admin = require(desk, request, Role.ADMIN)
        password = _new_password()
        users.add(called, role_called(role), password)
        return {given: _told(password), listing: user_table(users.accounts(), admin.name), name: ""}

    @told_at(about_users)
    def change_user(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        admin, shown = require(desk, request, Role.ADMIN), _hidden()
        match event.action:
            case "role":
                users.set_role(str(event.user), role_called(event.value))
            case "disable" | "enable":
                users.set_disabled(str(event.user), event.action == "disable")
            case "reset":
                password = _new_password()
                users.set_password(str(event.user), password)
                shown = _told(password)
        return {given: shown, listing: user_table(users.accounts(), admin.name)}

    of_keys, of_users = [about_keys, made, keys], [about_users, given, listing]
    opened.select(open_account, None, [keys, made, all_users, listing, given], **QUICK)
    change.click(change_password, [old, new, again], [about_password, old, new, again], **QUICK)
    make.click(make_key, label, [*of_keys, label], **QUICK)
    keys.apply(revoke_key, None, of_keys, **QUICK)
    add.click(add_user, [name, role], [*of_users, name], **QUICK)
    listing.apply(change_user, None, of_users, **QUICK)


def key_table(keys: tuple[Key, ...]) -> Markup:
    if not keys:
        return Markup('<p class="empty">{}</p>').format(say("accounts.no_keys"))
    columns: dict[str, Callable[[Key], object]] = {
        say("accounts.for"): lambda key: key.label,
        say("accounts.since"): lambda key: _when(key.created_at),
        say("accounts.used"): lambda key: _when(key.used_at),
        "": _revoking,
    }
    return table(list(columns), [[of(key) for of in columns.values()] for key in keys])


def _revoking(key: Key) -> Markup:
    return Markup(
        '<span class="actions"><button type="button" data-action="revoke" data-key="{}" data-ask="{}" aria-label="{}">'
        "{}</button></span>"
    ).format(key.id, say("accounts.revoke_sure"), say("accounts.revoke_this", name=key.label), say("accounts.revoke"))


def user_table(accounts: tuple[Account, ...], own: str) -> Markup:
    """All users with what can be changed about them; an admin's own row can lock nobody out by mistake."""
    heads = [say("accounts.name"), say("accounts.role"), say("accounts.state"), say("accounts.since"), ""]
    rows = [
        [
            say("accounts.you", name=account.name) if account.name == own else account.name,
            account.role if account.name == own else _roles(account),
            say("accounts.disabled") if account.disabled else say("accounts.active"),
            _when(account.created_at),
            "" if account.name == own else _actions(account),
        ]
        for account in accounts
    ]
    return table(heads, rows)


def _roles(account: Account) -> Markup:
    options = each(
        '<option value="{}"{}>{}</option>',
        [(role, Markup(" selected") if role is account.role else "", role.capitalize()) for role in Role],
    )
    return Markup('<select data-action="role" data-user="{}" aria-label="{}">{}</select>').format(
        account.name, say("accounts.role_of", name=account.name), options
    )


def _actions(account: Account) -> Markup:
    enable = ("enable", "", say("accounts.enable_this", name=account.name), say("accounts.enable"))
    disable = (
        *("disable", say("accounts.disable_sure")),
        *(say("accounts.disable_this", name=account.name), say("accounts.disable")),
    )
    reset = (
        *("reset", say("accounts.reset_sure")),
        *(say("accounts.reset_this", name=account.name), say("accounts.reset")),
    )
    button = '<button type="button" data-user="{}" data-action="{}" data-ask="{}" aria-label="{}">{}</button>'
    return Markup('<span class="actions">{}</span>').format(
        each(button, [(account.name, *words) for words in (enable if account.disabled else disable, reset)])
    )


def _shown_once(label: I18nData, info: I18nData) -> gr.Textbox:
    return gr.Textbox(label=label, info=info, interactive=False, visible=False, buttons=["copy"])


def _told(secret: str) -> dict[str, Any]:
    return gr.update(value=secret, visible=True)


def _hidden() -> dict[str, Any]:
    return gr.update(value="", visible=False)


def _new_password() -> str:
    return secrets.token_urlsafe(15)


def _number(given: Any) -> int:
    try:
        return int(given)
    except (TypeError, ValueError):
        raise InputError(say("accounts.no_number")) from None


def _when(at: str | None) -> str:
    return at[:16].replace("T", " ") if at else say("accounts.never")
