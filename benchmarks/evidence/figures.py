"""ROC curves, reliability, and families side by side: one page that needs nothing from elsewhere."""

import plotly.graph_objects as go

from benchmarks.evidence.scores import CONFOUNDS, scores_of
from benchmarks.evidence.table import Evidence
from plots import style
from training.measures import reliability, roc
from training.out_of_fold import ORIGINAL

HEIGHT_PX = 480
TITLE_PX = 48
HATCHING = ("/", "x", ".")
"""Of the confounds, which are no detectors and have no colour."""


def page(evidence: Evidence) -> str:
    """HTML with all figures and Plotly itself."""
    figures = (plot_roc(evidence), plot_reliability(evidence), plot_families(evidence))
    drawn = [figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)]
    return "\n".join(['<!doctype html><meta charset="utf-8"><title>Evidence</title>', *drawn, ""])


def plot_roc(evidence: Evidence) -> go.Figure:
    """Share of manipulated clips found over share of genuine clips accused."""
    figure = _square("ROC", "false-positive rate", "true-positive rate")
    for i, (name, scores) in enumerate(scores_of(evidence.answers[ORIGINAL]).items()):
        fpr, tpr = roc(scores, evidence.labels.fake)
        figure.add_scatter(x=fpr, y=tpr, name=style.safe(name), mode="lines", line={"color": style.look(i)[0]})
    return figure


def plot_reliability(evidence: Evidence) -> go.Figure:
    """Share of manipulated clips among those that were given about one P(fake), both classes weighing the same."""
    figure = _square("Reliability", "P(manipulated) that was said", "share that was manipulated")
    for i, (name, scores) in enumerate(scores_of(evidence.answers[ORIGINAL]).items()):
        known = scores == scores
        said, was, weight = (rows[0] for rows in reliability(scores[known], evidence.labels.fake[known]))
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


def plot_families(evidence: Evidence) -> go.Figure:
    """AUC with its interval by family, the confounds beside the detectors."""
    figure = _titled("AUC by family")
    figure.update_xaxes(**style.axis("family"))
    figure.update_yaxes(**style.axis("AUC", range=[0, 1]))
    figure.add_hline(y=0.5, line={"color": style.GREY, "dash": "dot"})
    lines = [line for line in evidence.lines if line.form == ORIGINAL]
    hatching = dict(zip(CONFOUNDS, HATCHING, strict=True))
    for i, name in enumerate(dict.fromkeys(line.row.name for line in lines)):
        aucs = {line.row.family: line.row.measures["auc"] for line in lines if line.row.name == name}
        value = [auc.value for auc in aucs.values()]
        figure.add_bar(
            x=[family.replace("_", " ") for family in aucs],
            y=value,
            name=style.safe(name),
            marker=style.hatched(hatching[name]) if name in hatching else {"color": style.look(i)[0]},
            error_y={
                "array": [auc.high - auc.value for auc in aucs.values()],
                "arrayminus": [auc.value - auc.low for auc in aucs.values()],
                "color": style.GREY,
            },
        )
    return figure


def _square(title: str, x: str, y: str) -> go.Figure:
    figure = _titled(title)
    figure.update_xaxes(**style.axis(x, range=[0, 1], constrain="domain"))
    figure.update_yaxes(**style.axis(y, range=[0, 1], scaleanchor="x"))
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": style.GREY, "dash": "dot"})
    return figure


def _titled(title: str) -> go.Figure:
    figure = go.Figure(layout=style.layout(HEIGHT_PX, title={"text": title}))
    return figure.update_layout(margin_t=TITLE_PX)
