"""The evidence report: what it says in each format, that it opens alone, and that nothing in it is ever run."""

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise

import cv2
import numpy as np
import pypdf
import pytest

from core.errors import InputError
from core.reviewing import Decision, Move, Ruling, State, Step
from core.types import (
    Exhibit,
    Finding,
    Label,
    Occlusion,
    Options,
    Person,
    Provenance,
    Quality,
    Report,
    Trial,
    UsedWeights,
    Verdict,
    Video,
    Weighing,
)
from detectors import DETECTORS
from plots.heatmaps import PAPER_PX, draw_for_paper
from plots.paper import DASHES, timeline_svg
from ui.about import cannot, meaning
from ui.document import Format, file_name, read_format, write_document
from ui.document.blocks import Document
from ui.document.content import MAX_EXHIBITS, MAX_PEOPLE, evidence
from ui.document.html import draw_html
from ui.document.pdf import draw_pdf
from ui.messages import band_name

TAG = "<script>alert(1)</script><img src=x onerror=alert(1)>"
NOW = "2026-03-04T05:06:07+00:00"
LOG = "1f" * 32
VERDICT = Verdict(Label.SOME_SIGNS, 0.71, (0.61, 0.81), 0.91, f"The mouth moves oddly {TAG}.", "calibrated")
RULING = Ruling(Decision.MANIPULATED, f"P-1 {TAG}", f"Impersonation {TAG}", blind=True)
STEP = Step(
    *(NOW, f"anna {TAG}", Move.SETTLE, State.UNREVIEWED, State.DECIDED, f"Seen before {TAG}\non Monday"),
    *(f"The methods disagree {TAG}.", RULING),
)


def jpeg(width: int = 64, height: int = 64) -> bytes:
    return cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))[1].tobytes()


def person(id: int, fake: float = 0.71) -> Person:
    quality = Quality(55.5, 12.25, 0.95, 29.97, 0.01, 0.02, (f"Turned away {TAG}.",))
    return Person(id, 0.0, 10.0, 300, 143.5, replace(VERDICT, fake=fake), quality, jpeg())


def scored(track: int, detector: str = "lrnet", region: str = "entire", count: int = 10) -> Finding:
    return Finding(
        *(detector, region, track, "scored", 0.66, (0.5, 0.8), True, 0.6, None, None),
        UsedWeights(f"{detector}/own/{region}", "ab" * 32, f"MIT {TAG}"),
        tuple(10 * (i + 0.5) / count for i in range(count)),
        tuple(0.5 + 0.4 * (-1) ** i for i in range(count)),
        Weighing(0.9, 0.0, 0.7, 0.22),
    )


def exhibit(track: int, score: float = 0.8) -> Exhibit:
    heat = np.zeros((8, 8), np.float32)
    heat[1, 1] = score
    weights = ("lrnet/own/entire", 1.0, score)
    return Exhibit("lrnet", "entire", track, *weights, jpeg(), jpeg(384, 216), (1.0, 0.0, 10.0, 0.0, 1.0, 20.0), heat)


REPORT = Report(
    id="0123456789abcdef",
    created_at=NOW,
    app_version="9.8.7",
    fingerprint="cd" * 32,
    options=Options(("lrnet/own",), (), "thorough"),
    video=Video("ef" * 32, f"holiday {TAG}.mp4", 10.0, 300, 299, 29.97, 1280, 720, "h264", 90),
    verdict=VERDICT,
    tracks=(person(1), person(2)),
    findings=(
        scored(1),
        replace(scored(1, region="mouth"), calibrated=False),
        Finding("xception", "eyes", 2, "skipped", reason=f"Eyes hidden {TAG}."),
    ),
    warnings=(f"Mind the light {TAG}.",),
    timings_s={"faces": 1.5},
    device="cpu",
    exhibits=(exhibit(1),),
    occlusions=(Occlusion(1, "mouth", 0.8, 0.4, {"lrnet/own": -0.2}),),
    trials=(Trial("scaled", None, Label.SOME_SIGNS, 0.61),),
    provenance=Provenance("broken", TAG, TAG, TAG, TAG, (TAG,), (TAG,), (TAG,)),
)
EMPTY = replace(
    REPORT,
    verdict=Verdict(Label.NOT_ASSESSED, None, None, 0.0, "No face was found."),
    **dict.fromkeys(("tracks", "findings", "warnings", "exhibits", "occlusions", "trials"), ()),
    provenance=None,
)


def written(report: Report, format: Format) -> bytes:
    return write_document(report, format, made_at=NOW, steps=(STEP,), log_sha256=LOG)


def pdf_text(content: bytes) -> str:
    """As one line: where lines break is the paper's business."""
    pages = [page.extract_text() for page in pypdf.PdfReader(BytesIO(content)).pages]
    return " ".join(" ".join(pages).split())


class Reader(HTMLParser):
    """Notes tags with their attributes, and the text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def addresses(self) -> Iterator[str]:
        for _, attributes in self.tags:
            yield from (attributes[name] or "" for name in ("src", "href", "action", "data") if name in attributes)


def test_every_format_says_all_that_there_is_to_say():
    told = json.loads(written(REPORT, Format.JSON))
    assert told["verdict"]["fake"] == 0.71
    assert told["evidence"]["sha256"] == {"file": "ef" * 32, "log": LOG}
    assert told["evidence"]["decisions"][0]["note"] == STEP.note
    assert told["evidence"]["methods"][0]["limits"] == DETECTORS["lrnet"].card.limits

    for text in (Reader(written(REPORT, Format.HTML)).text, pdf_text(written(REPORT, Format.PDF))):
        squeezed = "".join(text.split())
        for said in (
            *(
                REPORT.video.name,
                VERDICT.reason,
                band_name(VERDICT.label),
                *map(meaning, Label),
                "0.61 to 0.81",
                "Coverage 91",
            ),
            *("Person 1", "0.66 (0.50–0.80)", "0.66 * (0.50–0.80)", "skipped", f"Eyes hidden {TAG}."),
            *("Looked at again: 0.61 at three quarters of its size", f"Turned away {TAG}.", f"Mind the light {TAG}."),
            *("lrnet/own/entire", "SHA-256 " + "ab" * 32, f"MIT {TAG}", *cannot(), DETECTORS["lrnet"].card.limits),
            *(
                "What does not hold",
                STEP.actor,
                "Decided: Manipulated",
                RULING.policy_title,
                STEP.why,
                f"Seen before {TAG}",
                "on Monday",
            ),
            *("ef" * 32, LOG, "cd" * 32, REPORT.id, "Hottest in the upper left", "Without mouth", "0.40 (−0.40)"),
        ):
            assert "".join(said.split()) in squeezed, said


def test_the_html_runs_nothing_and_asks_nobody():
    page = Reader(written(REPORT, Format.HTML))
    kinds = {tag for tag, _ in page.tags}
    assert "img" in kinds
    assert "svg" in kinds
    assert not kinds & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses())
    (policy,) = (a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert b"http:" not in written(EMPTY, Format.HTML).replace(b"http://www.w3.org/2000/svg", b"")


def test_the_pdf_holds_no_action_no_link_and_its_own_fonts():
    reader = pypdf.PdfReader(BytesIO(written(REPORT, Format.PDF)))
    names = {key for i in range(1, reader.trailer["/Size"]) for key in keys(reader.get_object(i))}
    assert "/FontFile2" in names
    assert not names & {"/JS", "/JavaScript", "/AA", "/URI", "/Launch", "/EmbeddedFile", "/Annots"}
    opens_at = reader.trailer["/Root"]["/OpenAction"]
    assert opens_at[0].get_object()["/Type"] == "/Page", "a page to begin at, rather than an action"


def keys(value: object) -> Iterator[str]:
    if isinstance(value, pypdf.generic.DictionaryObject):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, pypdf.generic.ArrayObject):
        for inner in value:
            yield from keys(inner)


@pytest.mark.parametrize("format", Format)
def test_the_same_report_at_the_same_time_gives_the_same_bytes(format):
    assert written(REPORT, format) == written(REPORT, format)


@pytest.mark.parametrize("format", Format)
def test_a_report_without_anything_optional_is_written_too(format):
    assert write_document(EMPTY, format, made_at=NOW)


def test_without_a_log_or_a_decision_the_document_says_so():
    text = pdf_text(write_document(EMPTY, Format.PDF, made_at=NOW))
    assert "No human decision was recorded" in text
    assert "No log is kept here" in text
    assert "made before credentials were read" in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("影片 🎬.mp4", "[U+5F71][U+7247] [U+1F3AC].mp4"),
        ("gp\u202e4pm.exe", "gp[U+202E]4pm.exe"),
        ("Übung Ελλάδα Москва.mp4", "Übung Ελλάδα Москва.mp4"),
        ("{nb} %s {{7*7}} \\.mp4", "{nb} %s {{7*7}} \\.mp4"),
    ],
)
def test_a_name_in_any_script_is_legible_or_clearly_replaced(name, shown):
    report = replace(EMPTY, video=replace(EMPTY.video, name=name))
    text = pdf_text(written(report, Format.PDF))
    assert shown in text
    assert ("Unicode numbers" in text) == (shown != name)
    assert name in Reader(written(report, Format.HTML)).text


def test_arabic_is_written_joined_and_from_the_right():
    name = "فيديو.mp4"
    text = pdf_text(written(replace(EMPTY, video=replace(EMPTY.video, name=name)), Format.PDF))
    assert "فيديو" in text
    assert "[U+" not in text


@pytest.fixture(scope="module")
def crowd() -> Document:
    """On five minutes, forty people, each asked about by every method on every region, with six hundred scores each."""
    people = tuple(person(i, fake=i / 50) for i in range(1, 41))
    cards = [cls.card for cls in DETECTORS.values()]
    findings = tuple(scored(p.id, card.name, region, 600) for p in people for card in cards for region in card.regions)
    exhibits = tuple(exhibit(p.id, 0.3 + 0.01 * i) for p in people for i in range(20))
    return evidence(replace(REPORT, tracks=people, findings=findings, exhibits=exhibits), made_at=NOW)


def test_a_crowd_in_a_long_clip_still_makes_a_document_one_can_read(crowd):
    pdf, html = draw_pdf(crowd, NOW), draw_html(crowd)
    assert len(pypdf.PdfReader(BytesIO(pdf)).pages) <= 40
    assert len(pdf) < 4e6
    assert len(html) < 4e6
    assert f"The {MAX_PEOPLE} who scored highest; {40 - MAX_PEOPLE} more" in pdf_text(pdf)
    assert "Person 40" in Reader(html).text
    assert "Person 28:" not in Reader(html).text


def test_of_many_moments_everybody_keeps_their_highest(crowd):
    (gallery,) = (s for s in crowd.sections if s.title == "Where the methods looked")
    captions = [block.caption for block in gallery.blocks if hasattr(block, "caption")]
    assert len(captions) == MAX_EXHIBITS
    assert sum("score 0.49" in caption for caption in captions) == MAX_PEOPLE
    assert sum("score 0.48" in caption for caption in captions) == MAX_EXHIBITS - MAX_PEOPLE


def test_lines_of_a_chart_differ_without_colours():
    report = replace(
        REPORT, findings=tuple(scored(1, "lrnet", region) for region in ("entire", "eyes", "nose", "mouth"))
    )
    drawn = timeline_svg(report, 1)
    assert [f'stroke-dasharray="{dash}"' in drawn for dash in DASHES[1:]] == [True] * 3
    looks = list(zip(DASHES, ("circle", "square", "diamond", "triangle-up"), strict=True))
    assert all(a != b for a, b in pairwise(looks))


def test_a_chart_has_the_peak_of_every_stretch():
    drawn = timeline_svg(replace(REPORT, findings=(scored(1, count=5000),)), 1)
    (points,) = (part.split('"')[0] for part in drawn.split('points="')[1:])
    heights = {point.split(",")[1] for point in points.split()}
    assert len(points.split()) <= 151
    assert len(heights) == 1, "of an alternating series only the higher half is drawn"


def test_pictures_for_paper_show_heat_without_colours():
    cold = replace(exhibit(1), heat=np.zeros((8, 8), np.float32))
    pictures = [
        cv2.imdecode(np.frombuffer(draw_for_paper(one), np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)
        for one in (cold, exhibit(1))
    ]
    crops = [picture[:, PAPER_PX + 8 : 2 * PAPER_PX + 8] for picture in pictures]
    assert np.abs(crops[0] - crops[1]).max() > 60
    assert np.abs(pictures[0] - pictures[1])[:, :PAPER_PX].max() == 0


def test_names_of_documents_hold_nothing_from_the_upload():
    assert file_name(REPORT, Format.PDF) == "telltale-01234567.pdf"
    with pytest.raises(InputError, match="no format called 'docx'; choose among: json, html, pdf"):
        read_format("docx")
