"""The score timeline: who scored what, when, what that is fused to, and where nobody could look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median
from typing import Any, Literal

import plotly.graph_objects as go

from core.odds import sigmoid, weighed_logit
from core.types import GAP_STEPS, Finding, FusedLine, Person, Report
from core.words import say
from plots import style

CURSOR_SHAPE = 0
"""The cursor's place in `layout.shapes`: `Plotly.relayout(div, {"shapes[0].x0": t, "shapes[0].x1": t})` moves it."""

BLINK_S = 0.2
"""Shorter absences are not drawn: a track may miss a few frames at either end."""

_DASHES = ("solid", "dot", "dash", "dashdot")

FEW = 3
"""Of more lines than these only the strongest of each person is drawn at first; the legend brings the others."""

LEGEND_PX = 240
"""A longer legend scrolls."""


@dataclass(frozen=True, slots=True)
class Line:
    """One method on one region of one person over time.

    `score` is the method's own number in [0, 1], `fake` P(fake) as which it enters the verdict; a None in `time_s`,
    `score` and `fake` is a gap. `remark` says whether P(fake) is uncalibrated, or not even known. `step_s` is the
    median distance of the scores, or the time the person is in the picture where there is one score only.
    """

    person: int
    method: str
    region: str
    remark: str
    step_s: float
    time_s: tuple[float | None, ...]
    score: tuple[float | None, ...]
    fake: tuple[float | None, ...]

    @property
    def name(self) -> str:
        parts = (style.person_name(self.person), self.method, style.region_name(self.region))
        return " · ".join(parts) + (f" ({self.remark})" if self.remark else "")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a person has no score, and why."""

    person: int
    kind: Literal["absent", "unscored"]
    start_s: float
    end_s: float
    reason: str


def timeline_lines(report: Report) -> list[Line]:
    """One line per scored finding that has a time series, in the report's order."""
    people = {person.id: person for person in report.tracks}
    lines = []
    for finding in report.findings:
        if finding.status == "scored" and finding.time_s:
            steps = [b - a for a, b in pairwise(finding.time_s)]
            person = people[finding.track_id]
            step_s = median(steps) if steps else person.end_s - person.start_s
            time_s, score = _broken(finding.time_s, finding.scores, GAP_STEPS * step_s)
            names = (finding.track_id, style.method_name(report, finding), finding.region)
            fake = tuple(None if s is None else _fake(finding, s) for s in score)
            lines.append(Line(*names, _remark(finding), step_s, time_s, score, fake))
    return lines


def timeline_spans(report: Report) -> list[Span]:
    """Where each person is not in the picture, and where they are but no method scored them."""
    lines = timeline_lines(report)
    spans = []
    for person in report.tracks:
        away = [(0.0, person.start_s), (person.end_s, report.video.duration_s)]
        spans += [Span(person.id, "absent", a, b, say("timeline.absent_then")) for a, b in away if b - a > BLINK_S]
        spans += _unscored(report, person, [line for line in lines if line.person == person.id])
    return spans


def plot_timeline(report: Report, fused: Sequence[FusedLine] = (), person: int | None = None) -> go.Figure:
    """P(manipulated) over presentation time of everybody, or of one track id; below them a lane per person without
    scores.

    A trace's `meta` says whose it is. Those of kind "yours" are empty; `yours` says what fills them.
    """
    people = [p.id for p in report.tracks if person in (None, p.id)]
    lines = [line for line in timeline_lines(report) if line.person in people]
    fused = [line for line in fused if line.track_id in people]
    spans = [span for span in timeline_spans(report) if span.person in people]
    lanes = len(people) if spans else 0
    traces = [*_fused_traces(fused, people), *_line_traces(lines, people)]
    below = min(20 * (len(traces) - len(fused)), LEGEND_PX)
    floor = 24 * lanes / (250 + 24 * lanes)
    figure = go.Figure(
        [*(traces or [_NO_LINE]), *_span_traces(spans)],
        style.layout(
            250 + 24 * lanes + below + (110 if lanes else 70),
            hovermode="closest",
            showlegend=True,
            barmode="overlay",
            xaxis=style.axis(say("plots.time"), range=[0, report.video.duration_s], anchor="free", position=0),
            yaxis=style.axis(
                say("numbers.fake"),
                range=[-0.03, 1.03],
                tickvals=[0, 0.25, 0.5, 0.75, 1],
                domain=[floor + 0.03 * bool(lanes), 1],
            ),
            shapes=[_CURSOR, _EVEN | {"name": say("timeline.even")}],
            annotations=[] if lines else [style.note(say("timeline.empty"))],
        ),
    )
    figure.update_layout(legend={"groupclick": "toggleitem", "maxheight": LEGEND_PX})
    if lanes:
        names = [style.person_name(p) for p in people]
        figure.update_layout(
            yaxis2=style.axis("", domain=[0, floor], categoryarray=names[::-1], range=[-0.5, lanes - 0.5])
        )
    return figure


def yours(fused: Sequence[FusedLine]) -> list[dict[str, Any]]:
    """What `Plotly.restyle` fills the lines of kind "yours" with: by person, name, x, y and what hovering shows."""
    return [{"person": line.track_id, **_points(line, say("timeline.yours"))} for line in fused]


_NO_LINE = go.Scatter(x=[None], y=[None], showlegend=False)
"""Without a line, Plotly.js 3.3 reports a broken path when it draws that of one half in the legend."""

_CURSOR = {
    "name": "cursor",
    "type": "line",
    "xref": "x",
    "yref": "paper",
    "x0": 0,
    "x1": 0,
    "y0": 0,
    "y1": 1,
    "line": {"color": style.GREY, "width": 2},
}

_EVEN = {
    "showlegend": True,
    "type": "line",
    "xref": "x domain",
    "yref": "y",
    "x0": 0,
    "x1": 1,
    "y0": 0.5,
    "y1": 0.5,
    "layer": "below",
    "line": {"color": style.GREY, "width": 1, "dash": "dash"},
}


def _fake(finding: Finding, score: float) -> float:
    return sigmoid(weighed_logit(score, finding.weighing)) if finding.weighing else score


def _remark(finding: Finding) -> str:
    if finding.weighing is None:
        return say("timeline.own")
    return "" if finding.calibrated else style.basis_name("uncalibrated")


def _broken(
    time_s: tuple[float, ...], scores: tuple[float, ...], limit_s: float
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """The series with a None wherever two neighbours are more than `limit_s` apart."""
    times: list[float | None] = []
    values: list[float | None] = []
    for before, now, score in zip((time_s[0], *time_s), time_s, scores, strict=False):
        if now - before > limit_s:
            times.append(None)
            values.append(None)
        times.append(now)
        values.append(score)
    return tuple(times), tuple(values)


def _unscored(report: Report, person: Person, lines: list[Line]) -> Iterator[Span]:
    """The holes that the lines of one person leave; each score stands for half a step to either side."""
    if not lines:
        reasons = dict.fromkeys(f.reason for f in report.findings if f.track_id == person.id and f.reason)
        yield Span(person.id, "unscored", person.start_s, person.end_s, " ".join(reasons) or person.verdict.reason)
        return
    step_s = max(line.step_s for line in lines)
    scored = sorted((t - line.step_s / 2, t + line.step_s / 2) for line in lines for t in line.time_s if t is not None)
    reached = person.start_s
    for start, end in [*scored, (person.end_s, person.end_s)]:
        # The same rule as for joining: times 2.5 steps apart leave 1.5 steps uncovered.
        if start - reached > (GAP_STEPS - 1) * step_s:
            yield Span(person.id, "unscored", reached, start, say("timeline.unscored_then"))
        reached = max(reached, end)


def _fused_traces(fused: Sequence[FusedLine], people: list[int]) -> Iterator[go.Scatter]:
    for kind, called, dash in (
        ("fused", style.shown_method(style.FUSED), "solid"),
        ("yours", say("timeline.yours"), "dash"),
    ):
        for line in fused:
            colour, symbol = style.look(people.index(line.track_id))
            yield go.Scatter(
                **_points(line, called) | ({} if kind == "fused" else {"x": [None], "y": [None], "hovertext": None}),
                meta={"kind": kind, "person": line.track_id},
                mode="lines+markers",
                line={"color": colour, "width": 4, "dash": dash},
                marker={"color": colour, "symbol": symbol, "size": 11, "maxdisplayed": 6},
                legendgroup="fused",
                showlegend=kind == "fused",
                hoverinfo="text",
            )


def _points(line: FusedLine, called: str) -> dict[str, Any]:
    remark = "" if line.basis == "calibrated" else f" ({style.basis_name(line.basis)})"
    name = f"{style.person_name(line.track_id)} · {called}{remark}"
    return {
        "name": name,
        "x": line.time_s,
        "y": line.fake,
        "hovertext": [
            "" if t is None or p is None else f"{name}<br>{style.seconds(t)}: P {style.probability(p)}"
            for t, p in zip(line.time_s, line.fake, strict=True)
        ],
    }


def _line_traces(lines: list[Line], people: list[int]) -> Iterator[go.Scatter]:
    methods = list(dict.fromkeys((line.method, line.region) for line in lines))
    own = say("timeline.own")
    strongest = {line.person: line for line in sorted(lines, key=_mean)}
    for line in lines:
        rank = methods.index((line.method, line.region)) + 1  # the first look is that of the fused line
        colour, symbol = style.look(rank)
        if len(people) > 1:
            colour, symbol = style.look(people.index(line.person))
        name = style.safe(line.name)
        yield go.Scatter(
            x=line.time_s,
            y=line.fake,
            name=name,
            meta={"kind": "line", "person": line.person, "method": line.method, "region": line.region},
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": _DASHES[(rank - 1) % len(_DASHES)]},
            marker={"color": colour, "symbol": f"{symbol}-open" if line.remark else symbol, "size": 7},
            legendgroup=line.method,
            visible=True if len(lines) <= FEW or line is strongest[line.person] else "legendonly",
            hoverinfo="text",
            hovertext=[
                ""
                if t is None or s is None or p is None
                else f"{name}<br>{style.seconds(t)}: P {style.probability(p)}, {own} {style.probability(s)}"
                for t, s, p in zip(line.time_s, line.score, line.fake, strict=True)
            ],
        )


def _mean(line: Line) -> float:
    return mean(p for p in line.fake if p is not None)


def _span_traces(spans: list[Span]) -> Iterator[go.Bar]:
    for kind, title, pattern in (("absent", say("timeline.absent"), "."), ("unscored", say("timeline.unscored"), "/")):
        chosen = [span for span in spans if span.kind == kind]
        if chosen:
            yield go.Bar(
                orientation="h",
                yaxis="y2",
                base=[span.start_s for span in chosen],
                x=[span.end_s - span.start_s for span in chosen],
                y=[style.person_name(span.person) for span in chosen],
                name=title,
                width=0.7,
                marker=style.hatched(pattern),
                hoverinfo="text",
                hovertext=[
                    style.safe(
                        say(
                            "timeline.span",
                            person=style.person_name(span.person),
                            start=style.seconds(span.start_s),
                            end=style.seconds(span.end_s),
                            reason=span.reason,
                        )
                    )
                    for span in chosen
                ],
                textposition="none",
            )
