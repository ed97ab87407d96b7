"""What a face has that its surroundings, its other regions and its neighbouring frames have not.

Every cue is a difference of logarithms or of correlations between two areas of one picture, or between two pictures of
one run of frames, so that neither the size of a face nor its rate nor its resolution enters as such. Faces come on a
canvas of one size (`preprocessing.alignment`); bands are those of a Laplacian pyramid, the finest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from core.types import Crops, Track
from preprocessing.alignment import similarity
from preprocessing.profile import CropRule
from preprocessing.regions import REGIONS, region_masks

CANVAS = CropRule.model_validate({"name": "canvas", "size_px": 256, "margin": 1.5})
RUN = 6
"""Consecutive frames that are compared with each other."""
STILL_EVERY = 3
"""Of these, every so manyth is looked at by itself."""

BANDS = 3
LEAST = 0.05
"""Grey levels added before a logarithm: below the rounding of 8 bits nothing is meant."""
TEXTURED = 1.0
"""Mean grey levels by which neighbours differ; flatter places (borders, burnt-out walls) are left out everywhere."""
MIN_AREA_PX = 150
MOVED_PX = 0.2
"""Canvas pixels that a face must move per frame before "with the face" and "with the picture" are different things."""
GAP_PX = 9
"""Between the outline and what counts as surroundings."""

RIGID = slice(27, 48)
"""Nose and eyes: they move with the head, whatever the face does."""
INNER_LIPS = slice(60, 68)

SURROUNDINGS, INTERIOR, RIM = "surroundings", "mouth interior", "lips"


@dataclass(frozen=True, slots=True)
class Cue:
    """A named cue of a region: `measure` of it, `against` what; `says` continues "In the {region}, ..."."""

    measure: str
    against: str

    @property
    def name(self) -> str:
        return f"{self.measure} against {self.against}"


STILL = {
    "fine detail": "how much of the finest detail there is",
    "middle detail": "how much middle-sized detail there is",
    "coarse detail": "how much coarse detail there is",
    "evenness": "how evenly fine detail is spread",
    "fine colour": "fine detail of colour beside that of brightness",
    "middle colour": "middle-sized detail of colour beside that of brightness",
    "direction": "horizontal beside vertical detail",
}
MOVING = {
    "fine persistence": "how well the finest detail lasts from frame to frame",
    "middle persistence": "how well middle-sized detail lasts from frame to frame",
    "flicker": "how much brightness changes from frame to frame",
    "roughness": "how jerky the changes of brightness are",
    "fine continuity": "how much of the finest detail can be followed into the next frame",
    "middle continuity": "how much middle-sized detail can be followed into the next frame",
    "change": "how much of a frame cannot be explained by movement",
}
STICKING = {
    "fine sticking": "whether the finest detail moves with the face rather than with the picture",
    "middle sticking": "whether middle-sized detail moves with the face rather than with the picture",
}
CONDITIONS = (
    "log of head movement, canvas px a frame",
    "log of face width, px",
    "log of frames a second",
    "log of fine detail around",
    "log of middle detail around",
    "log of coarse detail around",
    "fine persistence around",
    "middle persistence around",
)
"""What genuine cues depend on too, without being signs of anything."""
FACE = "the rest of the face"
AROUND = "the surroundings"


def cues_of(region: str) -> tuple[Cue, ...]:
    """In the order of `measure`'s columns."""
    against = (AROUND,) if region == "entire" else (AROUND, FACE)
    cues = [Cue(name, other) for name in (*STILL, *MOVING) for other in against]
    cues += [Cue(name, "the picture") for name in STICKING]
    if region == "mouth":
        cues += [Cue(name, "the lips, inside the mouth") for name in ("fine detail", "middle detail")]
    return tuple(cues)


def runs(track: Track, crops: Crops) -> list[np.ndarray]:
    """Positions in `crops`, int64 (RUN,) each: consecutive frames in which the face was seen, none across a break."""
    found: list[list[int]] = []
    for i, at in enumerate(crops.index.tolist()):
        follows = bool(found) and len(found[-1]) < RUN and at == crops.index[found[-1][-1]] + 1
        if follows and at not in track.starts:
            found[-1].append(i)
        else:
            found.append([i])
    return [np.array(run) for run in found if len(run) == RUN and track.seen[crops.index[run]].all()]


def measure(track: Track, crops: Crops, run: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The cues of one run by region, float64 (k,), and its CONDITIONS, float64 (8,); NaN where there is too little."""
    images = [cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.float32) for image in crops.images[run]]
    looked_at = run[::STILL_EVERY]
    areas = [
        _Areas(track.landmarks[crops.index[i]], crops.to_frame[i], image[..., 0])
        for i, image in zip(looked_at, images[::STILL_EVERY], strict=True)
    ]
    still = np.mean([_still(image, of) for image, of in zip(images[::STILL_EVERY], areas, strict=True)], axis=0)
    moving, sticking, moved = _moving(np.stack([image[..., 0] for image in images]), track, crops, run, areas[0])
    width = float(np.median(np.ptp(track.landmarks[crops.index[run], :, 0], axis=1)))
    around = AREAS.index(SURROUNDINGS)
    conditions = np.array(
        [
            np.log(moved + MOVED_PX),
            np.log(width),
            np.log(track.quality.frame_rate_hz),
            *still[around][:BANDS],
            *moving[around][:2],
        ]
    )
    return {region: _compare(region, still, moving, sticking) for region in REGIONS}, conditions


def _compare(region: str, still: np.ndarray, moving: np.ndarray, sticking: np.ndarray) -> np.ndarray:
    """The cues of a region, from the measures (areas, k) of all."""
    own = AREAS.index(region)
    others = [AREAS.index(name) for name in (SURROUNDINGS, f"not {region}") if name in AREAS]
    columns = [(measured[own] - measured[others]).T.ravel() for measured in (still, moving)]
    columns.append(sticking[own])
    if region == "mouth":
        columns.append((still[AREAS.index(INTERIOR)] - still[AREAS.index(RIM)])[:2])
    return np.concatenate(columns).astype(np.float64)


PARTS = ("eyes", "nose", "rest", RIM, INTERIOR, SURROUNDINGS)
"""Places on the canvas; no two share a pixel."""
_MOUTH, _FACE = (RIM, INTERIOR), (*PARTS[:3], RIM, INTERIOR)
_UNIONS: dict[str, tuple[str, ...]] = {
    "entire": _FACE,
    "mouth": _MOUTH,
    **{name: (name,) for name in PARTS},
    **{f"not {name}": tuple(part for part in _FACE if part != name) for name in PARTS[:3]},
    "not mouth": PARTS[:3],
}
AREAS = tuple(_UNIONS)
_MEMBERS = np.array([[part in union for part in PARTS] for union in _UNIONS.values()], np.float64)


class _Areas:
    """Where each area is on one canvas, on every level of a pyramid, without what is flat."""

    def __init__(self, landmarks: np.ndarray, to_frame: np.ndarray, luma: np.ndarray) -> None:
        """landmarks (68, 2) px of the frame; to_frame (2, 3); luma float32 (s, s)."""
        masks = region_masks(landmarks, to_frame, CANVAS.size_px)
        wide = cv2.dilate(masks["entire"].view(np.uint8), np.ones((2 * GAP_PX + 1,) * 2, np.uint8)).view(bool)
        to_canvas = cv2.invertAffineTransform(to_frame.astype(np.float64))
        inside = np.zeros(luma.shape, np.uint8)
        cv2.fillPoly(inside, [np.rint(_apply(to_canvas, landmarks[INNER_LIPS])).astype(np.int32)], (1,))
        interior = inside.view(bool) & masks["mouth"]
        parts = masks | {RIM: masks["mouth"] & ~interior, INTERIOR: interior, SURROUNDINGS: ~wide}
        rows, columns = np.nonzero(masks["entire"])
        self.middle = np.array([columns.mean(), rows.mean()]) if len(rows) else np.zeros(2)
        """Of the face, x and y in px of the canvas."""
        textured = _textured(luma)
        places = np.stack([parts[name] & textured for name in PARTS])
        levels = [places[:, :: 1 << level, :: 1 << level].reshape(len(PARTS), -1) for level in range(BANDS)]
        self._places = [level.astype(np.float32) for level in levels]
        counts = [_MEMBERS @ np.count_nonzero(level, axis=1) for level in levels]
        self._counts = [np.where(n >= MIN_AREA_PX >> 2 * k, n, np.nan) for k, n in enumerate(counts)]

    def averages(self, images: Sequence[np.ndarray], level: int) -> np.ndarray:
        """float64 (images, areas), of images of that level; NaN where too little of an area is textured."""
        sums = np.stack([image.ravel() for image in images]) @ self._places[level].T
        return np.asarray(sums @ _MEMBERS.T / self._counts[level])


def _still(image: np.ndarray, areas: _Areas) -> np.ndarray:
    """The measures of one picture float32 (s, s, 3) YCrCb, in the order of STILL, float64 (areas, 7)."""
    bands = _bands(image)
    logs = []
    colours = []
    for level in range(BANDS):
        size = np.abs(bands[level])
        luma, colour = areas.averages([size[..., 0], size[..., 1:].mean(axis=-1)], level)
        logs.append(np.log(luma + LEAST))
        colours.append(np.log(colour + LEAST) - logs[-1])
    fine = bands[0][..., 0]
    across, down = (np.abs(np.diff(fine, axis=axis, append=0)) for axis in (1, 0))
    root, across, down = areas.averages([np.sqrt(np.abs(fine)), across, down], 0)
    evenness = 2 * np.log(root + LEAST) - logs[0]
    direction = np.log(across + LEAST) - np.log(down + LEAST)
    return np.stack([*logs, evenness, *colours[:2], direction], axis=1)


def _moving(
    luma: np.ndarray, track: Track, crops: Crops, run: np.ndarray, areas: _Areas
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of a run luma float32 (RUN, s, s): the measures in the order of MOVING, float64 (areas, 7), and of STICKING,
    float64 (areas, 2), and canvas px a frame that the face moves in the picture."""
    to_first = cv2.invertAffineTransform(crops.to_frame[run[0]].astype(np.float64))
    points = calibrated_px(track, crops.index[run])[:, RIGID]
    in_picture = [_whole(to_first) @ _whole(crops.to_frame[i].astype(np.float64)) for i in run]
    on_head = [
        _whole(similarity(_apply(to_first, later), _apply(to_first, points[0]))) @ place
        for later, place in zip(points, in_picture, strict=True)
    ]
    picture, head = ([_bands(image) for image in _warped(luma, moves)] for moves in (in_picture, on_head))
    with_picture, with_head = (_persistence(bands, areas) for bands in (picture, head))
    moving = np.concatenate([with_head, _continuity(head, areas)], axis=1)
    around = AREAS.index(SURROUNDINGS)
    moving[around, : with_picture.shape[1]] = with_picture[around]
    sticking = (with_head - with_picture)[:, : len(STICKING)]
    middle = np.append(areas.middle, 1.0)
    apart = np.stack([(a @ middle - b @ middle)[:2] for a, b in zip(on_head, in_picture, strict=True)])
    moved = float(np.linalg.norm(np.diff(apart, axis=0), axis=1).mean())
    return moving, np.where(moved < MOVED_PX, np.nan, sticking), moved


def _persistence(run: Sequence[list[np.ndarray]], areas: _Areas) -> np.ndarray:
    """Of the pyramids of a run brought into one place: float64 (areas, 4), in the order of MOVING."""
    columns = []
    for level in range(2):
        band = [pyramid[level] for pyramid in run]
        energy = areas.averages([b * b for b in band], level)
        joint = areas.averages([a * b for a, b in pairwise(band)], level)
        columns.append(_fisher(joint, energy[:-1], energy[1:]).mean(axis=0))
    low = [pyramid[LOW] for pyramid in run]
    steps = [np.abs(b - a) for a, b in pairwise(low)]
    jerks = [np.abs(a - 2 * b + c) for a, b, c in zip(low, low[1:], low[2:], strict=False)]
    spans = [np.abs(c - a) for a, c in zip(low, low[2:], strict=False)]
    step, jerk, span = (np.log(areas.averages(images, 2).mean(axis=0) + LEAST) for images in (steps, jerks, spans))
    return np.stack([*columns, step, jerk - span], axis=1)


def _continuity(run: Sequence[list[np.ndarray]], areas: _Areas) -> np.ndarray:
    """Of the same: float64 (areas, 3), after optical flow from frame to frame.

    The share that cannot be explained is that of the coarsest band, which does not depend on contrast.
    """
    images = [pyramid[WHOLE] for pyramid in run]
    levels = [np.clip(image, 0, 255).astype(np.uint8) for image in images]
    y, x = np.mgrid[: images[0].shape[0], : images[0].shape[1]].astype(np.float32)
    columns = []
    for k in range(RUN - 1):
        flow = _flow().calc(levels[k], levels[k + 1], np.zeros((*levels[k].shape, 2), np.float32))
        came = _bands(cv2.remap(images[k + 1], x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC))
        found = []
        for level in range(2):
            a, b = run[k][level], came[level]
            found.append(_fisher(*areas.averages([a * b, a * a, b * b], level)))
        left, coarse = areas.averages([np.abs(run[k][2] - came[2]), np.abs(run[k][2])], 2)
        columns.append([*found, np.log(left + LEAST) - np.log(coarse + LEAST)])
    return np.asarray(np.mean(columns, axis=0).T)


def _fisher(joint: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The inverse hyperbolic tangent of the correlation, from a mean product and two mean squares."""
    return np.asarray(np.arctanh(np.clip(joint / np.sqrt(one * other + LEAST**4), -0.99, 0.99)))


@lru_cache(maxsize=1)
def _flow() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def calibrated_px(track: Track, frames: np.ndarray) -> np.ndarray:
    """Calibrated landmarks float64 (n, 68, 2) in px of their frames: they move smoothly enough to align pictures by."""
    crop = track.crop[frames].astype(np.float64)
    return crop[:, None, :2] + (track.calibrated[frames] + 1) / 2 * crop[:, None, 2:]


def _apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


def _warped(luma: np.ndarray, moves: Sequence[np.ndarray]) -> np.ndarray:
    size = (CANVAS.size_px, CANVAS.size_px)
    return np.stack(
        [
            cv2.warpAffine(image, move[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            for image, move in zip(luma, moves, strict=True)
        ]
    )


def _whole(transform: np.ndarray) -> np.ndarray:
    return np.vstack([transform, [0.0, 0.0, 1.0]])


LOW, WHOLE = BANDS, BANDS + 1
"""Where `_bands` has the picture at a quarter of its size, and the picture itself."""


def _bands(image: np.ndarray) -> list[np.ndarray]:
    """The bands, the finest first; then what is at LOW and WHOLE."""
    sizes = [image]
    for _ in range(BANDS):
        sizes.append(cv2.pyrDown(sizes[-1]))
    return [*(a - cv2.pyrUp(b) for a, b in pairwise(sizes)), sizes[2], image]


def _textured(luma: np.ndarray) -> np.ndarray:
    """bool (s, s): not flat."""
    kernel = np.ones((9, 9), np.uint8)
    return np.asarray(cv2.dilate(luma, kernel) - cv2.erode(luma, kernel) > TEXTURED)
