"""From an upload to a report: the door, the store, the job, and the end of the uploaded file."""

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from analysis.pipeline import Order
from core.errors import Cancelled, InputError, NotAllowed
from core.jobs import Job, JobNotFound, JobState, Priority, QueueFull, Request, TooManyJobs
from core.people import Role
from core.reviewing import Step
from core.settings import Settings
from core.types import Options, Progress, Report, Thoroughness
from core.weights import Weights
from core.words import duration, language, say
from jobs.worker import Runner, Worker, in_force, recall
from storage import Action, AuditLog, JobStore, ReportStore
from storage.reviews import ReviewStore
from storage.similar import Similar
from storage.users import UserStore
from ui.document import Format, write_document
from ui.messages import about
from ui.rights import address_of, require, whose
from ui.uploads import discard, is_upload, uploader

POLL_S, WAIT_S = 0.25, 1.0
"""How often a job is looked at that is about to run or runs, and one that others are ahead of."""

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


@dataclass(frozen=True, slots=True)
class _Question:
    """What a visitor asks for, once it was let in: `reach` is whose reports may answer it, `author` who asks."""

    request: Request
    files: dict[str, Path]
    reach: str | None
    author: str
    known: Report | None


@dataclass(frozen=True)
class Desk:
    """Where visitors are served; the work is done by a `jobs.Worker`. `take_order` is that of `analysis.pipeline`.

    `users`, `queue` and `similar` are None on a public page: that is how the two modes are told apart. `moments` are
    for a worker in this process.
    """

    settings: Settings
    manifest: Mapping[str, Weights]
    store: ReportStore
    jobs: JobStore
    take_order: Callable[..., Order]
    users: UserStore | None = None
    queue: ReviewStore | None = None
    similar: Similar | None = None
    log: AuditLog | None = None
    health: Callable[[], dict[str, str]] = dict
    """By what was looked at, `ok` or what is wrong with it."""
    moments: dict[str, Context] = field(default_factory=dict)

    def worker(self, run: Runner) -> Worker:
        """Who does the work of this desk, once started."""
        with_what = self.settings, self.manifest, self.store, self.jobs, self.take_order
        return Worker(*with_what, run, self.queue, self.moments)

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
        return in_force(self.settings, self.queue)

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
        """Signs of life while a job waits and runs, then the answer. Whoever leaves before cancels it. However it
        ends, the uploaded files are deleted.

        Raises:
            AppError: the upload cannot be analysed as asked, a detector is not ready, or too much waits already.
        """
        files, owner = [Path(name) for name in (upload, *references) if name], uploader(request)
        try:
            yield Progress(say("stages.looking"), 0.0)
            asked = self._question(upload, options, secret, request, references)
            if asked.known:
                self._not_hidden(asked.known, request)
                yield _known(asked.known, asked.request.name)
                return
            job = yield from self._waited_for(asked.request, asked.files, asked.author, asked.reach, request)
            report = self.store.get(job.report_id or "", owner=asked.reach)
            self._not_hidden(report, request)
            yield _known(report, asked.request.name) if job.from_store else Answer(report, from_store=False)
        finally:
            discard(files, self.settings.uploads, owner)

    def submit(
        self,
        upload: str | None,
        options: Options,
        request: gr.Request,
        *,
        references: Sequence[str] = (),
        priority: Priority = Priority.BATCH,
        key: str | None = None,
    ) -> Job:
        """The same as a job that nobody waits for; one that a report answers already is done from the start.

        Raises:
            AppError: as `visit`; or the key stands for something else.
        """
        files, owner = [Path(name) for name in (upload, *references) if name], uploader(request)
        try:
            asked = self._question(upload, options, None, request, references)
            known = asked.known.id if asked.known else None
            more = {"priority": priority, "key": key, "known": known}
            return self._submit(asked.request, asked.files, asked.author, request, **more)
        finally:
            discard(files, self.settings.uploads, owner)

    def job(self, id: str, request: gr.Request) -> Job:
        """A job that this request may see.

        Raises:
            JobNotFound: there is none, or it is another visitor's.
        """
        return self.jobs.get(id, owner=whose(self, None, request))

    def cancel(self, id: str, request: gr.Request) -> Job:
        """Ends a job of one's own; a lead may end everybody's.

        Raises:
            JobNotFound: there is none, or it is another's.
        """
        owner = whose(self, None, request, Role.REVIEWER)
        if self.users:
            user = require(self, request, Role.REVIEWER)
            owner = None if user.role.includes(Role.LEAD) else user.name
        return self.jobs.cancel(id, owner=owner)

    def run_again(self, report_id: str, request: gr.Request) -> Iterator[Progress | Repeated]:
        """Signs of life while the kept file is analysed as it was, then both reports.

        Raises:
            AppError: who asks may not, the file is not kept any more, or nothing it was analysed with is at hand.
        """
        author = require(self, request, Role.REVIEWER).name
        yield Progress(say("again.looking"), 0.0)
        before = self.report(report_id, None, request)
        notes = recall(before, self.store.media, self.in_force, self.manifest).again.notes
        video = before.video
        asked = Request(video.name, video.sha256, before.options, before.references, again=before.id)
        job = yield from self._waited_for(asked, {}, author, None, request)
        yield Repeated(before, self.store.get(job.report_id or "", owner=None), notes)

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

    def _question(
        self, upload: str | None, options: Options, secret: str | None, request: gr.Request, references: Sequence[str]
    ) -> _Question:
        reach = whose(self, secret, request, Role.REVIEWER)
        author = reach or require(self, request, Role.REVIEWER).name
        path = self._door(upload, uploader(request))
        genuine = [self._door(reference, uploader(request)) for reference in references]
        if options.thoroughness not in get_args(Thoroughness):
            kinds = ", ".join(get_args(Thoroughness))
            raise InputError(say("visit.no_thoroughness", name=repr(options.thoroughness), kinds=kinds))
        order = self.take_order(path, options, self.in_force, self.manifest, references=genuine)
        names = tuple(file.name for file in genuine)
        asked = Request(path.name, order.sha256, options, order.references, names)
        files = {order.sha256: path} | dict(zip(order.references, genuine, strict=True))
        return _Question(asked, files, reach, author, self.store.find(order.fingerprint, owner=reach))

    def _submit(self, asked: Request, files: dict[str, Path], author: str, request: gr.Request, **more: Any) -> Job:
        address = None if self.users else address_of(request)
        try:
            return self.jobs.submit(asked, files, owner=author, language=language(), address=address, **more)
        except QueueFull as error:
            wait = about(error.wait_s) if error.wait_s else say("jobs.unknown")
            raise InputError(say("jobs.full", ahead=error.ahead, wait=wait)) from error
        except TooManyJobs as error:
            raise InputError(say("jobs.too_many", limit=error.limit, wait=duration(error.wait_s))) from error

    def _waited_for(
        self, asked: Request, files: dict[str, Path], author: str, reach: str | None, request: gr.Request
    ) -> Generator[Progress, None, Job]:
        """Signs of life of a job that somebody waits for, which is returned when it is done, and cancelled when they
        do not wait any longer.

        Raises:
            InputError: it was refused, or failed, for this reason.
            Cancelled: somebody else has ended it.
        """
        id = uuid.uuid4().hex
        self.moments[id] = copy_context()
        try:
            job = self._submit(asked, files, author, request, priority=Priority.PERSON, id=id)
            while not job.state.is_end:
                yield _sign_of_life(job)
                time.sleep(WAIT_S if job.ahead else POLL_S)
                job = self.jobs.get(id, owner=reach)
        finally:
            del self.moments[id]
            with suppress(JobNotFound):  # it was refused
                self.jobs.cancel(id, owner=reach)
        if job.state is JobState.FAILED:
            raise InputError(job.reason)
        if job.state is JobState.CANCELLED:
            raise Cancelled(say("jobs.cancelled"))
        return job

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


def _sign_of_life(job: Job) -> Progress:
    if job.state is JobState.RUNNING:
        return Progress(job.stage or say("stages.starting"), job.fraction)
    if not job.ahead:
        return Progress(say("analyze.waiting"), 0.0)
    wait = say("jobs.unknown") if job.wait_s is None else about(job.wait_s)
    return Progress(say("jobs.ahead", ahead=job.ahead, wait=wait), 0.0)


def _known(report: Report, name: str) -> Answer:
    """A report that was made before, under the name by which its file was brought this time."""
    return Answer(replace(report, video=replace(report.video, name=name)), from_store=True)
