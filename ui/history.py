"""The tab History: the reports of this visitor."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.people import Role
from core.types import Label
from core.words import say
from storage import History, HistoryRow
from ui.exhibits import Find
from ui.languages import everywhere, said
from ui.markup import band, remark, table, titled
from ui.messages import QUICK, clock, friendly, number
from ui.result import ReportView
from ui.rights import acting, whose
from ui.visit import Desk

PAGE_SIZE = 10

ANSWER_BUTTONS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-report]');
  if (!button) return;
  const { report, action, question } = button.dataset;
  if (question && !confirm(question)) return;
  trigger(action === 'delete' ? 'delete' : 'click', { report });
});"""


def history_tab(desk: Desk, secret: gr.BrowserState, find: Find, *, opened: gr.Tab) -> None:
    store = desk.store
    gr.HTML(everywhere(lambda: titled(say("history.title"), say("history.hint"))))
    with gr.Row():
        text = gr.Textbox(label=said("history.name_contains"), max_length=200, scale=2)
        verdicts = [(said("history.all_verdicts"), ""), *((said(f"bands.{label}"), label.value) for label in Label)]
        verdict = gr.Dropdown(verdicts, label=said("history.verdict"), value="")
    page = gr.State(1)
    rows = gr.HTML(js_on_load=ANSWER_BUTTONS, elem_id="reports")
    with gr.Row(elem_classes="pager"):
        newer = gr.Button(said("history.newer"), size="sm", min_width=100, interactive=False)
        where = gr.HTML(elem_classes="where", min_width=70)
        older = gr.Button(said("history.older"), size="sm", min_width=100, interactive=False)
    view = ReportView("history", find, secret, desk)

    def listed(wanted: int, text: str, verdict: str, owner: str | None) -> dict[Any, Any]:
        label, text = Label(verdict) if verdict else None, text.strip()
        found = store.history(owner=owner, page=wanted, page_size=PAGE_SIZE, label=label, text=text or None)
        last = max(1, -(-found.total // PAGE_SIZE))
        if wanted > last:  # the only report of the last page was deleted
            return listed(last, text, verdict, owner)
        return {
            page: wanted,
            rows: history_table(found, filtered=bool(text or label)),
            newer: gr.update(interactive=wanted > 1),
            where: Markup("<p>{}</p>").format(say("history.page", page=wanted, last=last)),
            older: gr.update(interactive=wanted < last),
        }

    def turning(by: int | None) -> Callable[..., dict[Any, Any]]:
        """A handler that turns pages; None turns to the first."""

        @friendly
        def turn(now: int, text: str, verdict: str, secret: str | None, request: gr.Request) -> dict[Any, Any]:
            return listed(1 if by is None else max(1, now + by), text, verdict, whose(desk, secret, request))

        return turn

    @friendly
    def reopen(secret: str | None, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        return view.show(find(str(event.report), secret, request), say("history.reopened"))

    @friendly
    def remove(
        now: int, text: str, verdict: str, secret: str | None, request: gr.Request, event: gr.EventData
    ) -> dict[Any, Any]:
        owner = whose(desk, secret, request, Role.LEAD)
        store.delete(str(event.report), owner=owner, actor=acting(desk, request, Role.LEAD))
        return listed(now, text, verdict, owner) | view.hide()

    asked, listing = [page, text, verdict, secret], [page, rows, newer, where, older]
    opened.select(turning(0), asked, listing, **QUICK)
    gr.on([text.submit, text.blur, verdict.input], turning(None), asked, listing, **QUICK)
    newer.click(turning(-1), asked, listing, **QUICK)
    older.click(turning(+1), asked, listing, **QUICK)
    view.settle_after(rows.click(reopen, secret, view.outputs, **QUICK))
    rows.delete(remove, asked, [*listing, *view.outputs], **QUICK)


def history_table(found: History, *, filtered: bool) -> Markup:
    """One page of the listing, with buttons to open and delete."""
    if not found.rows:
        return Markup('<p class="empty">{}</p>').format(say("history.no_match") if filtered else say("history.empty"))
    columns: dict[str, Callable[[HistoryRow], object]] = {
        say("history.when"): lambda row: row.created_at[:16].replace("T", " "),
        say("history.video"): lambda row: row.name,
        say("history.length"): lambda row: clock(row.duration_s),
        say("history.people"): lambda row: row.persons,
        say("history.verdict"): lambda row: Markup("<span>{}</span>").format(band(row.label)),
        say("numbers.fake"): lambda row: "–" if row.fake is None else number(row.fake) + remark(row.basis),
        "": _buttons,
    }
    rows = [[of(row) for of in columns.values()] for row in found.rows]
    return table(list(columns), rows, bands=[row.label for row in found.rows])


def _buttons(row: HistoryRow) -> Markup:
    return Markup(
        '<span class="actions"><button type="button" data-report="{}" data-action="open" aria-label="{}">{}</button>'
        '<button type="button" data-report="{}" data-action="delete" data-question="{}" aria-label="{}">{}</button>'
        "</span>"
    ).format(
        *(row.id, say("history.open_this", name=row.name), say("history.open")),
        *(row.id, say("history.sure"), say("history.delete_this", name=row.name), say("history.delete")),
    )
