"""The score timeline: who scored what, when, and where nobody could look."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

import plotly.graph_objects as go

from core.types import GAP_STEPS, Person, Report
from plots import style

CURSOR_SHAPE = 0
"""The cursor's place in `layout.shapes`: `Plotly.relayout(div, {"shapes[0].x0": t, "shapes[0].x1": t})` moves it."""

VOTE = 0.5
"""A block at or above this votes "manipulated" (LRNet's rule)."""

BLINK_S = 0.2
"""Shorter absences are not drawn: a track may miss a few frames at either end."""

_DASHES = ("solid", "dot", "dash", "dashdot")


@dataclass(frozen=True, slots=True)
class Line:
    """One method on one region of one person over time.

    `score` is the method's own number in [0, 1], before calibration; a None in `time_s` and `score` is a gap. `step_s`
    is the median distance of the scores, or the time the person is in the picture where there is one score only.
    """

    person: int
    method: str
    region: str
    step_s: float
    time_s: tuple[float | None, ...]
    score: tuple[float | None, ...]


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
            method = style.method_name(report, finding)
            lines.append(Line(finding.track_id, method, finding.region, step_s, time_s, score))
    return lines


def timeline_spans(report: Report) -> list[Span]:
    """Where each person is not in the picture, and where they are but no method scored them."""
    lines = timeline_lines(report)
    spans = []
    for person in report.tracks:
        away = [(0.0, person.start_s), (person.end_s, report.video.duration_s)]
        spans += [Span(person.id, "absent", a, b, "not in the picture") for a, b in away if b - a > BLINK_S]
        spans += _unscored(report, person, [line for line in lines if line.person == person.id])
    return spans


def plot_timeline(report: Report, person: int | None = None) -> go.Figure:
    """Scores over presentation time of everybody, or of one track id; below them a lane per person without scores."""
    people = [p.id for p in report.tracks if person in (None, p.id)]
    lines = [line for line in timeline_lines(report) if line.person in people]
    spans = [span for span in timeline_spans(report) if span.person in people]
    lanes = len(people) if spans else 0
    height = 250 + 24 * lanes + 20 * len(lines) + (110 if lanes else 70)
    floor = 24 * lanes / (250 + 24 * lanes)
    figure = go.Figure(
        [*(_line_traces(lines) if lines else [_NO_LINE]), *_span_traces(spans)],
        style.layout(
            height,
            hovermode="closest",
            showlegend=True,
            barmode="overlay",
            xaxis=style.axis("Time in the video (s)", range=[0, report.video.duration_s], anchor="free", position=0),
            yaxis=style.axis(
                "P(manipulated) by block,<br>method’s own, not calibrated",
                range=[-0.03, 1.03],
                tickvals=[0, 0.25, 0.5, 0.75, 1],
                domain=[floor + 0.03 * bool(lanes), 1],
            ),
            shapes=[_CURSOR, _VOTE_LINE],
            annotations=[] if lines else [style.note("No scores to show")],
        ),
    )
    if lanes:
        names = [style.person_name(p) for p in people]
        figure.update_layout(
            yaxis2=style.axis("", domain=[0, floor], categoryarray=names[::-1], range=[-0.5, lanes - 0.5])
        )
    return figure


_NO_LINE = go.Scatter(x=[None], y=[None], showlegend=False)
"""Without a line, Plotly.js 3.3 reports a broken path when it draws the vote line's place in the legend."""

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

_VOTE_LINE = {
    "name": f"From {VOTE} up a block counts as a vote",
    "showlegend": True,
    "type": "line",
    "xref": "x domain",
    "yref": "y",
    "x0": 0,
    "x1": 1,
    "y0": VOTE,
    "y1": VOTE,
    "layer": "below",
    "line": {"color": style.GREY, "width": 1, "dash": "dash"},
}


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
            yield Span(person.id, "unscored", reached, start, "in the picture, but no method could score this stretch")
        reached = max(reached, end)


def _line_traces(lines: list[Line]) -> Iterator[go.Scatter]:
    people = list(dict.fromkeys(line.person for line in lines))
    methods = list(dict.fromkeys((line.method, line.region) for line in lines))
    for line in lines:
        rank = methods.index((line.method, line.region))
        colour, symbol = style.look(people.index(line.person) if len(people) > 1 else rank)
        name = style.safe(f"{style.person_name(line.person)} · {line.method} · {line.region}")
        yield go.Scatter(
            x=line.time_s,
            y=line.score,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": _DASHES[rank % len(_DASHES)]},
            marker={"color": colour, "symbol": symbol, "size": 7},
            hoverinfo="text",
            hovertext=[
                f"{name}<br>{style.seconds(t)}: {style.probability(s)}" if t is not None and s is not None else ""
                for t, s in zip(line.time_s, line.score, strict=True)
            ],
        )


def _span_traces(spans: list[Span]) -> Iterator[go.Bar]:
    for kind, title, pattern in (("absent", "Not in the picture", "."), ("unscored", "Not scored", "/")):
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
                        f"{style.person_name(span.person)}, {style.seconds(span.start_s)} to "
                        f"{style.seconds(span.end_s)}: {span.reason}"
                    )
                    for span in chosen
                ],
                textposition="none",
            )
