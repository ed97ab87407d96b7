"""Celeb-DF, version 1 or 2 (Li et al., CVPR 2020), with the official list of test videos.

    ROOT/Celeb-real/id0_0000.mp4
    ROOT/Celeb-synthesis/id0_id16_0000.mp4      the video id0_0000 with the face of id16
    ROOT/YouTube-real/00000.mp4
    ROOT/List_of_testing_videos.txt             lines such as `1 YouTube-real/00170.mp4`, where 1 is real

Everything the list does not name is for training. People and even source videos are in both splits by the list's own
doing: it names id4_id1_0003, but not id4_0003.
"""

from pathlib import Path

from core.errors import InputError
from training.layouts.sample import AND, GENUINE, Sample

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
LIST = "List_of_testing_videos.txt"


def read(root: Path) -> list[Sample]:
    """
    Raises:
        InputError: the folders or the list are not there.
    """
    absent = [name for name in (*FOLDERS, LIST) if not (root / name).exists()]
    if absent:
        raise InputError(
            f"{root} is not laid out as Celeb-DF: {', '.join(absent)} not found; name the folder that holds "
            f"{', '.join(FOLDERS)} and {LIST}."
        )
    lines = (root / LIST).read_text(encoding="utf-8").splitlines()
    test = {line.split(maxsplit=1)[1].strip() for line in lines if line.strip()}
    there = {f"{folder}/{path.name}" for folder in FOLDERS for path in (root / folder).glob("*.mp4")}
    return [_sample(root, name, name in test) for name in sorted(there | test)]


def _sample(root: Path, name: str, is_test: bool) -> Sample:
    folder, stem = name.split("/")[0], Path(name).stem
    if folder not in FOLDERS:
        raise InputError(f"{LIST} names {name}, which is in none of {', '.join(FOLDERS)}.")
    parts = stem.split("_")
    people = parts[:-1]
    return Sample(
        id=f"{folder}/{stem}",
        path=root / name,
        label=1 if FOLDERS[folder] else 0,
        split="test" if is_test else "train",
        method="Celeb-synthesis" if FOLDERS[folder] else GENUINE,
        source=f"celeb-df/{people[0]}_{parts[-1]}" if people else f"celeb-df/{folder}/{stem}",
        identity=AND.join(f"celeb-df/{person}" for person in people),
    )
