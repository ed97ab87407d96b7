"""What an evidence report says: one report, laid out for somebody who was not there."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from analysis.disagreement import method_title
from analysis.explanation import explain_spread
from analysis.weighing import fused_lines
from core.reviewing import Step
from core.settings import VERSION
from core.types import Exhibit, Finding, Label, Person, Report, UsedWeights, Verdict
from core.words import named, say
from detectors import DETECTORS
from plots.heatmaps import CONTOURS, draw_for_paper, hottest
from plots.paper import gauge_svg, timeline_svg
from plots.style import method_name, person_name
from preprocessing.quality import BLURRED, TURNED_DEG
from preprocessing.regions import REGIONS
from ui.about import cannot, meaning
from ui.document.blocks import Block, Bullets, Card, Document, Drawing, Facts, Headline, Picture, Section, Table, Text
from ui.exhibits import occlusion_rows
from ui.markup import numbers
from ui.messages import MARKS, band_name, clock, number, percent
from ui.provenance import credentials_facts, credentials_words

MAX_PEOPLE = 12
"""Who scored highest, so that a crowd still makes a document one can read; the JSON has everybody."""
MAX_EXHIBITS = 24
"""Pictures of where methods looked, in all."""


def evidence(report: Report, *, made_at: str, steps: Sequence[Step] = (), log_sha256: str | None = None) -> Document:
    """The document on one report; it depends on its arguments only.

    Args:
        made_at: when it is made: UTC, ISO 8601.
        steps: what people did about it, the first thing first.
        log_sha256: hash of the newest entry of the audit log; None where no log is kept.
    """
    people = _people(report)
    sections = [
        Section("Verdict", "", _verdict(report)),
        Section("People in the video", _left_out(report, people), [_card(report, person) for person in people]),
        Section("Who, by which method, where on the face", MATRIX_HINT, list(_matrix(report, people))),
        Section("Scores over time", TIMELINE_HINT, list(_timelines(report, people))),
        Section("Where the methods looked", EXHIBITS_HINT, list(_exhibits(report, people))),
        Section("Quality and coverage", QUALITY_HINT, list(_quality(report, people))),
        Section(say("credentials.title"), say("credentials.hint"), list(_credentials(report))),
        Section("Methods", METHODS_HINT, list(_methods(report))),
        Section("What these methods cannot see", "", list(_limits(report))),
        Section("Decisions", "", list(_decisions(steps))),
        Section("The file and the record", RECORD_HINT, list(_record(report, log_sha256))),
    ]
    return Document(
        title="Evidence report",
        subject=report.video.name,
        made=f"Written {_when(made_at)} by Telltale {VERSION} on an analysis of {_when(report.created_at)}.",
        foot=f"Telltale evidence report {report.id}",
        sections=[section for section in sections if section.blocks],
    )


MATRIX_HINT = (
    "P(manipulated) from 0 to 1 with its 90 % interval; “together” is what all methods come to. * marks a number that "
    "was not calibrated: how often such numbers are right was not measured. “skipped” is a method that could not look, "
    "“–” one that was not asked."
)
TIMELINE_HINT = "What was fused, and the methods that scored highest, on the scale on which they count."
EXHIBITS_HINT = (
    "For the moments that scored highest: what the network saw, the heat over it, and the same heat at its place in "
    "the frame, whose thin box is the crop. Lines enclose what is hotter than "
    f"{', '.join(f'{level:g}' for level, _ in CONTOURS)} of 1, thicker where hotter. The hottest place is as hot as "
    "the score is high. Heat tells what moved a method, right or wrong; it is not proof."
)
QUALITY_HINT = (
    f"Could the faces be judged? Sharpness below {BLURRED:.0f} is blurred; a head turned by more than "
    f"{TURNED_DEG:.0f}° hides half a face."
)
METHODS_HINT = "The very files that scored this video, by their SHA-256, and the terms they come under."
RECORD_HINT = "Whoever holds the file can hash it anew and compare: a single changed bit gives another SHA-256."


def _people(report: Report) -> list[Person]:
    highest = sorted(report.tracks, key=lambda person: person.verdict.fake or 0.0, reverse=True)[:MAX_PEOPLE]
    return [person for person in report.tracks if person in highest]


def _left_out(report: Report, people: Sequence[Person]) -> str:
    missing = len(report.tracks) - len(people)
    return f"The {len(people)} who scored highest; {missing} more are in the JSON document." if missing else ""


def _verdict(report: Report) -> list[Block]:
    verdict = report.verdict
    return [
        Headline(verdict.label),
        Text(verdict.reason),
        *([Drawing(gauge_svg(verdict), width=0.5)] if verdict.fake is not None else []),
        Text(numbers(verdict)),
        *_spread(report, verdict),
        Text("What the words mean", quiet=True),
        Table(
            ["Verdict", "It means"],
            [[f"{MARKS[label]} {band_name(label)}", meaning(label)] for label in Label],
            [0.34, 0.66],
        ),
        Text(say("about.number"), quiet=True),
    ]


def _spread(report: Report, verdict: Verdict, track_id: int | None = None) -> Iterator[Text]:
    words = explain_spread(verdict, [trial for trial in report.trials if trial.track_id == track_id])
    if words:
        yield Text(words, quiet=True)


def _card(report: Report, person: Person) -> Card:
    verdict, name = person.verdict, person_name(person.id)
    return Card(
        Picture(person.thumbnail, f"Face of {name}", 26) if person.thumbnail else None,
        name,
        [
            Text(f"{MARKS[verdict.label]} {band_name(verdict.label)}"),
            Text(numbers(verdict), quiet=True),
            Text(f"In the picture from {clock(person.start_s)} to {clock(person.end_s)}.", quiet=True),
            *_spread(report, verdict, person.id),
            Text(verdict.reason),
        ],
    )


def _matrix(report: Report, people: Sequence[Person]) -> Iterator[Block]:
    """A row for each person and method, a column for each region that anybody was asked about."""
    asked = {finding.region for finding in report.findings}
    regions = [region for region in REGIONS if region in asked]
    rows = []
    for person in people:
        mine: dict[str, dict[str, Finding]] = {}
        for finding in (f for f in report.findings if f.track_id == person.id):
            mine.setdefault(_set(report, finding), {})[finding.region] = finding
        first = _person_cell(person)
        for method, cells in mine.items():
            rows.append([first, method, *(_cell(cells.get(region)) for region in regions)])
            first = ""
    if rows:
        yield Table(["Person", "Method", *regions], rows, [0.15, 0.27, *(0.58 / len(regions) for _ in regions)])
    reasons = dict.fromkeys(
        f"{_set(report, f)}, {f.region}: {f.reason}" for f in report.findings if f.status == "skipped" and f.reason
    )
    if reasons:
        yield Text("Why methods were skipped", quiet=True)
        yield Bullets(_first(list(reasons), 30))


def _set(report: Report, finding: Finding) -> str:
    """The method's title with its set of weights, which it shares with the other regions."""
    named = finding.weights.id if finding.weights else method_name(report, finding)
    return f"{method_title(finding.detector)} ({'/'.join(named.split('/')[:2])})"


def _person_cell(person: Person) -> str:
    verdict, name = person.verdict, person_name(person.id)
    if verdict.fake is None:
        return name
    return f"{name}\ntogether {_number(verdict.fake, verdict.interval, calibrated=verdict.basis == 'calibrated')}"


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    if finding.fake is None:
        return "skipped"
    return _number(finding.fake, finding.interval, calibrated=finding.calibrated)


def _number(fake: float, interval: tuple[float, float] | None, *, calibrated: bool) -> str:
    range = "\n({}–{})".format(*map(number, interval)) if interval else ""
    return number(fake) + ("" if calibrated else " *") + range


def _timelines(report: Report, people: Sequence[Person]) -> Iterator[Drawing]:
    for person in people:
        mine = tuple(finding for finding in report.findings if finding.track_id == person.id)
        alone = replace(report, tracks=(person,), findings=mine)  # a crowd's lines need not be drawn up for each of it
        if any(f.time_s for f in mine if f.status == "scored"):
            yield Drawing(timeline_svg(alone, person.id, next(iter(fused_lines(alone)), None)), person_name(person.id))


def _exhibits(report: Report, people: Sequence[Person]) -> Iterator[Block]:
    shown = _chosen(report, people)
    for exhibit in shown:
        yield _picture(exhibit)
    if len(shown) < len(report.exhibits):
        yield Text(f"{len(shown)} of {len(report.exhibits)} moments are shown; the JSON document has all.", quiet=True)
    for person in people:
        rows = [row for row in report.occlusions if row.track_id == person.id]
        if rows:
            heads, body = occlusion_rows(rows)
            yield Text(
                f"What each part of the face of {person_name(person.id)} contributes. {say('exhibits.parts_hint')}",
                quiet=True,
            )
            yield Table(heads, body, [0.28, *(0.72 / (len(heads) - 1) for _ in heads[1:])])


def _chosen(report: Report, people: Sequence[Person]) -> list[Exhibit]:
    """Everybody's highest, then everybody's second, and so on to the bound; in the report's order."""
    each = [
        sorted((e for e in report.exhibits if e.track_id == person.id), key=lambda e: e.score, reverse=True)
        for person in people
    ]
    ranked = [exhibit for exhibit in chain.from_iterable(zip_longest(*each)) if exhibit][:MAX_EXHIBITS]
    return [exhibit for exhibit in report.exhibits if any(exhibit is one for one in ranked)]


def _picture(exhibit: Exhibit) -> Picture:
    who, at_s, place = person_name(exhibit.track_id), clock(exhibit.time_s), hottest(exhibit)
    where = f"Hottest in the {place} of the crop." if place else "Nothing speaks for manipulation."
    card = DETECTORS[exhibit.detector].card if exhibit.detector in DETECTORS else None
    return Picture(
        draw_for_paper(exhibit),
        f"What {method_title(exhibit.detector)} saw of {who} at {at_s}, with heat. {where}",
        38,
        f"{who} · {method_title(exhibit.detector)} ({exhibit.weights}) · region {exhibit.region} · {at_s} · "
        f"score {number(exhibit.score)}. {where} {say('exhibits.no_proof')} {card.heat if card else ''}",
    )


def _quality(report: Report, people: Sequence[Person]) -> Iterator[Block]:
    scored = sum(finding.status == "scored" for finding in report.findings)
    yield Text(
        f"{report.video.frames_decoded} frames were looked at. Methods were asked {len(report.findings)} times about a "
        f"person and gave a score {scored} times. Coverage of the verdict: {percent(report.verdict.coverage)}."
    )
    heads = [
        "Person",
        "Face width",
        "Sharpness",
        "Head turn",
        "Time seen",
        "Coverage",
        "Frame rate",
        "Repeated",
        "Imputed",
    ]
    rows = [
        [
            person_name(person.id),
            f"{person.face_px:.0f} px",
            f"{person.quality.sharpness:.0f}",
            f"{person.quality.yaw_deg:.0f}°",
            percent(person.quality.coverage),
            percent(person.verdict.coverage),
            f"{person.quality.frame_rate_hz:.1f} Hz",
            percent(person.quality.repeated),
            percent(person.quality.imputed),
        ]
        for person in people
    ]
    if rows:
        yield Table(heads, rows, [1 / len(heads)] * len(heads))
    remarks = [f"{person_name(p.id)}: {remark}" for p in people for remark in p.quality.warnings]
    if remarks or report.warnings:
        yield Text("What to keep in mind", quiet=True)
        yield Bullets(_first([*report.warnings, *remarks], 40))


def _credentials(report: Report) -> Iterator[Block]:
    yield Text(credentials_words(report.provenance))
    told = credentials_facts(report.provenance)
    if told:
        yield Facts(list(told.items()))


def _methods(report: Report) -> Iterator[Facts]:
    used = used_weights(report)
    for detector in dict.fromkeys(name for name, _ in used):
        card = DETECTORS[detector].card if detector in DETECTORS else None
        about = [("Looks at", card.summary), ("Source", card.source)] if card else []
        files = [(w.id, f"SHA-256 {w.sha256}, licence {w.licence}") for name, w in used if name == detector]
        yield Facts([*about, *files], title=method_title(detector))


def used_weights(report: Report) -> list[tuple[str, UsedWeights]]:
    """Detector and weights behind the findings, each once, in the report's order."""
    return list(dict.fromkeys((f.detector, f.weights) for f in report.findings if f.weights))


def _limits(report: Report) -> Iterator[Bullets]:
    detectors = dict.fromkeys(finding.detector for finding in report.findings)
    own = [f"{method_title(d)}: {DETECTORS[d].card.limits}" for d in detectors if d in DETECTORS]
    yield Bullets([*cannot(), *own])


def _decisions(steps: Sequence[Step]) -> Iterator[Block]:
    if not any(step.ruling for step in steps):
        yield Text("No human decision was recorded when this document was written.")
    for step in steps:
        about = {"By": step.actor, "When": _when(step.at)}
        title = named("moves", step.move)
        if ruling := step.ruling:
            title = f"{title}: {named('decisions', ruling.decision)}"
            about["Policy"] = f"{ruling.policy_title} ({ruling.policy})"
            about["Scores"] = "not yet shown to who decided" if ruling.blind else "known to who decided"
        about |= {"Why": step.why, "Note": step.note}
        yield Facts([(name, fact) for name, fact in about.items() if fact], title=title)


def _record(report: Report, log_sha256: str | None) -> Iterator[Facts]:
    video, claimed = report.video, report.video.frames
    yield Facts(
        [
            ("File", video.name),
            ("SHA-256 of the file", video.sha256),
            ("SHA-256 of the log's last entry", log_sha256 or "No log is kept here."),
            ("Report", report.id),
            ("Fingerprint", f"{report.fingerprint} (over file, settings, weights and version)"),
            ("Video", f"{clock(video.duration_s)}, {video.width} × {video.height} px, {video.fps:.2f} frames a second"),
            ("Codec", video.codec + (f", turned by {video.rotation}°" if video.rotation else "")),
            (
                "Frames",
                f"{video.frames_decoded} decoded; the container claims {'none' if claimed is None else claimed}",
            ),
            ("Thoroughness", report.options.thoroughness),
            ("Landmarks", report.options.landmarks),
            ("Asked", ", ".join(report.options.detectors) or "all that were ready"),
            ("Analysed", f"{_when(report.created_at)} on {report.device}, Telltale {report.app_version}"),
            ("Time taken", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings_s.items())),
        ]
    )


def _when(at: str) -> str:
    return f"{at[:19].replace('T', ' ')} UTC"


def _first(items: list[str], count: int) -> list[str]:
    more = len(items) - count
    return [*items[:count], f"and {more} more, in the JSON document."] if more > 0 else items
