"""In which language the page speaks: that which the browser prefers, in what is laid out once and in every answer."""

import hashlib
from collections.abc import Callable

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

from core.words import LANGUAGES, ask, in_language, say

TEXTS = gr.I18n(**{code: {} for code in LANGUAGES})
"""What is laid out once, in every language: the browser picks its own. By a hash, so that equal texts meet."""


def everywhere(render: Callable[[], str]) -> I18nData:
    """What `render` says, for a label, a choice or a value that is the same for everybody."""
    said = {}
    for code in LANGUAGES:
        with in_language(code):
            said[code] = str(render())
    key = hashlib.sha256("\n".join(said.values()).encode()).hexdigest()
    for code, text in said.items():
        TEXTS.translations[code][key] = text
    return TEXTS(key)


def said(key: str, /, **values: object) -> I18nData:
    """The text of a key, for the same places."""
    return everywhere(lambda: say(key, **values))


def answer_in_the_visitors_language() -> None:
    ask(_of_the_request)


def preferred(accept_language: str | None) -> str:
    """The first language of a header `Accept-Language`: the one by which Gradio picks texts in the browser."""
    return (accept_language or "").split(",")[0].split(";")[0].split("-")[0].strip().lower()


def _of_the_request() -> str | None:
    request = LocalContext.request.get(None)
    return preferred(request.headers.get("accept-language")) if request else None
