"""The trees that data sets come in, and what their names and lists say of each file.

    found, missing = read("celeb-df", Path("Celeb-DF-v2"))

Where a data set has lists, what they name and what is not there is `missing`. Names of sources, identities and pairs
begin with the data set's, and DeeperForensics, whose targets are those of FaceForensics++, uses the same for them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

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
SHARES: dict[Split, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Of a data set without splits. One with splits keeps them, also where none validates."""


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

    Whole groups go to one side: where a member has a split, to that; the others, the largest first, each to the part
    that is then least filled for its share of the classes that come. The same samples are always shared out alike.
    """
    numbers = groups(samples)
    members: dict[int, list[Sample]] = {}
    for number, sample in zip(numbers, samples, strict=True):
        members.setdefault(number, []).append(sample)
    held = {split: np.zeros(2) for split in SHARES}
    goes: dict[int, Split] = {}
    for number, group in sorted(members.items(), key=lambda item: (-len(item[1]), min(s.id for s in item[1]))):
        told = {s.split for s in group if s.split}
        brings = np.bincount([s.label for s in group], minlength=2)
        filled = {split: (held[split] + brings) @ brings / share for split, share in SHARES.items()}
        goes[number] = min(told or filled, key=lambda split: (filled[split], split))
        if not told:
            held[goes[number]] += brings
    return [s if s.split else replace(s, split=goes[n]) for n, s in zip(numbers, samples, strict=True)]
