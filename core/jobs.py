"""What is known of an analysis that was asked for, from then until some time after its end."""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from core.errors import AppError, InputError
from core.types import Options


class JobState(StrEnum):
    """A job ends as done, failed or cancelled, and stays so."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Priority(IntEnum):
    """Whose turn comes first: that of a person who waits at the page."""

    PERSON = 0
    BATCH = 1


def priority_called(given: str) -> Priority:
    """The priority of this name, in lower case.

    Raises:
        InputError: there is none.
    """
    names = {priority.name.lower(): priority for priority in Priority}
    if given not in names:
        raise InputError(f"There is no priority called {given!r}; choose among: {', '.join(names)}.")
    return names[given]


@dataclass(frozen=True, slots=True)
class Job:
    """`name` and `sha256` are the file's; times are UTC, ISO 8601; `fraction` of the `stage` in [0, 1].

    `tries` counts how often a worker began it, `reason` says why it failed. `report_id` is there once it is done, and
    `from_store` if that report had been made before. `ahead` jobs have their turn before this one while it is queued,
    and it will take about `wait_s` until then; None where no job was timed yet.
    """

    id: str
    state: JobState
    priority: Priority
    name: str
    sha256: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    stage: str
    fraction: float
    tries: int
    reason: str | None
    report_id: str | None
    from_store: bool
    ahead: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: one file, by its hash, with these options and genuine clips of the same source, by theirs.

    `again` is the id of the report that is to be run again, whose file is kept, and None for an upload.
    """

    name: str
    sha256: str
    options: Options
    references: tuple[str, ...] = ()
    reference_names: tuple[str, ...] = ()
    again: str | None = None

    def is_same(self, other: "Request") -> bool:
        """Whether both ask for the same, whatever the files are called."""
        return replace(self, name="", reference_names=()) == replace(other, name="", reference_names=())


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that one worker has to itself, as long as it gives signs of life; `language` is that of who asked."""

    id: str
    worker: str
    owner: str
    language: str
    request: Request


class JobNotFound(AppError):
    """No job of this id belongs to this visitor."""


class QueueFull(AppError):
    """`ahead` jobs wait already, which is as many as may; `wait_s` as in `Job`."""

    def __init__(self, ahead: int, wait_s: float | None) -> None:
        self.ahead, self.wait_s = ahead, wait_s
        super().__init__(f"{ahead} analyses are waiting, which is as many as may; try again later.")


class TooManyJobs(AppError):
    """Somebody has asked for `limit` analyses within an hour; the next one is possible in `wait_s`."""

    def __init__(self, limit: int, wait_s: float) -> None:
        self.limit, self.wait_s = limit, wait_s
        super().__init__(f"You asked for {limit} analyses within an hour, which is as many as may be; try again later.")
