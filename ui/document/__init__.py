"""The evidence report: everything there is to say of one report, as JSON, as HTML in one file, and as PDF."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from core.contract import as_json
from core.errors import InputError
from core.reviewing import Step
from core.types import Report
from core.words import ENGLISH, in_language
from detectors import DETECTORS
from ui.document.content import evidence, used_weights
from ui.document.html import draw_html
from ui.document.pdf import draw_pdf
from ui.messages import band_name

__all__ = ["Format", "as_evidence", "file_name", "read_format", "write_document"]


class Format(StrEnum):
    JSON = "json"
    HTML = "html"
    PDF = "pdf"


def read_format(name: str) -> Format:
    """The format of this name.

    Raises:
        InputError: there is none.
    """
    if name not in list(Format):
        raise InputError(f"There is no format called {name!r}; choose among: {', '.join(Format)}.")
    return Format(name)


def file_name(report: Report, format: Format) -> str:
    """Nothing in it comes from the upload."""
    return f"telltale-{report.id[:8]}.{format}"


def write_document(
    report: Report,
    format: Format,
    *,
    made_at: str,
    steps: Sequence[Step] = (),
    log_sha256: str | None = None,
) -> bytes:
    """The document on one report, for the arguments of `evidence`; in English, as the report itself is."""
    about: dict[str, Any] = {"made_at": made_at, "steps": steps, "log_sha256": log_sha256}
    with in_language(ENGLISH):
        if format is Format.JSON:
            return json.dumps(as_evidence(report, **about), indent=1).encode()
        document = evidence(report, **about)
        return draw_html(document) if format is Format.HTML else draw_pdf(document, made_at)


def as_evidence(
    report: Report, *, made_at: str, steps: Sequence[Step] = (), log_sha256: str | None = None
) -> dict[str, Any]:
    """The report as programs know it, and `evidence`: the rest of what the document says."""
    methods = [
        {
            "detector": detector,
            "weights": asdict(used),
            "source": DETECTORS[detector].card.source if detector in DETECTORS else None,
            "limits": DETECTORS[detector].card.limits if detector in DETECTORS else None,
        }
        for detector, used in used_weights(report)
    ]
    return as_json(report) | {
        "evidence": {
            "made_at": made_at,
            "words": band_name(report.verdict.label),
            "methods": methods,
            "decisions": [asdict(step) for step in steps],
            "sha256": {"file": report.video.sha256, "log": log_sha256},
        }
    }
