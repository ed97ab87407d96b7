"""Time passes: reports and jobs that are older than they may get are deleted, when the app starts and from then on."""

import logging
from datetime import timedelta
from threading import Event
from typing import Protocol

log = logging.getLogger(__name__)

EVERY_S = 600


class Expiring(Protocol):
    """A store that can delete what is older than an age, and says how much it was."""

    def expire(self, age: timedelta) -> int: ...


def keep_deleting(store: Expiring, age: timedelta, ended: Event, *, every_s: float = EVERY_S) -> None:
    """Looks for what has expired until `ended` is set; to be run in a thread of its own."""
    while True:
        try:
            gone = store.expire(age)
            if gone:
                log.info("%s: %d were older than %s and are deleted", type(store).__name__, gone, age)
        except Exception:  # such as a server that is away for a moment: the promise to delete outlives it
            log.exception("What has expired could not be deleted; the next attempt is in %d s", every_s)
        if ended.wait(every_s):
            return
