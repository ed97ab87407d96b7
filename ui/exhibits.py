"""Where the methods looked: the gallery of exhibits, and what hiding parts of a face changes."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from analysis.disagreement import method_title
from core.types import Contributions, Exhibit, Occlusion, Report
from core.words import say
from detectors import DETECTORS
from plots.heatmaps import contribution_bars, css_scale, draw_on_crop, draw_on_frame, hottest, size_px
from plots.style import method_name, person_name, region_name
from ui.languages import everywhere, said
from ui.markup import each, table, titled
from ui.messages import clock, friendly, number, percent

ALL = ""

Find = Callable[[str, str | None, gr.Request], Report]
"""The report of an id, for the visitor whose secret and request are given."""


class ExhibitsView:
    """The components; a page holds the exhibits of one person at a time."""

    def __init__(self, find: Find, secret: gr.BrowserState, report_id: gr.State) -> None:
        with gr.Column(visible=False, elem_classes="exhibits") as self._whole:
            gr.HTML(everywhere(lambda: titled(say("exhibits.title"), say("exhibits.hint"))))
            self._person = gr.Radio([], label=said("exhibits.person"))
            self._method = gr.Radio([], label=said("exhibits.method"))
            self._gallery = gr.HTML()
        self.outputs = [self._whole, self._person, self._method, self._gallery]

        @friendly
        def look(report_id: str, person: int, method: str, secret: str | None, request: gr.Request) -> Markup:
            return gallery(find(report_id, secret, request), person, method)

        gr.on(
            [self._person.input, self._method.input],
            look,
            [report_id, self._person, self._method, secret],
            self._gallery,
            queue=False,
            api_visibility="private",
        )

    def show(self, report: Report) -> dict[Any, Any]:
        """The updates that make this view show a report: first, its most suspicious person."""
        shown = {exhibit.track_id for exhibit in report.exhibits} | {o.track_id for o in report.occlusions}
        people = [person for person in report.tracks if person.id in shown]
        if not people:
            return {self._whole: gr.update(visible=False)}
        first = max(people, key=lambda person: person.verdict.fake or 0.0).id
        methods = list(dict.fromkeys(exhibit.weights for exhibit in report.exhibits))
        choices = [(say("exhibits.all"), ALL), *((method, method) for method in methods)]
        return {
            self._whole: gr.update(visible=True),
            self._person: gr.update(
                choices=[(person_name(p.id), p.id) for p in people], value=first, visible=len(people) > 1
            ),
            self._method: gr.update(choices=choices, value=ALL, visible=len(methods) > 1),
            self._gallery: gallery(report, first),
        }


def gallery(report: Report, person: int, method: str = ALL) -> Markup:
    """The exhibits of one person, by all methods or by the weights of this id, and what hiding regions changes."""
    chosen = [e for e in report.exhibits if e.track_id == person and method in (ALL, e.weights)]
    names = {(f.track_id, f.weights.id): method_name(report, f) for f in report.findings if f.weights}
    figures = Markup("").join(_figure(e, names.get((e.track_id, e.weights), e.detector)) for e in chosen)
    found = Markup('<div class="gallery">{}{}</div>').format(_scale(), figures) if chosen else Markup("")
    return found + occlusion_table([row for row in report.occlusions if row.track_id == person])


def occlusion_table(rows: Sequence[Occlusion]) -> Markup:
    """What hiding each region of one person does, to the fused score and to that of each method."""
    if not rows:
        return Markup("")
    heads, body = occlusion_rows(rows)
    whole = titled(say("exhibits.parts"), say("exhibits.parts_hint")) + table(heads, body)
    return Markup('<div class="occlusions">{}</div>').format(whole)


def occlusion_rows(rows: Sequence[Occlusion]) -> tuple[list[str], list[list[str]]]:
    """The same as heads and rows of texts."""
    heads = [
        say("exhibits.score"),
        say("exhibits.unhidden"),
        *(say("exhibits.without", region=region_name(row.region)) for row in rows),
    ]
    fused = [say("exhibits.together"), number(rows[0].fake)]
    fused += [f"{number(row.hidden)} ({_signed(row.hidden - row.fake)})" for row in rows]
    alone = [
        [say("exhibits.alone", method=method), "–", *(_signed(row.moved[method]) for row in rows)]
        for method in rows[0].moved
    ]
    return heads, [fused, *alone]


def _scale() -> Markup:
    return Markup(
        '<p class="scale quiet"><label><input type="checkbox" checked> {}</label> '
        '<span>0</span><span class="ramp" style="background: linear-gradient(90deg, {})"></span><span>1</span></p>'
    ).format(say("exhibits.heat"), css_scale())


def _figure(exhibit: Exhibit, name: str) -> Markup:
    """The page finds it by the name that the matrix gives its method."""
    who, at_s = person_name(exhibit.track_id), clock(exhibit.time_s)
    card = DETECTORS[exhibit.detector].card if exhibit.detector in DETECTORS else None
    method = method_title(exhibit.detector)
    place = hottest(exhibit)
    found = say("exhibits.hottest", place=place) if place else say("exhibits.cold")
    pictures = [
        (exhibit.crop, say("exhibits.crop", method=method, person=who, time=at_s, found=found), draw_on_crop(exhibit)),
        (exhibit.frame, say("exhibits.frame", time=at_s), draw_on_frame(exhibit)),
    ]
    layers = each(
        # Shares of the width by the shape of each picture make them equally high.
        '<span class="layers" style="flex-grow: {:.3f}"><img src="data:image/jpeg;base64,{}" alt="{}">'
        '<img class="heat" src="data:image/png;base64,{}" alt=""></span>',
        [(_aspect(picture), _base64(picture), alt, _base64(heat)) for picture, alt, heat in pictures],
    )
    return Markup(
        '<figure class="exhibit" data-person="{}" data-method="{}" data-region="{}" data-time="{:.3f}">'
        '<div class="pictures">{}</div>{}<figcaption><strong>{}</strong> · {} ({}) · {} '
        '· {} · {}<br><span class="quiet">{} {}</span></figcaption></figure>'
    ).format(
        *(exhibit.track_id, name, exhibit.region, exhibit.time_s),
        layers,
        _course(exhibit.contributions) if exhibit.contributions else "",
        who,
        method,
        exhibit.weights,
        say("exhibits.region", region=region_name(exhibit.region)),
        at_s,
        say("exhibits.scored", score=number(exhibit.score)),
        say("exhibits.no_proof"),
        card.heat if card else "",
    )


def _aspect(picture: bytes) -> float:
    width, height = size_px(picture)
    return width / height


WIDTH, HEIGHT = 320, 96
"""Of the small chart, in its own units."""


def _course(contributions: Contributions) -> Markup:
    """Bars over time: above the line a frame speaks for manipulation, below it against; the thin line is attention."""
    bars = contribution_bars(contributions)
    start, end = bars[0][0], bars[-1][1]
    peak = max(max(abs(added) for *_, added in bars), 1e-9)

    def x(time_s: float) -> float:
        return WIDTH * (time_s - start) / (end - start)

    drawn = each(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {}</title></rect>',
        [
            (
                "for" if added > 0 else "against",
                x(a) + 0.5,
                HEIGHT / 2 - max(added, 0) / peak * HEIGHT / 2,
                max(x(b) - x(a) - 1, 1),
                abs(added) / peak * HEIGHT / 2,
                clock(a),
                _signed(added),
            )
            for a, b, added in bars
        ],
    )
    most = max(contributions.weights, default=1.0)
    points = " ".join(
        f"{(x(a) + x(b)) / 2:.1f},{HEIGHT - 3 - weight / most * (HEIGHT - 6):.1f}"
        for (a, b, _), weight in zip(bars, contributions.weights, strict=False)
    )
    attention = Markup('<polyline points="{}"/>').format(points) if points else ""
    low, high = min(added for *_, added in bars), max(added for *_, added in bars)
    words = say("exhibits.course", start=clock(start), end=clock(end), low=_signed(low), high=_signed(high))
    if contributions.weights:
        words += " " + say("exhibits.attention", most=percent(most))
    return Markup(
        '<div class="course"><svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}'
        '<line x1="0" x2="{}" y1="{}" y2="{}"/>{}</svg><p class="quiet">{}</p></div>'
    ).format(WIDTH, HEIGHT, words, drawn, WIDTH, HEIGHT / 2, HEIGHT / 2, attention, words)


def _signed(moved: float) -> str:
    """With a sign that is no hyphen; what rounds to nothing has none."""
    return f"{moved:+.2f}".replace("-", "\N{MINUS SIGN}") if abs(moved) >= 0.005 else "0.00"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
