"""How a report is laid out for people; the same for one just made and one from the history."""

import base64
from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from analysis.explanation import explain_spread
from analysis.weighing import fused_lines, reweigh
from core.types import Finding, Person, Report, Verdict
from core.words import say
from plots import plot_landmarks, plot_matrix, plot_timeline, yours
from plots.style import basis_name, method_name, person_name, region_name
from preprocessing.quality import BLURRED, TURNED_DEG
from ui.downloads import downloads
from ui.exhibits import ExhibitsView, Find
from ui.languages import everywhere, said
from ui.markup import band, boxed, bullets, facts, gauge, hint, numbers, table, titled
from ui.messages import QUICK, clock, friendly, number, percent
from ui.provenance import credentials
from ui.visit import Desk
from ui.weighing import READ_WEIGHTS, asked, panel, preview


class ReportView:
    """The components of one report, built where the object is made and filled by `show`.

    The person shown in the animation is fetched by `find`, so that a page holds no more of a report than it draws.
    """

    def __init__(
        self, name: str, find: Find, secret: gr.BrowserState, desk: Desk, *, with_player: bool = False
    ) -> None:
        self._name = name
        self._report_id = gr.State("")
        with gr.Column(visible=False, elem_classes="report") as self._whole:
            self._banner = gr.HTML()
            with gr.Column() as self._scores:
                gr.HTML(
                    everywhere(
                        lambda: titled(
                            say("result.scores"),
                            say("result.scores_hint") + (" " + say("result.player_hint") if with_player else ""),
                        )
                    )
                )
                self._timeline = gr.Plot(show_label=False, elem_id=f"{name}-timeline")
                with gr.Accordion(said("weighing.title"), open=False) as self._weighing:
                    gr.HTML(everywhere(lambda: hint(say("weighing.hint"))))
                    self._panel = gr.HTML(js_on_load=READ_WEIGHTS, elem_id=f"{name}-weights")
                    self._preview = gr.HTML(elem_classes="weighed")
            self._people = gr.HTML()
            with gr.Column() as self._movement:
                gr.HTML(everywhere(lambda: titled(say("result.movement"), say("result.movement_hint"))))
                self._person = gr.Radio([], label=said("result.person"))
                self._landmarks = gr.Plot(show_label=False, elem_id=f"{name}-landmarks")
            with gr.Column() as self._overview:
                gr.HTML(everywhere(lambda: titled(say("result.matrix"), say("result.matrix_hint"))))
                self._matrix = gr.Plot(show_label=False, elem_id=f"{name}-matrix")
            self._exhibits = ExhibitsView(find, secret, self._report_id)
            self._tables = gr.HTML()
            downloads(find, secret, self._report_id, desk)
        self._frames, self._yours = gr.JSON(visible=False), gr.JSON(visible=False)
        self.outputs = [
            *(self._report_id, self._whole, self._banner, self._scores, self._timeline, self._people, self._movement),
            *(self._weighing, self._panel, self._preview),
            *(self._person, self._landmarks, self._frames, self._overview, self._matrix, self._tables),
            *self._exhibits.outputs,
        ]

        @friendly
        def animate(report_id: str, person: int, secret: str | None, request: gr.Request) -> tuple[Any, Any]:
            report = find(report_id, secret, request)
            return plot_landmarks(next((p.motion for p in report.tracks if p.id == person), None))

        @friendly
        def weigh(report_id: str, secret: str | None, request: gr.Request, event: gr.EventData) -> tuple[Any, Any]:
            weights = asked(event.weights)
            if not weights:
                return "", []
            anew = reweigh(find(report_id, secret, request), weights, desk.in_force)
            return preview(anew), yours(fused_lines(anew))

        weighed = self._panel.apply(
            weigh,
            [self._report_id, secret],
            [self._preview, self._yours],
            trigger_mode="always_last",
            **QUICK,
        )
        weighed.then(None, self._yours, None, js=f"(lines) => telltale.drawYours('{name}', lines)")
        chosen = self._person.input(
            animate,
            [self._report_id, self._person, secret],
            [self._landmarks, self._frames],
            queue=False,
            api_visibility="private",
        )
        chosen.then(None, self._frames, None, js=f"(frames) => telltale.addFrames('{name}', frames)")

    def settle_after(self, event: Any) -> None:
        """What is to be done in the browser once `event` has shown a report.

        `gr.Plot` hands Plotly no frames, so they are given back once the figure is drawn; and what was weighed by hand
        is undone, since of a report that is shown again the page draws nothing anew.
        """
        event.then(None, self._frames, None, js=f"(frames) => telltale.settle('{self._name}', frames)")

    def show(self, report: Report, note: str = "") -> dict[Any, Any]:
        """The updates that make this view show a report."""
        people = [(person_name(person.id), person.id) for person in report.tracks]
        motion = report.tracks[0].motion if report.tracks else None
        figure, frames = plot_landmarks(motion)
        fused, weights = fused_lines(report), panel(report)
        some, several = gr.update(visible=bool(people)), len(people) > 1
        return {
            self._report_id: report.id,
            self._whole: gr.update(visible=True),
            self._banner: banner(report, note),
            self._scores: some,
            self._timeline: plot_timeline(report, fused),
            self._weighing: gr.update(visible=bool(weights), open=False),
            self._panel: weights,
            self._preview: "",
            self._people: cards(report),
            self._movement: some,
            self._person: gr.update(choices=people, value=people[0][1] if people else None, visible=several),
            self._landmarks: figure,
            self._frames: frames,
            self._overview: some,
            self._matrix: plot_matrix(report, fused),
            self._tables: Markup("").join(
                [
                    quality(report),
                    findings(report),
                    warnings(report),
                    credentials(report.provenance),
                    details(report),
                ]
            ),
        } | self._exhibits.show(report)

    def hide(self) -> dict[Any, Any]:
        return {self._report_id: "", self._whole: gr.update(visible=False)}


def banner(report: Report, note: str = "") -> Markup:
    """The verdict on the whole video."""
    verdict = report.verdict
    body = Markup(
        '<h2>{}</h2><p class="reason">{}</p>{}<p class="quiet">{}</p>{}<p class="quiet">{} · {}</p>{}'
    ).format(
        band(verdict.label),
        verdict.reason,
        gauge(verdict),
        numbers(verdict),
        spread(report, verdict, None),
        report.video.name,
        clock(report.video.duration_s),
        Markup('<p class="note" role="note">{}</p>').format(note) if note else "",
    )
    return boxed("banner", verdict.label, body)


def cards(report: Report) -> Markup:
    """One card per person."""
    if not report.tracks:
        return Markup("")
    people = Markup("").join(_card(person, spread(report, person.verdict, person.id)) for person in report.tracks)
    return Markup('<h2>{}</h2><div class="people">{}</div>').format(say("result.people"), people)


def spread(report: Report, verdict: Verdict, track_id: int | None) -> Markup:
    """How far the number of the video, or of a person, moved when the clip was changed."""
    words = explain_spread(verdict, [trial for trial in report.trials if trial.track_id == track_id])
    return Markup('<p class="quiet">{}</p>').format(words) if words else Markup("")


def quality(report: Report) -> Markup:
    """Could these faces be judged?"""
    if not report.tracks:
        return Markup("")
    columns: dict[str, Callable[[Person], object]] = {
        say("result.person"): lambda person: person_name(person.id),
        say("result.face_width"): lambda person: f"{person.face_px:.0f} px",
        say("result.sharpness"): lambda person: f"{person.quality.sharpness:.0f}",
        say("result.head_turn"): lambda person: f"{person.quality.yaw_deg:.0f}°",
        say("result.time_seen"): lambda person: percent(person.quality.coverage),
        say("result.frame_rate"): lambda person: f"{person.quality.frame_rate_hz:.1f} Hz",
        say("result.repeated"): lambda person: percent(person.quality.repeated),
        say("result.imputed"): lambda person: percent(person.quality.imputed),
        say("result.remarks"): lambda person: bullets(person.quality.warnings) or say("result.none"),
    }
    below = say("result.quality_hint", blurred=f"{BLURRED:.0f}", turned=f"{TURNED_DEG:.0f}")
    rows = [[of(person) for of in columns.values()] for person in report.tracks]
    return titled(say("result.quality"), below) + table(list(columns), rows)


def findings(report: Report) -> Markup:
    """Every method on every person, with its number or the reason why there is none."""
    if not report.findings:
        return Markup("")
    columns: dict[str, Callable[[Finding], object]] = {
        say("result.person"): lambda finding: person_name(finding.track_id),
        say("result.method"): lambda finding: method_name(report, finding),
        say("result.region"): lambda finding: region_name(finding.region),
        say("result.result"): _result,
        say("result.own"): _own,
        say("result.counts"): lambda finding: number(finding.weighing.reliability) if finding.weighing else "–",
        say("result.weights"): lambda finding: finding.weights.id if finding.weights else "–",
        "": lambda finding: _opener(report, finding),
    }
    rows = [[of(finding) for of in columns.values()] for finding in report.findings]
    return titled(say("result.findings"), say("result.findings_hint")) + table(list(columns), rows)


def warnings(report: Report) -> Markup:
    if not report.warnings:
        return Markup("")
    return titled(say("result.warnings"), say("result.warnings_hint")) + bullets(report.warnings)


def details(report: Report) -> Markup:
    """What is needed to account for it."""
    video, claimed = report.video, report.video.frames
    weights = {f.weights.id: f.weights for f in report.findings if f.weights}
    about = {
        say("result.video"): f"{video.width} × {video.height} px, {video.fps:.2f} fps, {video.codec}",
        say("result.frames"): say(
            "result.decoded",
            decoded=video.frames_decoded,
            claimed=say("result.nothing") if claimed is None else claimed,
        ),
        say("result.rotation"): f"{video.rotation}°",
        say("result.sha256"): video.sha256,
        say("result.landmarks"): report.options.landmarks,
        say("result.thoroughness"): report.options.thoroughness,
        **{f"{say('result.weights')} {used.id}": f"{used.licence}, SHA-256 {used.sha256}" for used in weights.values()},
        say("result.time_taken"): ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings_s.items()),
        say("result.made"): f"{report.created_at}, {report.device}, Telltale {report.app_version}",
        say("result.report"): report.id,
    }
    return Markup("<details><summary>{}</summary>{}</details>").format(say("result.details"), facts(about))


def _card(person: Person, moved: Markup) -> Markup:
    verdict, name = person.verdict, person_name(person.id)
    body = Markup(
        '<img src="data:image/jpeg;base64,{}" alt="{}"><div><h3>{}</h3><p class="quiet">{}</p>'
        '<p class="band">{}</p>{}<p class="quiet">{}</p>{}<p>{}</p></div>'
    ).format(
        base64.b64encode(person.thumbnail).decode(),
        say("result.face_of", person=name),
        name,
        say("result.from_to", start=clock(person.start_s), end=clock(person.end_s)),
        band(verdict.label),
        gauge(verdict),
        numbers(verdict),
        moved,
        verdict.reason,
    )
    return boxed("person", verdict.label, body)


def _result(finding: Finding) -> str:
    if finding.status == "skipped":
        return say("result.skipped", reason=finding.reason)
    if finding.fake is None:
        return finding.reason or say("result.uncalibrated")
    low, high = map(number, finding.interval or (finding.fake, finding.fake))
    ends = f" ({say('result.from_to', start=low, end=high)})" if finding.interval else ""
    return number(finding.fake) + ends + ("" if finding.calibrated else f", {basis_name('uncalibrated')}")


def _opener(report: Report, finding: Finding) -> Markup:
    """A button that does what a click into the matrix does, at the moment of the highest score."""
    if not finding.time_s:
        return Markup("")
    _, at_s = max(zip(finding.scores, finding.time_s, strict=True))
    return Markup(
        '<span class="actions"><button type="button" data-open data-person="{}" data-method="{}" data-region="{}" '
        'data-time="{:.3f}" aria-label="{}">{}</button></span>'
    ).format(
        *(finding.track_id, method := method_name(report, finding), finding.region, at_s),
        say(
            "result.show_this",
            method=method,
            region=region_name(finding.region),
            person=person_name(finding.track_id),
        ),
        say("result.show"),
    )


def _own(finding: Finding) -> str:
    mean = None if finding.overall is None else say("result.mean", mean=number(finding.overall))
    blocks = len(finding.scores)
    vote = None if finding.vote is None else say("result.vote", share=percent(finding.vote), blocks=blocks)
    grounds = finding.reason if finding.status == "scored" and finding.calibrated else None
    return ", ".join(filter(None, [mean, vote, grounds])) or "–"
