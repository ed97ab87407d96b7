"""A list of files of one's own, and a folder of genuine faces.

    file,label,split,method,compression,source,identity,pair
    clips/a.mp4,real,train,,,,anna,
    clips/b.mp4,fake,train,face swap,c23,clips/a.mp4,anna+berta,

Paths are relative to the list's folder. Only `file` (or `path`) and `label` (real or 0, fake or 1) must be there; other
columns than these are passed over, except that `family` stands in for `method`, and `origin_repo` for `source`: what
was found in one place is not split.

A folder of genuine faces holds photographs and videos, in folders or not. `anna_0001.jpg` and `anna_0002.jpg` show one
person, and so do `anna/01.jpg` and `anna/02.jpg`; a list with the columns `file` and `identity` can say it better.
"""

import csv
import re
from pathlib import Path, PurePosixPath
from typing import Any, cast

from core.errors import InputError
from training.layouts.sample import GENUINE, Sample, Split

LABELS = {"real": 0, "genuine": 0, "0": 0, "fake": 1, "manipulated": 1, "1": 1}
PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def read(root: Path) -> list[Sample]:
    """The samples of a list; `root` is the CSV file.

    Raises:
        InputError: it is no CSV, or a row is not understood.
    """
    return [_sample(root, number, row, is_genuine=False) for number, row in enumerate(_rows(root), start=2)]


def read_faces(root: Path) -> list[Sample]:
    """The genuine faces of a list, which then needs no labels, or of a folder.

    Raises:
        InputError: it is neither, or nothing is in it.
    """
    if root.is_file():
        return [_sample(root, number, row, is_genuine=True) for number, row in enumerate(_rows(root), start=2)]
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in PHOTOGRAPHS + VIDEOS)
    if not paths:
        raise InputError(f"{root} is no folder of faces: no photographs or videos below it ({', '.join(PHOTOGRAPHS)}).")
    return [
        Sample(
            id=path.relative_to(root).as_posix(),
            path=path,
            label=0,
            split="",
            method=GENUINE,
            identity=_identity(PurePosixPath(path.relative_to(root).as_posix())),
        )
        for path in paths
    ]


def _rows(root: Path) -> list[dict[str, str]]:
    try:
        with root.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{root} is no list: name a CSV file whose first line is `file,label`.") from error
    if not rows or not {"file", "path"} & set(rows[0]):
        raise InputError(f"{root} is no list: its first line must name the columns, `file` among them.")
    return rows


def _sample(root: Path, line: int, row: dict[str, Any], *, is_genuine: bool) -> Sample:
    def told(*names: str) -> str:
        return next((str(row[name]).strip() for name in names if row.get(name)), "")

    file, split = told("file", "path"), told("split")
    label = 0 if is_genuine else LABELS.get(told("label").lower())
    if label is None or not file:
        raise InputError(f"Line {line} of {root.name} needs a `file` and a `label` of {', '.join(LABELS)}.")
    if split not in ("train", "val", "test", ""):
        raise InputError(f"Line {line} of {root.name} has the split {split!r}; it can be train, val, test or empty.")
    return Sample(
        id=told("id") or "/".join(part for part in PurePosixPath(file).parts if part not in ("..", "/")),
        path=root.parent / file,
        label=1 if label else 0,
        split=cast(Split, split),
        method=(told("method", "family") or "fake") if label else GENUINE,
        compression=told("compression"),
        source=told("source", *(() if is_genuine else ("origin_repo",))),
        identity=told("identity"),
        pair=told("pair"),
    )


def _identity(path: PurePosixPath) -> str:
    """The name without its number; of a name that is a number, the folder, or the number where there is none."""
    name = re.sub(r"[ _-]*\d+$", "", path.stem)
    return str(path.parent / name) if name else str(path.parent) if path.parent.name else path.stem
