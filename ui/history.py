"""The tab History: the reports of this visitor."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.types import Label, Report
from plots.style import BANDS as COLOURS
from storage import History, HistoryRow, ReportStore
from ui.messages import BANDS, MARKS, clock, friendly, number
from ui.result import ReportView
from ui.visit import visitor

PAGE_SIZE = 10

ANSWER_BUTTONS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-report]');
  if (!button) return;
  if (button.dataset.action === 'delete' && !confirm('Delete this report? It cannot be brought back.')) return;
  trigger(button.dataset.action === 'delete' ? 'delete' : 'click', {report: button.dataset.report});
});"""


def history_tab(store: ReportStore, secret: gr.BrowserState, find: Callable[..., Report], *, opened: gr.Tab) -> None:
    gr.HTML('<h2>Your reports</h2><p class="hint">Kept for this browser only; the videos themselves are not kept.</p>')
    with gr.Row():
        text = gr.Textbox(label="File name contains", max_length=200, scale=2)
        band = gr.Dropdown(
            [("All verdicts", ""), *((words, label.value) for label, words in BANDS.items())], label="Verdict", value=""
        )
    page = gr.State(1)
    rows = gr.HTML(js_on_load=ANSWER_BUTTONS, elem_id="reports")
    with gr.Row(elem_classes="pager"):
        newer = gr.Button("← Newer", size="sm", min_width=100, interactive=False)
        where = gr.HTML(elem_classes="where", min_width=70)
        older = gr.Button("Older →", size="sm", min_width=100, interactive=False)
    view = ReportView("history", find, secret)
    listing = [page, rows, newer, where, older]

    def turn_to(page_wanted: int, text: str, band: str | None, owner: str) -> dict[Any, Any]:
        found = store.history(
            owner=owner,
            page=page_wanted,
            page_size=PAGE_SIZE,
            label=Label(band) if band else None,
            text=text.strip() or None,
        )
        last = max(1, -(-found.total // PAGE_SIZE))
        if page_wanted > last:
            return turn_to(last, text, band, owner)
        return {
            page: page_wanted,
            rows: _table(found, filtered=bool(text.strip() or band)),
            newer: gr.update(interactive=page_wanted > 1),
            where: Markup("<p>{} of {}</p>").format(page_wanted, last),
            older: gr.update(interactive=page_wanted < last),
        }

    def turner(by: int | None) -> Callable[..., dict[Any, Any]]:
        """A handler that turns pages; None goes back to the first."""

        @friendly
        def turn(now: int, text: str, band: str | None, secret: str | None, request: gr.Request) -> dict[Any, Any]:
            return turn_to(max(1, now + by) if by is not None else 1, text, band, visitor(secret, request))

        return turn

    @friendly
    def reopen(secret: str | None, request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        return view.show(
            find(str(event.report), secret, request),
            "From your history; the video was not kept, so there is no player.",
        )

    @friendly
    def remove(
        now: int, text: str, band: str | None, secret: str | None, request: gr.Request, event: gr.EventData
    ) -> dict[Any, Any]:
        owner = visitor(secret, request)
        store.delete(str(event.report), owner=owner)
        return turn_to(now, text, band, owner) | view.hide()

    asked = [page, text, band, secret]
    quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    opened.select(turner(0), asked, listing, **quick)
    gr.on([text.submit, text.blur, band.input], turner(None), asked, listing, **quick)
    newer.click(turner(-1), asked, listing, **quick)
    older.click(turner(+1), asked, listing, **quick)
    view.add_frames("history", rows.click(reopen, secret, view.outputs, **quick))
    rows.delete(remove, asked, [*listing, *view.outputs], **quick)


def _table(found: History, *, filtered: bool) -> Markup:
    if not found.rows:
        return Markup('<p class="empty">{}</p>').format(
            "No report matches this filter."
            if filtered
            else "No reports yet. Analyze a video, and its report will be listed here."
        )
    heads = ("When (UTC)", "Video", "Length", "People", "Verdict", "P(manipulated)", "Actions")
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(h) for h in heads)
    return Markup('<table class="plain reports"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(
        head, Markup("").join(_row(row) for row in found.rows)
    )


def _row(row: HistoryRow) -> Markup:
    return Markup(
        '<tr style="--band: {}"><td data-head="When (UTC)">{}</td><td data-head="Video">{}</td><td data-head="Length">{}</td>'
        '<td data-head="People">{}</td><td data-head="Verdict"><span class="mark" aria-hidden="true">{}</span> {}</td>'
        '<td data-head="P(manipulated)">{}</td><td class="actions"><button type="button" data-report="{}" data-action="open">Open</button>'
        '<button type="button" data-report="{}" data-action="delete" aria-label="Delete the report on {}">Delete</button></td></tr>'
    ).format(
        COLOURS[row.label],
        row.created_at[:16].replace("T", " "),
        row.name,
        clock(row.duration_s),
        row.persons,
        MARKS[row.label],
        BANDS[row.label],
        "–" if row.fake is None else number(row.fake),
        row.id,
        row.id,
        row.name,
    )
