"""The log: a line for people, or one JSON object for machines. It names no uploaded file and no visitor.

What others would print past it is led into it: uvicorn's lines, and tracebacks that Gradio prints of its own routes.
"""

import logging
import re
import sys
import threading
import traceback
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from core.settings import LogFormat, Settings

log = logging.getLogger(__name__)

TALKATIVE = ("alembic", "fontTools", "httpx", "httpx2", "matplotlib")
"""Libraries that tell of every step: httpx the addresses it asks, fontTools the letters of every PDF."""


def configure(settings: Settings) -> None:
    """For the whole process, on standard error; before Gradio is imported."""
    handler = logging.StreamHandler()
    if settings.log_format is LogFormat.JSON:
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Discreet(settings))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    for talkative in TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    _lead_here()


SECRET = re.compile(r"telltale_[\w-]{20,}|(?<=://)[^\s/@]+:[^\s/]+(?=@)")
"""A key of the moderators' desk; user and password in an address."""


class Discreet(logging.Filter):
    """Cuts the path of an upload, which ends in the name its owner gave it, with what follows on the line; and secrets.

    Our own lines hold none; the message of an exception may.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._upload = re.compile(re.escape(str(settings.uploads)) + r"[^\n]*")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._cut(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self._cut("".join(traceback.format_exception(*record.exc_info)).rstrip())
            record.exc_info = None
        return True

    def _cut(self, text: str) -> str:
        return SECRET.sub("<a secret>", self._upload.sub("<an upload>", text))


def _lead_here() -> None:
    from uvicorn.config import LOGGING_CONFIG

    # Gradio lets uvicorn set up its own handlers, and offers no way to say otherwise.
    LOGGING_CONFIG |= {"handlers": {}, "loggers": {}}

    def print_exc(*_: Any, **__: Any) -> None:
        log.error("An error outside our handlers", exc_info=True)

    traceback.print_exc = print_exc
    threading.excepthook = lambda ended: log.error("A thread ended by an error", exc_info=ended.exc_value)
    sys.excepthook = lambda _, error, __: log.critical("The process ends by an error", exc_info=error)
