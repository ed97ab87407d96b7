"""`/healthz`, for who keeps the app running: 200 while it can serve, 503 when it cannot, and which part is missing."""

import asyncio
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PATH = "/healthz"
FRESH_S = 2.0
"""Who asks within this is told the last answer: the route is open to strangers."""
LIMIT_S = 5.0
"""A check that takes longer is itself a finding; no second one is begun beside it."""


class Health:
    """Asks `check`, which says by part `ok` or what is wrong with it, in a thread and never twice at once."""

    def __init__(self, check: Callable[[], dict[str, str]]) -> None:
        self._check = check
        self._asked_at = 0.0
        self._answer: asyncio.Task[dict[str, str]] | None = None

    async def show(self, request: Request) -> Response:
        checks = await self._latest()
        ok = all(found == "ok" for found in checks.values())
        body = {"status": "ok" if ok else "failing", "checks": checks}
        return JSONResponse(body, 200 if ok else 503, {"Cache-Control": "no-store"})

    async def _latest(self) -> dict[str, str]:
        now = time.monotonic()
        if self._answer is None or (self._answer.done() and now > self._asked_at + FRESH_S):
            self._answer, self._asked_at = asyncio.create_task(run_in_threadpool(self._check)), now
        await asyncio.wait([self._answer], timeout=LIMIT_S)
        return self._answer.result() if self._answer.done() else {"check": "unfinished"}
