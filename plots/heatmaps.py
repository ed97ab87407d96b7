"""Heat over the crop a network saw, and the same heat at its place in the whole picture.

The scale is fixed, 0 to 1, and never stretched to what one picture holds: a face that raised no suspicion stays cold.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from core.types import Contributions, Exhibit
from core.words import say

RAMP = np.array([(255, 214, 64), (230, 110, 0), (170, 20, 30)], np.float32)
"""RGB of heat 0, one half and 1: darker as well as redder, so that it can be told without colours."""
OPAQUE = 0.8
"""Of the hottest place; of others in proportion, so that the face stays to be seen."""
MAX_PX = 192
"""Side of the heat over a crop; it is smooth, and the page enlarges it."""
EDGE = (255, 255, 255, 230)
PAPER_PX = 256
"""Height of the pictures for paper."""
CONTOURS = ((0.25, 1), (0.5, 2), (0.75, 3))
"""Heat at which a line is drawn over the crop, and how many px wide, so that it can be read without colours; in the
frame, which is smaller, there is room for the first only."""


def heat_on_crop(exhibit: Exhibit, side_px: tuple[int, int]) -> np.ndarray:
    """float32 (h, w) in [0, 1] over the whole crop, drawn in so many px of width and height."""
    return cv2.resize(exhibit.heat, side_px, interpolation=cv2.INTER_LINEAR)


def heat_on_frame(exhibit: Exhibit) -> np.ndarray:
    """float32 (H, W) in [0, 1] over the small frame; 0 outside the crop."""
    crop, frame = size_px(exhibit.crop), size_px(exhibit.frame)
    return cv2.warpAffine(heat_on_crop(exhibit, crop), _to_frame(exhibit), frame, flags=cv2.INTER_LINEAR)


def crop_on_frame(exhibit: Exhibit) -> np.ndarray:
    """float64 (4, 2): the corners of the crop in px of the small frame."""
    width, height = size_px(exhibit.crop)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    transform = _to_frame(exhibit)
    placed: np.ndarray = corners @ transform[:, :2].T + transform[:, 2]
    return placed


def hottest(exhibit: Exhibit) -> str | None:
    """Where in the crop it is hottest, in words; None where nothing is hot."""
    if exhibit.heat.max() <= 0:
        return None
    at = np.unravel_index(exhibit.heat.argmax(), exhibit.heat.shape)
    down, across = (int(3 * (i + 0.5) / side) for i, side in zip(at, exhibit.heat.shape, strict=True))
    row, column = ("upper", "middle", "lower")[down], ("left", "middle", "right")[across]
    return " ".join(dict.fromkeys([say(f"places.{row}"), say(f"places.{column}")]))


def draw_on_crop(exhibit: Exhibit) -> bytes:
    """A PNG of the heat, transparent where it is cold, to lie over the crop."""
    return _png(_painted(heat_on_crop(exhibit, (MAX_PX, MAX_PX))))


def draw_on_frame(exhibit: Exhibit) -> bytes:
    """A PNG of the heat and the edge of the crop, transparent elsewhere, to lie over the small frame."""
    image = _painted(heat_on_frame(exhibit))
    cv2.polylines(image, [np.rint(crop_on_frame(exhibit)).astype(np.int32)], True, EDGE, 1, cv2.LINE_AA)
    return _png(image)


def draw_for_paper(exhibit: Exhibit) -> bytes:
    """A JPEG of three pictures side by side: the crop, the heat over it, and the heat at its place in the frame."""
    crop, frame = _decoded(exhibit.crop), _decoded(exhibit.frame)
    whole = _heated(frame, heat_on_frame(exhibit), CONTOURS[:1])
    cv2.polylines(whole, [np.rint(crop_on_frame(exhibit)).astype(np.int32)], True, EDGE[:3], 1, cv2.LINE_AA)
    height, width = _tall(crop).shape[:2]
    heated = _heated(_tall(crop), heat_on_crop(exhibit, (width, height)), CONTOURS)
    gap = np.full((PAPER_PX, 8, 3), 255, np.uint8)
    row = np.hstack([_tall(crop), gap, heated, gap, _tall(whole)])
    _, data = cv2.imencode(".jpg", cv2.cvtColor(row, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data.tobytes()


def css_scale() -> str:
    """The colours from heat 0 to 1 for a CSS gradient, each as opaque as it is drawn."""
    shares = np.linspace(0, OPAQUE, len(RAMP))
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f} / {a:.2f})" for (r, g, b), a in zip(RAMP, shares, strict=True))


def contribution_bars(contributions: Contributions) -> list[tuple[float, float, float]]:
    """Start s, end s and log-odds of each frame's bar."""
    times = contributions.time_s
    step_s = float(np.median([b - a for a, b in pairwise(times)])) if len(times) > 1 else 1.0
    edges = [*times, times[-1] + step_s]
    return [(a, b, added) for (a, b), added in zip(pairwise(edges), contributions.log_odds, strict=True)]


def _painted(heat: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4) RGBA"""
    stops = np.linspace(0, 1, len(RAMP))
    colours = [np.interp(heat, stops, RAMP[:, channel]) for channel in range(3)]
    return np.stack([*colours, 255 * OPAQUE * heat], axis=-1).round().astype(np.uint8)


def _heated(picture: np.ndarray, heat: np.ndarray, contours: Sequence[tuple[float, int]]) -> np.ndarray:
    """The picture in greys under its heat, with lines around the places that are hotter than `contours` say."""
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    painted = _painted(heat)
    share = painted[..., 3:] / 255
    mixed = np.rint(grey * (1 - share) + painted[..., :3] * share).astype(np.uint8)
    for level, width_px in contours:
        lines, _ = cv2.findContours((heat >= level).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(mixed, lines, -1, (0, 0, 0), width_px + 2, cv2.LINE_AA)
        cv2.drawContours(mixed, lines, -1, (255, 255, 255), width_px, cv2.LINE_AA)
    return mixed


def _tall(picture: np.ndarray) -> np.ndarray:
    """At the height of paper's pictures."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (max(1, round(width * PAPER_PX / height)), PAPER_PX), interpolation=cv2.INTER_AREA)


def _decoded(picture: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _to_frame(exhibit: Exhibit) -> np.ndarray:
    return np.array(exhibit.to_frame, np.float64).reshape(2, 3)


def size_px(picture: bytes) -> tuple[int, int]:
    """Width and height of a JPEG."""
    height, width = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).shape[:2]
    return width, height


def _png(image: np.ndarray) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
    return data.tobytes()
