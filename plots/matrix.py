"""The matrix: every method and region against every person."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from core.types import Finding, Report
from plots import style


@dataclass(frozen=True, slots=True)
class Cell:
    """One method on one region of one person.

    `fake` is P(manipulated), None when there is none; `text` the number, marked where it is uncalibrated, or the word
    for why there is none; `note` how sure the number is, or the reason for the word.
    """

    person: int
    method: str
    region: str
    fake: float | None
    text: str
    note: str


def matrix_cells(report: Report) -> list[Cell]:
    """One cell per finding, in the report's order."""
    return [_cell(finding, style.method_name(report, finding)) for finding in report.findings]


def plot_matrix(report: Report) -> go.Figure:
    """Persons across, methods and regions down, since a phone has few columns; what was not asked for stays blank."""
    cells = matrix_cells(report)
    people = [person.id for person in report.tracks]
    rows = list(dict.fromkeys((cell.method, cell.region) for cell in cells))
    known = [cell for cell in cells if cell.fake is not None]
    unknown = [cell for cell in cells if cell.fake is None]
    ground, ink = style.SKIPPED
    return go.Figure(
        [
            _bricks(
                known,
                people,
                rows,
                {"color": [c.fake for c in known], "colorscale": style.PROBABILITIES, "cmin": 0, "cmax": 1},
            ),
            _bricks(unknown, people, rows, style.hatched("/", ground, ink)),
        ],
        style.layout(
            100 + 36 * max(len(rows), 2),
            showlegend=False,
            barmode="overlay",
            xaxis=style.axis(
                "P(manipulated)",
                tickvals=list(range(len(people))),
                ticktext=[style.person_name(person) for person in people],
                range=[-0.5, max(len(people), 1) - 0.5],
                showgrid=False,
            ),
            yaxis=style.axis(
                "",
                tickvals=list(range(len(rows))),
                ticktext=[f"{style.safe(method)}<br>{style.safe(region)}" for method, region in rows],
                range=[max(len(rows), 1) - 0.5, -0.5],
                showgrid=False,
            ),
            annotations=[] if cells else [style.note("No findings to show")],
        ),
    )


def _cell(finding: Finding, method: str) -> Cell:
    if finding.fake is None:
        text, note = "skipped", finding.reason or ""
    else:
        text = style.probability(finding.fake) + ("" if finding.calibrated else " (uncalibrated)")
        note = "90 % interval {} to {}".format(*map(style.probability, finding.interval)) if finding.interval else ""
    return Cell(finding.track_id, method, finding.region, finding.fake, text, note)


def _bricks(cells: list[Cell], people: list[int], rows: list[tuple[str, str]], fill: dict[str, Any]) -> go.Bar:
    """Cells as bars one unit wide, since a heat map knows no hatching and does not shrink its text to fit."""
    return go.Bar(
        orientation="h",
        base=[people.index(cell.person) - 0.48 for cell in cells],
        x=[0.96] * len(cells),
        y=[rows.index((cell.method, cell.region)) for cell in cells],
        width=0.92,
        marker=fill,
        text=[cell.text for cell in cells],
        textfont={"color": style.ON_FILL, "size": 13},
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        hoverinfo="text",
        hovertext=[
            "<br>".join(
                style.safe(line)
                for line in (f"{style.person_name(c.person)} · {c.method} · {c.region}", c.text, c.note)
                if line
            )
            for c in cells
        ],
    )
