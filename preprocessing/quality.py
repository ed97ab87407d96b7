"""Can this face be judged? Measured while a track grows, so that no pixels need be kept."""

import cv2
import numpy as np

from core.types import Face, Frame, Quality
from preprocessing.landmarks import yaw_deg

SAMPLE_EVERY = 10
"""Sharpness is measured on every tenth frame."""
SHARPNESS_PX = 128
REPEATED_LEVELS = 0.05
"""Mean grey levels by which a repeated frame may differ: less than any camera's noise, more than rounding."""
THUMBNAIL_PX = 192

SMALL_PX = 80
BLURRED = 20.0
TURNED_DEG = 40.0
"""From where on a person is warned; below the first no published method was tested."""


class Gauge:
    """Gathers the quality of one track, frame by frame."""

    def __init__(self) -> None:
        self._sharpness: list[float] = []
        self._count = self._repeated = 0
        self.thumbnail: np.ndarray = np.zeros((1, 1, 3), np.uint8)
        """uint8 (h, w, 3) RGB: the sharpest of the sampled views."""

    def see(self, frame: Frame, before: Frame | None, face: Face) -> None:
        """Takes in a frame in which the face was found."""
        if before is not None and before.image.shape == frame.image.shape:
            self._repeated += _is_repeated(frame.image, before.image, face.box)
        if self._count % SAMPLE_EVERY == 0:
            self._look(frame.image, face.box)
        self._count += 1

    def read(self, time_s: np.ndarray, seen: np.ndarray, landmarks: np.ndarray) -> Quality:
        """The quality of the finished track, from times (T,), seen (T,) and landmarks (T, 68, 2)."""
        steps = np.diff(time_s)
        rate = 1 / float(np.median(steps)) if len(steps) else 0.0
        yaw = float(np.median(np.abs(yaw_deg(landmarks[seen]))))
        width = float(np.median(np.ptp(landmarks[:, :, 0], axis=1)))
        sharpness = float(np.median(self._sharpness))
        spanned = max(1, round(float(time_s[-1] - time_s[0]) * rate) + 1)
        warnings = [
            sentence
            for holds, sentence in (
                (width < SMALL_PX, f"The face is only {width:.0f} px wide; small faces hide most traces."),
                (sharpness < BLURRED, "The face is blurred."),
                (yaw > TURNED_DEG, f"The head is turned by about {yaw:.0f} degrees."),
                (self._repeated > 0.1 * self._count, "Many frames repeat the frame before."),
            )
            if holds
        ]
        return Quality(
            sharpness=sharpness,
            yaw_deg=yaw,
            coverage=min(1.0, float(seen.sum()) / spanned),
            frame_rate_hz=rate,
            repeated=self._repeated / self._count,
            imputed=float(1 - seen.mean()),
            warnings=tuple(warnings),
        )

    def _look(self, image: np.ndarray, box: np.ndarray) -> None:
        view = _cut(image, box, margin=0.0)
        grey = cv2.cvtColor(
            cv2.resize(view, (SHARPNESS_PX, SHARPNESS_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
        if not self._sharpness or sharpness > max(self._sharpness):
            wide = _cut(image, box, margin=0.35)
            scale = THUMBNAIL_PX / max(wide.shape[:2])
            size = (max(1, round(wide.shape[1] * scale)), max(1, round(wide.shape[0] * scale)))
            self.thumbnail = cv2.resize(wide, size, interpolation=cv2.INTER_AREA)
        self._sharpness.append(sharpness)


def _cut(image: np.ndarray, box: np.ndarray, *, margin: float) -> np.ndarray:
    """The part of the box, widened by `margin` of its size on each side, that is inside the image; never empty."""
    grow = (box[2:] - box[:2]) * margin
    height, width = image.shape[:2]
    x1, y1 = np.clip((box[:2] - grow).astype(int), 0, (width - 1, height - 1))
    x2, y2 = np.clip((box[2:] + grow).astype(int) + 1, (x1 + 1, y1 + 1), (width, height))
    return image[y1:y2, x1:x2]


def _is_repeated(image: np.ndarray, before: np.ndarray, box: np.ndarray) -> bool:
    """Whether the face's pixels are those of the frame before, on a grid of 32 x 32."""
    height, width = image.shape[:2]
    columns = np.clip(np.linspace(box[0], box[2], 32).astype(int), 0, width - 1)
    rows = np.clip(np.linspace(box[1], box[3], 32).astype(int), 0, height - 1)
    grid = np.ix_(rows, columns)
    return float(np.abs(image[grid].astype(np.int16) - before[grid]).mean()) < REPEATED_LEVELS
