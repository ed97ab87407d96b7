"""Seen before: what was found and decided on the same clip, or nearly the same one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from core.errors import NotAllowed
from core.people import User
from core.reviewing import Queued
from core.types import Label
from core.words import named, say
from storage.similar import Match
from ui.markup import band, opener, table, titled
from ui.messages import clock, percent
from ui.visit import OPINION_FIRST, Desk

SHOWN = 10
"""Rows on the page; programs get them all."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Another report on the clip, and where it stands as far as its reader may know, with when it was last decided."""

    match: Match
    queued: Queued
    decided_at: str | None


def sightings(desk: Desk, report_id: str, user: User) -> list[Sighting]:
    """The same file first, then what is most alike.

    Raises:
        ReportNotFound: there is no such report.
        NotAllowed: the reader has to give an opinion first, and what others decided on the same clip would shape it.
    """
    if desk.reviews.hides(report_id, user):
        raise NotAllowed(OPINION_FIRST)
    matches = desk.similar.matches(report_id) if desk.similar else []
    standing = desk.reviews.standing([match.report_id for match in matches], user)
    return [Sighting(match, *standing[match.report_id]) for match in matches if match.report_id in standing]


def as_rows(found: list[Sighting]) -> list[dict[str, Any]]:
    """For programs; what is kept from the reader is null."""
    return [
        {
            "report_id": sighting.match.report_id,
            "created_at": sighting.match.created_at,
            "name": sighting.match.name,
            "deleted": sighting.match.deleted,
            "same_file": sighting.match.same_file,
            "share": round(sighting.match.share, 3),
            "offset_s": sighting.match.offset_s,
            "label": sighting.queued.label,
            "state": sighting.queued.state,
            "decision": sighting.queued.decision,
            "decided_at": sighting.decided_at,
        }
        for sighting in found
    ]


def similar_table(found: list[Sighting]) -> Markup:
    """With a button to open each report; nothing where there are none."""
    if not found:
        return Markup("")
    columns: dict[str, Callable[[Sighting], object]] = {
        say("history.when"): lambda s: s.match.created_at[:16].replace("T", " "),
        say("history.video"): lambda s: s.match.name,
        say("similar.in_common"): lambda s: in_common(s.match),
        say("similar.methods_said"): lambda s: _verdict(s.queued.label),
        say("similar.people_decided"): _decision,
        "": _opener,
    }
    rows = [[of(sighting) for of in columns.values()] for sighting in found[:SHOWN]]
    more = " " + say("similar.more", shown=SHOWN, count=len(found)) if len(found) > SHOWN else ""
    bands = [sighting.queued.label or Label.NOT_ASSESSED for sighting in found[:SHOWN]]
    return titled(say("similar.title"), say("similar.hint") + more) + table(list(columns), rows, bands=bands)


def in_common(match: Match) -> str:
    """How much of the pictures, and where the shared part begins."""
    if match.same_file:
        return say("similar.same_file")
    share = say("similar.share", share=percent(match.share))
    if match.offset_s == 0:
        return share
    at = clock(abs(match.offset_s))
    return (
        say("similar.from_that", share=share, at=at)
        if match.offset_s > 0
        else say("similar.from_this", share=share, at=at)
    )


def _verdict(label: Label | None) -> Markup:
    if label is None:
        return Markup('<span class="quiet">{}</span>').format(say("queue.after_opinion"))
    return Markup("<span>{}</span>").format(band(label))


def _opener(sighting: Sighting) -> Markup:
    if sighting.match.deleted:
        return Markup('<span class="quiet">{}</span>').format(say("similar.deleted"))
    return opener(sighting.match.report_id, sighting.match.name)


def _decision(sighting: Sighting) -> Markup:
    queued = sighting.queued
    if queued.decision is None or sighting.decided_at is None:
        return Markup('<span class="quiet">{}</span>').format(named("standings", queued.state))
    return Markup('{}<br><span class="quiet">{}, {}</span>').format(
        named("decisions", queued.decision), queued.reviewer, sighting.decided_at[:10]
    )
