"""A document as one HTML file: no script, nothing fetched, and a policy that would stop either."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core.types import Label
from ui.document.blocks import Document
from ui.messages import MARKS, band_name

POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
ASSETS = Path(__file__).resolve().parent.parent / "assets"


def draw_html(document: Document) -> bytes:
    """UTF-8."""
    style = (ASSETS / "document.css").read_text(encoding="utf-8")
    sheet = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    templates = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return (
        templates.get_template("document.html.jinja")
        .render(
            document=document,
            style=Markup(style),
            policy=POLICY.format(sheet),
            kind=lambda block: type(block).__name__,
            words={label: band_name(label) for label in Label},
            marks=MARKS,
            base64=lambda data: base64.b64encode(data).decode(),
        )
        .encode()
    )
