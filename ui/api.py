"""What programs call: the endpoints of the design, with the same errors people get."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from analysis.costs import cost_of, costs
from core.contract import as_json
from core.errors import InputError
from core.types import Label, Options, Thoroughness
from detectors import choices
from detectors.engines import device
from ui.analyze import ANALYSES
from ui.document import Format, file_name, read_format
from ui.messages import friendly
from ui.rights import whose
from ui.uploads import put_apart, several_files
from ui.visit import Answer, Desk


def endpoints(desk: Desk) -> None:
    """`/analyze`, `/detectors`, `/report` and `/history`."""

    @friendly
    def analyze(
        request: gr.Request,
        video: str,
        detectors: list[str] | None = None,
        regions: list[str] | None = None,
        thoroughness: Thoroughness = "standard",
        landmarks: str = "facemesh",
        reference: list[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        options = Options(tuple(detectors or ()), tuple(regions or ()), thoroughness, landmarks)
        for step in desk.visit(video, options, None, request, references=reference or ()):
            if isinstance(step, Answer):
                yield as_json(step.report) | {"from_store": step.from_store}
            else:
                yield asdict(step)

    @friendly
    def cards() -> list[dict[str, Any]]:
        known = costs(desk.settings)
        return [
            {
                "name": choice.card.name,
                "title": choice.card.title,
                "weights": choice.weights.id,
                "region": choice.weights.region,
                "ready": choice.ready,
                "reason": choice.reason,
                "device": choice.runs_on(device()),
                "licence": choice.weights.licence,
                "terms": choice.weights.terms,
                "source": choice.card.source,
                "trained_on": choice.weights.trained_on,
                "measured": choice.weights.measured,
                "limits": choice.card.limits,
                "seconds_per_frame": cost_of(choice, known),
            }
            for choice in choices(desk.manifest, desk.settings)
        ]

    @friendly
    def report(id: str, request: gr.Request, format: str = "json") -> dict[str, Any]:
        wanted, found = read_format(format), desk.store.get(id, owner=whose(desk, None, request))
        document = desk.document(found, wanted)
        if wanted is Format.JSON:
            return dict(json.loads(document))
        # A file, and not bytes in the answer, for that is what clients know to fetch; it is swept up with old uploads.
        path = put_apart(file_name(found, wanted), document, desk.settings.uploads)
        return FileData(path=str(path), orig_name=path.name).model_dump()

    @friendly
    def history(
        request: gr.Request, label: str | None = None, text: str | None = None, page: int = 1
    ) -> dict[str, Any]:
        if label and label not in list(Label):
            raise InputError(f"There is no verdict called {label!r}; choose among: {', '.join(Label)}.")
        wanted = Label(label) if label else None
        return asdict(desk.store.history(owner=whose(desk, None, request), page=page, label=wanted, text=text or None))

    # Components nobody sees: they check what arrives, and that a file which is named was uploaded.
    with gr.Column(visible=False):
        inputs = [
            gr.Video(sources=["upload"], format=None),
            gr.JSON(),
            gr.JSON(),
            gr.Textbox("standard"),
            gr.Textbox("facemesh"),
            several_files(),
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
    gr.api(
        report,
        api_name="report",
        api_description="One of your reports as evidence: in json, or an html or pdf file.",
        queue=False,
    )
    gr.api(history, api_name="history", api_description="Your reports, newest first, 20 a page.", queue=False)
