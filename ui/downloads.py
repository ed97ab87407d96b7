"""The buttons that hand out the documents on a report."""

import base64
from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.words import say
from ui.document import Format, file_name
from ui.exhibits import Find
from ui.languages import everywhere, said
from ui.messages import QUICK, friendly
from ui.visit import Desk

KINDS = {Format.JSON: "application/json", Format.HTML: "text/html", Format.PDF: "application/pdf"}


def downloads(find: Find, secret: gr.BrowserState, report_id: gr.State, desk: Desk) -> None:
    """One for each format. The file comes in the answer and is made in the browser: one on the server could be fetched
    by others, and somebody would have to delete it."""

    def writing(format: Format) -> Callable[..., Any]:
        @friendly
        def write(report_id: str, secret: str | None, request: gr.Request) -> dict[str, str]:
            report = find(report_id, secret, request)
            content = base64.b64encode(desk.document(report, format, request)).decode()
            return {"name": file_name(report, format), "kind": KINDS[format], "content": content}

        return write

    written = gr.JSON(visible=False)
    with gr.Row(elem_classes="downloads"):
        gr.HTML(everywhere(lambda: Markup("<p>{}</p>").format(say("downloads.title"))))
        for format in Format:
            button = gr.Button(
                said("downloads.button", format=format.upper()), size="sm", min_width=120, elem_classes=f"as-{format}"
            )
            made = button.click(writing(format), [report_id, secret], written, **QUICK)
            made.success(None, written, written, js="telltale.save")
