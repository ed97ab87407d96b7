"""Pieces of the page in HTML. Whatever comes from a file or a person is escaped by `Markup.format`, never pasted in."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from core.types import Basis, Label, Verdict
from core.words import say
from plots.style import BANDS, basis_name, interval
from ui.messages import MARKS, band_name, number, percent


def titled(title: str, below: str) -> Markup:
    """The head of a section."""
    return Markup("<h2>{}</h2>{}").format(title, hint(below))


def hint(sentence: str) -> Markup:
    return Markup('<p class="hint">{}</p>').format(sentence)


def announced(sentence: str) -> Markup:
    """The same, read out by a screen reader when it comes."""
    return Markup('<p class="hint" role="status">{}</p>').format(sentence)


def each(piece: str, values: Iterable[Iterable[object]]) -> Markup:
    """The piece once for every tuple of values, filled with them."""
    return Markup("").join(Markup(piece).format(*filling) for filling in values)


def opener(report_id: str, name: str) -> Markup:
    """A button in a table that opens a report."""
    return Markup(
        '<span class="actions"><button type="button" data-report="{}" aria-label="{}">{}</button></span>'
    ).format(report_id, say("history.open_this", name=name), say("history.open"))


def bullets(sentences: Sequence[str]) -> Markup:
    return Markup("<ul>{}</ul>").format(each("<li>{}</li>", zip(sentences, strict=True))) if sentences else Markup("")


def facts(named: Mapping[str, object]) -> Markup:
    return Markup("<dl>{}</dl>").format(each("<dt>{}</dt><dd>{}</dd>", named.items()))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], bands: Iterable[Label] | None = None) -> Markup:
    """A table whose cells know their column, so that a narrow screen can show each row as a card.

    `bands` gives each row the colour of a verdict.
    """
    lines = [each('<td data-head="{}">{}</td>', zip(heads, row, strict=True)) for row in rows]
    styles = [_style(band) for band in bands] if bands is not None else [""] * len(lines)
    return Markup('<table class="plain"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(
        each('<th scope="col">{}</th>', zip(heads, strict=True)),
        each('<tr style="{}">{}</tr>', zip(styles, lines, strict=True)),
    )


def boxed(kind: str, label: Label, body: Markup) -> Markup:
    """A box with the colour of a verdict at its side."""
    return Markup('<article class="{}" style="{}">{}</article>').format(kind, _style(label), body)


def band(label: Label) -> Markup:
    """A verdict in words, with a shape beside it."""
    return Markup('<span class="mark" aria-hidden="true">{}</span> {}').format(MARKS[label], band_name(label))


def gauge(verdict: Verdict) -> Markup:
    """The number on a scale from 0 to 1, with its interval; nothing where there is no number."""
    if verdict.fake is None:
        return Markup("")
    low, high = verdict.interval or (verdict.fake, verdict.fake)
    return Markup(
        '<div class="gauge" role="img" aria-label="{}">'
        '<span class="range" style="left: {:.1%}; width: {:.1%}"></span><span class="at" style="left: {:.1%}"></span>'
        "<span>0</span><span>1</span></div>"
    ).format(
        say("numbers.gauge", fake=number(verdict.fake), interval=interval((low, high))), low, high - low, verdict.fake
    )


def numbers(verdict: Verdict) -> str:
    """The number with its interval, as far as there is one, and the coverage."""
    parts = [say("numbers.coverage", share=percent(verdict.coverage))]
    if verdict.interval is not None:
        parts.insert(0, interval(verdict.interval))
    if verdict.fake is not None:
        parts.insert(0, f"{say('numbers.fake')} {number(verdict.fake)}{remark(verdict.basis)}")
    return " · ".join(parts)


def remark(basis: Basis | None) -> str:
    """What stands beside a number that was not all calibrated."""
    return "" if basis in (None, "calibrated") else f" ({basis_name(basis)})"


def _style(label: Label) -> str:
    return f"--band: {BANDS[label]}"
