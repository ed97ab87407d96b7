"""The trees that data sets come in, and what their names and lists say of each file.

    found, missing = read("celeb-df", Path("Celeb-DF-v2"))

Where a data set has lists, what they name and what is not there is `missing`. Names of sources, identities and pairs
begin with the data set's, and DeeperForensics, whose targets are those of FaceForensics++, uses the same for them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from core.errors import InputError
from training.layouts import celeb_df, deeperforensics, dfdc, faceforensics, listed, lrnet, uadfv
from training.layouts.sample import Sample, Split, groups

LAYOUTS: dict[str, Callable[[Path], list[Sample]]] = {
    "faceforensics": faceforensics.read,
    "dfd": faceforensics.read_dfd,
    "celeb-df": celeb_df.read,
    "dfdc": dfdc.read,
    "dfdc-preview": dfdc.read_preview,
    "deeperforensics": deeperforensics.read,
    "uadfv": uadfv.read,
    "csv": listed.read,
    "faces": listed.read_faces,
    "lrnet": lrnet.read,
}
TEST, VALIDATION = 0.1, 0.1
"""Shares of the groups of a data set without splits. One with splits keeps them, also where none validates."""


def read(layout: str, root: Path) -> tuple[list[Sample], list[Sample]]:
    """The samples of the data set at `root` that are there, each in a split, and those that should be and are not.

    Raises:
        InputError: this is not what lies there, or a list in it cannot be understood.
    """
    samples = LAYOUTS[layout](root)
    twice = [id for id, count in Counter(sample.id for sample in samples).items() if count > 1]
    if twice:
        raise InputError(f"{len(twice)} files of {root} are listed more than once, such as {twice[0]}.")
    samples = share_out(samples)
    there = [sample.path.is_file() for sample in samples]
    return (
        [sample for sample, is_there in zip(samples, there, strict=True) if is_there],
        [sample for sample, is_there in zip(samples, there, strict=True) if not is_there],
    )


def share_out(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, with a split for those that have none.

    Whole groups go to one side. Which one hangs on the group's first id alone, so that it stays the same when files are
    added.
    """
    numbers = groups(samples)
    first: dict[int, str] = {}
    for number, sample in zip(numbers, samples, strict=True):
        first[number] = min(sample.id, first.get(number, sample.id))
    return [
        sample if sample.split else replace(sample, split=_draw(first[number]))
        for number, sample in zip(numbers, samples, strict=True)
    ]


def _draw(name: str) -> Split:
    fraction = _fraction(name)
    return "test" if fraction < TEST else "val" if fraction < TEST + VALIDATION else "train"


def _fraction(name: str) -> float:
    """In [0, 1), the same for the same name."""
    return int.from_bytes(sha256(name.encode()).digest()[:6]) / 2**48
