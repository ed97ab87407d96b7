"""The tab Account: one's own password and keys; for admins, all users."""

import secrets
from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.errors import InputError
from core.people import Role, User, role_called
from core.words import say
from storage.users import MAX_LABEL, MAX_PASSWORD, Account, Key, UserStore
from ui.login import COOKIE, KEY_HEADER
from ui.markup import each, table, titled
from ui.messages import QUICK, done, friendly, told_at
from ui.rights import require
from ui.visit import Desk

READS = " (reads reports, does not analyze)"
REVOKE = "Revoke this key? Programs that use it are let in no longer."
DISABLE = "Disable this user? They are logged out, and their keys are let in no longer."
RESET = "Give this user a new password? They are logged out everywhere."

ASK_AND_SEND = """element.addEventListener('click', ({ target }) => {
  const button = target.closest('button[data-action]');
  if (button && (!button.dataset.ask || confirm(button.dataset.ask))) trigger('apply', { ...button.dataset });
});
element.addEventListener('change', ({ target }) => trigger('apply', { ...target.dataset, value: target.value }));"""


def masthead(user: User | None = None) -> Markup:
    """The head of the page, with who is logged in and the way out."""
    way_out = Markup(
        '<form method="post" action="logout"><span><strong>{}</strong>, {}</span><button>Log out</button></form>'
    )
    return Markup('<header class="masthead"><div><h1>Telltale</h1><p>{}</p></div>{}</header>').format(
        say("page.about"),
        way_out.format(user.name, user.role + READS * (user.role is Role.VIEWER)) if user else "",
    )


def greeting(desk: Desk) -> Callable[..., Markup]:
    """The handler that says at the head of the page who is logged in."""

    @friendly
    def greet(request: gr.Request) -> Markup:
        return masthead(require(desk, request, Role.VIEWER))

    return greet


def accounts_tab(desk: Desk, users: UserStore, *, opened: gr.Tab) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            gr.HTML(titled("Your password", "Changing it logs you out everywhere else."))
            old, new, again = (
                gr.Textbox(label=label, type="password", max_length=MAX_PASSWORD)
                for label in ("Present password", "New password", "New password once more")
            )
            change = gr.Button("Change password")
            about_password = gr.HTML()
        with gr.Column(scale=2, min_width=320):
            gr.HTML(titled("Your keys", f"With a key, sent as {KEY_HEADER}, a program does what you may do."))
            keys = gr.HTML(js_on_load=ASK_AND_SEND, elem_id="keys")
            label = gr.Textbox(label="What a new key is for", max_length=MAX_LABEL)
            make = gr.Button("Make a key")
            about_keys = gr.HTML()
            made = _shown_once("Your new key", "Copy it now; it is not shown again.")
    with gr.Column(visible=False) as all_users:
        gr.HTML(titled("Users", "A viewer reads, a reviewer also analyses, a lead also deletes, an admin keeps users."))
        listing = gr.HTML(js_on_load=ASK_AND_SEND, elem_id="users")
        with gr.Row():
            name = gr.Textbox(label="Name of a new user", max_length=40)
            role = gr.Dropdown([(r.capitalize(), r.value) for r in Role], label="Role", value=Role.VIEWER.value)
        add = gr.Button("Add user")
        about_users = gr.HTML()
        given = _shown_once("Their password", "Give it to them; they can change it here. It is not shown again.")

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
            raise InputError("The two new passwords differ; type them again.")
        users.change_password(user.name, present, wanted, token=request.cookies.get(COOKIE))
        return {old: "", new: "", again: "", about_password: done("Your password was changed.")}

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
        return Markup('<p class="empty">No keys yet.</p>')
    button = (
        '<span class="actions"><button type="button" data-action="revoke" data-key="{}" data-ask="{}" '
        'aria-label="Revoke the key for {}">Revoke</button></span>'
    )
    rows = [
        [key.label, _when(key.created_at), _when(key.used_at), Markup(button).format(key.id, REVOKE, key.label)]
        for key in keys
    ]
    return table(["For", "Made (UTC)", "Last used (UTC)", ""], rows)


def user_table(accounts: tuple[Account, ...], own: str) -> Markup:
    """All users with what can be changed about them; an admin's own row can lock nobody out by mistake."""
    rows = [
        [
            account.name + (" (you)" if account.name == own else ""),
            account.role if account.name == own else _roles(account),
            "Disabled" if account.disabled else "Active",
            _when(account.created_at),
            "" if account.name == own else _actions(account),
        ]
        for account in accounts
    ]
    return table(["Name", "Role", "State", "Made (UTC)", ""], rows)


def _roles(account: Account) -> Markup:
    options = each(
        '<option value="{}"{}>{}</option>',
        [(role, Markup(" selected") if role is account.role else "", role.capitalize()) for role in Role],
    )
    return Markup('<select data-action="role" data-user="{}" aria-label="Role of {}">{}</select>').format(
        account.name, account.name, options
    )


def _actions(account: Account) -> Markup:
    state = ("enable", "", "Enable") if account.disabled else ("disable", DISABLE, "Disable")
    buttons = each(
        '<button type="button" data-action="{}" data-ask="{}" data-user="{}" aria-label="{} {}">{}</button>',
        [
            (action, ask, account.name, words, account.name, words)
            for action, ask, words in (state, ("reset", RESET, "New password"))
        ],
    )
    return Markup('<span class="actions">{}</span>').format(buttons)


def _shown_once(label: str, info: str) -> gr.Textbox:
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
        raise InputError("A key is named by its number; reload the page and try again.") from None


def _when(at: str | None) -> str:
    return at[:16].replace("T", " ") if at else "never"
