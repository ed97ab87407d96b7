"""The tab Analyze: a clip in, a verdict out."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gradio as gr
from markupsafe import Markup, escape
from starlette.responses import FileResponse
from starlette.routing import Route

from core.people import Role
from core.settings import Settings
from core.types import Options, Progress, Thoroughness
from core.words import duration, say
from detectors import Choice, choices
from plots.style import region_name
from preprocessing.landmarks import landmark_backends
from preprocessing.video import Claim
from ui.estimate import measure, told_before
from ui.exhibits import Find
from ui.languages import everywhere, said
from ui.markup import announced, each, hint
from ui.messages import QUICK, Refusal, friendly, refused, told
from ui.result import ReportView
from ui.rights import allow
from ui.uploads import discard, several_files, uploader
from ui.visit import Answer, Desk

EXAMPLE = Path(__file__).parent / "assets" / "example.mp4"


def analyze_tab(desk: Desk, secret: gr.BrowserState, find: Find) -> None:
    offered, backends = choices(desk.manifest, desk.settings), landmark_backends(desk.manifest, desk.settings)
    ready = {choice.set: choice for choice in offered if choice.ready}
    parts = list(dict.fromkeys(c.weights.region for c in offered if c.ready))
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            video = gr.Video(
                label=said("analyze.video"),
                sources=["upload"],
                format=None,
                autoplay=False,
                elem_id="clip",
                height=360,
                buttons=[],
            )
            gr.HTML(everywhere(lambda: _limits(desk.settings)))
        with gr.Column(scale=2, min_width=300):
            detectors = gr.CheckboxGroup(
                [(c.card.title + f" ({c.set})", c.set) for c in ready.values()],
                value=list({c.card.name: c.set for c in reversed(ready.values()) if c.alone().ready}.values())[::-1],
                label=said("analyze.detectors"),
                info=said("analyze.detectors_info"),
            )
            absent = {c.set: (f"{c.card.title} ({c.set})", c.reason) for c in reversed(offered)}
            missing = [absent[name] for name in reversed(absent) if name not in ready]
            _if_any(lambda: _greyed(say("analyze.detectors_absent"), missing))
            with gr.Accordion(said("analyze.more"), open=False):
                regions = gr.CheckboxGroup(
                    [(everywhere(partial(region_name, part)), part) for part in parts],
                    label=said("analyze.regions"),
                    info=said("analyze.regions_info"),
                    visible=len(parts) > 1,
                )
                _if_any(lambda: _greyed(say("analyze.regions_absent"), _without_weights(offered, parts)))
                thoroughness = gr.Radio(
                    [(said(f"thoroughness.{t}"), t) for t in get_args(Thoroughness)],
                    value="standard",
                    label=said("analyze.thoroughness"),
                    info=said("analyze.thoroughness_info"),
                )
                landmarks = gr.Radio(
                    [(b.title, b.name) for b in backends if not b.reason],
                    value=backends[0].name,
                    label=said("analyze.landmarks"),
                    info=said("analyze.landmarks_info"),
                )
                without = [(b.title, b.reason) for b in backends if b.reason]
                _if_any(lambda: _greyed(say("analyze.landmarks_absent"), without))
                references = several_files(
                    label=said("analyze.references"),
                    file_types=["video"],
                    height=120,
                )
                gr.HTML(everywhere(lambda: hint(say("analyze.references_info"))))
            with gr.Row():
                start = gr.Button(said("analyze.start"), variant="primary", elem_id="start")
                cancel = gr.Button(said("analyze.cancel"), interactive=False, elem_id="cancel")
            estimate = gr.HTML(elem_id="estimate")
            status = gr.HTML(elem_id="status")
            example = gr.Button(said("analyze.example"), size="sm", elem_id="example", visible=EXAMPLE.exists())
            gr.HTML(everywhere(lambda: hint(say("analyze.example_info"))), visible=EXAMPLE.exists())
    view = ReportView("analyze", find, secret, desk, with_player=True)

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
                    yield {status: _refused(step)} | idle
                case Answer():
                    note = say("analyze.from_store") if step.from_store else ""
                    yield {status: ""} | idle | view.show(step.report, note)

    def wait() -> dict[Any, Any]:
        return {status: bar(Progress(say("analyze.waiting"), 0.0))} | busy | view.hide()

    def turn_away(shown: str) -> dict[Any, Any]:
        # A cancelled analysis comes here as well; it has said so already.
        waits = escape(say("analyze.waiting")) in shown
        return ({status: _refused(Refusal(say("analyze.full")))} if waits else {}) | idle

    @friendly
    def stop(upload: str | None, genuine: list[str], request: gr.Request) -> dict[Any, Any]:
        allow(desk, request, Role.REVIEWER)
        # An analysis that waits for its turn has no end at which its files would go.
        files = [Path(name) for name in (upload, *genuine) if name]
        discard(files, desk.settings.uploads, uploader(request))
        return idle

    def say_stopped() -> Markup:
        return announced(say("analyze.stopped"))

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

    @friendly
    def measure_clip(upload: str | None, request: gr.Request) -> Claim | Refusal | None:
        allow(desk, request, Role.REVIEWER)
        return measure(upload, desk, uploader(request))

    @friendly
    def measure_all(uploads: list[str], request: gr.Request) -> list[Claim]:
        allow(desk, request, Role.REVIEWER)
        owner = uploader(request)
        return [found for upload in uploads if isinstance(found := measure(upload, desk, owner), Claim)]

    # Kept, because the server deletes a clip once it was analysed, and settings may still be changed for the next time.
    clip, others = gr.State(None), gr.State([])
    asked = [clip, others, detectors, regions, thoroughness, landmarks]
    measured = (
        video.change(measure_clip, video, clip, **QUICK),
        references.change(measure_all, references, others, **QUICK),
    )
    for event in measured:
        event.then(foretell, asked, estimate, **QUICK)
    gr.on([part.change for part in (detectors, regions, thoroughness, landmarks)], foretell, asked, estimate, **QUICK)

    idle: dict[Any, Any] = {start: gr.update(interactive=True), cancel: gr.update(interactive=False)}
    busy: dict[Any, Any] = {start: gr.update(interactive=False), cancel: gr.update(interactive=True)}
    example.click(None, None, video, js=f"() => telltale.upload('{EXAMPLE.name}')")
    video.change(None, video, None, js="telltale.watch")
    references.change(None, references, None, js="telltale.keep")
    waiting = start.click(
        wait,
        None,
        [status, start, cancel, *view.outputs],
        **QUICK,
    )
    running = waiting.then(
        run,
        [video, references, detectors, regions, thoroughness, landmarks, secret],
        [status, start, cancel, *view.outputs],
        js="telltale.fresh",
        concurrency_limit=None,
        api_visibility="private",
        show_progress="hidden",
    )
    view.settle_after(running)
    running.then(foretell, asked, estimate, **QUICK)
    running.failure(turn_away, status, [status, start, cancel], **QUICK)
    stopping = cancel.click(stop, [video, references], [start, cancel], cancels=[running], js="telltale.sent", **QUICK)
    # Only then, since progress that was on its way would be drawn over it.
    stopping.then(say_stopped, None, status, **QUICK)


def example_route() -> Route:
    """Serves the clip of ours; the page fetches it and uploads it like any other."""
    return Route(f"/{EXAMPLE.name}", lambda _: FileResponse(EXAMPLE))


def _limits(settings: Settings) -> Markup:
    limits = say(
        "analyze.limits",
        max_mb=f"{settings.max_mb:.0f}",
        length=duration(settings.max_seconds),
        max_side_px=settings.max_side_px,
    )
    kept = say("analyze.kept", days=f"{settings.media_days:g}") if settings.moderated else say("analyze.deleted")
    return hint(f"{limits} {kept}") + Markup('<p class="unplayable">{}</p>').format(say("analyze.unplayable"))


def _without_weights(offered: list[Choice], parts: list[str]) -> list[tuple[str, str]]:
    """The regions of which nothing is ready, each with the sets of weights that would look at it."""
    sets: dict[str, list[str]] = {}
    for choice in offered:
        if choice.weights.region not in parts:
            sets.setdefault(choice.weights.region, []).append(choice.set)
    return [
        (region_name(region), say("analyze.region_absent", sets=", ".join(dict.fromkeys(names))))
        for region, names in sets.items()
    ]


def _if_any(draw: Callable[[], Markup]) -> None:
    if draw():
        gr.HTML(everywhere(draw))


def _greyed(what: str, choices: Sequence[tuple[str, str | None]]) -> Markup:
    """Lists what cannot be chosen here, each with its reason; empty where everything can."""
    if not choices:
        return Markup("")
    item = '<li><label><input type="checkbox" disabled> {}</label><p>{}</p></li>'
    return Markup('<details class="greyed"><summary>{} ({})</summary><ul>{}</ul></details>').format(
        what, len(choices), each(item, choices)
    )


def bar(progress: Progress) -> Markup:
    return Markup(
        '<div class="progress"><label for="progress" role="status">{}</label><span>{:.0%}</span>'
        '<progress id="progress" max="1" value="{:.3f}"></progress></div>'
    ).format(progress.stage, progress.fraction, progress.fraction)


def _refused(refusal: Refusal) -> Markup:
    return refused(Markup("<strong>{}</strong> {}").format(say("analyze.no_report"), refusal.sentence))
