"""The tab History: the reports of this visitor."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.people import Role
from core.types import Label
from storage import History, HistoryRow
from ui.exhibits import Find
from ui.markup import band, remark, table, titled
from ui.messages import BANDS, QUICK, clock, friendly, number
from ui.result import ReportView
from ui.rights import acting, whose
from ui.visit import Desk

PAGE_SIZE = 10

REOPENED = "From your history. The video was not kept, so there is no player to go with it."

ANSWER_BUTTONS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-report]');
  if (!button) return;
  const { report, action } = button.dataset;
  if (action === 'delete' && !confirm('Delete this report? It cannot be brought back.')) return;
  trigger(action === 'delete' ? 'delete' : 'click', { report });
});"""


def history_tab(desk: Desk, secret: gr.BrowserState, find: Find, *, opened: gr.Tab) -> None:
    store = desk.store
    gr.HTML(titled("Your reports", "Kept for this browser only; the videos themselves are not kept."))
    with gr.Row():
        text = gr.Textbox(label="File name contains", max_length=200, scale=2)
        verdicts = [("All verdicts", ""), *((words, label.value) for label, words in BANDS.items())]
        verdict = gr.Dropdown(verdicts, label="Verdict", value="")
    page = gr.State(1)
    rows = gr.HTML(js_on_load=ANSWER_BUTTONS, elem_id="reports")
    with gr.Row(elem_classes="pager"):
        newer = gr.Button("← Newer", size="sm", min_width=100, interactive=False)
        where = gr.HTML(elem_classes="where", min_width=70)
        older = gr.Button("Older →", size="sm", min_width=100, interactive=False)
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
            where: Markup("<p>{} of {}</p>").format(wanted, last),
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
        return view.show(find(str(event.report), secret, request), REOPENED)

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
        nothing = (
            "No report matches." if filtered else "No reports yet. Analyze a video, and its report is listed here."
        )
        return Markup('<p class="empty">{}</p>').format(nothing)
    columns: dict[str, Callable[[HistoryRow], object]] = {
        "When (UTC)": lambda row: row.created_at[:16].replace("T", " "),
        "Video": lambda row: row.name,
        "Length": lambda row: clock(row.duration_s),
        "People": lambda row: row.persons,
        "Verdict": lambda row: Markup("<span>{}</span>").format(band(row.label)),
        "P(manipulated)": lambda row: "–" if row.fake is None else number(row.fake) + remark(row.basis),
        "": _buttons,
    }
    rows = [[of(row) for of in columns.values()] for row in found.rows]
    return table(list(columns), rows, bands=[row.label for row in found.rows])


def _buttons(row: HistoryRow) -> Markup:
    return Markup(
        '<span class="actions"><button type="button" data-report="{}" data-action="open" aria-label="Open the report '
        'on {}">Open</button><button type="button" data-report="{}" data-action="delete" aria-label="Delete the report '
        'on {}">Delete</button></span>'
    ).format(row.id, row.name, row.id, row.name)
