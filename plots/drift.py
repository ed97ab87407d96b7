"""Drift: month by month, where the scores lie and whether people agree with them."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.reviewing import Month
from core.words import say
from plots import style


def plot_drift(months: Sequence[Month]) -> go.Figure:
    """Above, the median score of each month with its middle half; below, kappa with its 95 % interval."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.12)
    figure.update_layout(style.layout(420, showlegend=False))
    figure.update_xaxes(style.axis("", type="category"))
    figure.update_xaxes(title_text=say("drift.month"), row=2, col=1)
    figure.update_yaxes(style.axis(say("numbers.fake"), range=[-0.02, 1.02]), row=1, col=1)
    figure.update_yaxes(style.axis(say("drift.kappa"), range=[-1.05, 1.05]), row=2, col=1)
    if not months:
        figure.add_annotation(**style.note(say("drift.empty")))
        return figure
    scored = [month for month in months if month.quartiles]
    names, quartiles = [month.month for month in scored], [month.quartiles or (0.0,) * 3 for month in scored]
    low, median, high = zip(*quartiles, strict=True) if scored else ((), (), ())
    figure.add_scatter(
        x=names,
        y=median,
        error_y=_whiskers(median, low, high),
        mode="lines+markers",
        marker={"color": style.BLUE, "size": 8},
        line={"color": style.BLUE},
        hovertext=[
            f"{m.month}: {_clips(m.scored)}<br>"
            + say("drift.median", median=f"{b:.2f}", low=f"{a:.2f}", high=f"{c:.2f}")
            for m, (a, b, c) in zip(scored, quartiles, strict=True)
        ],
        hoverinfo="text",
        row=1,
        col=1,
    )
    agreed = [(month, month.agreement.kappa, month.agreement.interval) for month in months]
    known = [(month, kappa, interval) for month, kappa, interval in agreed if kappa is not None and interval]
    figure.add_scatter(
        x=[month.month for month, *_ in known],
        y=[kappa for _, kappa, _ in known],
        error_y=_whiskers([kappa for _, kappa, _ in known], [a for *_, (a, _) in known], [b for *_, (_, b) in known]),
        mode="lines+markers",
        marker={"color": style.VERMILLION, "symbol": "square", "size": 8},
        line={"color": style.VERMILLION},
        hovertext=[
            f"{month.month}: {say('drift.decisions', count=month.agreement.n)}<br>"
            + say("drift.interval", kappa=f"{kappa:.2f}", low=f"{a:.2f}", high=f"{b:.2f}")
            for month, kappa, (a, b) in known
        ],
        hoverinfo="text",
        row=2,
        col=1,
    )
    if not known:
        figure.add_annotation(text=say("drift.too_few"), showarrow=False, xref="x2 domain", yref="y2", x=0.5, y=0)
    return figure


def _clips(count: int) -> str:
    return say("drift.one_clip") if count == 1 else say("drift.clips", count=count)


def _whiskers(middle: Sequence[float], low: Sequence[float], high: Sequence[float]) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [b - m for m, b in zip(middle, high, strict=True)],
        "arrayminus": [m - a for m, a in zip(middle, low, strict=True)],
        "thickness": 1.5,
        "width": 6,
    }
