"""The error tree. A message is for the person at the page: what was expected, what was found, the way out."""

from enum import StrEnum


class AppError(Exception):
    """Something the person at the page can act on; anything else that is raised is a bug."""


class InputError(AppError):
    """The upload cannot be analysed: unreadable, no video stream, too long, too large."""


class NotNow(InputError):
    """The file could not be read this time, for want of time or memory perhaps; another time it may go well."""


class WeightsError(AppError):
    """Weights cannot be had, or are not the file the manifest names."""


class Lack(StrEnum):
    """What a track lacks for a detector to judge it: the kind of a reason, by which skips are counted."""

    SIZE = "size"
    """The face is too small."""
    LENGTH = "length"
    """There are too few frames."""
    RATE = "rate"
    """Frames come too seldom, too often, unevenly or twice."""
    VIEW = "view"
    """The face is lost or cut off."""
    UNREADY = "unready"
    """The detector wants weights that are not here, or a reference."""
    OTHER = "other"


class NotApplicable(AppError):
    """This detector cannot judge this track; the pipeline turns it into `Skipped`."""

    def __init__(self, sentence: str, lack: Lack = Lack.OTHER) -> None:
        super().__init__(sentence)
        self.lack = lack


class ReportNotFound(AppError):
    """No report of this id belongs to this visitor."""


class Claimed(AppError):
    """Somebody else is at work on this report; says who, and until when."""


class NotPossible(AppError):
    """The state of a report does not allow this."""


class NotAllowed(AppError):
    """Nobody has logged in, or somebody whose role does not include this."""


class Cancelled(AppError):
    """The person stopped the analysis."""
