"""The landmark animation: what the face tracker saw beside what remained after calibration.

The raw points tremble with the tracker's noise; calibration (Lucas-Kanade and Kalman) leaves the motion of the face.
"""

from itertools import chain
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.types import Motion
from core.words import say
from plots import style

MAX_FRAMES = 150
"""Five seconds. Neighbours are kept rather than every other frame, since the tremble is what there is to see."""

CONTOURS = (
    tuple(range(0, 17)),  # jaw
    tuple(range(17, 22)),  # brows
    tuple(range(22, 27)),
    tuple(range(27, 31)),  # nose bridge
    tuple(range(31, 36)),  # nostrils
    (*range(36, 42), 36),  # eyes
    (*range(42, 48), 42),
    (*range(48, 60), 48),  # lips, outside and inside
    (*range(60, 68), 60),
)
"""The 68 points as lines, in the numbering of iBUG 300-W from 0; a repeated first point closes a line."""

_PANELS = (("", style.VERMILLION), ("2", style.BLUE))
"""Axes and colour of the raw points and of the calibrated ones."""

_NOTHING: dict[str, Any] = {"x": [None], "y": [None]}
"""One missing point: of a trace without any, Plotly leaves the former points on screen and drops the legend."""


def landmark_paths(points: np.ndarray) -> tuple[list[float | None], list[float | None]]:
    """The contours of one face as x and y of one broken line.

    Args:
        points: float (68, 2), any unit.

    Returns:
        x and y, rounded to 3 decimals, with a None between two contours.
    """
    plain = np.round(points.astype(np.float64), 3).tolist()
    path = list(chain.from_iterable([*(plain[i] for i in contour), [None, None]] for contour in CONTOURS))[:-1]
    return [x for x, _ in path], [y for _, y in path]


def plot_landmarks(motion: Motion | None) -> tuple[go.Figure, list[dict[str, Any]]]:
    """The figure at its first frame, and the frames as plain JSON for `Plotly.addFrames`.

    `gr.Plot` hands data and layout to Plotly and drops frames; without them Play and the slider do nothing.
    """
    if motion is None or not len(motion.time_s):
        return go.Figure(_traces(), _layout(annotations=[style.note(say("landmarks.empty"))])), []
    frames = [_frame(motion, i) for i in range(min(len(motion.time_s), MAX_FRAMES))]
    figure = go.Figure(
        [trace | data for trace, data in zip(_traces(), frames[0]["data"], strict=True)],
        _layout(updatemenus=[_buttons(motion, frames)], sliders=[_slider(motion, frames)]),
    )
    return figure, frames


def _frame(motion: Motion, index: int) -> dict[str, Any]:
    """Data of the four traces: the points go into the solid or the hollow one of each panel, the other has none."""
    data = []
    for points in (motion.raw[index], motion.calibrated[index]):
        x, y = landmark_paths(points)
        path = {"x": x, "y": y}
        data += [path, _NOTHING] if motion.seen[index] else [_NOTHING, path]
    return {"name": str(index), "data": data, "traces": list(range(len(data)))}


def _traces() -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "xaxis": f"x{axis}",
            "yaxis": f"y{axis}",
            "name": name,
            "line": {"color": colour, "width": 1, "dash": dash},
            "marker": {"color": colour, "symbol": symbol, "size": 4},
            "showlegend": not axis,
            "hoverinfo": "skip",
            **_NOTHING,
        }
        for axis, colour in _PANELS
        for name, symbol, dash in (
            (say("landmarks.found"), "circle", "solid"),
            (say("landmarks.imputed"), "circle-open", "dot"),
        )
    ]


def _layout(**more: Any) -> go.Layout:
    across: dict[str, Any] = {"range": [-1, 1], "dtick": 1, "constrain": "domain"}
    down = across | {"range": [1, -1], "constraintoward": "top"}
    return style.layout(
        460,
        hovermode=False,
        xaxis=style.axis(say("landmarks.raw"), **across, constraintoward="right", domain=[0, 0.465]),
        xaxis2=style.axis(
            say("landmarks.calibrated"), **across, constraintoward="left", domain=[0.535, 1], anchor="y2"
        ),
        yaxis=style.axis(say("landmarks.units"), **down, scaleanchor="x"),
        yaxis2=style.axis("", **down, scaleanchor="x2", anchor="x2", showticklabels=False),
        **more,
    )


def _animate(names: list[str] | list[None], duration_ms: float) -> list[Any]:
    # No redraw: only points move, and redrawing all of the figure takes longer than a frame lasts.
    frame = {"duration": duration_ms, "redraw": False}
    return [names, {"frame": frame, "transition": {"duration": 0}, "mode": "immediate", "fromcurrent": True}]


def _buttons(motion: Motion, frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Play at the video's own pace; Pause is, in Plotly's words, to animate nothing.

    Play names its frames: "all" would take in those that a longer animation left behind in the same place.
    """
    names = [frame["name"] for frame in frames]
    steps_s = np.diff(motion.time_s)
    step_ms = 1000 * float(np.median(steps_s)) if len(steps_s) else 0
    return {
        "type": "buttons",
        "direction": "right",
        "showactive": False,
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 130},
        "bgcolor": style.FAINT,
        "bordercolor": style.GREY,
        "buttons": [
            {"label": say("landmarks.play"), "method": "animate", "args": _animate(names, step_ms)},
            {"label": say("landmarks.pause"), "method": "animate", "args": _animate([None], 0)},
        ],
    }


def _slider(motion: Motion, frames: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "x": 0,
        "len": 1,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 50},
        "bgcolor": style.FAINT,
        "activebgcolor": style.GREY,
        "bordercolor": style.GREY,
        "tickcolor": style.GREY,
        "currentvalue": {"prefix": say("landmarks.time"), "suffix": " s"},
        "steps": [
            {"label": f"{time_s:.2f}", "method": "animate", "args": _animate([frame["name"]], 0)}
            for time_s, frame in zip(motion.time_s[: len(frames)].tolist(), frames, strict=True)
        ],
    }
