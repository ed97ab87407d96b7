"""Words for people: verdicts, numbers and times as they read on the page, and what becomes of an error."""

import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import gradio as gr
from markupsafe import Markup

from core.errors import AppError
from core.metrics import REFUSALS
from core.types import Label
from core.words import say

log = logging.getLogger(__name__)

T = TypeVar("T")

MARKS = {
    Label.STRONG_SIGNS: "▲▲",
    Label.SOME_SIGNS: "▲",
    Label.INCONCLUSIVE: "◆",
    Label.NO_SIGNS: "○",
    Label.NOT_ASSESSED: "–",
}
"""A shape beside each band, so that none is told by colour alone."""

QUICK: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
"""How the page calls what answers at once: past the line of analyses, and not offered to programs."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no report: one sentence for the person at the page."""

    sentence: str


def friendly(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of an event, whose errors reach people and programs as one sentence (`gr.Error`)."""
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from handler(*args, **kwargs)
            except Exception as error:
                raise gr.Error(_sentence(error), print_exception=False) from error

        return steps

    @wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            raise gr.Error(_sentence(error), print_exception=False) from error

    return call


def told_at(place: gr.HTML) -> Callable[[Callable[..., dict[Any, Any]]], Callable[..., dict[Any, Any]]]:
    """Like `friendly`, for handlers that return updates by component: shows the sentence at a place of the page.

    Of what is called past the queue (`QUICK`) Gradio shows no `gr.Error` to people.
    """

    def of(handler: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
        @wraps(handler)
        def call(*args: Any, **kwargs: Any) -> dict[Any, Any]:
            try:
                return {place: ""} | handler(*args, **kwargs)
            except Exception as error:
                return {place: refused(_sentence(error))}

        return call

    return of


def refused(sentence: str) -> Markup:
    """Why something was not done."""
    return Markup('<p class="refused" role="alert">{}</p>').format(sentence)


def told(steps: Iterator[T]) -> Iterator[T | Refusal]:
    """The steps of an analysis, with an error as the last of them: for a page that shows it in its own place."""
    try:
        yield from steps
    except Exception as error:
        yield Refusal(_sentence(error))


def tried(act: Callable[[], T]) -> T | Refusal:
    """The same for what is done at once: Gradio shows no error of an event that does not wait in its queue."""
    try:
        return act()
    except Exception as error:
        return Refusal(_sentence(error))


def _sentence(error: Exception) -> str:
    if not isinstance(error, gr.Error):  # which was counted when it became one
        REFUSALS.labels(type(error).__name__ if isinstance(error, AppError) else "bug").inc()
    if isinstance(error, AppError | gr.Error):
        return str(error.message if isinstance(error, gr.Error) else error)
    log.error("A handler failed", exc_info=error)
    return say("messages.bug")


def band_name(label: Label) -> str:
    return say(f"bands.{label}")


def number(probability: float) -> str:
    return f"{probability:.2f}"


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def clock(seconds: float) -> str:
    """65.2 as "1:05.2"."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def about(seconds: float) -> str:
    """A length of time as far as it can be foretold."""
    if seconds < 8:
        return say("estimate.seconds")
    if seconds < 75:
        return say("estimate.about", time=f"{10 * round(max(seconds, 10) / 10)} s")
    if seconds < 150:
        return say("estimate.minutes")
    return say("estimate.about", time=f"{seconds / 60:.0f} min")
