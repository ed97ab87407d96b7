"""The matrix: every method and region of every person against time, beside what each came to overall."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.types import Finding, FusedLine, Report
from core.words import say
from plots import style
from plots.timeline import timeline_lines

BINS = 60
"""Equal parts of the video, each a column: on a phone four pixels wide."""

OVERALL = 0.26
"""Share of the width that the overall numbers take."""

ROW_PX = 36


@dataclass(frozen=True, slots=True)
class Cell:
    """One method on one region of one person, or all of them fused.

    `fake` is P(manipulated), None when there is none; `text` the number, marked where it is uncalibrated, or the word
    for why there is none; `note` how sure the number is, or the reason for the word. `moments` has P(manipulated) for
    each of `BINS` equal parts of the video, the highest in it; None where nothing looked.
    """

    person: int
    method: str
    region: str
    fake: float | None
    text: str
    note: str
    moments: tuple[float | None, ...] = (None,) * BINS

    @property
    def name(self) -> str:
        return " · ".join((style.person_name(self.person), *self.names))

    @property
    def names(self) -> list[str]:
        """Of the method and, where there is one, of the region."""
        return [style.shown_method(self.method), *([style.region_name(self.region)] if self.region else [])]


def matrix_cells(report: Report, fused: Sequence[FusedLine] = ()) -> list[Cell]:
    """Person by person what was fused, if there is anything, and then each finding in the report's order."""
    duration_s = report.video.duration_s
    lines = {(line.person, line.method, line.region): line for line in timeline_lines(report)}
    cells = []
    for person in report.tracks:
        for line in (line for line in fused if line.track_id == person.id):
            remark = "" if line.basis == "calibrated" else f" ({style.basis_name(line.basis)})"
            text, note = style.probability(person.verdict.fake or 0.0) + remark, _interval(person.verdict.interval)
            step_s = max((scored.step_s for scored in lines.values() if scored.person == person.id), default=0.0)
            moments = _moments(line.time_s, line.fake, step_s, duration_s)
            cells.append(Cell(person.id, style.FUSED, "", person.verdict.fake, text, note, moments))
        for finding in (f for f in report.findings if f.track_id == person.id):
            method = style.method_name(report, finding)
            scored = lines.get((person.id, method, finding.region))
            moments = _moments(scored.time_s, scored.fake, scored.step_s, duration_s) if scored else (None,) * BINS
            cells.append(Cell(person.id, method, finding.region, finding.fake, *_words(finding), moments))
    return cells


def plot_matrix(report: Report, fused: Sequence[FusedLine] = ()) -> go.Figure:
    """A row for each person, method and region, since a phone has few columns; across, the overall number, then time.

    `layout.meta.rows` says whose each row is, from the top.
    """
    cells = matrix_cells(report, fused)
    ground, ink = style.SKIPPED
    colours = {"colorscale": style.PROBABILITIES, "cmin": 0, "cmax": 1}
    known = [(i, cell) for i, cell in enumerate(cells) if cell.fake is not None]
    unknown = [(i, cell) for i, cell in enumerate(cells) if cell.fake is None]
    present = {person.id: (person.start_s, person.end_s) for person in report.tracks}
    return go.Figure(
        [
            _bricks(known, {"color": [cell.fake for _, cell in known], **colours}),
            _bricks(unknown, style.hatched("/", ground, ink)),
            _heat(cells, report.video.duration_s),
            _blanks(unknown, present),
        ],
        style.layout(
            90 + ROW_PX * max(len(cells), 2),
            showlegend=False,
            barmode="overlay",
            hovermode="closest",
            meta={"rows": [{"person": c.person, "method": c.method, "region": c.region} for c in cells]},
            xaxis=style.axis(say("matrix.overall"), range=[0, 1], tickvals=[], showgrid=False, domain=[0, OVERALL]),
            xaxis2=style.axis(
                say("plots.time"), range=[0, report.video.duration_s], domain=[OVERALL + 0.02, 1], showgrid=False
            ),
            yaxis=style.axis(
                "",
                tickvals=list(range(len(cells))),
                ticktext=list(_row_names(cells)),
                range=[max(len(cells), 1) - 0.5, -0.5],
                showgrid=False,
            ),
            annotations=[] if cells else [style.note(say("matrix.empty"))],
        ),
    )


def _words(finding: Finding) -> tuple[str, str]:
    if finding.fake is None:
        return say("matrix.skipped"), finding.reason or ""
    remark = "" if finding.calibrated else f" ({style.basis_name('uncalibrated')})"
    return style.probability(finding.fake) + remark, _interval(finding.interval)


def _interval(interval: tuple[float, float] | None) -> str:
    return style.interval(interval) if interval else ""


def _moments(
    time_s: Sequence[float | None], fake: Sequence[float | None], step_s: float, duration_s: float
) -> tuple[float | None, ...]:
    """A broken line in equal parts of the video; each run of it stands for half a step beyond either end."""
    edges = np.linspace(0, duration_s, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    moments = np.full(BINS, np.nan)
    for times, values in _runs(time_s, fake):
        inside = (times[0] - step_s / 2 <= middles) & (middles <= times[-1] + step_s / 2)
        moments[inside] = np.interp(middles[inside], times, values)
    for t, p in zip(time_s, fake, strict=True):
        if t is not None and p is not None:
            i = min(int(t / duration_s * BINS), BINS - 1)
            moments[i] = np.fmax(moments[i], p)
    return tuple(None if np.isnan(p) else float(p) for p in moments)


def _runs(time_s: Sequence[float | None], fake: Sequence[float | None]) -> Iterator[tuple[list[float], list[float]]]:
    times: list[float] = []
    values: list[float] = []
    for t, p in [*zip(time_s, fake, strict=True), (None, None)]:
        if t is not None and p is not None:
            times.append(t)
            values.append(p)
        elif times:
            yield times, values
            times, values = [], []


def _row_names(cells: Sequence[Cell]) -> Iterator[str]:
    """The person is named in the first of their rows only, so that numbers have room on a phone."""
    for before, cell in zip((None, *cells), cells, strict=False):
        person = [] if before and before.person == cell.person else [style.person_name(cell.person)]
        yield "<br>".join(style.safe(line) for line in (*person, *cell.names))


def _bricks(rows: Sequence[tuple[int, Cell]], fill: dict[str, Any]) -> go.Bar:
    """Overall numbers as bars, since a heat map knows no hatching and does not shrink its text to fit."""
    return go.Bar(
        orientation="h",
        base=[0] * len(rows),
        x=[1] * len(rows),
        y=[i for i, _ in rows],
        width=0.92,
        marker=fill,
        text=["<br>".join(cell.text.rsplit(" ", 1)) for _, cell in rows],
        textfont={"color": style.ON_FILL, "size": 13},
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        hoverinfo="text",
        hovertext=[_hover(cell.name, cell.text, cell.note) for _, cell in rows],
    )


def _heat(cells: Sequence[Cell], duration_s: float) -> go.Heatmap:
    width_s = duration_s / BINS
    middles = [(i + 0.5) * width_s for i in range(BINS)]
    return go.Heatmap(
        xaxis="x2",
        x=middles,
        y=list(range(len(cells))),
        z=[cell.moments for cell in cells],
        ygap=3,
        colorscale=style.PROBABILITIES,
        zmin=0,
        zmax=1,
        showscale=False,
        hoverongaps=False,
        hoverinfo="text",
        text=[
            [
                "" if p is None else _hover(cell.name, f"{style.seconds(t)}: P {style.probability(p)}{_remark(cell)}")
                for t, p in zip(middles, cell.moments, strict=True)
            ]
            for cell in cells
        ],
    )


def _remark(cell: Cell) -> str:
    """What the text says of the number beside it."""
    return cell.text[len(style.probability(cell.fake or 0.0)) :]


def _blanks(rows: Sequence[tuple[int, Cell]], present: dict[int, tuple[float, float]]) -> go.Bar:
    """Where a person was in the picture and a method skipped them."""
    spans = [present[cell.person] for _, cell in rows]
    return go.Bar(
        orientation="h",
        xaxis="x2",
        base=[start for start, _ in spans],
        x=[end - start for start, end in spans],
        y=[i for i, _ in rows],
        width=0.92,
        marker=style.hatched("/"),
        hoverinfo="text",
        hovertext=[_hover(cell.name, cell.text, cell.note) for _, cell in rows],
    )


def _hover(*lines: str) -> str:
    return "<br>".join(style.safe(line) for line in lines if line)
