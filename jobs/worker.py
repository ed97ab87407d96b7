"""Workers claim jobs and run them: threads of the page's process, or of as many others as share its database."""

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, MutableMapping
from concurrent.futures import Future, wait
from contextlib import closing
from contextvars import Context, copy_context
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from analysis.again import Again, repeat
from analysis.costs import learn
from analysis.pipeline import Order
from core.errors import AppError, Cancelled, InputError
from core.jobs import Claim
from core.metrics import REFUSALS
from core.settings import Settings
from core.types import Progress, Report
from core.weights import Weights
from core.words import duration, in_language, say
from storage import JobStore, ReportStore
from storage.media import Media
from storage.reviews import ReviewStore

log = logging.getLogger(__name__)

POLL_S = 0.25
"""How often a worker looks for a job, and at its analysis."""
BEAT_S = 0.5
"""How often it says that it lives; also how long a cancelled job may go unnoticed."""
STOP_S = 5.0
"""How long a worker is waited for that was told to go home."""

Runner = Callable[..., Generator[Progress | Report, None, None]]
"""Called as `analyze` is, but for `on_progress`, and with `max_minutes`: signs of life several times a second, then the
report. Closing it stops the work. `partial(follow, analyze)` is one."""


def follow(
    analyze: Callable[..., Report], path: Path, *, max_minutes: float, **arguments: Any
) -> Generator[Progress | Report, None, None]:
    """Runs an analysis in a thread of its own: its progress every quarter of a second, in the end its report.

    Closing the generator stops the work at its next sign of life. A plain function in a thread could not be stopped.
    """
    news: deque[Progress] = deque([Progress(say("stages.starting"), 0.0)], maxlen=1)
    report: Future[Report] = Future()
    stop, end = Event(), time.monotonic() + 60 * max_minutes

    def on_progress(progress: Progress) -> None:
        if stop.is_set():
            raise Cancelled("The analysis was stopped.")
        if time.monotonic() > end:
            raise InputError(say("visit.too_long", limit=duration(60 * max_minutes)))
        news.append(progress)

    def work() -> None:
        try:
            report.set_result(analyze(path, on_progress=on_progress, **arguments))
        except BaseException as error:
            report.set_exception(error)

    # In a copy of what is known of this moment, the visitor's language included.
    Thread(target=copy_context().run, args=[work], name="analysis", daemon=True).start()
    try:
        while not report.done():
            yield news[0]
            wait([report], timeout=POLL_S)
        yield report.result()
    finally:
        stop.set()


def in_force(settings: Settings, reviews: ReviewStore | None) -> Settings:
    """The settings, with the thresholds that a lead put in their place."""
    return settings.model_copy(update=asdict(reviews.bands())) if reviews else settings


@dataclass(frozen=True, slots=True)
class Recalled:
    """What it takes to run a report again: the kept file, those of its references, and with what."""

    file: Path
    references: list[Path]
    again: Again


def recall(before: Report, media: Media | None, settings: Settings, manifest: Mapping[str, Weights]) -> Recalled:
    """What a report was made from, as far as it is at hand.

    Raises:
        InputError: the file is not kept any more.
        WeightsError: nothing it was analysed with is at hand.
    """
    file = media.path(before.video.sha256) if media else None
    if media is None or file is None:
        raise InputError(say("again.gone"))
    references = [media.path(sha256) for sha256 in before.references]
    genuine = [file for file in references if file] if all(references) else []
    return Recalled(file, genuine, repeat(before, settings, manifest, referenced=bool(genuine)))


@dataclass(frozen=True)
class Worker:
    """Claims jobs until it is stopped and runs them, `settings.at_once` side by side. `take_order` is that of
    `analysis.pipeline`.

    `moments` holds, by job, the context of who waits for it in this process: ZeroGPU asks there whose time it spends.
    """

    settings: Settings
    manifest: Mapping[str, Weights]
    store: ReportStore
    jobs: JobStore
    take_order: Callable[..., Order]
    run: Runner
    reviews: ReviewStore | None = None
    moments: MutableMapping[str, Context] = field(default_factory=dict)
    _ended: Event = field(default_factory=Event, init=False)
    _threads: list[Thread] = field(default_factory=list, init=False)

    def start(self) -> None:
        for number in range(self.settings.at_once):
            thread = Thread(target=self._serve, name=f"worker {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """What runs goes back into the line, for another worker or after the next start."""
        self._ended.set()
        for thread in self._threads:
            thread.join(STOP_S)

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                claim = self.jobs.claim()
            except SQLAlchemyError as error:  # such as a server that is away for a moment
                log.warning("No job can be claimed just now: %s", type(error).__name__)
                claim = None
            if claim is None:
                self._ended.wait(POLL_S)
            else:
                # In the copy, since two cannot be inside one context at once.
                self.moments.get(claim.id, copy_context()).copy().run(self._work, claim)

    def _work(self, claim: Claim) -> None:
        """Runs one job to its end; whatever happens, the thread goes on to the next one."""
        try:
            with in_language(claim.language):
                self._settle(claim)
        except Exception:  # the lease runs out, and the job is put back
            log.exception("Job %s could not be brought to an end", claim.id[:8])

    def _settle(self, claim: Claim) -> None:
        """The job ends as done or failed, unless it is no longer this worker's.

        Raises:
            OperationalError: the database was away, which is not the job's fault.
        """
        try:
            self._analyse(claim)
        except Cancelled:
            pass
        except OperationalError:
            raise
        except AppError as error:
            self.jobs.fail(claim, str(error))
        except Exception:
            if self.jobs.fail(claim, say("messages.bug")):  # or else it was cancelled, and its files went with it
                log.exception("Job %s failed", claim.id[:8])
                REFUSALS.labels("bug").inc()

    def _analyse(self, claim: Claim) -> None:
        request, settings = claim.request, in_force(self.settings, self.reviews)
        arguments: dict[str, Any] = {"options": request.options, "settings": settings, "manifest": self.manifest}
        if request.again:
            found = recall(self.store.get(request.again, owner=None), self.store.media, settings, self.manifest)
            path, again = found.file, found.again
            arguments = {"options": again.options, "settings": again.settings, "manifest": again.manifest}
            arguments["references"] = found.references
        else:
            path = self.jobs.spool.path(claim.id, request.sha256)
            arguments["references"] = [self.jobs.spool.path(claim.id, sha256) for sha256 in request.references]
        order = self.take_order(path, **arguments)
        arguments |= {"order": order, "name": request.name, "reference_names": request.reference_names}
        # Asked for twice, or made by a worker that did not live to say so.
        known = None if request.again else self.store.find(order.fingerprint, owner=self._reach(claim))
        if known:
            self.jobs.done(claim, known.id)
        else:
            report = self._run(claim, path, arguments)
            self.store.add(report, owner=claim.owner, file=path, again=request.again, claim=claim)
            if not request.again:
                learn(report, order.chosen, self.settings)
        self.jobs.spool.discard(claim.id)

    def _run(self, claim: Claim, path: Path, arguments: dict[str, Any]) -> Report:
        """The report; on the way there, signs of life.

        Raises:
            Cancelled: the job is no longer this worker's, or has just been put back.
        """
        beaten = float("-inf")
        steps = self.run(path, max_minutes=self.settings.max_minutes, **arguments)
        with closing(steps):
            for step in steps:
                if isinstance(step, Report):
                    return step
                if self._ended.is_set():
                    self.jobs.release(claim)
                    raise Cancelled("The worker was told to go home.")
                if time.monotonic() - beaten >= BEAT_S:
                    beaten = time.monotonic()
                    if not self._beat(claim, step):
                        raise Cancelled("The job was cancelled, or taken for lost.")
        raise RuntimeError("an analysis ended without a report")

    def _beat(self, claim: Claim, step: Progress) -> bool:
        try:
            return self.jobs.beat(claim, step.stage, step.fraction)
        except SQLAlchemyError as error:  # the lease outlives a server that is away for a moment
            log.warning("Job %s cannot say that it lives: %s", claim.id[:8], type(error).__name__)
            return True

    def _reach(self, claim: Claim) -> str | None:
        return None if self.settings.moderated else claim.owner
