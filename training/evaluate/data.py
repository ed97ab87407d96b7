"""Labelled clips, wherever they are told of: a list, a data set in its own layout, or a cache."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.weights.store import sha256_of
from training.layouts import LAYOUTS, read
from training.layouts.listed import read as read_list
from training.layouts.sample import Sample
from training.prepared import LANDMARKS, Prepared, read_index

MISSING = "The file is missing."
UNREAD = "It could not be prepared: failed.csv in the cache says why."


@dataclass(frozen=True, slots=True)
class Subject:
    """One labelled video: a file, or what a cache holds of it; or the `reason` why there is neither."""

    sample: Sample
    prepared: Prepared | None = None
    reason: str = ""

    @property
    def content(self) -> str:
        """Tells what is looked at from everything else; more may be added to what a cache holds of a video."""
        if self.prepared is None:
            return sha256_of(self.sample.path)
        return (
            f"{sha256_of(self.prepared.place(LANDMARKS))} {self.prepared.made.kinds} {self.prepared.frames_per_video}"
        )


def read_subjects(data: str, root: Path | None, split: str | None = None) -> list[Subject]:
    """The clips of a list, of a layout at `root`, or of a cache; of one split, by default `test` where there is one.

    Raises:
        InputError: it is none of these, or holds no such split.
    """
    if data in LAYOUTS and root:
        found, missing = read(data, root)
        subjects = [*map(Subject, found), *(Subject(sample, reason=MISSING) for sample in missing)]
    elif Path(data).is_dir():
        subjects = [Subject(one.sample, one, "" if one.made.kinds else UNREAD) for one in read_index(Path(data))]
    elif Path(data).is_file():
        subjects = [Subject(s, reason="" if s.path.is_file() else MISSING) for s in read_list(Path(data))]
    else:
        raise InputError(
            f"{data} is neither a list nor a cache; name a CSV, a folder that `python -m training.prepare` filled, or "
            f"a layout and its root: {', '.join(LAYOUTS)}."
        )
    splits = {subject.sample.split for subject in subjects}
    wanted = split or ("test" if "test" in splits else "all")
    subjects = [subject for subject in subjects if wanted in ("all", subject.sample.split)]
    if not subjects:
        raise InputError(f"{data} has no split {wanted!r}; it has {', '.join(sorted(filter(None, splits))) or 'none'}.")
    return subjects
