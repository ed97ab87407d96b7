"""How a report is laid out for people; the same for one just made and one from the history."""

import base64
import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.contract import as_json
from core.types import Finding, Person, Report, Verdict
from plots import plot_landmarks, plot_matrix, plot_timeline
from plots.style import BANDS as COLOURS
from plots.style import method_name, person_name
from ui.messages import BANDS, MARKS, clock, friendly, number, percent

ADD_FRAMES = "(frames) => { telltale.addFrames('%s', frames); return []; }"


class ReportView:
    """The components of one report, built where the object is made and filled by `show`.

    `find` returns the report of an id for the visitor whose secret and request are given; the person shown in the
    animation is fetched with it, so that a page holds no more of a report than it draws.
    """

    def __init__(
        self,
        name: str,
        find: Callable[[str, str | None, gr.Request], Report],
        secret: gr.BrowserState,
        *,
        over_time: str = "",
    ) -> None:
        self._report_id = gr.State("")
        with gr.Column(visible=False, elem_classes="report") as self._whole:
            self._banner = gr.HTML()
            with gr.Column(elem_classes="figure") as self._scores:
                gr.HTML(_heading("Scores over time", "What each method said of each moment." + over_time))
                self._timeline = gr.Plot(show_label=False, elem_id=f"{name}-timeline")
            self._people = gr.HTML()
            with gr.Column(elem_classes="figure") as self._movement:
                gr.HTML(
                    _heading(
                        "Movement of the face",
                        "The points that were followed, as found and after the tremble of the finder was taken out. "
                        "Hollow ones are repeated where the face was lost.",
                    )
                )
                self._person = gr.Radio([], label="Person", elem_classes="person")
                self._landmarks = gr.Plot(show_label=False, elem_id=f"{name}-landmarks")
            with gr.Column(elem_classes="figure") as self._overview:
                gr.HTML(
                    _heading(
                        "Who, by which method, where on the face",
                        "Calibrated P(manipulated) from 0 to 1; hatched where there is no such number.",
                    )
                )
                self._matrix = gr.Plot(show_label=False)
            self._tables = gr.HTML()
        self._frames = gr.JSON(visible=False)
        self.outputs = [
            *(self._report_id, self._whole, self._banner, self._scores, self._timeline, self._people, self._movement),
            *(self._person, self._landmarks, self._frames, self._overview, self._matrix, self._tables),
        ]

        @friendly
        def animate(report_id: str, person: int, secret: str | None, request: gr.Request) -> tuple[Any, Any]:
            report = find(report_id, secret, request)
            return plot_landmarks(next((p.motion for p in report.tracks if p.id == person), None))

        chosen = self._person.input(
            animate,
            [self._report_id, self._person, secret],
            [self._landmarks, self._frames],
            queue=False,
            api_visibility="private",
        )
        self.add_frames(name, chosen)

    def add_frames(self, name: str, after: Any) -> None:
        """`gr.Plot` hands Plotly no frames, so they are given back once the figure is drawn."""
        after.then(None, self._frames, None, js=ADD_FRAMES % name)

    def show(self, report: Report, note: str = "") -> dict[Any, Any]:
        """The updates that make this view show a report."""
        first = next(iter(report.tracks), None)
        figure, frames = plot_landmarks(first and first.motion)
        return {
            self._report_id: report.id,
            self._whole: gr.update(visible=True),
            self._banner: banner(report, note),
            self._people: people(report),
            self._timeline: plot_timeline(report),
            **{part: gr.update(visible=bool(report.tracks)) for part in (self._scores, self._movement, self._overview)},
            self._person: gr.update(
                choices=[(person_name(p.id), p.id) for p in report.tracks],
                value=first and first.id,
                visible=len(report.tracks) > 1,
            ),
            self._landmarks: figure,
            self._frames: frames,
            self._matrix: plot_matrix(report),
            self._tables: Markup("").join([quality(report), findings(report), warnings(report), details(report)]),
        }

    def hide(self) -> dict[Any, Any]:
        return {self._report_id: "", self._whole: gr.update(visible=False)}


def banner(report: Report, note: str = "") -> Markup:
    """The verdict on the whole video."""
    verdict = report.verdict
    return Markup(
        '<section class="banner" style="--band: {}"><h2><span class="mark" aria-hidden="true">{}</span> {}</h2>'
        '<p class="reason">{}</p>{}<p class="facts">{}</p><p class="file">{} · {}</p>{}</section>'
    ).format(
        COLOURS[verdict.label],
        MARKS[verdict.label],
        BANDS[verdict.label],
        verdict.reason,
        gauge(verdict),
        _facts(verdict),
        report.video.name,
        clock(report.video.duration_s),
        Markup('<p class="note" role="note">{}</p>').format(note) if note else "",
    )


def gauge(verdict: Verdict) -> Markup:
    """The number on a scale from 0 to 1, with its interval; nothing where there is no number."""
    if verdict.fake is None:
        return Markup("")
    low, high = verdict.interval or (verdict.fake, verdict.fake)
    return Markup(
        '<div class="gauge" role="img" aria-label="{} on a scale from 0 to 1, 90 % interval {} to {}">'
        '<span class="range" style="left: {:.1%}; width: {:.1%}"></span><span class="at" style="left: {:.1%}"></span>'
        '<span class="end">0</span><span class="end">1</span></div>'
    ).format(number(verdict.fake), number(low), number(high), low, high - low, verdict.fake)


def people(report: Report) -> Markup:
    """One card per person."""
    cards = [_card(person) for person in report.tracks]
    return (
        Markup('<h2>People in the video</h2><div class="people">{}</div>').format(Markup("").join(cards))
        if cards
        else Markup("")
    )


def quality(report: Report) -> Markup:
    """Could these faces be judged?"""
    if not report.tracks:
        return Markup("")
    rows = [
        (
            person_name(person.id),
            f"{person.face_px:.0f} px",
            f"{person.quality.sharpness:.0f}",
            f"{person.quality.yaw_deg:.0f}°",
            percent(person.quality.coverage),
            f"{person.quality.frame_rate_hz:.1f} Hz",
            percent(person.quality.repeated),
            percent(person.quality.imputed),
            _list(person.quality.warnings) or "none",
        )
        for person in report.tracks
    ]
    heads = (
        "Person",
        "Face width",
        "Sharpness",
        "Head turn",
        "Time seen",
        "Frame rate",
        "Repeated frames",
        "Imputed frames",
        "Remarks",
    )
    return _section(
        "Quality of the picture",
        "Whether the faces could be judged. Sharpness below 20 is blurred; a head turned by more than about 45° hides half the face.",
        _table(heads, rows),
    )


def findings(report: Report) -> Markup:
    """Every method on every person, with its number or the reason why there is none."""
    if not report.findings:
        return Markup("")
    rows = [
        (
            person_name(finding.track_id),
            method_name(report, finding),
            finding.region,
            _result(finding),
            _own(finding),
            finding.weights.id if finding.weights else "–",
        )
        for finding in report.findings
    ]
    return _section(
        "Findings",
        "The calibrated result counts towards the verdict; the method's own numbers are as it gave them.",
        _table(("Person", "Method", "Region", "Result", "Its own numbers", "Weights"), rows),
    )


def warnings(report: Report) -> Markup:
    return (
        _section("Warnings", "What to keep in mind about this video.", _list(report.warnings))
        if report.warnings
        else Markup("")
    )


def details(report: Report) -> Markup:
    """What is needed to account for the result, and the report as a file."""
    video = report.video
    claimed = "no claim" if video.frames is None else f"{video.frames} claimed"
    weights = {f.weights.id: f.weights for f in report.findings if f.weights}
    facts = {
        "Video": f"{video.width} × {video.height} px, {video.fps:.2f} frames per second, {clock(video.duration_s)}, {video.codec}",
        "Frames": f"{video.frames_decoded} decoded, {claimed} by the container",
        "Rotation applied": f"{video.rotation}°",
        "SHA-256 of the file": video.sha256,
        "Landmarks": report.options.landmarks,
        "Thoroughness": report.options.thoroughness,
        **{f"Weights {w.id}": f"{w.licence}, SHA-256 {w.sha256}" for w in weights.values()},
        "Time taken": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings_s.items()),
        "Made": f"{report.created_at} on {report.device}, Telltale {report.app_version}",
        "Report": report.id,
    }
    rows = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, fact) for name, fact in facts.items())
    # In the page itself rather than a file on the server, which others could fetch and somebody would have to delete.
    data = base64.b64encode(json.dumps(as_json(report), indent=1).encode()).decode()
    return Markup(
        '<p><a class="button" download="telltale-{}.json" href="data:application/json;base64,{}">Download the report (JSON)</a></p>'
        "<details><summary>Technical details</summary><dl>{}</dl></details>"
    ).format(report.id[:8], data, rows)


def _card(person: Person) -> Markup:
    verdict = person.verdict
    picture = base64.b64encode(person.thumbnail).decode()
    return Markup(
        '<article class="person" style="--band: {}"><img src="data:image/jpeg;base64,{}" alt="{}"><div><h3>{}</h3>'
        '<p class="when">{} to {}</p><p class="band"><span class="mark" aria-hidden="true">{}</span> {}</p>'
        '{}<p class="facts">{}</p><p class="reason">{}</p></div></article>'
    ).format(
        COLOURS[verdict.label],
        picture,
        f"Face of {person_name(person.id).lower()}",
        person_name(person.id),
        clock(person.start_s),
        clock(person.end_s),
        MARKS[verdict.label],
        BANDS[verdict.label],
        gauge(verdict),
        _facts(verdict),
        verdict.reason,
    )


def _facts(verdict: Verdict) -> str:
    coverage = f"Coverage {percent(verdict.coverage)}"
    if verdict.fake is None or verdict.interval is None:
        return coverage
    return f"P(manipulated) {number(verdict.fake)}, 90 % interval {number(verdict.interval[0])} to {number(verdict.interval[1])} · {coverage}"


def _result(finding: Finding) -> str:
    if finding.status == "skipped":
        return f"Skipped: {finding.reason}"
    if finding.fake is None:
        return finding.reason or "Not calibrated"
    interval = f" ({number(finding.interval[0])} to {number(finding.interval[1])})" if finding.interval else ""
    return number(finding.fake) + interval


def _own(finding: Finding) -> str:
    mean = None if finding.overall is None else f"mean {number(finding.overall)}"
    vote = None if finding.vote is None else f"{percent(finding.vote)} of {len(finding.scores)} blocks vote fake"
    return ", ".join(filter(None, [mean, vote])) or "–"


def _heading(title: str, hint: str) -> Markup:
    return Markup('<h2>{}</h2><p class="hint">{}</p>').format(title, hint)


def _section(title: str, hint: str, body: Markup) -> Markup:
    return Markup("<section>{}{}</section>").format(_heading(title, hint), body)


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Markup:
    """A table whose cells know their column, so that a narrow screen can show each row as a card."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(h) for h in heads)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td data-head="{}">{}</td>').format(h, cell) for h, cell in zip(heads, row, strict=True)
            )
        )
        for row in rows
    )
    return Markup('<table class="plain"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(head, body)


def _list(sentences: tuple[str, ...]) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(s) for s in sentences)
    return Markup("<ul>{}</ul>").format(items) if sentences else Markup("")
