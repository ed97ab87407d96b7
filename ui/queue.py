"""The tab Queue: every report as a list that can be filtered, and the one that is open, to be decided."""

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

import gradio as gr
from markupsafe import Markup

from core.errors import InputError
from core.people import Role, User
from core.reviewing import Queued, State
from core.types import Label
from core.words import named, say
from detectors import DETECTORS
from storage.reviews import COUNTED, Order, Page, Wanted
from ui.exhibits import Find
from ui.languages import everywhere, said
from ui.markup import band, each, opener, table, titled
from ui.messages import QUICK, Refusal, friendly, number, refused, tried
from ui.policies import policies_section
from ui.reviewing import OPEN_BUTTONS, ReviewPanel, chip
from ui.rights import require
from ui.visit import Desk

Word = TypeVar("Word", bound=StrEnum)

PAGE_SIZE = 20

TO_DO, MINE, ALL = "to do", "mine", ""
"""What is shown beside the single states."""


def queue_tab(desk: Desk, secret: gr.BrowserState, find: Find, *, opened: gr.Tab) -> None:
    before, after = gr.State(""), gr.State("")
    with gr.Column(elem_id="queue") as listing:
        gr.HTML(everywhere(lambda: titled(say("page.queue"), say("queue.hint"))))
        with gr.Row(elem_classes="filters"):
            show = gr.Dropdown(
                [
                    (said("queue.to_do"), TO_DO),
                    (said("queue.mine"), MINE),
                    *((said(f"standings.{state}"), state.value) for state in State),
                    (said("queue.everything"), ALL),
                ],
                value=TO_DO,
                label=said("queue.show"),
                min_width=140,
            )
            text = gr.Textbox(label=said("history.name_contains"), max_length=200, min_width=160, elem_id="queue-text")
            order = gr.Dropdown(
                [(said(f"orders.{o}"), o.value) for o in (Order.OLDEST, Order.NEWEST, Order.HIGHEST, Order.LOWEST)],
                value=Order.OLDEST,
                label=said("queue.order"),
                min_width=140,
            )
        with gr.Accordion(said("queue.more_filters"), open=False), gr.Row(elem_classes="filters"):
            bands = [(said("history.all_verdicts"), ""), *((said(f"bands.{label}"), label.value) for label in Label)]
            label = gr.Dropdown(bands, value="", label=said("queue.verdict"), min_width=160)
            names: list[Any] = [
                (said("queue.any"), ""),
                *((cls.card.title.split(":")[0], name) for name, cls in DETECTORS.items()),
            ]
            detector = gr.Dropdown(names, value="", label=said("queue.scored_by"), min_width=140)
            persons = gr.Textbox(
                label=said("queue.people_in_it"), max_length=3, min_width=100, placeholder=said("queue.any")
            )
            since = gr.Textbox(label=said("queue.since"), max_length=10, min_width=120, placeholder="2026-01-31")
            until = gr.Textbox(label=said("queue.until"), max_length=10, min_width=120, placeholder="2026-01-31")
            reviewer = gr.Textbox(label=said("queue.decided_by"), max_length=40, min_width=120)
        with gr.Row(elem_classes="pager"):
            take = gr.Button(
                said("queue.take"), variant="primary", size="sm", scale=0, min_width=200, elem_id="queue-take"
            )
            back = gr.Button("← [", size="sm", scale=0, min_width=70, interactive=False, elem_id="queue-back")
            where = gr.HTML(elem_classes="where", min_width=120)
            forth = gr.Button("] →", size="sm", scale=0, min_width=70, interactive=False, elem_id="queue-forth")
        rows = gr.HTML(js_on_load=OPEN_BUTTONS, elem_id="queue-rows")
        policies_section(desk, opened=opened)
    panel = ReviewPanel(desk, secret, find)
    gr.HTML(everywhere(keys_help))
    filters = [show, text, order, label, detector, persons, since, until, reviewer]

    def listed(user: User, given: tuple[str, ...], **place: str) -> dict[Any, Any]:
        def look() -> Page:
            wanted, chosen = asked(user, given)
            before, after = place.get("before") or None, place.get("after") or None
            return desk.reviews.queue(user, wanted, chosen, before=before, after=after, size=PAGE_SIZE)

        page = tried(look)
        if isinstance(page, Refusal):
            return {rows: refused(page.sentence)}
        return {
            before: page.before or "",
            after: page.after or "",
            rows: queue_table(page, user),
            back: gr.update(interactive=bool(page.before)),
            where: Markup("<p>{}</p>").format(_counted(page.total)),
            forth: gr.update(interactive=bool(page.after)),
            take: gr.update(visible=user.role.includes(Role.REVIEWER)),
        }

    def turning(towards: str = "") -> Callable[..., dict[Any, Any]]:
        """A handler that turns the page; without a direction it begins at the first."""

        @friendly
        def turn(request: gr.Request, before: str, after: str, *given: str) -> dict[Any, Any]:
            place = {"before": before} if towards == "before" else {"after": after} if towards == "after" else {}
            return listed(require(desk, request, Role.VIEWER), given, **place)

        return turn

    @friendly
    def open_one(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        user = require(desk, request, Role.VIEWER)
        shown = tried(lambda: panel.open(str(event.report), user))
        if isinstance(shown, Refusal):
            return {rows: refused(shown.sentence)}
        return shown | {listing: gr.update(visible=False)}

    @friendly
    def take_next(request: gr.Request, *given: str) -> dict[Any, Any]:
        user = require(desk, request, Role.REVIEWER)
        report_id = tried(lambda: desk.reviews.claim_next(user, *asked(user, given)))
        if report_id is None or isinstance(report_id, Refusal):
            return leave_to(user, given) | {
                rows: refused(report_id.sentence) if report_id else _nothing(say("queue.nothing_left"))
            }
        return panel.open(report_id, user) | {listing: gr.update(visible=False)}

    @friendly
    def leave(request: gr.Request, *given: str) -> dict[Any, Any]:
        return leave_to(require(desk, request, Role.VIEWER), given)

    @friendly
    def remove(request: gr.Request, report_id: str, *given: str) -> dict[Any, Any]:
        user = require(desk, request, Role.LEAD)
        outcome = tried(lambda: desk.store.delete(report_id, owner=None, actor=user.name))
        told = refused(outcome.sentence) if isinstance(outcome, Refusal) else None
        return leave_to(user, given) | ({rows: told} if told else {})

    def leave_to(user: User, given: tuple[str, ...]) -> dict[Any, Any]:
        return listed(user, given) | panel.close() | {listing: gr.update(visible=True)}

    places = [before, after]
    page_of_list = [before, after, rows, back, where, forth, take]
    both = [listing, *page_of_list, *panel.outputs]
    opened.select(turning(), [*places, *filters], page_of_list, **QUICK)
    changed = [text.submit, text.blur, persons.submit, persons.blur, since.submit, since.blur, until.submit, until.blur]
    changed += [reviewer.submit, reviewer.blur, *(choice.input for choice in (show, order, label, detector))]
    gr.on(changed, turning(), [*places, *filters], page_of_list, **QUICK)
    back.click(turning("before"), [*places, *filters], page_of_list, **QUICK)
    forth.click(turning("after"), [*places, *filters], page_of_list, **QUICK)
    for reports in (rows, panel.seen):
        panel.settle_after(reports.click(open_one, None, [listing, rows, *panel.outputs], **QUICK))
    for button in (take, panel.next):
        panel.settle_after(button.click(take_next, filters, both, **QUICK))
    panel.back.click(leave, filters, both, **QUICK)
    panel.remove.delete(remove, [panel.report_id, *filters], both, **QUICK)


def asked(user: User, given: tuple[str, ...]) -> tuple[Wanted, Order]:
    """What the fields of the filters mean.

    Raises:
        InputError: one of them cannot be read.
    """
    show, text, order, label, detector, persons, since, until, reviewer = (str(field or "").strip() for field in given)
    return Wanted(
        open=True if show == TO_DO else None,
        state=_one_of(State, show, "state") if show not in (TO_DO, MINE, ALL) else None,
        label=_one_of(Label, label, "verdict") if label else None,
        detector=detector or None,
        persons=_count(persons) if persons else None,
        reviewer=reviewer or None,
        claimed_by=user.name if show == MINE else None,
        since=_day(since) if since else None,
        until=_day(until) if until else None,
        text=text or None,
    ), _one_of(Order, order, "order")


def _one_of(kind: type[Word], text: str, what: str) -> Word:
    if text not in list(kind):
        raise InputError(f"There is no {what} called {text!r}; choose among: {', '.join(kind)}.")
    return kind(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise InputError(say("queue.not_a_number", text=repr(text)))
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(say("queue.not_a_day", text=repr(text))) from error


def _nothing(why: str) -> Markup:
    return Markup('<p class="empty" role="status">{}</p>').format(why)


def queue_table(page: Page, user: User) -> Markup:
    """One page of the list, with a button to open each report."""
    if not page.rows:
        return _nothing(say("history.no_match"))
    columns: dict[str, Callable[[Queued], object]] = {
        say("history.when"): lambda row: row.created_at[:16].replace("T", " "),
        say("history.video"): lambda row: row.name or say("queue.deleted"),
        say("history.people"): lambda row: row.persons,
        say("queue.methods_say"): _verdict,
        say("queue.state"): lambda row: _state(row, user),
        "": lambda row: opener(row.report_id, row.name),
    }
    rows = [[of(row) for of in columns.values()] for row in page.rows]
    return table(list(columns), rows, bands=[row.label or Label.NOT_ASSESSED for row in page.rows])


def _verdict(row: Queued) -> Markup:
    if row.label is None:
        return Markup('<span class="quiet">{}</span>').format(say("queue.after_opinion"))
    return Markup("<span>{}{}</span>").format(band(row.label), "" if row.fake is None else f" · {number(row.fake)}")


def _state(row: Queued, user: User) -> Markup:
    claim, more = row.claim, []
    if row.state is State.DECIDED and row.decision:
        more.append(say("queue.decided", decision=named("decisions", row.decision), reviewer=row.reviewer))
    if row.why:
        more.append(row.why)
    if claim:
        who = say("queue.yours") if claim.by == user.name else claim.by
        more.append(say("queue.held", who=who, until=claim.until[11:16]))
    return Markup("<div>{}{}</div>").format(
        chip(row.state), each('<p class="quiet">{}</p>', [(line,) for line in more])
    )


def _counted(total: int) -> str:
    if total > COUNTED:
        return say("queue.more_than", count=COUNTED)
    return say("queue.one_report") if total == 1 else say("queue.reports", count=total)


SHORTCUTS = {
    "list": {"j k": "step", "Enter": "open", "n": "take", "[ ]": "page", "/": "search"},
    "report": {
        **{"c": "claim", "1 2 3 4": "choose", "o": "commit", "p": "policy", "t": "note", "s": "second", "d": "decide"},
        **{"e": "escalate", "a": "appeal", "n": "take", "Esc": "back"},
    },
    "everywhere": {"Space": "play", "b": "blur", "g": "grey", "?": "help"},
}
"""By place, what each key does, as the texts call it."""


def keys_help() -> Markup:
    """The dialog that `?` opens."""
    parts = [
        (
            say(f"keys.in_{place}"),
            each(
                "<dt>{}</dt><dd>{}</dd>",
                [
                    (each("<kbd>{}</kbd> ", [(key,) for key in keys.split()]), say(f"keys.to_{what}"))
                    for keys, what in meaning.items()
                ],
            ),
        )
        for place, meaning in SHORTCUTS.items()
    ]
    return Markup(
        '<dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">{}</h2><p class="quiet">{}</p>{}'
        '<form method="dialog" class="actions"><button>{}</button></form></dialog>'
    ).format(say("keys.title"), say("keys.rest"), each("<h3>{}</h3><dl>{}</dl>", parts), say("keys.close"))
