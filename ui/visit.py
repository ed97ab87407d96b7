"""From an upload to a report: the door, the store, the analysis, and the end of the uploaded file."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, get_args

import gradio as gr

from analysis.again import repeat
from analysis.costs import learn
from analysis.pipeline import Order
from core.errors import Cancelled, InputError, NotAllowed
from core.people import Role
from core.reviewing import Step
from core.settings import Settings
from core.types import Options, Progress, Report, Thoroughness
from core.weights import Weights
from core.words import say
from storage import Action, AuditLog, ReportStore
from storage.reviews import ReviewStore
from storage.similar import Similar
from storage.users import UserStore
from ui.document import Format, write_document
from ui.messages import duration
from ui.rights import require, whose
from ui.uploads import discard, is_upload, uploader

POLL_S = 0.25
"""How often a running analysis is looked at; also how long a cancelled one may go unnoticed."""

OPINION_FIRST = "This clip waits for your opinion: claim it in the queue and say what you hold of it first."


@dataclass(frozen=True, slots=True)
class Answer:
    """A report, and whether it was made before."""

    report: Report
    from_store: bool


@dataclass(frozen=True, slots=True)
class Repeated:
    """A report, what came out when it was run again, and why that could not be done quite as it was."""

    before: Report
    after: Report
    notes: tuple[str, ...]


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


@dataclass(frozen=True)
class Desk:
    """Where visitors are served. `take_order` and `analyze` are those of `analysis.pipeline`.

    `users`, `queue` and `similar` are None on a public page: that is how the two modes are told apart.
    """

    settings: Settings
    manifest: Mapping[str, Weights]
    store: ReportStore
    take_order: Callable[..., Order]
    analyze: Callable[..., Report]
    follow: Callable[..., Iterator[Progress | Report]] = follow
    users: UserStore | None = None
    queue: ReviewStore | None = None
    similar: Similar | None = None
    log: AuditLog | None = None
    health: Callable[[], dict[str, str]] = dict
    """By what was looked at, `ok` or what is wrong with it."""

    @property
    def reviews(self) -> ReviewStore:
        """What people decide.

        Raises:
            NotAllowed: this page is public, and nobody decides anything.
        """
        if self.queue is None:
            raise NotAllowed("This belongs to the moderators' desk; this page is public and nobody decides here.")
        return self.queue

    @property
    def in_force(self) -> Settings:
        """The settings, with the thresholds that a lead put in their place."""
        return self.settings.model_copy(update=asdict(self.queue.bands())) if self.queue else self.settings

    def report(self, report_id: str, secret: str | None, request: gr.Request) -> Report:
        """A report that this request may see with all its scores.

        Raises:
            ReportNotFound: there is none, or it is another visitor's.
            NotAllowed: the reviewer has to give an opinion first.
        """
        report = self.store.get(report_id, owner=whose(self, secret, request))
        self._not_hidden(report, request)
        return report

    def visit(
        self,
        upload: str | None,
        options: Options,
        secret: str | None,
        request: gr.Request,
        *,
        references: Sequence[str] = (),
    ) -> Iterator[Progress | Answer]:
        """Signs of life while the analysis runs, then the answer. However it ends, the uploaded files are deleted.

        Raises:
            AppError: the upload cannot be analysed as asked, or a detector is not ready.
        """
        files, owner = [Path(name) for name in (upload, *references) if name], uploader(request)
        try:
            yield Progress(say("stages.looking"), 0.0)
            reach = whose(self, secret, request, Role.REVIEWER)
            author = reach or require(self, request, Role.REVIEWER).name
            path = self._door(upload, owner)
            genuine = [self._door(reference, owner) for reference in references]
            if options.thoroughness not in get_args(Thoroughness):
                kinds = ", ".join(get_args(Thoroughness))
                raise InputError(say("visit.no_thoroughness", name=repr(options.thoroughness), kinds=kinds))
            settings = self.in_force
            order = self.take_order(path, options, settings, self.manifest, genuine)
            known = self.store.find(order.fingerprint, owner=reach)
            if known:
                self._not_hidden(known, request)
                yield Answer(replace(known, video=replace(known.video, name=path.name)), from_store=True)
                return
            arguments = {
                "name": path.name,
                "options": options,
                "settings": settings,
                "manifest": self.manifest,
                "references": genuine,
                "order": order,
            }
            for step in self.follow(self.analyze, path, max_minutes=self.settings.max_minutes, **arguments):
                if isinstance(step, Report):
                    self.store.add(step, owner=author, file=path)
                    learn(step, order.chosen, self.settings)
                    yield Answer(step, from_store=False)
                else:
                    yield step
        finally:
            discard(files, self.settings.uploads, owner)

    def run_again(self, report_id: str, request: gr.Request) -> Iterator[Progress | Repeated]:
        """Signs of life while the kept file is analysed as it was, then both reports.

        Raises:
            AppError: who asks may not, the file is not kept any more, or nothing it was analysed with is at hand.
        """
        author, media = require(self, request, Role.REVIEWER).name, self.store.media
        yield Progress(say("again.looking"), 0.0)
        before = self.report(report_id, None, request)
        path = media.path(before.video.sha256) if media else None
        if media is None or path is None:
            raise InputError(say("again.gone"))
        references = [media.path(sha256) for sha256 in before.references]
        genuine = [file for file in references if file] if all(references) else []
        again = repeat(before, self.in_force, self.manifest, referenced=bool(genuine))
        arguments: dict[str, Any] = {"options": again.options, "settings": again.settings, "manifest": again.manifest}
        arguments["references"] = genuine
        order = self.take_order(path, **arguments)
        arguments |= {"name": before.video.name, "order": order}
        for step in self.follow(self.analyze, path, max_minutes=self.settings.max_minutes, **arguments):
            if isinstance(step, Report):
                self.store.add(step, owner=author, file=path, again=before.id)
                yield Repeated(before, step, again.notes)
            else:
                yield step

    def document(self, report: Report, format: Format, request: gr.Request) -> bytes:
        """The evidence report on a report, as of now; the log of the moderators' desk says who took it along.

        Raises:
            NotAllowed: at the desk, nobody has logged in.
        """
        steps: tuple[Step, ...] = ()
        if self.queue:
            user = require(self, request, Role.VIEWER)
            steps = self.queue.review(report.id, user).steps
            if self.log:  # before its head is read, so that the document's hash stands for this entry too
                taken = {"format": format.value}
                self.log.record(actor=user.name, action=Action.EXPORTED, report_id=report.id, details=taken)
        return write_document(
            report,
            format,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            steps=steps,
            log_sha256=self.log.head().hash if self.log else None,
        )

    def _not_hidden(self, report: Report, request: gr.Request) -> None:
        if self.queue and self.queue.hides(report.id, require(self, request, Role.VIEWER)):
            raise NotAllowed(OPINION_FIRST)

    def _door(self, upload: str | None, owner: str) -> Path:
        if not upload:
            raise InputError(say("visit.no_video"))
        path = Path(upload)
        if not is_upload(path, self.settings.uploads, owner):
            raise InputError(say("visit.gone"))
        if path.stat().st_size > self.settings.max_mb * 1e6:
            raise InputError(say("visit.too_big", max_mb=f"{self.settings.max_mb:.0f}"))
        return path
