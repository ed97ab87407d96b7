"""What was done to one report, by whom and when, as the log has it."""

import json
from collections.abc import Callable, Sequence

import gradio as gr
from markupsafe import Markup

from core.people import Role
from storage import AuditLog, Entry
from ui.markup import table
from ui.messages import QUICK, friendly
from ui.rights import require
from ui.visit import Desk


def log_section(desk: Desk, log: AuditLog, report_id: gr.State) -> None:
    """A part of the page that shows the log of the report whose id is in `report_id`, fetched when it is opened."""
    with gr.Accordion("What was done to this report", open=False) as section:
        shown = gr.HTML()

    @friendly
    def fetch(report_id: str, request: gr.Request) -> Markup:
        require(desk, request, Role.VIEWER)
        return log_table(log.of(report_id))

    section.expand(fetch, report_id, shown, **QUICK)
    # Of another report nothing is shown until it is asked for.
    report_id.change(lambda: (gr.update(open=False), ""), None, [section, shown], **QUICK)


def log_table(entries: Sequence[Entry]) -> Markup:
    """One line an entry, the first thing first."""
    columns: dict[str, Callable[[Entry], object]] = {
        "No.": lambda entry: entry.number,
        "When (UTC)": lambda entry: entry.at[:19].replace("T", " "),
        "Who": lambda entry: entry.actor,
        "What": lambda entry: entry.action,
        "Details": lambda entry: said(json.loads(entry.details)),
        "SHA-256": lambda entry: Markup('<code title="{}">{}</code>').format(entry.hash, entry.hash[:12]),
    }
    if not entries:
        return Markup('<p class="empty">The log holds nothing about this report.</p>')
    return table(list(columns), [[of(entry) for of in columns.values()] for entry in entries])


def said(details: object) -> str:
    """Details in a line: `verdict: some_signs; file: 1f…`."""
    if isinstance(details, dict):
        return "; ".join(f"{name}: {said(value)}" for name, value in details.items())
    return json.dumps(details, ensure_ascii=False) if not isinstance(details, str) else details
