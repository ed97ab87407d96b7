"""Files of landmarks that others' programs write: LRNet's text files, which are calibrated, and OpenFace's CSVs.

LRNet: a line a frame, 136 numbers x0 y0 x1 y1 ... of the 68 iBUG points in [-1, 1] of the calibration crop.
OpenFace (`FeatureExtraction -2Dfp`): a line a frame with the columns frame, timestamp, confidence, success, x_0 ...
x_67, y_0 ... y_67 in px of the frame; others are passed over.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.types import LANDMARKS, Quality, Track
from preprocessing.calibration import GRID_PX
from training.clips import write_whole

RATE_HZ = 25.0
"""A text file does not say; most videos of FaceForensics++ have this."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What OpenFace found in n frames.

    `landmarks` float64 (n, 68, 2) px; `seen` bool (n,); `confidence` float64 (n,) in [0, 1], 0 where nothing was found.
    """

    landmarks: np.ndarray
    seen: np.ndarray
    confidence: np.ndarray


def read_lrnet(path: Path) -> np.ndarray:
    """Calibrated landmarks, float32 (n, 68, 2).

    Raises:
        InputError: it is no such file.
    """
    try:
        numbers = np.loadtxt(path, np.float32, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path.name} is no file of landmarks: {error}.") from error
    if numbers.shape[1:] != (2 * LANDMARKS,) or not np.isfinite(numbers).all():
        raise InputError(f"{path.name} is no file of landmarks: 136 numbers a line are expected, got {numbers.shape}.")
    return numbers.reshape(-1, LANDMARKS, 2)


def write_lrnet(path: Path, calibrated: np.ndarray) -> None:
    """Landmarks (n, 68, 2), five decimals each; the file appears when it is complete."""
    write_whole(path, lambda file: np.savetxt(file, calibrated.reshape(-1, 2 * LANDMARKS), "%.5f"))


def read_openface(path: Path) -> Found:
    """
    Raises:
        InputError: columns are absent, a number is none, or there is more than one face.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, skipinitialspace=True))
    names = [f"{axis}_{i}" for i in range(LANDMARKS) for axis in ("x", "y")]
    absent = [name for name in ("success", "confidence", *names) if not rows or name not in rows[0]]
    if absent:
        raise InputError(f"{path.name} is no CSV of OpenFace with 2-D landmarks: it has no column {absent[0]}.")
    if len({row.get("face_id") for row in rows}) > 1:
        raise InputError(f"{path.name} holds several faces; let OpenFace's FeatureExtraction find one.")
    try:
        seen = np.array([float(row["success"]) == 1 for row in rows])
        confidence = np.array([float(row["confidence"]) for row in rows])
        numbers = np.array([[float(row[name]) for name in names] for row in rows])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path.name} is not complete, or holds something else than numbers: {error}.") from error
    return Found(numbers.reshape(-1, LANDMARKS, 2), seen, np.where(seen, confidence, 0.0))


def as_track(calibrated: np.ndarray) -> Track:
    """A track of calibrated landmarks (n, 68, 2) alone: its pixels are those of the 400 px crop, all of it is seen."""
    frames = len(calibrated)
    points = ((calibrated + 1) * (GRID_PX / 2)).astype(np.float32)
    return Track(
        id=1,
        index=np.arange(frames, dtype=np.int64),
        time_s=np.arange(frames) / RATE_HZ,
        boxes=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
        landmarks=points,
        seen=np.ones(frames, bool),
        crop=np.tile(np.array([0, 0, GRID_PX], np.float32), (frames, 1)),
        calibrated=calibrated,
        starts=np.zeros(1, np.int64),
        quality=Quality(np.nan, np.nan, 1.0, RATE_HZ, np.nan, 0.0),
        thumbnail=np.zeros((1, 1, 3), np.uint8),
    )
