"""Telltale's own network of texture: does the face look as made pictures do, each of its regions for itself?

Every face is brought to one width and through one encoder first, so that neither its size nor its file is judged.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import torch
from scipy.special import expit

from core.errors import Lack, NotApplicable
from core.types import Scores, Thoroughness, Track
from core.weights import Weights
from detectors.base import Card, Detector, read_tensors
from detectors.cues import CANVAS
from detectors.engines import own_turn
from detectors.networks.texture import Texture as Network
from detectors.networks.texture import folded
from preprocessing.cropping import Look
from preprocessing.regions import REGIONS, region_masks

FRAMES: dict[Thoroughness, int] = {"fast": 8, "standard": 16, "thorough": 32}
MIN_FRAMES = 5
MIN_WIDTH_PX = 60
"""The smallest face in the clips that the weights were measured on."""
SIZE_PX = 128
"""The canvas at half its side: a face is 64 px wide, whatever it was."""
QUALITY = 85
"""Of the JPEG that every picture goes through last."""
PLACES = (*REGIONS[1:], "surroundings")
GAP_PX = 4
"""Between the face and what counts as surroundings."""
BLACK = 8
"""Grey levels below which a pixel is taken to lie beyond the frame."""
BATCH = 16


class Texture(Detector):
    card = Card(
        name="texture",
        title="Texture: a small network on each region",
        summary="Whether the texture of each region of the face is that of blended, warped, animated or generated "
        "pictures, at one size and quality.",
        source="our own",
        regions=REGIONS,
        limits="A weak signal on footage of sources it has not seen, and none was found for reenactment; strong "
        "compression takes some of it away.",
        cost=0.2,
    )

    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None = None) -> None:
        self._weights = weights
        self._file = files["network"]
        self._network = _open(self._file)

    @classmethod
    def looks(cls, weights: Weights, thoroughness: Thoroughness) -> tuple[Look, ...]:
        return (Look(CANVAS, FRAMES[thoroughness]),)

    @classmethod
    def runs_on(cls, device: str) -> str:
        return "cpu"

    def score(self, track: Track) -> Scores:
        index, every = self._judge(track)
        log_odds = every[:, REGIONS.index(self._weights.region)]
        return Scores(
            detector=self.card.name,
            region=self._weights.region,
            track_id=track.id,
            weights=self._weights.id,
            time_s=track.time_s[index],
            fake=expit(log_odds).astype(np.float32),
            overall=float(expit(log_odds.mean())),
        )

    def _judge(self, track: Track) -> tuple[np.ndarray, np.ndarray]:
        """Places in the track, int64 (n,), and log-odds float64 (n, 5); once for all regions."""
        known = _judged.setdefault(track, {})
        if self._file not in known:
            index, images, places = pictures(track)
            with own_turn(), torch.inference_mode():
                parts = [
                    self._network(*as_tensors(images[i : i + BATCH], places[i : i + BATCH]))
                    for i in range(0, len(images), BATCH)
                ]
            known[self._file] = index, torch.cat(parts).double().numpy()
        return known[self._file]


_judged: WeakKeyDictionary[Track, dict[Path, tuple[np.ndarray, np.ndarray]]] = WeakKeyDictionary()
"""Forgotten with the track."""


@lru_cache(maxsize=2)
def _open(file: Path) -> Network:
    network = Network()
    network.load_state_dict(read_tensors(file))
    return folded(network)


def pictures(track: Track) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a track its frames, int64 (n,), and of each the image and the places that `picture` gives.

    Raises:
        NotApplicable: too few frames, or too small a face.
    """
    width = float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1)))
    if width < MIN_WIDTH_PX:
        raise NotApplicable(
            f"{MIN_WIDTH_PX} px of face width are needed to look at texture, the face has {width:.0f}; use a closer "
            "shot or a larger version of the clip.",
            Lack.SIZE,
        )
    looks = [Look(CANVAS, count) for count in sorted(FRAMES.values(), reverse=True)]
    crops = next((track.crops[look] for look in looks if look in track.crops), None)
    if crops is None or len(crops.index) < MIN_FRAMES:
        found = 0 if crops is None else len(crops.index)
        raise NotApplicable(
            f"{MIN_FRAMES} frames of one face are needed, {found} were found; use a longer shot.", Lack.LENGTH
        )
    each = [
        picture(image, on_canvas(track.landmarks[i], to_frame))
        for i, image, to_frame in zip(crops.index, crops.images, crops.to_frame, strict=True)
    ]
    return crops.index, np.stack([image for image, _ in each]), np.stack([places for _, places in each])


def on_canvas(landmarks: np.ndarray, to_frame: np.ndarray) -> np.ndarray:
    """Landmarks (68, 2) px of the frame as px of the canvas that was cut from it."""
    to_canvas = cv2.invertAffineTransform(to_frame.astype(np.float64))
    return np.asarray(landmarks @ to_canvas[:, :2].T + to_canvas[:, 2])


def picture(canvas: np.ndarray, landmarks: np.ndarray, side: int = SIZE_PX) -> tuple[np.ndarray, np.ndarray]:
    """From a canvas uint8 (256, 256, 3) and the landmarks (68, 2) px on it: the image uint8 (side, side, 3) RGB, and
    the place of every pixel, uint8 (side, side), counted from 1 in PLACES; 0 is none."""
    step = CANVAS.size_px / side
    to_canvas = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    masks = region_masks(landmarks, to_canvas, side)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    near = cv2.dilate(masks["entire"].view(np.uint8), np.ones((2 * GAP_PX + 1,) * 2, np.uint8)).view(bool)
    of = [*(masks[name] for name in PLACES[:-1]), ~near & (small.max(axis=-1) >= BLACK)]
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    encoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return encoded, np.asarray(sum(k * mask for k, mask in enumerate(of, start=1)), np.uint8)


def as_tensors(images: np.ndarray, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network takes, of uint8 images (n, 128, 128, 3) and places (n, 128, 128)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(places).long()
