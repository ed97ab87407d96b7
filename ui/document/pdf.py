"""A document as PDF, on A4: no browser, no link, no script, and fonts inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from unicodedata import category

import matplotlib
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace
from fpdf.svg import SVGObject

from plots.heatmaps import size_px
from plots.paper import FONT
from ui.document.blocks import (
    Block,
    Bullets,
    Card,
    Document,
    Drawing,
    Facts,
    Headline,
    Picture,
    Section,
    Table,
    Text,
)
from ui.messages import MARKS, band_name

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
MARGIN, GAP = 18.0, 2.0
"""mm"""
BODY, SMALL, HEAD, TITLE = 9.5, 8.0, 13.0, 19.0
"""Sizes of text, pt."""
LINE = 0.5
"""mm of line height for each pt."""
INK, QUIET, RULE = 26, 85, 190
"""Greys."""
NO_LETTER = (
    "Characters for which this PDF has no letter stand as their Unicode numbers, such as [U+5F71]; the HTML and JSON "
    "documents have the characters themselves."
)


def draw_pdf(document: Document, made_at: str) -> bytes:
    """The same bytes for the same document and time (ISO 8601)."""
    paper = _Paper(document.foot)
    paper.set_title(document.title)
    paper.set_lang("en")
    paper.set_creator("Telltale")
    paper.set_creation_date(datetime.fromisoformat(made_at))
    paper.add_page()
    paper.write_text(document.title, TITLE, bold=True)
    paper.write_text(document.subject, HEAD, bold=True)
    paper.write_text(document.made, SMALL, grey=QUIET)
    for number, section in enumerate(document.sections, 1):
        _section(paper, number, section)
    if paper.lacked_a_letter:
        paper.ln(GAP)
        paper.write_text(NO_LETTER, SMALL, grey=QUIET)
    return bytes(paper.output())


class _Paper(FPDF):
    """FPDF with our fonts, margins and foot. Texts go through `shown`, and blocks leave the cursor below themselves."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.lacked_a_letter = False
        self.add_font(FONT, "", FONTS / "DejaVuSans.ttf")
        self.add_font(FONT, "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_text_shaping(True)
        self.set_margin(MARGIN)
        self.c_margin = 0
        self.set_auto_page_break(True, MARGIN)
        self.set_draw_color(RULE)
        # What is put in its place on every page; no text of a document can hold it, for who named the file did not
        # know the report's id, which is in the foot.
        self.alias_nb_pages(f"{{pages of {foot}}}")

    def footer(self) -> None:
        self.set_xy(MARGIN, -12)
        self.set_font(FONT, "", SMALL)
        self.set_text_color(QUIET)
        self.cell(0, 5, f"{self.shown(self._foot)} · page {self.page_no()} of {self.str_alias_nb_pages}")

    def shown(self, text: str) -> str:
        """The text with what has no letter, or only steers what follows, by its Unicode number."""
        told = "".join(c if c in _letters() else f"[U+{ord(c):04X}]" for c in text)
        self.lacked_a_letter |= told != text
        return told

    def write_text(self, text: str, size: float = BODY, *, bold: bool = False, grey: int = INK) -> None:
        """A paragraph from the cursor to the right margin."""
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(grey)
        self.multi_cell(0, size * LINE, self.shown(text), align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)

    @contextmanager
    def indented(self, by_mm: float) -> Iterator[None]:
        """Further to the right, also on the pages that follow."""
        before = self.l_margin
        self.set_left_margin(before + by_mm)
        self.set_x(self.l_margin)
        yield
        self.set_left_margin(before)
        self.set_x(before)

    def keep(self, height_mm: float) -> None:
        """Begins a new page where less than this is left of the page."""
        if self.will_page_break(height_mm):
            self.add_page()


@cache
def _letters() -> frozenset[str]:
    """What both fonts can write, without characters that only steer others; of those, the end of a line stays."""
    known = (TTFont(FONTS / name).getBestCmap().keys() for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
    letters = (c for c in map(chr, frozenset.intersection(*map(frozenset, known))) if category(c)[0] != "C")
    return frozenset(letters) | {"\n"}


def _section(paper: _Paper, number: int, section: Section) -> None:
    paper.ln(2 * GAP)
    paper.keep(25 + _height(paper, section.blocks[0]))
    paper.line(paper.l_margin, paper.y, paper.w - paper.r_margin, paper.y)
    paper.ln(GAP)
    paper.write_text(f"{number}. {section.title}", HEAD, bold=True)
    if section.hint:
        paper.write_text(section.hint, SMALL, grey=QUIET)
    for block in section.blocks:
        paper.ln(GAP / 2)
        _draw(paper, block)


def _height(paper: _Paper, block: Block) -> float:
    """What a block takes at once, in mm; texts and tables go on where a page ends."""
    match block:
        case Drawing():
            width, height = _shape(block)
            return block.width * paper.epw * height / width + 8
        case Picture():
            return block.height_mm + 14
        case Card():
            return 40.0
        case Table():
            return 25.0
        case Facts():
            return min(6 + 4.5 * len(block.pairs), 40.0)
        case _:
            return 12.0


def _draw(paper: _Paper, block: Block) -> None:
    paper.keep(_height(paper, block))
    match block:
        case Headline():
            paper.write_text(f"{MARKS[block.label]} {band_name(block.label)}", TITLE - 2, bold=True)
        case Text():
            paper.write_text(block.words, SMALL if block.quiet else BODY, grey=QUIET if block.quiet else INK)
        case Bullets():
            for item in block.items:
                _beside(paper, "•", item, 4)
        case Facts():
            _titled(paper, block.title)
            for name, fact in block.pairs:
                _beside(paper, name, fact, 44)
        case Table():
            _table(paper, block)
        case Drawing():
            _titled(paper, block.title)
            paper.image(BytesIO(block.svg.encode()), x=paper.l_margin, w=block.width * paper.epw)
            paper.set_x(paper.l_margin)
        case Picture():
            _picture(paper, block)
        case Card():
            _card(paper, block)


def _titled(paper: _Paper, title: str) -> None:
    if title:
        paper.write_text(title, BODY, bold=True)


def _beside(paper: _Paper, name: str, words: str, indent_mm: float) -> None:
    """A narrow text, and to its right one that may be long."""
    paper.keep(BODY * LINE)
    paper.set_font(FONT, "", SMALL)
    paper.set_text_color(QUIET)
    top, page = paper.y, paper.page_no()
    paper.multi_cell(indent_mm - 2, SMALL * LINE, paper.shown(name), align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)
    below = paper.y
    if paper.page_no() == page:
        paper.set_y(top)
    with paper.indented(indent_mm):
        paper.write_text(words, SMALL)
    if paper.page_no() == page:
        paper.set_y(max(below, paper.y))


def _table(paper: _Paper, block: Table) -> None:
    paper.set_font(FONT, "", SMALL)
    paper.set_text_color(INK)
    with paper.table(
        [[paper.shown(cell) for cell in row] for row in (block.heads, *block.rows)],
        col_widths=tuple(block.widths),
        width=paper.epw,
        align="LEFT",
        text_align="LEFT",
        line_height=SMALL * LINE,
        padding=1,
        headings_style=FontFace(emphasis="BOLD", fill_color=238),
    ):
        pass


def _picture(paper: _Paper, picture: Picture) -> None:
    width, height = size_px(picture.jpeg)
    height_mm = min(picture.height_mm, paper.epw * height / width)
    paper.image(BytesIO(picture.jpeg), x=paper.l_margin, h=height_mm, alt_text=picture.words)
    paper.set_x(paper.l_margin)
    paper.write_text(picture.caption, SMALL, grey=QUIET)


def _card(paper: _Paper, card: Card) -> None:
    top, page, indent_mm = paper.y, paper.page_no(), 0.0
    if card.picture:
        indent_mm = card.picture.height_mm + 4
        paper.image(
            BytesIO(card.picture.jpeg),
            x=paper.l_margin,
            w=card.picture.height_mm,
            h=card.picture.height_mm,
            keep_aspect_ratio=True,
            alt_text=card.picture.words,
        )
        paper.set_y(top)
    with paper.indented(indent_mm):
        _titled(paper, card.title)
        for block in card.blocks:
            _draw(paper, block)
    if paper.page_no() == page:
        paper.set_y(max(paper.y, top + indent_mm))


def _shape(drawing: Drawing) -> tuple[float, float]:
    """Width and height of an SVG in its own units."""
    drawn = SVGObject(drawing.svg.encode())
    return float(drawn.width or 1), float(drawn.height or 1)
