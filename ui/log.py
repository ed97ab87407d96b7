"""What was done to one report, by whom and when, as the log has it."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.words import named, say
from storage import AuditLog, Entry
from ui.languages import said
from ui.markup import hint, table
from ui.messages import QUICK, told_at
from ui.visit import Desk

LATEST = 200
"""Entries that are shown; `python -m storage.audit export` has all."""


def log_section(desk: Desk, log: AuditLog, report_id: gr.State) -> tuple[gr.Accordion, gr.HTML]:
    """A part of the page, and in it the place of the log of the report whose id is in `report_id`, fetched when it is
    opened."""
    with gr.Accordion(said("log.title"), open=False, elem_id="case-log") as section:
        shown = gr.HTML()

    @told_at(shown)
    def read_log(report_id: str, request: gr.Request) -> dict[Any, Any]:
        # Not for who has to give an opinion first: the entry of the analysis has its verdict.
        desk.report(report_id, None, request)
        return {shown: log_table(log.of(report_id))}

    section.expand(read_log, report_id, shown, **QUICK)
    return section, shown


def log_table(entries: Sequence[Entry]) -> Markup:
    """One line an entry, the first thing first; of very many the latest, and how many there are."""
    columns: dict[str, Callable[[Entry], object]] = {
        say("log.number"): lambda entry: entry.number,
        say("log.when"): lambda entry: entry.at[:19].replace("T", " "),
        say("log.who"): lambda entry: entry.actor,
        say("log.what"): lambda entry: named("actions", entry.action),
        say("log.details"): lambda entry: in_a_line(json.loads(entry.details)),
        "SHA-256": lambda entry: Markup('<code title="{}">{}</code>').format(entry.hash, entry.hash[:12]),
    }
    if not entries:
        return Markup('<p class="empty">{}</p>').format(say("log.empty"))
    shown = table(list(columns), [[of(entry) for of in columns.values()] for entry in entries[-LATEST:]])
    return hint(say("log.latest", shown=LATEST, total=len(entries))) + shown if len(entries) > LATEST else shown


def in_a_line(details: object) -> str:
    """Details as people read them: `verdict: some_signs; file: 1f…`."""
    if isinstance(details, dict):
        return "; ".join(f"{name}: {in_a_line(value)}" for name, value in details.items())
    return json.dumps(details, ensure_ascii=False) if not isinstance(details, str) else details
