"""News for webhooks, written in the transaction of what they tell of: neither is ever there without the other.

Nothing is sent here; `storage.sender` does that later, so no analysis and no decision waits for anybody's server.
"""

import json
import time
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.types import Report
from storage.tables import DeliveryRow, HookRow


class Event(StrEnum):
    """What a hook can ask to hear of."""

    ANALYSED = "analysed"
    DECIDED = "decided"


def tell_analysed(session: Session, report: Report) -> None:
    """The verdict and the file's hash. Its name stays here: people put names into it."""
    verdict = {"label": report.verdict.label, "fake": report.verdict.fake}
    facts = {"report_id": report.id, "at": report.created_at, "sha256": report.video.sha256, "verdict": verdict}
    _tell(session, Event.ANALYSED, facts)


def tell_decided(session: Session, *, report_id: str, at: str, decision: str, policy: str | None) -> None:
    """The decision and the policy it rests on. Who decided stays here, and so does the note."""
    _tell(session, Event.DECIDED, {"report_id": report_id, "at": at, "decision": decision, "policy": policy})


def _tell(session: Session, event: Event, facts: dict[str, Any]) -> None:
    # Locked against removal, which on PostgreSQL could otherwise come between this and the end of the transaction.
    for hook in session.scalars(select(HookRow).with_for_update(read=True, key_share=True)):
        if event in hook.events:
            id = uuid.uuid4().hex
            session.add(
                DeliveryRow(
                    id=id,
                    hook_id=hook.id,
                    event=event,
                    body=json.dumps({"delivery": id, "event": event} | facts),
                    attempts=0,
                    due_at=time.time(),
                )
            )
