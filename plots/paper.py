"""Figures for paper: small SVG pictures without scripts, for documents that are read offline, printed and filed.

Lines differ in dashes and markers as well as in colour, and what has no score is hatched, so that a copy in greys says
the same. HTML shows them as they are and the PDF draws them: both know plain shapes and texts, no patterns and no CSS.
"""

from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from core.types import FusedLine, Report, Verdict
from plots import style
from plots.timeline import Line, Span, timeline_lines, timeline_spans

FONT = "DejaVu"
"""Of texts where no style sheet says otherwise."""
INK, RULE = "#1a1a1a", "#bdbdbd"

WIDTH, LEFT, RIGHT, TOP, PLOT = 720, 34, 8, 8, 150
"""px of the timeline: all of it, to the left, right and top of the plot, and the height of the plot."""
LANE, LEGEND = 12, 16
"""Heights in px: of the lane without scores, and of a line of the legend."""
FEW = 4
"""Methods drawn beside what was fused: those that scored highest."""
POINTS = 150
"""Of a line, at most; each stands for the highest score near it."""
DASHES = ("", "6 3", "2 3", "9 3 2 3")

_Entry = tuple[str, str, str, float, str | None]
"""Of the legend: words, and the colour, dashes, width and marker of what they name; hatching where no colour is."""


def timeline_svg(report: Report, person: int, fused: FusedLine | None = None) -> Markup:
    """P(manipulated) of one track id over time: fused, and by the methods that scored highest on average."""
    lines = sorted((line for line in timeline_lines(report) if line.person == person), key=_mean, reverse=True)[:FEW]
    spans = [span for span in timeline_spans(report) if span.person == person]
    end_s = max(report.video.duration_s, 1e-3)
    drawn = [_curve(fused.time_s, fused.fake, end_s, "#000000", "", 2.5, None)] if fused else []
    legend: list[_Entry] = (
        [("Fused, all methods together" + _remark(fused.basis), "#000000", "", 2.5, None)] if fused else []
    )
    for i, line in enumerate(lines):
        colour, symbol = style.look(i)
        look = (colour, DASHES[i % len(DASHES)], 1.2, symbol)
        drawn.append(_curve(line.time_s, line.fake, end_s, *look))
        legend.append((f"{line.method}, {line.region}" + _remark(line.remark), *look))
    if spans:
        legend.append(("Hatched: not in the picture, or no method could score it", "", "", 0.0, None))
    below = TOP + PLOT + LANE + 30
    height = below + LEGEND * len(legend) + 4
    return _svg(
        WIDTH,
        height,
        f"P(manipulated) of {style.person_name(person)} over time",
        [*_axes(end_s), *_lane(spans, end_s), *drawn, *_legend(legend, below)],
    )


def gauge_svg(verdict: Verdict) -> Markup:
    """The number on a scale from 0 to 1 with its interval; empty where there is no number."""
    if verdict.fake is None:
        return Markup("")
    low, high = verdict.interval or (verdict.fake, verdict.fake)

    def x(value: float) -> float:
        return 12 + 336 * value

    ticks = [_line(x(t), 16, x(t), 22, RULE) + _text(x(t), 33, f"{t:g}", "middle") for t in (0, 0.25, 0.5, 0.75, 1)]
    return _svg(
        360,
        38,
        f"{style.probability(verdict.fake)} on a scale from 0 to 1",
        [
            _line(x(0), 14, x(1), 14, RULE, 4),
            _line(x(low), 14, x(high), 14, "#6b6b6b", 6),
            *ticks,
            Markup('<path d="M {} 12 l -6 -10 l 12 0 z" fill="{}"/>').format(_n(x(verdict.fake)), INK),
        ],
    )


def _axes(end_s: float) -> Iterator[Markup]:
    for p in (0, 0.25, 0.5, 0.75, 1):
        yield _line(LEFT, _y(p), WIDTH - RIGHT, _y(p), "#808080" if p == 0.5 else RULE, 0.8, "5 4" if p == 0.5 else "")
        yield _text(LEFT - 5, _y(p) + 3.5, f"{p:g}", "end")
    step_s = next((step for step in (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300) if end_s / step <= 12), end_s / 12)
    base = TOP + PLOT + LANE
    for i in range(int(end_s / step_s + 1e-6) + 1):
        at = _x(i * step_s, end_s)
        yield _line(at, base, at, base + 4, INK)
        yield _text(at, base + 14, f"{i * step_s:g}", "middle")
    yield _line(LEFT, base, WIDTH - RIGHT, base, INK)
    yield _text(WIDTH - RIGHT, base + 26, "Time in the video (s)", "end")


def _lane(spans: Sequence[Span], end_s: float) -> Iterator[Markup]:
    """Hatched stretches, each hatch a line of its own."""
    top = TOP + PLOT + 2
    for span in spans:
        a, b = _x(span.start_s, end_s), _x(min(span.end_s, end_s), end_s)
        yield Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="#808080"/>').format(
            _n(a), top, _n(max(b - a, 0.5)), LANE - 4
        )
        hatches = [x for x in range(int(a), int(b) - LANE + 4, 6) if x >= a]
        if hatches:
            path = " ".join(f"M {x} {top + LANE - 4} l {LANE - 4} {4 - LANE}" for x in hatches)
            yield Markup('<path d="{}" stroke="#808080" fill="none"/>').format(path)


def _curve(
    time_s: Sequence[float | None],
    fake: Sequence[float | None],
    end_s: float,
    colour: str,
    dash: str,
    width: float,
    symbol: str | None,
) -> Markup:
    pieces = []
    for run in _runs(time_s, fake):
        points = [(_x(t, end_s), _y(p)) for t, p in run]
        if len(points) == 1:  # a line of no length would not be seen
            points = [(points[0][0] - 2, points[0][1]), (points[0][0] + 2, points[0][1])]
        listed = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        pieces.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"{}/>').format(
                listed, colour, width, _dashed(dash)
            )
        )
        if symbol:
            pieces += [_marker(symbol, x, y, colour) for x, y in points[:: max(1, len(points) // 8)]]
    return Markup("").join(pieces)


def _runs(time_s: Sequence[float | None], fake: Sequence[float | None]) -> Iterator[list[tuple[float, float]]]:
    """The unbroken parts of a line, thinned to about `POINTS` in all."""
    each = -(-len(time_s) // POINTS)
    run: list[tuple[float, float]] = []
    for t, p in [*zip(time_s, fake, strict=True), (None, None)]:
        if t is not None and p is not None:
            run.append((t, p))
        elif run:
            groups = [run[i : i + each] for i in range(0, len(run), each)]
            yield [max(group, key=lambda point: point[1]) for group in groups]
            run = []


def _legend(entries: Iterable[_Entry], top: float) -> Iterator[Markup]:
    for i, (words, colour, dash, width, symbol) in enumerate(entries):
        y = top + LEGEND * i + 6
        if colour:
            yield _line(LEFT, y, LEFT + 34, y, colour, width, dash)
        else:
            path = " ".join(f"M {LEFT + 6 * k} {y + 4} l 8 -8" for k in range(5))
            yield Markup('<path d="{}" stroke="#808080" fill="none"/>').format(path)
        if symbol:
            yield _marker(symbol, LEFT + 17, y, colour)
        yield _text(LEFT + 42, y + 4, words)


def _marker(symbol: str, x: float, y: float, colour: str) -> Markup:
    if symbol == "circle":
        return Markup('<circle cx="{}" cy="{}" r="3" fill="{}"/>').format(_n(x), _n(y), colour)
    shape = {
        "square": "m -3 -3 h 6 v 6 h -6 z",
        "diamond": "m 0 -4 l 4 4 l -4 4 l -4 -4 z",
        "triangle-up": "m 0 -4 l 4 7 l -8 0 z",
    }.get(symbol, "m -3 -1 h 2 v -2 h 2 v 2 h 2 v 2 h -2 v 2 h -2 v -2 h -2 z")
    return Markup('<path d="M {} {} {}" fill="{}"/>').format(_n(x), _n(y), shape, colour)


def _svg(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(width, height, width, height, title, Markup("").join(parts))


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}"{}/>').format(
        *map(_n, (x1, y1, x2, y2)), colour, width, _dashed(dash)
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" font-family="{}" font-size="10" text-anchor="{}" fill="{}">{}</text>').format(
        _n(x), _n(y), FONT, anchor, INK, words
    )


def _dashed(dash: str) -> Markup:
    return Markup(' stroke-dasharray="{}"').format(dash) if dash else Markup("")


def _x(time_s: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * time_s / end_s


def _y(fake: float) -> float:
    return TOP + PLOT * (1 - fake)


def _n(value: float) -> str:
    return f"{value:.1f}"


def _remark(words: str) -> str:
    return f" ({words})" if words not in ("", "calibrated") else ""


def _mean(line: Line) -> float:
    known = [p for p in line.fake if p is not None]
    return sum(known) / len(known)
