"""What a crop may go through in training, by name; a face and its fake go through the very same draw.

Each takes an image uint8 (H, W, 3) RGB and a generator. Sources: the recipes of DeepfakeBench (Yan et al., NeurIPS
2023) and of self-blended images (Shiohara & Yamasaki, CVPR 2022).
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from training.synthesis import as_jpeg

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image[:, ::-1] if rng.random() < 0.5 else image


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = int(rng.choice((3, 5, 7)))
    return np.asarray(cv2.GaussianBlur(image, (side, side), 0)) if rng.random() < 0.5 else image


def tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness and contrast by up to a tenth, or hue, saturation and value by a little."""
    if rng.random() < 0.5:
        return image
    return _contrast(image, rng, 0.1) if rng.random() < 0.5 else _hue(image, rng)


def jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    quality = int(rng.integers(40, 101))
    return as_jpeg(image, quality) if rng.random() < 0.5 else image


def shift(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each channel by up to 20 levels."""
    by = rng.integers(-20, 21, 3)
    return np.clip(image.astype(np.int16) + by, 0, 255).astype(np.uint8) if rng.random() < 0.3 else image


def contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness and contrast by up to three tenths."""
    return _contrast(image, rng, 0.3) if rng.random() < 0.3 else image


CHANGES: dict[str, Change] = {f.__name__: f for f in (flip, blur, tone, jpeg, shift, contrast)}
GEOMETRIC = ("flip",)
"""They move the face, so masks must move along."""


def augmented(images: Sequence[np.ndarray], names: Sequence[str], rng: np.random.Generator) -> list[np.ndarray]:
    """All images through the same changes with the same draws, in the order of the names."""
    seed = int(rng.integers(2**32))
    changed = []
    for image in images:
        own = np.random.default_rng(seed)
        for name in names:
            image = CHANGES[name](image, own)
        changed.append(np.ascontiguousarray(image))
    return changed


def _contrast(image: np.ndarray, rng: np.random.Generator, by: float) -> np.ndarray:
    gain, lift = 1 + rng.uniform(-by, by), 255 * rng.uniform(-by, by)
    return np.clip((image.astype(np.float32) - 128) * gain + 128 + lift, 0, 255).astype(np.uint8)


def _hue(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + rng.integers(-5, 6)) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] + rng.integers(-10, 11, 2), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB))
