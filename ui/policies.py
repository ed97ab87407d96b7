"""The organisation's own list of policies, which decisions rest on: all at the desk read it, leads edit it."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.people import Role, User
from core.reviewing import Policy
from core.words import say
from storage.reviews import MAX_ID, MAX_NOTE, MAX_TITLE
from ui.languages import said
from ui.markup import each
from ui.messages import QUICK, Refusal, friendly, refused, tried
from ui.rights import require
from ui.visit import Desk

NEW = ""


def policies_section(desk: Desk, *, opened: gr.Tab) -> None:
    """The list, and for leads the form that adds to it or changes it."""
    with gr.Accordion(said("policies.title"), open=False):
        listed = gr.HTML()
        with gr.Column(visible=False) as form:
            which = gr.Dropdown([(said("policies.new"), NEW)], value=NEW, label=said("policies.edit"))
            with gr.Row():
                id = gr.Textbox(label=said("policies.id"), max_length=MAX_ID, placeholder="SYN-1", min_width=100)
                title = gr.Textbox(label=said("policies.name"), max_length=MAX_TITLE, scale=3, min_width=200)
            text = gr.Textbox(label=said("policies.text"), max_length=MAX_NOTE, lines=3)
            active = gr.Checkbox(True, label=said("policies.active"))
            note = gr.HTML()
            save = gr.Button(said("policies.save"), size="sm")

    def shown(user: User) -> dict[Any, Any]:
        policies = desk.reviews.policies()
        choices = [(say("policies.new"), NEW), *((f"{policy.id} · {policy.title}", policy.id) for policy in policies)]
        return {
            listed: policy_list(policies),
            form: gr.update(visible=user.role.includes(Role.LEAD)),
            which: gr.update(choices=choices, value=NEW),
        } | filled(Policy("", "", ""))

    def filled(policy: Policy) -> dict[Any, Any]:
        return {
            id: gr.update(value=policy.id, interactive=not policy.id),
            title: policy.title,
            text: policy.text,
            active: policy.active,
            note: "",
        }

    @friendly
    def show(request: gr.Request) -> dict[Any, Any]:
        return shown(require(desk, request, Role.VIEWER))

    @friendly
    def pick(chosen: str, request: gr.Request) -> dict[Any, Any]:
        require(desk, request, Role.LEAD)
        return filled(next((p for p in desk.reviews.policies() if p.id == chosen), Policy("", "", "")))

    @friendly
    def keep(id: str, title: str, text: str, active: bool, request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.LEAD)
        kept = tried(lambda: desk.reviews.keep_policy(user, Policy(id or "", title or "", text or "", bool(active))))
        return {note: refused(kept.sentence)} if isinstance(kept, Refusal) else shown(user)

    fields, filling = [id, title, text, active], [id, title, text, active, note]
    everything = [listed, form, which, *filling]
    opened.select(show, None, everything, **QUICK)
    which.input(pick, which, filling, **QUICK)
    save.click(keep, fields, everything, **QUICK)


def policy_list(policies: Sequence[Policy]) -> Markup:
    if not policies:
        return Markup('<p class="empty">{}</p>').format(say("policies.none"))
    items = [
        (
            policy.id,
            policy.title,
            "" if policy.active else f" ({say('policies.withdrawn')})",
            policy.text or say("policies.no_text"),
        )
        for policy in policies
    ]
    return Markup('<div class="policies">{}</div>').format(
        each('<details><summary><code>{}</code> {}{}</summary><p class="words">{}</p></details>', items)
    )
