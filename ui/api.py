"""What programs call: the endpoints of the design, with the same errors people get."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, get_args

import gradio as gr

from core.contract import as_json
from core.errors import InputError
from core.types import Label, Options, Thoroughness
from detectors import choices
from ui.analyze import ANALYSES
from ui.messages import friendly
from ui.visit import Answer, Desk, visitor


def endpoints(desk: Desk) -> None:
    """`/analyze`, `/detectors`, `/report` and `/history`."""

    @friendly
    def analyze(
        video: str,
        detectors: list[str] | None = None,
        regions: list[str] | None = None,
        thoroughness: Thoroughness = "standard",
        landmarks: str = "facemesh",
        reference: list[str] | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> Iterator[dict[str, Any]]:
        options = Options(tuple(detectors or ()), tuple(regions or ("entire",)), thoroughness, landmarks)
        for step in desk.visit(video, options, visitor(None, request), references=reference or ()):
            if isinstance(step, Answer):
                yield as_json(step.report) | {"from_store": step.from_store}
            else:
                yield asdict(step)

    @friendly
    def cards() -> list[dict[str, Any]]:
        return [
            {
                "name": choice.card.name,
                "title": choice.card.title,
                "weights": choice.weights.id,
                "regions": list(choice.card.regions),
                "ready": choice.ready,
                "reason": choice.reason,
                "licence": choice.weights.licence,
                "source": choice.card.source,
                "trained_on": choice.weights.trained_on,
                "measured": choice.weights.measured,
                "limits": choice.card.limits,
            }
            for choice in choices(desk.manifest, desk.settings)
        ]

    @friendly
    def report(id: str, request: gr.Request) -> dict[str, Any]:
        return as_json(desk.store.get(id, owner=visitor(None, request)))

    @friendly
    def history(
        label: str | None = None, text: str | None = None, page: int = 1, request: gr.Request = None
    ) -> dict[str, Any]:  # type: ignore[assignment]
        if label and label not in list(Label):
            raise InputError(f"There is no verdict called {label!r}; choose among: {', '.join(Label)}.")
        found = desk.store.history(
            owner=visitor(None, request), page=page, label=Label(label) if label else None, text=text or None
        )
        return asdict(found)

    # Components nobody sees: they check what arrives, and see to it that a file named was uploaded and is not the server's own.
    with gr.Column(visible=False):
        inputs = [
            gr.Video(sources=["upload"], format=None),
            gr.JSON(),
            gr.JSON(),
            gr.Radio(list(get_args(Thoroughness)), value="standard"),
            gr.Textbox("facemesh"),
            gr.File(file_count="multiple"),
        ]
        answer, go = gr.JSON(), gr.Button()
    go.click(
        analyze,
        inputs,
        answer,
        api_name="analyze",
        api_description="Analyses a video. The steps of the work come as {stage, fraction}, last of all the report.",
        concurrency_id=ANALYSES,
        concurrency_limit=desk.settings.at_once,
    )
    gr.api(
        cards,
        api_name="detectors",
        api_description="Every set of weights of every detector, ready or not.",
        queue=False,
    )
    gr.api(report, api_name="report", api_description="One of your reports.", queue=False)
    gr.api(history, api_name="history", api_description="Your reports, newest first, 20 a page.", queue=False)
