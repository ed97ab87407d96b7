"""The cache that `training.prepare` fills and every method trains from: what the app itself would see of each sample.

    for prepared in load(cache, "xception", "train"):
        prepared.sample.label, prepared.sample.bonds   # 0 or 1; what must not be on both sides of a split
        faces = prepared.faces("xception")             # crops uint8 (n, 299, 299, 3), read when they are touched
        faces.masks(0)["eyes"]                         # bool (299, 299)
        prepared.track()                               # landmarks, raw and calibrated, over all T frames
        prepared.track("xception")                     # the same with crops, as a detector's `score` takes it

Of each sample the person most in view is kept. On disk:

    cache.json              the version of this format and what the cache was made from
    index.csv               one row a sample: what its layout says of it, and what was made of it
    log.csv                 one line a sample as it was read: score, or why there is nothing
    failed.csv              what is missing or failed, and why
    landmarks/<id>.npz      the track without crops (see `core.types.Track`)
    <kind>/<id>.npz, .npy   where the crops are from, and their pixels, which are mapped and not loaded

A kind of crops is a rule of `preprocessing.alignment` with its numbers, so what a network learns from is cut by the
very code that will cut for it in the app. Masks of the regions are not stored: they are drawn from the landmarks, as
the app draws them. A photograph is a track of one frame; it has no `mouth`.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from core.errors import InputError
from core.kept import write_json
from core.types import Crops, Track
from preprocessing.cropping import Look
from preprocessing.profile import CropRule
from preprocessing.regions import region_masks
from training.clips import PARTIAL, as_arrays, as_track, saved, write_whole
from training.layouts.sample import Sample

FORMAT = 1
"""Raise it when the cache's files mean something else than before: old caches are then refused."""
FRAMES = 32
"""Of a video, evenly spread, that crops are cut from, as most published evaluations do; `mouth` takes all."""
LANDMARKS = "landmarks"


def _rule(name: str, size_px: int, **more: Any) -> CropRule:
    return CropRule.model_validate({"name": name, "size_px": size_px, **more})


RULES: dict[str, CropRule] = {
    "canvas": _rule("canvas", 256, margin=1.5),
    "cues": _rule("canvas", 256, margin=1.5),
    "mouth": _rule("lipforensics", 96),
    "xception": _rule("ffpp", 299, margin=1.3),
    "deepfakebench": _rule("deepfakebench", 256, margin=1.3, resize="cubic"),
    "capsule": _rule("nii", 300, margin=1.3),
    "bida": _rule("bida", 200),
    "dsp_fwa": _rule("dsp_fwa", 224, views=10, resize="linear"),
    "laa_net": _rule("laa_net", 384, margin=1.5, resize="linear", stored_px=256, trim_px=5),
    "laa_net_bi": _rule("laa_net", 384, margin=1.5, resize="linear", stored_px=317, trim_px=18),
    "laa_net_stored": _rule("laa_net", 256, margin=1.5, resize="linear"),
    "laa_net_bi_stored": _rule("laa_net", 317, margin=1.5, resize="linear", stored_px=317),
    "gend": _rule("gend", 224, margin=1.3, resize="bicubic"),
}
"""By kind, named after the method whose crop it is; `mouth` keeps 4 px on each side for random crops of 88,
and LAA-Net trains on the whole of what it trims and enlarges to look at."""
KINDS = (LANDMARKS, *RULES)
SEQUENCES = ("mouth", "cues")
"""Kinds of crops that mean something only frame by frame: of all frames, or of runs of them."""
RUNS = {"cues": (8, 6)}
"""How many runs of how many frames, as Compact looks at them."""


def look_of(kind: str, frames: int = FRAMES) -> Look:
    """How this kind of crops is cut, from so many frames of a video."""
    if kind in RUNS:
        runs, run = RUNS[kind]
        return Look(RULES[kind], runs, run=run)
    return Look(RULES[kind], None if kind in SEQUENCES else frames)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """n crops of one kind of one person, in order of time.

    `crops.images` uint8 (n, s, s, 3) RGB is mapped from disk, so taking one crop reads one crop; `landmarks` float32
    (n, 68, 2) px of the frame; `time_s` float64 (n,).
    """

    crops: Crops
    landmarks: np.ndarray
    time_s: np.ndarray

    def __len__(self) -> int:
        return len(self.time_s)

    def on_crop(self, i: int) -> np.ndarray:
        """The landmarks of one crop in its own px, float32 (68, 2)."""
        to_crop = cv2.invertAffineTransform(self.crops.to_frame[i].astype(np.float64))
        return (self.landmarks[i] @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)

    def masks(self, i: int) -> dict[str, np.ndarray]:
        """The five regions on one crop, bool (s, s) by name."""
        return region_masks(self.landmarks[i], self.crops.to_frame[i], self.crops.images.shape[1])


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a sample.

    `kinds` that there are; `score` the share of the video's frames in which this face was found, in [0, 1]; `frames`
    in which it was followed; `rate_hz` their median rate, 0 for a photograph; `face_px` the median width of the face.
    """

    kinds: tuple[str, ...]
    score: float
    frames: int
    rate_hz: float
    face_px: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """One sample of a cache; its arrays are read when they are asked for."""

    sample: Sample
    made: Made
    cache: Path
    frames_per_video: int

    def place(self, kind: str) -> Path:
        """The file of this kind, which is there if the kind is among those that were made."""
        return _place(self.cache, kind, self.sample.id)

    def track(self, *kinds: str) -> Track:
        """Landmarks over all T frames; with kinds, their crops too, under `look_of(kind, frames_per_video)`."""
        with np.load(self.place(LANDMARKS)) as arrays:
            return as_track(arrays, {look_of(k, self.frames_per_video): self._crops(k) for k in kinds})

    def faces(self, kind: str) -> Faces:
        """The crops of this kind, with the landmarks of the frames they were cut from."""
        track, crops = self.track(), self._crops(kind)
        return Faces(crops, track.landmarks[crops.index], track.time_s[crops.index])

    def _crops(self, kind: str) -> Crops:
        place = self.place(kind)
        with np.load(place) as arrays:
            images = np.load(place.with_suffix(".npy"), mmap_mode="r")
            return Crops(arrays["index"], images, arrays["to_frame"])


def load(cache: Path, kind: str, split: str | None = None) -> list[Prepared]:
    """The samples of which this kind was made, in the order of the index; of one split, or of all.

    Raises:
        InputError: this is no cache, it is of another format, or nothing of this kind and split is in it.
    """
    every = read_index(cache)
    found = [one for one in every if kind in one.made.kinds and split in (None, one.sample.split)]
    if not found:
        kinds = sorted({k for one in every for k in one.made.kinds})
        splits = sorted({one.sample.split for one in every})
        raise InputError(
            f"{cache} holds nothing of the kind {kind!r} in the split {split or 'any'!r}; it has the kinds {kinds} and "
            f"the splits {splits}. More is made by `python -m training.prepare` with the same folder."
        )
    return found


def read_index(cache: Path) -> list[Prepared]:
    """Every sample that was found, those of which nothing could be made among them.

    Raises:
        InputError: this is no cache, or it is of another format.
    """
    about = read_about(cache)
    index = cache / "index.csv"
    if about is None or not index.exists():
        raise InputError(f"{cache} is no cache; make one with `python -m training.prepare`.")
    with index.open(newline="", encoding="utf-8") as stream:
        rows = [_from_row(row) for row in csv.DictReader(stream)]
    return [Prepared(sample, made, cache, int(about["frames_per_video"])) for sample, made in rows]


def read_about(cache: Path) -> dict[str, Any] | None:
    """What a cache says of itself; None where there is none yet.

    Raises:
        InputError: it is of another format.
    """
    try:
        about: dict[str, Any] = json.loads((cache / "cache.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if about.get("format") != FORMAT:
        raise InputError(
            f"{cache} is of format {about.get('format')}, this version reads {FORMAT}; make it anew in another folder."
        )
    return about


def write_about(cache: Path, about: Mapping[str, Any]) -> None:
    write_json(cache / "cache.json", {"format": FORMAT, **about})


def write_track(cache: Path, id: str, track: Track, kinds: Sequence[str], frames: int) -> tuple[str, ...]:
    """Writes the landmarks and these kinds of crops; gives all that there are now, without those that were not cut."""
    write_whole(_place(cache, LANDMARKS, id), saved(as_arrays(track)))
    made = [LANDMARKS]
    for kind in kinds:
        crops = track.crops.get(look_of(kind, frames)) if kind in RULES else None
        if crops is not None:
            place = _place(cache, kind, id)
            write_whole(place.with_suffix(".npy"), partial(np.save, arr=crops.images))
            write_whole(place, partial(np.savez, index=crops.index, to_frame=crops.to_frame))
            made.append(kind)
    return tuple(made)


def write_index(cache: Path, rows: Sequence[tuple[Sample, Made]]) -> None:
    write_rows(cache / "index.csv", COLUMNS, [_as_row(sample, made) for sample, made in rows])


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV that appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(path.name + PARTIAL)
    with partial_path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    partial_path.replace(path)


COLUMNS = (*(f.name for f in fields(Sample)), *(f.name for f in fields(Made)))


def _as_row(sample: Sample, made: Made) -> dict[str, object]:
    return asdict(sample) | asdict(made) | {"kinds": " ".join(made.kinds)}


def _from_row(row: Mapping[str, str]) -> tuple[Sample, Made]:
    told = {f.name: row[f.name] for f in fields(Sample)}
    sample = Sample(**{**told, "path": Path(row["path"]), "label": int(row["label"])})  # type: ignore[arg-type]
    numbers = {name: float(row[name]) for name in ("score", "rate_hz", "face_px")}
    return sample, Made(kinds=tuple(row["kinds"].split()), frames=int(row["frames"]), **numbers)


def _place(cache: Path, kind: str, id: str) -> Path:
    return cache / kind / f"{id}.npz"
