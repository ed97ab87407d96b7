"""What a face has that its surroundings, its other regions and its neighbouring frames have not.

Every cue is a difference of logarithms or of correlations between two areas of one picture, or between two pictures of
one run of frames, so that neither the size of a face nor its rate nor its resolution enters as such. Faces come on a
canvas of one size (`preprocessing.alignment`); bands are those of a Laplacian pyramid, the finest first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from core.types import Crops, Track
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
LIPS = slice(48, 60)
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
    areas = [_areas(track.landmarks[crops.index[i]], crops.to_frame[i]) for i in run[::STILL_EVERY]]
    still = _mean([_still(image, area) for image, area in zip(images[::STILL_EVERY], areas, strict=True)])
    moving, sticking, moved = _moving(np.stack([image[..., 0] for image in images]), track, crops, run, areas[0])
    width = float(np.median(np.ptp(track.landmarks[crops.index[run], :, 0], axis=1)))
    conditions = np.array(
        [
            np.log(moved + MOVED_PX),
            np.log(width),
            np.log(track.quality.frame_rate_hz),
            *still[SURROUNDINGS][:BANDS],
            *moving[SURROUNDINGS][:2],
        ]
    )
    return {region: _compare(region, still, moving, sticking) for region in REGIONS}, conditions


def _compare(
    region: str, still: Mapping[str, np.ndarray], moving: Mapping[str, np.ndarray], sticking: Mapping[str, np.ndarray]
) -> np.ndarray:
    columns = []
    for measured in (still, moving):
        others = [SURROUNDINGS] if region == "entire" else [SURROUNDINGS, f"not {region}"]
        columns.append(np.stack([measured[region] - measured[other] for other in others], axis=1).ravel())
    columns.append(sticking[region])
    if region == "mouth":
        columns.append((still[INTERIOR] - still[RIM])[:2])
    return np.concatenate(columns).astype(np.float64)


def _areas(landmarks: np.ndarray, to_frame: np.ndarray) -> dict[str, np.ndarray]:
    """Where each area is on the canvas, bool (s, s) by name."""
    size = CANVAS.size_px
    masks = region_masks(landmarks, to_frame, size)
    wide = cv2.dilate(masks["entire"].view(np.uint8), np.ones((2 * GAP_PX + 1,) * 2, np.uint8)).view(bool)
    to_canvas = cv2.invertAffineTransform(to_frame.astype(np.float64))
    inside = np.zeros((size, size), np.uint8)
    points = landmarks[INNER_LIPS] @ to_canvas[:, :2].T + to_canvas[:, 2]
    cv2.fillPoly(inside, [np.rint(points).astype(np.int32)], (1,))
    interior = inside.view(bool) & masks["mouth"]
    others = {f"not {region}": masks["entire"] & ~masks[region] for region in REGIONS[1:]}
    return masks | others | {SURROUNDINGS: ~wide, INTERIOR: interior, RIM: masks["mouth"] & ~interior}


def _still(image: np.ndarray, areas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measures of one picture float32 (s, s, 3) YCrCb, in the order of STILL, float64 (7,) by area."""
    bands = _bands(image)
    weights = _weights(areas, _textured(image[..., 0]))
    logs = []
    colours = []
    for level in range(BANDS):
        size = np.abs(bands[level])
        luma, colour = _averages([size[..., 0], size[..., 1:].mean(axis=-1)], weights[level])
        logs.append(np.log(luma + LEAST))
        colours.append(np.log(colour + LEAST) - logs[-1])
    fine = bands[0][..., 0]
    root, across, down = _averages(
        [
            np.sqrt(np.abs(fine)),
            np.abs(np.diff(fine, axis=1, append=fine[:, -1:])),
            np.abs(np.diff(fine, axis=0, append=fine[-1:])),
        ],
        weights[0],
    )
    evenness = 2 * np.log(root + LEAST) - logs[0]
    direction = np.log(across + LEAST) - np.log(down + LEAST)
    values = np.stack([*logs, evenness, *colours[:2], direction], axis=1)
    return dict(zip(areas, values, strict=True))


def _moving(
    luma: np.ndarray, track: Track, crops: Crops, run: np.ndarray, areas: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Of a run luma float32 (RUN, s, s): the measures of MOVING and of STICKING by area, and canvas px a frame that the
    face moves in the picture."""
    to_first = cv2.invertAffineTransform(crops.to_frame[run[0]].astype(np.float64))
    on_canvas = [_whole(to_first) @ _whole(crops.to_frame[i].astype(np.float64)) for i in run]
    points = calibrated_px(track, crops.index[run])
    ways = {
        "picture": on_canvas,
        "head": [_whole(_onto(points[k, RIGID], points[0, RIGID], to_first)) @ on_canvas[k] for k in range(RUN)],
        "lips": [_whole(_onto(points[k, LIPS], points[0, LIPS], to_first)) @ on_canvas[k] for k in range(RUN)],
    }
    weights = _weights(areas, _textured(luma[0]))
    stacks = {way: _warped(luma, moves) for way, moves in ways.items()}
    seen = {way: _persistence(stack, weights) for way, stack in stacks.items()}
    followed = _continuity(stacks["head"], weights)
    moving, sticking, shifts = {}, {}, {}
    for row, area in enumerate(areas):
        way = "lips" if area in ("mouth", INTERIOR, RIM) else "head"
        moving[area] = np.concatenate([seen["picture" if area == SURROUNDINGS else way][row], followed[row]])
        middle = np.array([*(_middle(areas[area])), 1.0])
        apart = np.stack([(a @ middle - b @ middle)[:2] for a, b in zip(ways[way], ways["picture"], strict=True)])
        shifts[area] = moved = float(np.linalg.norm(np.diff(apart, axis=0), axis=1).mean())
        sticking[area] = (seen[way][row] - seen["picture"][row])[: len(STICKING)]
        if moved < MOVED_PX:
            sticking[area] = np.full(len(STICKING), np.nan)
    return moving, sticking, shifts["entire"]


def _persistence(stack: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Of a run brought into one place, float32 (RUN, s, s): float64 (areas, 4), in the order of MOVING."""
    pyramids = [_bands(image) for image in stack]
    columns = []
    for level in range(2):
        band = [p[level] for p in pyramids]
        energy = _averages([b * b for b in band], weights[level])
        joint = _averages([a * b for a, b in pairwise(band)], weights[level])
        between = joint / np.sqrt(energy[:-1] * energy[1:] + LEAST**4)
        columns.append(np.arctanh(np.clip(between, -0.99, 0.99)).mean(axis=0))
    low = [cv2.pyrDown(cv2.pyrDown(image)) for image in stack]
    steps = [np.abs(b - a) for a, b in pairwise(low)]
    jerks = [np.abs(a - 2 * b + c) for a, b, c in zip(low, low[1:], low[2:], strict=False)]
    spans = [np.abs(c - a) for a, c in zip(low, low[2:], strict=False)]
    step, jerk, span = (np.log(_averages(images, weights[2]).mean(axis=0) + LEAST) for images in (steps, jerks, spans))
    return np.stack([*columns, step, jerk - span], axis=1)


def _continuity(stack: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Of a run brought into one place, float32 (RUN, s, s): float64 (areas, 3), after optical flow from frame to frame.

    The share that cannot be explained is that of the coarsest band, which does not depend on contrast.
    """
    levels = np.clip(stack, 0, 255).astype(np.uint8)
    y, x = np.mgrid[: stack.shape[1], : stack.shape[2]].astype(np.float32)
    columns = []
    for k in range(RUN - 1):
        flow = _flow().calc(levels[k], levels[k + 1], np.zeros((*levels[k].shape, 2), np.float32))
        came = cv2.remap(stack[k + 1], x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)
        here, there = _bands(stack[k]), _bands(came)
        found = []
        for level in range(2):
            a, b = here[level], there[level]
            joint, own, other = _averages([a * b, a * a, b * b], weights[level])
            found.append(np.arctanh(np.clip(joint / np.sqrt(own * other + LEAST**4), -0.99, 0.99)))
        left, coarse = _averages([np.abs(here[2] - there[2]), np.abs(here[2])], weights[2])
        columns.append([*found, np.log(left + LEAST) - np.log(coarse + LEAST)])
    return np.asarray(np.mean(columns, axis=0).T)


@lru_cache(maxsize=1)
def _flow() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def calibrated_px(track: Track, frames: np.ndarray) -> np.ndarray:
    """Calibrated landmarks float64 (n, 68, 2) in px of their frames: they move smoothly enough to align pictures by."""
    crop = track.crop[frames].astype(np.float64)
    return crop[:, None, :2] + (track.calibrated[frames] + 1) / 2 * crop[:, None, 2:]


def _onto(points: np.ndarray, first: np.ndarray, to_canvas: np.ndarray) -> np.ndarray:
    """(2, 3): on the first frame's canvas, from where the points are in a later frame to where they were."""
    a, b = (p @ to_canvas[:, :2].T + to_canvas[:, 2] for p in (points, first))
    x, y = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = (x**2).sum() + 1e-9
    cos, sin = (x * y).sum() / norm, (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum() / norm
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, b.mean(axis=0) - turn @ a.mean(axis=0)])


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


def _middle(area: np.ndarray) -> tuple[float, float]:
    moments = cv2.moments(area.view(np.uint8), binaryImage=True)
    return moments["m10"] / max(moments["m00"], 1), moments["m01"] / max(moments["m00"], 1)


def _bands(image: np.ndarray) -> list[np.ndarray]:
    bands = []
    for _ in range(BANDS):
        lower = cv2.pyrDown(image)
        bands.append(image - cv2.pyrUp(lower))
        image = lower
    return bands


def _textured(luma: np.ndarray) -> np.ndarray:
    """bool (s, s): not flat."""
    kernel = np.ones((9, 9), np.uint8)
    return np.asarray(cv2.dilate(luma, kernel) - cv2.erode(luma, kernel) > TEXTURED)


def _weights(areas: Mapping[str, np.ndarray], textured: np.ndarray) -> list[np.ndarray]:
    """For each level, float32 (areas, pixels) whose rows add up to 1; NaN where too little of an area is textured."""
    masks = np.stack([area & textured for area in areas.values()])
    return [_normalised(masks[:, :: 1 << level, :: 1 << level], MIN_AREA_PX >> 2 * level) for level in range(BANDS)]


def _normalised(masks: np.ndarray, least: int) -> np.ndarray:
    rows = masks.reshape(len(masks), -1)
    count = np.count_nonzero(rows, axis=1)
    share = np.where(count >= least, 1 / np.maximum(count, 1), np.nan).astype(np.float32)
    return rows.astype(np.float32) * share[:, None]


def _averages(images: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """float64 (images, areas)"""
    return (np.stack([image.ravel() for image in images]) @ weights.T).astype(np.float64)


def _mean(per_frame: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {area: np.mean([values[area] for values in per_frame], axis=0) for area in per_frame[0]}
