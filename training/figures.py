"""ROC curves and reliability of scores by name, drawn the same wherever scores are measured."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from plots import style
from training.measures import reliability, roc

HEIGHT_PX = 480
TITLE_PX = 48


def page(title: str, figures: Sequence[go.Figure]) -> str:
    """HTML with all figures and Plotly itself: it needs nothing from elsewhere."""
    drawn = [figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)]
    return "\n".join([f'<!doctype html><meta charset="utf-8"><title>{style.safe(title)}</title>', *drawn, ""])


def plot_roc(scores: Mapping[str, np.ndarray], fake: np.ndarray, title: str = "ROC") -> go.Figure:
    """Share of manipulated clips found over share of genuine clips accused, of scores (n,) by name; NaN for none."""
    figure = _square(title, "false-positive rate", "true-positive rate")
    for i, (name, values) in enumerate(scores.items()):
        fpr, tpr = roc(values, fake)
        figure.add_scatter(x=fpr, y=tpr, name=style.safe(name), mode="lines", line={"color": style.look(i)[0]})
    return figure


def plot_reliability(scores: Mapping[str, np.ndarray], fake: np.ndarray, title: str = "Reliability") -> go.Figure:
    """Share of manipulated clips among those that were given about one P(fake), both classes weighing the same."""
    figure = _square(title, "P(manipulated) that was said", "share that was manipulated")
    for i, (name, values) in enumerate(scores.items()):
        known = values == values
        said, was, weight = (rows[0] for rows in reliability(values[known], fake[known]))
        full = weight > 0
        colour, marker = style.look(i)
        figure.add_scatter(
            x=said[full],
            y=was[full],
            name=style.safe(name),
            mode="lines+markers",
            line={"color": colour},
            marker={"symbol": marker, "size": 6 + 24 * weight[full]},
        )
    return figure


def titled(title: str) -> go.Figure:
    """An empty figure with room for its title."""
    figure = go.Figure(layout=style.layout(HEIGHT_PX, title={"text": title}))
    return figure.update_layout(margin_t=TITLE_PX)


def _square(title: str, x: str, y: str) -> go.Figure:
    figure = titled(title)
    figure.update_xaxes(**style.axis(x, range=[0, 1], constrain="domain"))
    figure.update_yaxes(**style.axis(y, range=[0, 1], scaleanchor="x"))
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": style.GREY, "dash": "dot"})
    return figure
