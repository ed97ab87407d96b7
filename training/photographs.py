"""A photograph as a track of one frame, cut by the same rules as the frames of a video."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from core.errors import InputError
from core.settings import Settings
from core.types import Face, Frame, Track
from core.weights import load_manifest
from preprocessing.calibration import Stretch, cut_patch, extent_px
from preprocessing.cropping import Cropping, Look
from preprocessing.landmarks import LandmarkBackend, open_landmarks
from preprocessing.quality import Gauge
from preprocessing.tracking import MIN_EXTENT_PX
from training.layouts.listed import PHOTOGRAPHS


def is_photograph(path: Path) -> bool:
    return path.suffix.lower() in PHOTOGRAPHS


def read_photograph(path: Path, looks: Sequence[Look], landmarks: str, settings: Settings) -> Track:
    """A track of one frame: the largest face of a photograph.

    Raises:
        InputError: it is none, or no face is in it.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError("This is not a picture that can be read.")
    image = np.ascontiguousarray(picture[..., ::-1])
    backend = _open(landmarks, settings)
    backend.reset()
    face = max(backend.find(image), key=lambda face: extent_px(face.landmarks), default=None)
    if face is None or extent_px(face.landmarks) < MIN_EXTENT_PX:
        raise InputError("No face was found.")
    return _as_track(Frame(0, 0.0, image), face, looks)


@lru_cache(maxsize=1)
def _open(landmarks: str, settings: Settings) -> LandmarkBackend:
    """Kept from photograph to photograph, since opening takes several times as long as finding."""
    return open_landmarks(landmarks, load_manifest(), settings)


def _as_track(frame: Frame, face: Face, looks: Sequence[Look]) -> Track:
    gauge, stretch, cropping = Gauge(), Stretch(), Cropping(looks)
    gauge.see(frame, None, face)
    stretch.push(cut_patch(frame.image, face.landmarks, extent_px(face.landmarks)))
    cropping.see(0, frame.image, face)
    (calibrated,) = stretch.flush()
    time_s, seen, points = np.zeros(1), np.ones(1, bool), face.landmarks[None]
    return Track(
        id=1,
        index=np.zeros(1, np.int64),
        time_s=time_s,
        boxes=face.box[None],
        landmarks=points,
        seen=seen,
        crop=calibrated.crop[None],
        calibrated=calibrated.normalised[None],
        starts=np.zeros(1, np.int64),
        quality=gauge.read(time_s, seen, points),
        thumbnail=gauge.thumbnail,
        crops=cropping.finish(),
    )
