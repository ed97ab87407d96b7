"""Words for people: each text of the page by its key, in every language that has a file in `texts/`."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"
ENGLISH = "en"
"""Spoken where nobody says which language is wanted, or wants one that is not there."""
LANGUAGES = (ENGLISH, *sorted({path.stem for path in FOLDER.glob("*.toml")} - {ENGLISH}))

_set: ContextVar[str | None] = ContextVar("language", default=None)
_asked: Callable[[], str | None] = lambda: None  # noqa: E731


def say(key: str, /, **values: object) -> str:
    """The text of a key such as "history.older", in the language of the moment.

    It is plain text, and so is what is filled in: in HTML both are to be escaped.
    """
    return texts(language())[key].format(**values)


def named(section: str, name: str) -> str:
    """The word for a name that a record holds; the name itself where the texts know none."""
    return texts(language()).get(f"{section}.{name}", name)


def duration(seconds: float) -> str:
    """How long, in the unit people would use: "40 s", "5 min"."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f}".removesuffix(".0") + " min"


def language() -> str:
    """That of the innermost `in_language`, else that of whom `ask` named, else English."""
    wanted = _set.get() or _asked()
    return wanted if wanted in LANGUAGES else ENGLISH


@contextmanager
def in_language(code: str) -> Iterator[None]:
    before = _set.set(code)
    try:
        yield
    finally:
        _set.reset(before)


def ask(whom: Callable[[], str | None]) -> None:
    """From now on, `whom` knows the language of the moment."""
    global _asked
    _asked = whom


@cache
def texts(code: str) -> dict[str, str]:
    """All texts of a language by "section.key"."""
    sections = tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    return {f"{section}.{key}": text for section, own in sections.items() for key, text in own.items()}
