"""Whether what the app stands on is there: the database, room on the disk, the weights in the box."""

import logging
import os
import shutil
from collections.abc import Mapping

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from core.settings import Settings
from core.weights import Weights
from core.weights.store import state
from storage.tables import ReportRow

log = logging.getLogger(__name__)

SPARE_BYTES = 1_000_000_000
"""Room on the disk that uploads leave to the database: with less, none is taken."""


def check(database: Engine, settings: Settings, manifest: Mapping[str, Weights]) -> dict[str, str]:
    """By what was looked at, `ok` or what is wrong with it, in words that strangers may read.

    Weights that were fetched or brought are not among it: without them the others still serve. Files are hashed once,
    so this takes a query and some look-ups in folders.
    """
    found = {"database": _database(database), "disk": _disk(settings), "weights": _weights(settings, manifest)}
    if any(what != "ok" for what in found.values()):
        log.warning("not healthy: %s", ", ".join(f"{name} {what}" for name, what in found.items() if what != "ok"))
    return found


def _database(database: Engine) -> str:
    try:
        with database.connect() as connection:
            connection.execute(select(ReportRow.id).limit(1)).all()
    except SQLAlchemyError:
        return "unreachable"
    return "ok"


def _disk(settings: Settings) -> str:
    if not os.access(settings.data, os.W_OK):
        return "read-only"
    return "ok" if shutil.disk_usage(settings.data).free > SPARE_BYTES else "full"


def _weights(settings: Settings, manifest: Mapping[str, Weights]) -> str:
    bundled = [weights for weights in manifest.values() if weights.source == "bundled"]
    return "ok" if all(state(weights, settings).kind == "ready" for weights in bundled) else "damaged"
