"""The five regions of a face: entire, eyes, nose, mouth and rest, a partition drawn from its landmarks.

A region is not a tight crop: it is the whole face at its place, with everything outside the region black. The shapes
are those of Tolosana et al., "DeepFakes detection across generations: Analysis of facial regions, fusion, and
performance evaluation", EAAI 2022, with the margins measured on the authors' published examples.
"""

import cv2
import numpy as np

REGIONS = ("entire", "eyes", "nose", "mouth", "rest")

# Lengths in units of the distance between the eyes' centres.
FOREHEAD = 0.65
BROW = 0.20
EYES_LEFT, EYES_RIGHT, EYES_BELOW = 0.0, 0.05, 0.28
LIPS_SIDE, LIPS_ABOVE, LIPS_BELOW = 0.13, 0.12, 0.08
TURNED = 0.4
"""The distance between the eyes shrinks as a head turns; it is never taken for less than this share of eyes to chin."""
SUBPIXEL_BITS = 4


def axes(landmarks: np.ndarray) -> np.ndarray:
    """float64 (2, 2): unit vectors along the eye line, to the right of an upright face, and down the face."""
    along = landmarks[42:48].mean(axis=0, dtype=np.float64) - landmarks[36:42].mean(axis=0, dtype=np.float64)
    x, y = along / np.linalg.norm(along)
    return np.array([[x, y], [-y, x]])


def outline(landmarks: np.ndarray) -> np.ndarray:
    """The entire face: a convex polygon float64 (n, 2) in the px of landmarks (68, 2), from forehead to chin."""
    return _shapes(landmarks)["entire"]


def region_masks(landmarks: np.ndarray, to_frame: np.ndarray, size_px: int) -> dict[str, np.ndarray]:
    """The five masks on a crop: eyes, nose, mouth and rest are disjoint, and together they are the entire face.

    Args:
        landmarks: (68, 2) px of the frame.
        to_frame: (2, 3), takes px of the crop to px of the frame; it may turn and stretch.
        size_px: side of the crop.

    Returns:
        bool (size_px, size_px) by the name of the region.
    """
    to_crop = cv2.invertAffineTransform(np.asarray(to_frame, np.float64))
    # What is painted later covers what was painted before, so no pixel can be of two regions.
    order = ("rest", "eyes", "nose", "mouth")
    shapes = _shapes(landmarks)
    painted = np.zeros((size_px, size_px), np.uint8)
    for value, name in enumerate(order, start=1):
        _fill(painted, shapes["entire" if name == "rest" else name] @ to_crop[:, :2].T + to_crop[:, 2], value)
    entire = np.zeros_like(painted)
    _fill(entire, shapes["entire"] @ to_crop[:, :2].T + to_crop[:, 2], 1)
    painted *= entire
    return {"entire": painted > 0} | {name: painted == value for value, name in enumerate(order, start=1)}


def _shapes(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Polygons by region, which may still overlap; drawn upright in px around the eyes, then turned with the face."""
    turn = axes(landmarks)
    middle = (landmarks[36:42].mean(axis=0) + landmarks[42:48].mean(axis=0)) / 2
    points = (landmarks - middle) @ turn.T
    between = points[42:48, 0].mean() - points[36:42, 0].mean()
    unit = max(between, TURNED * points[8, 1])
    shapes = {
        "entire": _hull(np.concatenate([points[:17], points[17:27] - (0, FOREHEAD * unit)])),
        "eyes": _eyes(points, unit),
        "nose": _nose(points),
        "mouth": _mouth(points, unit),
    }
    return {name: shape @ turn + middle for name, shape in shapes.items()}


def _eyes(points: np.ndarray, unit: float) -> np.ndarray:
    """A band: its upper edge runs along the brows, its lower edge is straight."""
    brows = points[17:27] - (0, BROW * unit)
    left, right = points[17, 0] - EYES_LEFT * unit, points[26, 0] + EYES_RIGHT * unit
    upper = np.concatenate([[[left, brows[0, 1]]], brows[1:-1], [[right, brows[-1, 1]]]])
    return np.concatenate([upper, [[right, EYES_BELOW * unit], [left, EYES_BELOW * unit]]])


def _nose(points: np.ndarray) -> np.ndarray:
    """Seven corners: between the brows, a waist between the eyes, wings beyond the nostrils, a tip above the lip."""
    waist = (points[42] - points[39]) / 6
    wing = (points[35] - points[31]) / 2
    tip = (points[33] + points[51]) / 2
    corners = [
        points[21],
        points[39] + waist,
        points[31] - wing,
        tip,
        points[35] + wing,
        points[42] - waist,
        points[22],
    ]
    return np.array(corners)


def _mouth(points: np.ndarray, unit: float) -> np.ndarray:
    """The lips, grown by half an ellipse above and half another below."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    below = np.sin(angle) > 0
    grown = np.stack([LIPS_SIDE * np.cos(angle), np.where(below, LIPS_BELOW, LIPS_ABOVE) * np.sin(angle)], axis=1)
    return _hull((points[48:60, None] + unit * grown).reshape(-1, 2))


def _hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def _fill(image: np.ndarray, polygon: np.ndarray, value: int) -> None:
    corners = np.rint(polygon * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(image, [corners], (value,), shift=SUBPIXEL_BITS)
