"""What a document is made of, whoever draws it. All texts are plain and unescaped: who draws them escapes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from core.types import Label


@dataclass(frozen=True, slots=True)
class Headline:
    """A verdict in words, with its shape."""

    label: Label


@dataclass(frozen=True, slots=True)
class Text:
    words: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of a name and what it is."""

    pairs: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`widths` are shares of the columns."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG; `width` is its share of the text's."""

    svg: Markup
    title: str = ""
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG, `words` for who cannot see it, `height_mm` on paper, and its caption."""

    jpeg: bytes
    words: str
    height_mm: float
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Blocks, beside a picture if there is one."""

    picture: Picture | None
    title: str
    blocks: "Sequence[Block]"


Block = Headline | Text | Bullets | Facts | Table | Drawing | Picture | Card


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    hint: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """`subject` is what it is about, `made` by what and when, `foot` what stands on every page."""

    title: str
    subject: str
    made: str
    foot: str
    sections: Sequence[Section]
