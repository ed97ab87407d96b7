"""What all figures share: colours, number formats, words made safe, and one layout.

A page is light or dark and Plotly cannot ask which, so figures are transparent and every colour is of middling
luminance: at least 3:1 against white and against Gradio's dark panels. The hues are those of Okabe and Ito, "Color
Universal Design" (2008), moved as far as that takes. No figure says anything by colour alone.
"""

import html
import textwrap
from typing import Any

import plotly.graph_objects as go

from core.types import Basis, Finding, Label, Report
from core.words import named, say

BLUE, VERMILLION, GREEN, PURPLE, OCHRE = "#1E7BB8", "#D55E00", "#009E73", "#B8649A", "#A67C00"
GREY = "#808080"
FAINT = "rgba(128, 128, 128, 0.25)"

BANDS = {
    Label.STRONG_SIGNS: VERMILLION,
    Label.SOME_SIGNS: OCHRE,
    Label.INCONCLUSIVE: PURPLE,
    Label.NO_SIGNS: BLUE,
    Label.NOT_ASSESSED: GREY,
}

LOOKS = (
    (BLUE, "circle"),
    (VERMILLION, "square"),
    (GREEN, "diamond"),
    (PURPLE, "triangle-up"),
    (OCHRE, "cross"),
)
"""Colour and marker of the first, second, ... person (or method, where only one person is shown); then again."""

ON_FILL = "#FFFFFF"
"""Text on the fills below: 4.5:1 or more."""

PROBABILITIES = ((0.0, "#00639E"), (0.5, "#6B6B6B"), (1.0, "#B34E00"))
"""P(manipulated) from 0 to 1."""

SKIPPED = ("#5C5C5C", "#6B6B6B")
"""Ground and hatching of a cell without a number."""

FUSED = "fused"
"""Stands where a method's name would, for all of them together; `shown_method` has the word for it."""

_HOVER_WIDTH = 42
"""Characters a line; a hover box wider than that leaves a 390 px screen."""


def look(position: int) -> tuple[str, str]:
    """The same colour comes with another marker each time it comes round again: 25 looks."""
    count = len(LOOKS)
    return LOOKS[position % count][0], LOOKS[(position + position // count) % count][1]


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def probability(value: float) -> str:
    return f"{value:.2f}"


def interval(ends: tuple[float, float]) -> str:
    low, high = map(probability, ends)
    return say("numbers.interval", low=low, high=high)


def person_name(track_id: int) -> str:
    return say("names.person", id=track_id)


def region_name(region: str) -> str:
    return named("regions", region)


def basis_name(basis: Basis) -> str:
    return named("bases", basis)


def method_name(report: Report, finding: Finding) -> str:
    """The detector, or the very weights where the report holds several sets for one detector and region."""
    sets = {
        other.weights.id
        for other in report.findings
        if other.weights and (other.detector, other.region) == (finding.detector, finding.region)
    }
    return finding.weights.id if finding.weights and len(sets) > 1 else finding.detector


def shown_method(name: str) -> str:
    return named("methods", name)


def safe(text: str) -> str:
    """Text of unknown origin for a place where Plotly reads tags, broken into lines for a hover box."""
    # Quotes stay: outside a tag they mean nothing.
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(text, _HOVER_WIDTH))


def layout(height: int, **more: Any) -> go.Layout:
    """Transparent, narrow margins, legend below; `height` in px, the width is the page's."""
    return go.Layout(
        template="none",
        height=height,
        autosize=True,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 12, "family": "system-ui, sans-serif"},
        # The box's own colours, for the default is the trace's, under text that may not read on it.
        hoverlabel={"bgcolor": "#222222", "bordercolor": "#888888", "font": {"color": "#ffffff"}, "align": "left"},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        # A finger that scrolls the page past the figure must not zoom it.
        dragmode=False,
        **more,
    )


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 6, "font": {"size": 12}},
        "automargin": True,
        "gridcolor": FAINT,
        "linecolor": GREY,
        "zeroline": False,
        "fixedrange": True,
        **more,
    }


def hatched(shape: str, ground: str = FAINT, ink: str = GREY) -> dict[str, Any]:
    """The fill of what has no number: grey, with Plotly's pattern `shape` so that it differs in more than colour."""
    pattern = {"shape": shape, "fgcolor": ink, "bgcolor": ground, "size": 6}
    return {"color": ground, "line": {"color": GREY, "width": 1}, "pattern": pattern}


def note(text: str) -> dict[str, Any]:
    """A line inside a figure that has nothing to draw."""
    place = {"x": 0.5, "y": 0.7, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": 14}, **place}
