"""Landmark calibration: Lucas-Kanade tracking on a steady face crop, merged with the detections by a Kalman blend.

It takes out the trembling of the landmark detector and leaves the movement of the face, which is what LRNet reads.
Source: Sun et al., "Improving the Efficiency and Robustness of Deepfakes Detection through Precise Geometric
Features", CVPR 2021, in the form published with its code (frederickszk/LRNet, 2024-01).
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

GRID_PX = 400
"""Side of the crop that landmarks are tracked on."""
MARGIN = 1.2
"""Crop side over face extent."""
STILL_PX = 1.42
"""A centre that moved less than this stays where it was."""
TRUSTED_PX = 2
"""Forward and back tracking must meet this closely, in grid px."""
PROCESS_NOISE = 0.3
LK: dict[str, Any] = {
    "winSize": (15, 15),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
    "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
}

LEAD_FRAMES = 30
"""Frames that set the face size of a stretch. Upstream averages over the whole video, which a single pass cannot; with
a second of it LRNet's clip means stay as near to the published ones as with three (`tests/test_lrnet.py`)."""
LEAD_BYTES = 48_000_000
"""Large faces set it with fewer frames: what waits for the size is held in memory."""
CATCH_UP = 2
"""Each such new frame, two of those that wait are calibrated instead of one. All of them at once would hold up the
stages before."""
SIZE_RANGE = 1.4
"""A stretch ends when the face has grown or shrunk by more than this since its first frame."""


def extent_px(landmarks: np.ndarray) -> float:
    """The larger of width and height of landmarks (68, 2), in px."""
    return float(np.ptp(landmarks, axis=0).max())


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The surroundings of a face, kept while its crop is not yet known: `image` uint8 RGB with its corner x, y in the
    frame; `frame_size` (width, height) px; `landmarks` float64 (68, 2) frame px."""

    image: np.ndarray
    x: int
    y: int
    frame_size: tuple[int, int]
    landmarks: np.ndarray


def cut_patch(image: np.ndarray, landmarks: np.ndarray, first_extent_px: float) -> Patch:
    """A copy large enough for any crop of a stretch that began with `first_extent_px`."""
    height, width = image.shape[:2]
    reach = first_extent_px * SIZE_RANGE * MARGIN / 2 + 4
    x, y = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
    x1, y1 = max(0, int(x - reach)), max(0, int(y - reach))
    # A crop that meets the left or upper edge is pushed inside with its full side, so it reaches further right or down.
    x2, y2 = min(width, int(max(x, reach) + reach) + 1), min(height, int(max(y, reach) + reach) + 1)
    return Patch(image[y1:y2, x1:x2].copy(), x1, y1, (width, height), np.asarray(landmarks, np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """One frame: `crop` float32 (3,) x1 y1 side in frame px; `detected` and `tracked` int (68, 2) on the 400 grid."""

    crop: np.ndarray
    detected: np.ndarray
    tracked: np.ndarray

    @property
    def normalised(self) -> np.ndarray:
        """float32 (68, 2), nominally in [-1, 1]: what LRNet reads."""
        return ((self.tracked - GRID_PX / 2) / (GRID_PX / 2)).astype(np.float32)


class Stretch:
    """Calibrates a run of consecutive frames of one face, as they come.

    The first `lead_frames` wait until the face size is known; from then on those that wait are worked off while new
    ones come, until only the crop before is held. Nothing waits where `mean_extent_px` tells the size.
    """

    def __init__(
        self,
        lead_frames: int = LEAD_FRAMES,
        lead_bytes: int = LEAD_BYTES,
        *,
        mean_extent_px: float | None = None,
    ) -> None:
        self._lead_frames, self._lead_bytes = lead_frames, lead_bytes
        self._waiting: deque[Patch] = deque()
        self._boxes = None if mean_extent_px is None else _Boxes(mean_extent_px)
        self._tracker = Tracker()
        self._pushed = 0

    def push(self, patch: Patch) -> list[Calibrated]:
        """The frames, oldest first, that are finished now."""
        self._waiting.append(patch)
        self._pushed += 1
        if self._boxes is None and len(self._waiting) < self._lead_frames and self._held_bytes() < self._lead_bytes:
            return []
        return self._work_off(1 if self._pushed % CATCH_UP else 2)

    def flush(self) -> list[Calibrated]:
        """All that waits; call it once after the last frame."""
        return self._work_off(len(self._waiting))

    def _work_off(self, most: int) -> list[Calibrated]:
        """The oldest frames, as soon as there is a size."""
        if self._boxes is None and self._waiting:
            self._boxes = _Boxes(float(np.mean([extent_px(p.landmarks) for p in self._waiting])))
        return [self._calibrate(self._waiting.popleft()) for _ in range(min(most, len(self._waiting)))]

    def _held_bytes(self) -> int:
        return sum(p.image.nbytes for p in self._waiting)

    def _calibrate(self, patch: Patch) -> Calibrated:
        assert self._boxes is not None
        x, y, side = self._boxes.next(patch.landmarks, patch.frame_size)
        crop = patch.image[y - patch.y : y - patch.y + side, x - patch.x : x - patch.x + side]
        how = cv2.INTER_CUBIC if side < GRID_PX else cv2.INTER_AREA
        crop = cv2.resize(crop, (GRID_PX, GRID_PX), interpolation=how)
        detected = np.rint((patch.landmarks - (x, y)) * GRID_PX / side).astype(np.int64)
        return Calibrated(np.array([x, y, side], np.float32), detected, self._tracker.step(crop, detected))


class _Boxes:
    """One square size for the stretch; a centre that holds still while the face hardly moves."""

    def __init__(self, mean_extent_px: float) -> None:
        self._side = int(int(np.rint(mean_extent_px)) * MARGIN) // 2 * 2
        self._centre: np.ndarray | None = None

    def next(self, landmarks: np.ndarray, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """x1, y1 and side in frame px; smaller where it meets the right or lower edge."""
        centre = (landmarks.min(axis=0) + landmarks.max(axis=0)) // 2
        if self._centre is None or np.linalg.norm(centre - self._centre) >= STILL_PX:
            self._centre = centre
        x, y = (max(0, int(c) - self._side // 2) for c in self._centre)
        side = min(self._side, frame_size[0] - x, frame_size[1] - y)
        return x, y, side


class Tracker:
    """Tracks 68 points over crops uint8 (400, 400, 3); all numbers are grid px.

    Colour matters: on grey crops nearly a tenth of the coordinates come out differently.
    """

    def __init__(self) -> None:
        self._crop: np.ndarray | None = None
        self._detected = self._tracked = np.empty(0)
        self.variance = np.zeros(0)

    def step(self, crop: np.ndarray, detected: np.ndarray) -> np.ndarray:
        """Tracked points int (68, 2) of this crop, given its detections int (68, 2)."""
        if self._crop is None:
            tracked, self.variance = detected, np.zeros(len(detected))
        else:
            forward, back, found = track(self._crop, crop, self._tracked, detected)
            tracked, self.variance = merge(self._detected, detected, self._tracked, forward, back, found, self.variance)
        self._crop, self._detected, self._tracked = crop, detected, tracked
        return tracked


def track(
    before: np.ndarray, after: np.ndarray, tracked: np.ndarray, detected: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pyramidal Lucas-Kanade from `before` to `after` and back, first guess the new detection and the old point.

    Returns:
        forward int (68, 2), back int (68, 2), found bool (68,): both directions had an answer.
    """
    start, guess = tracked.astype(np.float32), detected.astype(np.float32)
    # LK writes into the guess it is given: hand it copies.
    forward, there, _ = cv2.calcOpticalFlowPyrLK(before, after, start, guess.copy(), **LK)
    back, home, _ = cv2.calcOpticalFlowPyrLK(after, before, forward, start.copy(), **LK)
    found = (there.ravel() == 1) & (home.ravel() == 1)
    return np.rint(forward).astype(np.int64), np.rint(back).astype(np.int64), found


def merge(
    detected_before: np.ndarray,
    detected: np.ndarray,
    tracked: np.ndarray,
    forward: np.ndarray,
    back: np.ndarray,
    found: np.ndarray,
    variance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The Kalman blend of detection and forward tracking, per point.

    The measurement noise is detected motion over tracked motion: a detection that jumps while the picture stands still
    is mostly ignored, one that did not move is taken as it is.

    Returns:
        tracked int (68, 2) and variance float64 (68,) of the new frame.
    """
    trusted = found & (np.linalg.norm(back - tracked, axis=1) <= TRUSTED_PX)
    moved = np.linalg.norm(forward - tracked, axis=1)
    noise = np.linalg.norm(detected - detected_before, axis=1) / np.where(moved == 0, 1, moved)
    predicted = variance + PROCESS_NOISE
    gain = predicted / (predicted + noise)
    # Cut towards zero, not rounded: the published arrays hold integers.
    blended = (forward + gain[:, None] * (detected - forward)).astype(np.int64)
    return (
        np.where(trusted[:, None], blended, detected),
        np.where(trusted, (1 - gain) * predicted, variance),
    )
