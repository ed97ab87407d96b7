"""The tab Analyze: a clip in, a verdict out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import gradio as gr
from markupsafe import Markup

from core.settings import Settings
from core.types import Options, Progress, Thoroughness
from detectors import Choice, choices
from preprocessing.landmarks import landmark_backends
from preprocessing.video import Claim
from ui.estimate import measure, told_before
from ui.exhibits import Find
from ui.markup import each
from ui.messages import QUICK, Refusal, duration, told
from ui.result import ReportView
from ui.uploads import discard, several_files
from ui.visit import Answer, Desk

EXAMPLE = Path(__file__).parent / "assets" / "example.mp4"
EXAMPLE_TEXT = (
    "Made for this page from a public-domain portrait of an astronaut, set in gentle motion. From the sixth second on "
    "the inner face is cut out, altered a little and blended back."
)
WAITING = "Waiting for its turn"
FULL = "Too many people are waiting for an analysis just now; try again in a few minutes."
STOPPED = Markup('<p class="hint" role="status">Stopped. The uploaded file was deleted from the server.</p>')

ANALYSES = "analyses"
"""Concurrency group of everything that analyses: page and programs wait in one line."""

FROM_STORE = "You had this very file analysed before, with the same settings and weights: this is the report made then."


def analyze_tab(desk: Desk, secret: gr.BrowserState, find: Find) -> None:
    offered, backends = choices(desk.manifest, desk.settings), landmark_backends(desk.manifest, desk.settings)
    ready = {choice.set: choice for choice in offered if choice.ready}
    parts = list(dict.fromkeys(c.weights.region for c in offered if c.ready))
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            video = gr.Video(
                label="Video", sources=["upload"], format=None, autoplay=False, elem_id="clip", height=360, buttons=[]
            )
            gr.HTML(_limits(desk.settings))
        with gr.Column(scale=2, min_width=300):
            detectors = gr.CheckboxGroup(
                [(c.card.title + f" ({c.set})", c.set) for c in ready.values()],
                value=list({c.card.name: c.set for c in reversed(ready.values()) if c.alone().ready}.values())[::-1],
                label="Detectors",
                info="Each one judges by itself; what they say is then weighed together. None chosen means all.",
            )
            absent = {c.set: (f"{c.card.title} ({c.set})", c.reason) for c in reversed(offered)}
            _greyed([absent[name] for name in reversed(absent) if name not in ready], "Detectors not on this machine")
            with gr.Accordion("More settings", open=False):
                regions = gr.CheckboxGroup(
                    parts,
                    label="Regions of the face",
                    info="For detectors that know several. None chosen means all.",
                    visible=len(parts) > 1,
                )
                _greyed(_without_weights(offered, parts), "Regions without weights on this machine")
                thoroughness = gr.Radio(
                    [(t.capitalize(), t) for t in get_args(Thoroughness)],
                    value="standard",
                    label="Thoroughness",
                    info="How much of a long video is looked at, and at how many frames. Thorough also tries whether "
                    "the verdict holds when the clip is encoded again or made smaller.",
                )
                landmarks = gr.Radio(
                    [(b.title, b.name) for b in backends if not b.reason],
                    value=backends[0].name,
                    label="Landmarks",
                    info="What finds the points of the face.",
                )
                _greyed([(b.title, b.reason) for b in backends if b.reason], "Landmarks not on this machine")
                references = several_files(
                    label="Genuine clips of the same person and camera (optional)",
                    file_types=["video"],
                    height=120,
                )
                gr.HTML('<p class="hint">How much higher than usual they score is taken off the result.</p>')
            with gr.Row():
                start = gr.Button("Analyze", variant="primary", elem_id="start")
                cancel = gr.Button("Cancel", interactive=False, elem_id="cancel")
            estimate = gr.HTML(elem_id="estimate")
            status = gr.HTML(elem_id="status")
            example = gr.Button("Use the example clip", size="sm", elem_id="example", visible=EXAMPLE.exists())
            gr.HTML(Markup('<p class="hint">{}</p>').format(EXAMPLE_TEXT), visible=EXAMPLE.exists())
    view = ReportView("analyze", find, secret, desk, over_time=" Click the chart to move the player there.")

    def run(
        upload: str | None,
        genuine: list[str],
        names: list[str],
        regions: list[str],
        thoroughness: Thoroughness,
        landmarks: str,
        secret: str | None,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        options = Options(tuple(names), tuple(regions), thoroughness, landmarks)
        for step in told(desk.visit(upload, options, secret, request, references=genuine)):
            match step:
                case Progress():
                    yield {status: bar(step)}
                case Refusal():
                    yield {status: refused(step)} | idle
                case Answer():
                    yield {status: ""} | idle | view.show(step.report, FROM_STORE if step.from_store else "")

    def turn_away(shown: str) -> dict[Any, Any]:
        # A cancelled analysis comes here as well; it has said so already.
        return ({status: refused(Refusal(FULL))} if WAITING in shown else {}) | idle

    def stop(upload: str | None, genuine: list[str]) -> dict[Any, Any]:
        # An analysis that waits for its turn has no end at which its files would go.
        discard([Path(name) for name in (upload, *genuine) if name], desk.settings.uploads)
        return {status: STOPPED} | idle

    def foretell(
        clip: Claim | Refusal | None,
        others: list[Claim],
        names: list[str],
        regions: list[str],
        thoroughness: Thoroughness,
        landmarks: str,
    ) -> Markup:
        options = Options(tuple(names), tuple(regions), thoroughness, landmarks)
        return told_before(clip, others, options, desk)

    def measure_all(uploads: list[str]) -> list[Claim]:
        return [found for upload in uploads if isinstance(found := measure(upload, desk), Claim)]

    # Kept, because the server deletes a clip once it was analysed, and settings may still be changed for the next time.
    clip, others = gr.State(None), gr.State([])
    asked = [clip, others, detectors, regions, thoroughness, landmarks]
    measured = (
        video.change(lambda upload: measure(upload, desk), video, clip, **QUICK),
        references.change(measure_all, references, others, **QUICK),
    )
    for event in measured:
        event.then(foretell, asked, estimate, **QUICK)
    gr.on([part.change for part in (detectors, regions, thoroughness, landmarks)], foretell, asked, estimate, **QUICK)

    idle: dict[Any, Any] = {start: gr.update(interactive=True), cancel: gr.update(interactive=False)}
    busy: dict[Any, Any] = {start: gr.update(interactive=False), cancel: gr.update(interactive=True)}
    example.click(None, None, video, js=f"() => telltale.upload({json.dumps(_served(EXAMPLE))})")
    video.change(None, video, None, js="telltale.watch")
    references.change(None, references, None, js="telltale.keep")
    waiting = start.click(
        lambda: {status: bar(Progress(WAITING, 0.0))} | busy | view.hide(),
        None,
        [status, start, cancel, *view.outputs],
        **QUICK,
    )
    running = waiting.then(
        run,
        [video, references, detectors, regions, thoroughness, landmarks, secret],
        [status, start, cancel, *view.outputs],
        js="telltale.fresh",
        concurrency_id=ANALYSES,
        concurrency_limit=desk.settings.at_once,
        api_visibility="private",
        show_progress="hidden",
    )
    view.settle_after(running)
    running.then(foretell, asked, estimate, **QUICK)
    running.failure(turn_away, status, [status, start, cancel], **QUICK)
    cancel.click(stop, [video, references], [status, start, cancel], cancels=[running], js="telltale.sent", **QUICK)


def _served(path: Path) -> str:
    """The address of a file of ours; the page fetches it and uploads it like any other clip."""
    gr.set_static_paths([path])
    return f"gradio_api/file={path}"


def _limits(settings: Settings) -> Markup:
    return Markup(
        '<p class="hint">Up to {:.0f} MB, {} and {} px a side. The file is deleted from the server as soon as its '
        "analysis ends.</p>"
    ).format(settings.max_mb, duration(settings.max_seconds), settings.max_side_px)


def _without_weights(offered: list[Choice], parts: list[str]) -> list[tuple[str, str | None]]:
    """The regions of which nothing is ready, each with the sets of weights that would look at it."""
    sets: dict[str, list[str]] = {}
    for choice in offered:
        if choice.weights.region not in parts:
            sets.setdefault(choice.weights.region, []).append(choice.set)
    return [
        (region, f"Looked at with {', '.join(dict.fromkeys(names))}; the tab Detectors says what each of these needs.")
        for region, names in sets.items()
    ]


def _greyed(choices: list[tuple[str, str | None]], what: str) -> None:
    """Lists what cannot be chosen here, each with its reason."""
    item = '<li><label><input type="checkbox" disabled> {}</label><p>{}</p></li>'
    if choices:
        gr.HTML(
            Markup('<details class="greyed"><summary>{} ({})</summary><ul>{}</ul></details>').format(
                what, len(choices), each(item, choices)
            )
        )


def bar(progress: Progress) -> Markup:
    return Markup(
        '<div class="progress"><label for="progress" role="status">{}</label><span>{:.0%}</span>'
        '<progress id="progress" max="1" value="{:.3f}"></progress></div>'
    ).format(progress.stage, progress.fraction, progress.fraction)


def refused(refusal: Refusal) -> Markup:
    return Markup('<p class="refused" role="alert"><strong>No report.</strong> {}</p>').format(refusal.sentence)
