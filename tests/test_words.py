"""Words for people: every language has them all, the code asks for no others, and visitors are answered in theirs."""

import ast
import re
from collections.abc import Iterator
from string import Formatter
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

from core.types import Basis, ChangeName, Label, Thoroughness
from core.weights.store import Kind
from core.words import ENGLISH, LANGUAGES, in_language, language, named, say, texts
from preprocessing.regions import REGIONS
from tests.conftest import ROOT
from ui.languages import TEXTS, answer_in_the_visitors_language, said

OTHERS = [code for code in LANGUAGES if code != ENGLISH]


def braces(text: str) -> set[str]:
    """What is filled in. A text says which and nothing else: numbers are formatted by the code."""
    parts = list(Formatter().parse(text))
    assert not any(spec or conversion for _, _, spec, conversion in parts), text
    return {name for _, name, _, _ in parts if name is not None}


def asked() -> Iterator[tuple[str, set[str]]]:
    """What the code asks for: the key as a regular expression, and what it fills in (** is "**")."""
    for room in ("core", "preprocessing", "detectors", "analysis", "plots", "storage", "jobs", "ui"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    filled = {keyword.arg or "**" for keyword in node.keywords}
                    if node.func.id in ("say", "said") and path.stem not in ("words", "languages"):
                        yield pattern(node.args[0]), filled
                    elif node.func.id == "named":
                        yield f"{pattern(node.args[0])}\\..+", filled


def pattern(key: ast.expr) -> str:
    """Of a literal the literal; of an f-string all that it may become."""
    parts = key.values if isinstance(key, ast.JoinedStr) else [key]
    assert all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts), ast.unparse(key)
    return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in parts)


def test_there_is_a_second_language():
    assert "de" in OTHERS


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_every_text_with_the_same_braces(code):
    english, other = texts(ENGLISH), texts(code)
    assert other.keys() == english.keys()
    assert all(other[key].strip() for key in english)
    assert not {key for key in english if braces(other[key]) != braces(english[key])}


def test_the_code_asks_for_texts_that_are_there_and_for_all_of_them():
    wanted, english = list(asked()), texts(ENGLISH)
    assert len(wanted) > 100
    for key, filled in wanted:
        found = [text for known, text in english.items() if re.fullmatch(key, known)]
        assert found, f"{key} is in no file of core/texts"
        assert "**" in filled or all(braces(text) == filled for text in found), f"{key} is filled with {filled}"
    assert not {known for known in english if not any(re.fullmatch(key, known) for key, _ in wanted)}


@pytest.mark.parametrize("code", LANGUAGES)
def test_names_that_records_hold_have_a_word_in_every_language(code):
    held = [("bands", Label), ("thoroughness", Thoroughness.__args__), ("bases", Basis.__args__)]
    held += [("changes", ChangeName.__args__), ("regions", REGIONS), ("states", Kind.__args__)]
    keys = [f"{section}.{name}" for section, names in held for name in names]
    assert not set(keys) - texts(code).keys()


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_two_heads_of_a_table_are_the_same_since_columns_go_by_their_heads(code):
    for section in ("result", "history", "detectors"):
        own = [text for key, text in texts(code).items() if key.startswith(f"{section}.")]
        assert len(own) == len(set(own)) > 10


def test_a_name_that_nobody_translated_stays_as_it_is():
    with in_language("de"):
        assert (named("regions", "mouth"), named("regions", "left ear")) == ("Mund", "left ear")


def test_what_is_filled_in_is_data():
    with in_language("de"):
        assert say("history.open_this", name="{x} 100 %.mp4") == "Bericht zu {x} 100 %.mp4 öffnen"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        *(("de-AT,de;q=0.9,en;q=0.8", "de"), ("DE", "de"), ("en-US,de;q=0.9", "en"), ("fr-FR,fr;q=0.9,de;q=0.8", "en")),
        *(("*", "en"), ("", "en"), (None, "en"), ("../../etc/passwd", "en")),
    ],
)
def test_a_request_is_answered_in_its_first_language_or_in_english(header, code):
    answer_in_the_visitors_language()
    headers = {"accept-language": header} if header is not None else {}
    before = LocalContext.request.set(SimpleNamespace(headers=headers))  # type: ignore[arg-type]
    try:
        assert language() == code
    finally:
        LocalContext.request.reset(before)
    assert language() == ENGLISH, "of no request"


def test_what_is_laid_out_once_is_there_in_every_language():
    start, again = said("analyze.start"), said("analyze.start")
    assert start.key == again.key != said("analyze.cancel").key
    assert {code: laid_out[start.key] for code, laid_out in TEXTS.translations.items()} == {
        code: texts(code)["analyze.start"] for code in LANGUAGES
    }
