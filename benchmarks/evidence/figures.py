"""ROC curves, reliability, and families side by side: one page that needs nothing from elsewhere."""

import plotly.graph_objects as go

from benchmarks.evidence import scores
from benchmarks.evidence.table import Evidence
from plots import style
from training import figures
from training.out_of_fold import ORIGINAL

HATCHING = ("/", "x", ".")
"""Of the confounds, which are no detectors and have no colour."""


def page(evidence: Evidence) -> str:
    """HTML with all figures and Plotly itself."""
    return figures.page("Evidence", (plot_roc(evidence), plot_reliability(evidence), plot_families(evidence)))


def plot_roc(evidence: Evidence) -> go.Figure:
    """Share of manipulated clips found over share of genuine clips accused."""
    return figures.plot_roc(scores.scores_of(evidence.answers[ORIGINAL]), evidence.labels.fake)


def plot_reliability(evidence: Evidence) -> go.Figure:
    """Share of manipulated clips among those that were given about one P(fake), both classes weighing the same."""
    return figures.plot_reliability(scores.scores_of(evidence.answers[ORIGINAL]), evidence.labels.fake)


def plot_families(evidence: Evidence) -> go.Figure:
    """AUC with its interval by family, the confounds beside the detectors."""
    figure = figures.titled("AUC by family")
    figure.update_xaxes(**style.axis("family"))
    figure.update_yaxes(**style.axis("AUC", range=[0, 1]))
    figure.add_hline(y=0.5, line={"color": style.GREY, "dash": "dot"})
    lines = [line for line in evidence.lines if line.form == ORIGINAL]
    hatching = dict(zip(scores.CONFOUNDS, HATCHING, strict=True))
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
