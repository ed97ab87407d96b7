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
from core.jobs import Job, priority_called
from core.people import Role
from core.types import Label, Options, Thoroughness
from detectors import choices
from detectors.engines import device
from ui.again import as_rows as differences
from ui.document import Format, file_name, read_format
from ui.messages import friendly
from ui.queue import asked
from ui.reviewing import rule
from ui.rights import require, whose
from ui.similar import as_rows, sightings
from ui.uploads import put_apart, several_files, uploader
from ui.visit import Answer, Desk, Repeated


def plain_json(record: Any) -> dict[str, Any]:
    """A record as plain dicts, lists, strings and numbers."""
    return dict(json.loads(json.dumps(asdict(record))))


def _told(job: Job) -> dict[str, Any]:
    return asdict(job) | {"priority": job.priority.name.lower()}


def endpoints(desk: Desk) -> None:
    """`/analyze`, or `/submit`, `/job`, `/cancel`; `/detectors`, `/report`, `/history`; at the moderators' desk also
    `/again`, `/review`, `/queue`, `/similar`."""

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
    def submit(
        request: gr.Request,
        video: str,
        detectors: list[str] | None = None,
        regions: list[str] | None = None,
        thoroughness: Thoroughness = "standard",
        landmarks: str = "facemesh",
        reference: list[str] | None = None,
        priority: str = "batch",
        key: str = "",
    ) -> dict[str, Any]:
        options = Options(tuple(detectors or ()), tuple(regions or ()), thoroughness, landmarks)
        turn = priority_called(priority)
        return _told(desk.submit(video, options, request, references=reference or (), priority=turn, key=key or None))

    @friendly
    def job(id: str, request: gr.Request) -> dict[str, Any]:
        return _told(desk.job(id, request))

    @friendly
    def cancel(id: str, request: gr.Request) -> dict[str, Any]:
        return _told(desk.cancel(id, request))

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
        wanted, found = read_format(format), desk.report(id, None, request)
        if desk.queue:
            desk.queue.note_view(id, require(desk, request, Role.VIEWER))
        document = desk.document(found, wanted, request)
        if wanted is Format.JSON:
            return dict(json.loads(document))
        # A file, and not bytes in the answer, for that is what clients know to fetch; it is swept up with old uploads.
        path = put_apart(file_name(found, wanted), document, desk.settings.uploads, uploader(request))
        return FileData(path=str(path), orig_name=path.name).model_dump()

    @friendly
    def history(
        request: gr.Request, label: str | None = None, text: str | None = None, page: int = 1
    ) -> dict[str, Any]:
        if label and label not in list(Label):
            raise InputError(f"There is no verdict called {label!r}; choose among: {', '.join(Label)}.")
        wanted, owner = Label(label) if label else None, whose(desk, None, request)
        if desk.queue and (user := require(desk, request, Role.VIEWER)) and desk.queue.blinds(user):
            raise InputError("Scores are kept back until you have given your opinion; ask /queue instead.")
        return asdict(desk.store.history(owner=owner, page=page, label=wanted, text=text or None))

    @friendly
    def review(
        request: gr.Request, id: str, decision: str, policy: str, note: str = "", second: bool = False
    ) -> dict[str, Any]:
        user = require(desk, request, Role.REVIEWER)
        rule(desk, user, id, decision, policy, note, ask_second=second)
        return plain_json(desk.reviews.review(id, user))

    @friendly
    def queue(
        request: gr.Request,
        show: str = "to do",
        text: str = "",
        order: str = "oldest",
        label: str = "",
        detector: str = "",
        persons: str = "",
        since: str = "",
        until: str = "",
        reviewer: str = "",
        after: str = "",
    ) -> dict[str, Any]:
        user = require(desk, request, Role.VIEWER)
        wanted, chosen = asked(user, (show, text, order, label, detector, persons, since, until, reviewer))
        return plain_json(desk.reviews.queue(user, wanted, chosen, after=after or None))

    @friendly
    def similar(id: str, request: gr.Request) -> list[dict[str, Any]]:
        user = require(desk, request, Role.VIEWER)
        desk.report(id, None, request)  # not from who has to give an opinion on this clip first
        return as_rows(sightings(desk, id, user))

    @friendly
    def again(id: str, request: gr.Request) -> Iterator[dict[str, Any]]:
        for step in desk.run_again(id, request):
            yield differences(step) if isinstance(step, Repeated) else asdict(step)

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
        more = [gr.Textbox("batch"), gr.Textbox("")]
        answer, go = gr.JSON(), gr.Button()
    go.click(
        analyze,
        inputs,
        answer,
        api_name="analyze",
        api_description="Analyses a video. The steps of the work come as {stage, fraction}, last of all the report.",
        concurrency_limit=None,
    )
    go.click(
        submit,
        [*inputs, *more],
        answer,
        api_name="submit",
        api_description="Asks for the analysis of a video and returns the job; the same `key` returns the same job.",
        queue=False,
    )
    gr.api(job, api_name="job", api_description="One of your jobs: its state, and what became of it.", queue=False)
    gr.api(cancel, api_name="cancel", api_description="Ends one of your jobs.", queue=False)
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
    if desk.queue:
        gr.api(
            again,
            api_name="again",
            api_description="Runs a report again, as it was made; last of all what came out, and what differs.",
            concurrency_limit=None,
        )
        gr.api(review, api_name="review", api_description="Records your decision on a report.", queue=False)
        gr.api(queue, api_name="queue", api_description="Reports with their states, 20 a page.", queue=False)
        gr.api(
            similar,
            api_name="similar",
            api_description="Other reports on the same file, or on nearly the same clip, with what was decided.",
            queue=False,
        )
