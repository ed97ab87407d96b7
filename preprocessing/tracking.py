"""Which face is whose: faces of successive frames become tracks, one per person and shot."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.types import Face, Frame, Track
from preprocessing.calibration import GRID_PX, SIZE_RANGE, Calibrated, Patch, Stretch, cut_patch, extent_px
from preprocessing.cropping import Cropping, Look
from preprocessing.landmarks import overlap
from preprocessing.quality import Gauge

MAX_MOVE = 0.5
MAX_RESIZE = 1.3
"""Between two frames a face moves at most half its extent and grows at most so much; else it is another face."""
MAX_IMPUTED = 10
"""Frames that a lost face is bridged by repeating its landmarks, each marked as not seen."""
MAX_GAP_S = 2.0
"""A person lost for longer than this begins a new track when they return."""
MIN_FRAMES = 5
"""Shorter tracks are slips of the face finder."""
MIN_EXTENT_PX = 16

CUT_COLOURS = 0.7
"""Colours of two frames in common, place by place, below which there was a cut. Within a shot of the clips at hand they
were 0.78 at least; of two portraits of different people 0.77 at most."""
MAX_STEP = 3.5
"""A step in time of so many usual ones is a hole in the footage; nothing is followed across it."""


class Cuts:
    """Tells scene cuts by the colours in nine parts of each frame. Camera and people move, colours mostly stay."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()

    def is_cut(self, image: np.ndarray) -> bool:
        """Whether `image` begins another scene than the image before; a picture of another size always does."""
        step = max(1, min(image.shape[:2]) // 48)
        red, green, blue = np.moveaxis(image[::step, ::step] >> 6, -1, 0)
        places = _ninths(red.shape)
        counts = np.bincount((places * 64 + (red << 4 | green << 2 | blue)).ravel(), minlength=9 * 64).reshape(9, 64)
        colours = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        before, self._before = self._before, colours
        shape, self._shape = self._shape, image.shape
        if before is None or shape != image.shape:
            return before is not None
        return float(np.minimum(before, colours).sum(axis=1).mean()) < CUT_COLOURS


@lru_cache(maxsize=8)
def _ninths(shape: tuple[int, int]) -> np.ndarray:
    """Which of nine parts, 0 to 8, each pixel of a picture of this shape belongs to."""
    row, column = (np.arange(length) * 3 // max(1, length) for length in shape)
    return row[:, None] * 3 + column


def follow(found: Iterable[tuple[Frame, list[Face], bool]], looks: Sequence[Look] = ()) -> Iterator[Track]:
    """Tracks, each as soon as it ends, from frames with their faces and whether a cut came before the frame.

    Holds one frame, and per person what calibration waits for and the crops that `looks` ask for.
    """
    open_tracks: list[_Growing] = []
    before: Frame | None = None
    number = 0
    usual_s: float | None = None
    for frame, faces, cut in found:
        if before is not None:
            step_s = frame.time_s - before.time_s
            if usual_s and step_s > MAX_STEP * usual_s:
                for track in open_tracks:
                    track.interrupt()
            usual_s = 0.9 * usual_s + 0.1 * min(step_s, MAX_STEP * usual_s) if usual_s else step_s
        for track in [t for t in open_tracks if cut or frame.time_s - t.last_seen_s > MAX_GAP_S]:
            open_tracks.remove(track)
            yield from track.finish()
        faces = [f for f in faces if _is_inside(f, frame)]
        matches = _match(open_tracks, faces)
        for i, track in enumerate(open_tracks):
            if i in matches:
                track.see(frame, before, faces[matches[i]])
            else:
                track.miss(frame)
        for j in set(range(len(faces))) - set(matches.values()):
            number += 1
            open_tracks.append(_Growing(number, Cropping(looks)))
            open_tracks[-1].see(frame, before, faces[j])
        before = frame
    for track in open_tracks:
        yield from track.finish()


def _is_inside(face: Face, frame: Frame) -> bool:
    """A face whose middle is outside the picture, or that is a speck, is no face."""
    height, width = frame.image.shape[:2]
    x, y = (face.box[:2] + face.box[2:]) / 2
    return 1 <= x < width - 1 and 1 <= y < height - 1 and extent_px(face.landmarks) >= MIN_EXTENT_PX


def _match(tracks: list["_Growing"], faces: list[Face]) -> dict[int, int]:
    """Track position to face position, the cheapest pairing of those that can be the same person."""
    if not tracks or not faces:
        return {}
    cost = np.array([[_unlike(t.last, f) for f in faces] for t in tracks])
    pairs = zip(*linear_sum_assignment(np.minimum(cost, 1e6)), strict=True)
    return {int(i): int(j) for i, j in pairs if np.isfinite(cost[i, j])}


def _unlike(a: Face, b: Face) -> float:
    """Mean landmark distance over the extent, plus the share of the boxes not in common; inf: another person."""
    extent = extent_px(a.landmarks)
    growth = extent_px(b.landmarks) / extent
    moved = np.linalg.norm((a.box[:2] + a.box[2:] - b.box[:2] - b.box[2:]) / 2) / extent
    if moved > MAX_MOVE or not 1 / MAX_RESIZE <= growth <= MAX_RESIZE:
        return np.inf
    return float(np.linalg.norm(a.landmarks - b.landmarks, axis=1).mean() / extent) + 1 - overlap(a.box, b.box)


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    """One frame of a track before calibration."""

    index: int
    time_s: float
    patch: Patch
    seen: bool
    starts: bool


@dataclass(eq=False)
class _Growing:
    """A track that may still grow."""

    id: int
    cropping: Cropping
    sights: list[tuple[int, float, np.ndarray, bool]] = field(default_factory=list)
    calibrated: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    gauge: Gauge = field(default_factory=Gauge)
    stretch: Stretch = field(default_factory=Stretch)
    lost: list[_Sight] = field(default_factory=list)
    broken: bool = True
    last: Face = None  # type: ignore[assignment]  # set by the first see()
    last_seen_s: float = 0.0
    first_extent_px: float = 0.0

    def see(self, frame: Frame, before: Frame | None, face: Face) -> None:
        extent = extent_px(face.landmarks)
        resized = not self.first_extent_px / SIZE_RANGE <= extent <= self.first_extent_px * SIZE_RANGE
        if not self.broken and not resized:
            for sight in self.lost:
                self._add(sight)
        else:
            self.first_extent_px = extent
        patch = cut_patch(frame.image, face.landmarks, self.first_extent_px)
        self._add(_Sight(frame.index, frame.time_s, patch, True, self.broken or resized))
        self.gauge.see(frame, before, face)
        self.cropping.see(len(self.sights) - 1, frame.image, face)
        self.last, self.last_seen_s, self.lost, self.broken = face, frame.time_s, [], False

    def miss(self, frame: Frame) -> None:
        """Keeps the surroundings of a lost face for a while, in case it comes back."""
        self.cropping.lose()
        if not self.broken and len(self.lost) < MAX_IMPUTED:
            patch = cut_patch(frame.image, self.last.landmarks, self.first_extent_px)
            self.lost.append(_Sight(frame.index, frame.time_s, patch, False, False))
        else:
            self.interrupt()

    def interrupt(self) -> None:
        """Footage is missing: what comes next begins a new stretch."""
        self.cropping.lose()
        self.lost, self.broken = [], True

    def finish(self) -> Iterator[Track]:
        """The track, unless it was too short to be one."""
        self._collect(self.stretch.flush())
        if sum(seen for *_, seen in self.sights) >= MIN_FRAMES:
            index, time_s, landmarks, seen = (list(column) for column in zip(*self.sights, strict=True))
            crop, calibrated = (np.stack(column) for column in zip(*self.calibrated, strict=True))
            times = np.array(time_s, np.float64)
            points = np.stack(landmarks).astype(np.float32)
            yield Track(
                id=self.id,
                index=np.array(index, np.int64),
                time_s=times,
                boxes=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
                landmarks=points,
                seen=np.array(seen, bool),
                crop=crop,
                calibrated=calibrated,
                starts=np.array(self.starts, np.int64),
                quality=self.gauge.read(times, np.array(seen, bool), points),
                thumbnail=self.gauge.thumbnail,
                crops=self.cropping.finish(),
            )

    def _add(self, sight: _Sight) -> None:
        if sight.starts:
            self._collect(self.stretch.flush())
            self.stretch = Stretch()
            self.starts.append(len(self.sights))
        self.sights.append((sight.index, sight.time_s, sight.patch.landmarks, sight.seen))
        self._collect(self.stretch.push(sight.patch))

    def _collect(self, done: list[Calibrated]) -> None:
        self.calibrated += [(c.crop, c.normalised) for c in done]


def raw_in_crop(track: Track, where: slice) -> np.ndarray:
    """The landmarks as found, float32 (F, 68, 2), in the [-1, 1] units of the calibration crop."""
    corner, side = track.crop[where, None, :2], track.crop[where, None, 2:]
    return (np.rint((track.landmarks[where] - corner) * GRID_PX / side) / (GRID_PX / 2) - 1).astype(np.float32)
