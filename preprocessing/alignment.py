"""From a frame and a face to the crop a checkpoint was trained on, and the way back from the crop to the frame.

Each rule is its authors' own, down to the rounding, because networks notice; what differs is who finds the face. A
face's box is that of its landmarks, from brows to chin; `box_like` turns it into the one the authors' detector would
have found. Pixel centres stand at whole numbers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Protocol

import cv2
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_array

from core.types import Face
from preprocessing.profile import CropRule, Resize
from preprocessing.regions import axes, outline

DLIB = (-0.04, -0.17, 0.04, -0.06)
WIDER = (0.0, -0.36, 0.0, -0.02)
"""Where x1 y1 x2 y2 of a detector's box lie, from the same edge of the landmarks' box, in its widths and heights.

Medians over 240 photographs with FaceMesh landmarks. DLIB: dlib's frontal detector; its boxes scatter by a tenth of the
face. WIDER: boxes as drawn in the WIDER FACE data, from the hairline to the chin, by which RetinaFace was trained;
measured with MTCNN, which was trained by the same.
"""

ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
"""Five points of an upright face in 112 px, moved right by 8 as DeepfakeBench does."""
DEEPFAKEBENCH_POINTS = [37, 44, 30, 49, 55]
"""Neither eye centres nor mouth corners, but what its networks were trained with."""
GEND_FACE = np.array([(0.34, 0.46), (0.66, 0.46), (0.50, 0.64), (0.37, 0.82), (0.63, 0.82)])
"""Eyes, nose and mouth corners of an upright face in a square of side 1."""

DSP_FWA_MIN_PX = (8, 5)
"""Smaller faces leave nothing to draw crops from."""

MOUTH_POINTS = [33, 36, 39, 42, 45]
MOUTH_FACE = np.array(
    [
        (128.87017961, 137.30253356),
        (92.52245553, 94.36876014),
        (112.77241724, 94.94360870),
        (145.52511509, 94.53499862),
        (166.67710071, 93.56562296),
    ]
)
"""Where those points of the mean face stand in LipForensics' frame of 256 px."""
MOUTH_WINDOW = 12
"""A frame is aligned by the mean of its landmarks and those of the 11 frames that follow."""
MOUTH_REACH_PX = (48, 208)
"""The centre of a mouth stays within these, so that 48 px fit on every side."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """`image` uint8 (s, s, 3) RGB; `to_frame` float64 (2, 3) takes its px to px of the frame it was cut from."""

    image: np.ndarray
    to_frame: np.ndarray


class Cutter(Protocol):
    """Cuts the crops of one face along an unbroken run of frames; give each run its own.

    Every frame pushed comes back, in order, as the list of its crops, which is empty where the face cannot be cut; some
    rules hold a frame back until they have seen the next few.
    """

    def push(self, image: np.ndarray, face: Face) -> list[list[Crop]]: ...

    def flush(self) -> list[list[Crop]]:
        """What was held back; call it once after the last frame."""


def open_cutter(rule: CropRule) -> Cutter:
    return MouthCutter(rule) if rule.name == "lipforensics" else FrameCutter(rule)


class FrameCutter:
    """For rules that look at one frame at a time."""

    def __init__(self, rule: CropRule) -> None:
        self._rule = rule

    def push(self, image: np.ndarray, face: Face) -> list[list[Crop]]:
        return [RULES[self._rule.name](image, face, self._rule)]

    def flush(self) -> list[list[Crop]]:
        return []


class MouthCutter:
    """LipForensics: the mouth, on a face that is held steady by landmarks averaged over the next half second.

    Holds the surroundings of the face in 12 frames. The last 11 frames of a run share the transform of the one before.
    """

    def __init__(self, rule: CropRule) -> None:
        self._size_px = rule.size_px
        self._waiting: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque()
        self._to_face: np.ndarray | None = None

    def push(self, image: np.ndarray, face: Face) -> list[list[Crop]]:
        grown = _grow(face.box, 1.0, image)
        self._waiting.append((_inside(image, grown).copy(), grown[:2], face.landmarks.astype(np.float64)))
        if len(self._waiting) < MOUTH_WINDOW:
            return []
        self._to_face = self._steady()
        return [self._cut(*self._waiting.popleft())]

    def flush(self) -> list[list[Crop]]:
        if self._waiting and self._to_face is None:
            self._to_face = self._steady()
        done = [self._cut(*waiting) for waiting in self._waiting]
        self._waiting.clear()
        return done

    def _steady(self) -> np.ndarray:
        landmarks = np.mean([points for *_, points in self._waiting], axis=0)
        return similarity(landmarks[MOUTH_POINTS], MOUTH_FACE)

    def _cut(self, image: np.ndarray, origin: np.ndarray, landmarks: np.ndarray) -> list[Crop]:
        assert self._to_face is not None
        centre = _apply(self._to_face, landmarks[48:68].mean(axis=0))
        corner = mouth_centre(centre) - self._size_px // 2
        to_frame = chain(_shift(corner), cv2.invertAffineTransform(self._to_face))
        # Sampled in floats and cut off to whole levels, as the authors' resampler does; OpenCV's is coarser.
        pixels = np.moveaxis(np.indices((self._size_px, self._size_px))[::-1], 0, -1)
        x, y = np.moveaxis(_apply(to_frame, pixels) - origin, -1, 0)
        planes = [map_coordinates(image[..., c], [y, x], np.float64, order=1) for c in range(3)]
        # The nudge keeps levels that are whole but for rounding from falling to the one below.
        return [Crop((np.stack(planes, axis=-1) + 1e-9).astype(np.uint8), to_frame)]


def mouth_centre(centre: np.ndarray) -> np.ndarray:
    """The middle of the mouth's crop, whole x and y in LipForensics' frame, from the centre of the lips."""
    return np.rint(np.clip(centre, *MOUTH_REACH_PX)).astype(np.int64)


def box_like(shifts: tuple[float, float, float, float], box: np.ndarray) -> np.ndarray:
    """The box another detector would find, int (4,), from that of the landmarks."""
    width, height = box[2:] - box[:2]
    return np.rint(box + np.array(shifts) * (width, height, width, height)).astype(np.int64)


def ffpp_box(box: np.ndarray, margin: float, frame_px: tuple[int, int]) -> tuple[int, int, int]:
    """x, y and side of FaceForensics++'s square around a box int (4,).

    At the left or upper edge of a frame of (width, height) it slides inside, at the others it shrinks.
    """
    x1, y1, x2, y2 = (int(v) for v in box)
    side = int(margin * max(x2 - x1, y2 - y1))
    x, y = max((x1 + x2) // 2 - side // 2, 0), max((y1 + y2) // 2 - side // 2, 0)
    return x, y, min(side, frame_px[0] - x, frame_px[1] - y)


def nii_box(centre: tuple[int, int], height: int, margin: float, frame_px: tuple[int, int]) -> np.ndarray:
    """int (4,): NII's square by the height of a face, cut off where it leaves a frame of (width, height)."""
    radius = int(height * margin / 2)
    box = np.array([centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius])
    return np.clip(box, 0, (*frame_px, *frame_px))


def dsp_fwa_boxes(box: np.ndarray, views: int, frame_px: tuple[int, int]) -> list[np.ndarray]:
    """DSP-FWA's loose boxes around the landmarks' box int (4,): of random size, the same on every run; each int (4,).

    None where the face is too small to draw from. The generator is NumPy's legacy one, whose numbers never change.
    """
    x1, y1, x2, y2 = (int(v) for v in box)
    width, height = frame_px
    if x2 - x1 < DSP_FWA_MIN_PX[0] or y2 - y1 < DSP_FWA_MIN_PX[1]:
        return []
    boxes = []
    for seed in range(views):
        random = np.random.RandomState(seed)
        dx, dy = random.randint((x2 - x1) // 8), random.randint((y2 - y1) // 5)
        right, bottom = min(width - 1, x2 + dx), int(min(height - 1, y2 + 0.5 * dy))
        boxes.append(np.array([max(0, x1 - dx), max(0, y1 - dy), right, bottom]))
    return boxes


def letterbox(image: np.ndarray, size_px: int) -> Crop:
    """LAA-Net's enlargement: the corners' pixels of the longer side stay corners, what is left over is black."""
    height, width = image.shape[:2]
    scale = (size_px - 1) / (max(height, width) - 1)
    x, y = ((size_px - 1) / 2 - scale * (side - 1) / 2 for side in (width, height))
    enlarged = np.array([[scale, 0, x], [0, scale, y]])
    return Crop(cv2.warpAffine(image, enlarged, (size_px, size_px)), cv2.invertAffineTransform(enlarged))


def gend_alignment(points: np.ndarray, margin: float) -> tuple[np.ndarray, int] | None:
    """GenD's transform (2, 3) from the frame to an upright crop of the face's own size, and that side in px.

    Outlying points among the five (5, 2) are dropped; None where the rest are those of no face.
    """
    pairs = list(combinations(range(5), 2))
    sizes = [np.linalg.norm(points[i] - points[j]) / np.linalg.norm(GEND_FACE[i] - GEND_FACE[j]) for i, j in pairs]
    side = round(margin * float(np.mean(sizes)))
    aligned, _ = cv2.estimateAffinePartial2D(points, _placed(GEND_FACE, margin) * side, method=cv2.LMEDS)
    return None if aligned is None else (aligned, side)


def similarity(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """float64 (2, 3): the turn, scale and shift that bring points (n, 2) nearest to others in the sense of squares."""
    middle, target = points.mean(axis=0), onto.mean(axis=0)
    a, b = points - middle, onto - target
    scale = (a**2).sum()
    cos, sin = (a * b).sum() / scale, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / scale
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, target - turn @ middle])


def resize(image: np.ndarray, width: int, height: int, how: Resize) -> np.ndarray:
    """uint8 (height, width, 3); equal to Pillow's or OpenCV's, bit for bit."""
    if how in OPENCV:
        return cv2.resize(image, (width, height), interpolation=OPENCV[how])
    # Pillow rounds to whole levels between its two passes, across first.
    across = _weigh(image.swapaxes(0, 1), _weights(image.shape[1], width, how))
    return _weigh(across.swapaxes(0, 1), _weights(image.shape[0], height, how))


OPENCV = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST_EXACT}
PRECISION_BITS = 22
"""Pillow's weights are whole numbers of this many bits, and its sums fit 32."""


def _weigh(image: np.ndarray, weights: csr_array) -> np.ndarray:
    """The rows of an image mixed by weights."""
    rows = weights @ image.reshape(len(image), -1).astype(np.int32)
    levels = np.clip((rows + (1 << PRECISION_BITS - 1)) >> PRECISION_BITS, 0, 255)
    return levels.astype(np.uint8).reshape(-1, *image.shape[1:])


@lru_cache(maxsize=64)
def _weights(before: int, after: int, how: Resize) -> csr_array:
    """(after, before), of whole numbers: how much of each old pixel goes into each new one."""
    kernel, support = (_cubic, 2.0) if how == "bicubic" else (_triangle, 1.0)
    widened = max(before / after, 1.0)
    centre = (np.arange(after)[:, None] + 0.5) * before / after
    pixel = np.arange(before)
    first, end = ((centre + reach * widened + 0.5).astype(int) for reach in (-support, support))
    reached = (first <= pixel) & (pixel < end)
    weights = np.where(reached, kernel((pixel + 0.5 - centre) / widened), 0)
    weights *= (1 << PRECISION_BITS) / weights.sum(axis=1, keepdims=True)
    return csr_array(np.trunc(weights + np.copysign(0.5, weights)).astype(np.int32))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))


def _ffpp(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    x, y, side = ffpp_box(box_like(DLIB, face.box), rule.margin, _size_px(image))
    return _resized(image, np.array([x, y, x + side, y + side]), rule.size_px, rule.resize)


def _nii(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    """The box of the landmarks stands for that of FaceForensics++'s mask: both reach from the brows to the chin."""
    x1, y1, x2, y2 = (int(v) for v in np.rint(face.box))
    box = nii_box(((x1 + x2) // 2, (y1 + y2) // 2), y2 - y1, rule.margin, _size_px(image))
    return _resized(image, box, rule.size_px, rule.resize)


def _bida(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    """The outline's own box, unturned; that it becomes square distorts the face."""
    hull = outline(face.landmarks)
    box = np.concatenate([np.floor(hull.min(axis=0)), np.ceil(hull.max(axis=0)) + 1]).astype(np.int64)
    return _resized(image, np.clip(box, 0, _size_px(image) * 2), rule.size_px, rule.resize)


def _dsp_fwa(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    boxes = dsp_fwa_boxes(np.rint(face.box), rule.views, _size_px(image))
    return [crop for box in boxes for crop in _resized(image, box, rule.size_px, rule.resize)]


def _laa_net(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    box = _grow(box_like(WIDER, face.box), (rule.margin - 1) / 2, image)
    trimmed = slice(rule.trim_px, rule.stored_px - rule.trim_px)
    crops = []
    for stored in _resized(image, box, rule.stored_px, rule.resize):
        enlarged = letterbox(np.ascontiguousarray(stored.image[trimmed, trimmed]), rule.size_px)
        to_stored = chain(enlarged.to_frame, _shift((rule.trim_px, rule.trim_px)))
        crops.append(Crop(enlarged.image, chain(to_stored, stored.to_frame)))
    return crops


def _deepfakebench(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    onto = _placed(ARCFACE / 112, rule.margin) * rule.size_px
    aligned = similarity(face.landmarks[DEEPFAKEBENCH_POINTS].astype(np.float64), onto)
    upright = cv2.warpAffine(image, aligned, (rule.size_px, rule.size_px))
    return [Crop(upright, cv2.invertAffineTransform(aligned))]


def _gend(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    """Turned at the face's own size and resized after that, so that large faces are reduced without aliasing."""
    points = face.landmarks
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    alignment = gend_alignment(np.stack([right, left, points[30], points[48], points[54]]), rule.margin)
    if alignment is None:
        return []
    aligned, side = alignment
    upright = cv2.warpAffine(image, aligned, (side, side))
    (crop,) = _resized(upright, np.array([0, 0, side, side]), rule.size_px, rule.resize)
    return [Crop(crop.image, chain(crop.to_frame, cv2.invertAffineTransform(aligned)))]


def _canvas(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    """Our own: the eye line level, and all of the face's outline in a square; faces of any size without aliasing."""
    turn = axes(face.landmarks)
    hull = outline(face.landmarks) @ turn.T
    low, high = hull.min(axis=0), hull.max(axis=0)
    scale = float((high - low).max()) * rule.margin / rule.size_px
    corner = (low + high) / 2 - scale * (rule.size_px - 1) / 2
    to_frame = np.column_stack([scale * turn.T, turn.T @ corner])
    finer = max(1, round(scale))
    fine = np.array([[1 / finer, 0, (1 / finer - 1) / 2], [0, 1 / finer, (1 / finer - 1) / 2]])
    size = (rule.size_px * finer, rule.size_px * finer)
    upright = cv2.warpAffine(image, chain(fine, to_frame), size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return [Crop(cv2.resize(upright, (rule.size_px, rule.size_px), interpolation=cv2.INTER_AREA), to_frame)]


def _scene(image: np.ndarray, face: Face, rule: CropRule) -> list[Crop]:
    """For people, not for networks: the whole picture, never enlarged, with its longer side at `size_px` at most."""
    scale = max(*image.shape[:2], rule.size_px) / rule.size_px
    width, height = (max(1, round(side / scale)) for side in _size_px(image))
    x, y = image.shape[1] / width, image.shape[0] / height
    to_frame = np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]])
    # Halving is several times as fast as averaging over areas that hold no whole number of pixels.
    while image.shape[1] > 2 * width:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return [Crop(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), to_frame)]


RULES: dict[str, Callable[[np.ndarray, Face, CropRule], list[Crop]]] = {
    "ffpp": _ffpp,
    "nii": _nii,
    "bida": _bida,
    "deepfakebench": _deepfakebench,
    "dsp_fwa": _dsp_fwa,
    "laa_net": _laa_net,
    "gend": _gend,
    "canvas": _canvas,
    "scene": _scene,
}


def _resized(image: np.ndarray, box: np.ndarray, size_px: int, how: Resize) -> list[Crop]:
    """The box int (4,) of an image, as a square; nothing where the box is empty."""
    cut = _inside(image, box)
    if not cut.size:
        return []
    height, width = cut.shape[:2]
    x_scale, y_scale = width / size_px, height / size_px
    to_frame = np.array([[x_scale, 0, box[0] + x_scale / 2 - 0.5], [0, y_scale, box[1] + y_scale / 2 - 0.5]])
    return [Crop(resize(cut, size_px, size_px, how), to_frame)]


def _grow(box: np.ndarray, share: float, image: np.ndarray) -> np.ndarray:
    """int (4,): larger by that share of its size on each side, as far as the image reaches."""
    by = ((box[2:] - box[:2]) * share).astype(np.int64)
    x1, y1, x2, y2 = np.rint(box).astype(np.int64)
    return np.clip([x1 - by[0], y1 - by[1], x2 + by[0], y2 + by[1]], 0, _size_px(image) * 2)


def _inside(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    return image[box[1] : box[3], box[0] : box[2]]


def _size_px(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _placed(face: np.ndarray, margin: float) -> np.ndarray:
    """Points of a face in a square of side 1, after the square has grown by `margin` around its middle."""
    return (face + (margin - 1) / 2) / margin


def _apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


def _shift(by: np.ndarray | tuple[int, int]) -> np.ndarray:
    return np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]])


def chain(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(2, 3): one transform after another."""
    return np.column_stack([second[:, :2] @ first[:, :2], _apply(second, first[:, 2])])
