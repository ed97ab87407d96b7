"""Time passes: reports that are older than they may get are deleted, when the app starts and from then on."""

import logging
from datetime import timedelta
from threading import Event

from storage.reports import ReportStore

log = logging.getLogger(__name__)

EVERY_S = 600


def keep_deleting(store: ReportStore, age: timedelta, ended: Event, *, every_s: float = EVERY_S) -> None:
    """Looks for expired reports until `ended` is set; to be run in a thread of its own."""
    while True:
        try:
            gone = store.expire(age)
            if gone:
                log.info("%d reports were older than %s and are deleted", gone, age)
        except Exception:  # such as a server that is away for a moment: the promise to delete outlives it
            log.exception("Expired reports could not be deleted; the next attempt is in %d s", every_s)
        if ended.wait(every_s):
            return
