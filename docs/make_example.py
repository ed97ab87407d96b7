"""Makes the example clip the page offers: `python docs/make_example.py`.

The portrait is NASA's of astronaut Eileen Collins (1999, public domain), which scikit-image ships. It is moved gently
for twelve seconds: a slow drift of the camera, small turns of the head, a mouth that opens and closes. From the sixth
second on, the inner face is cut out, changed slightly in colour and sharpness, and blended back in a place that
trembles by a fraction of a pixel, which is how many face swaps are put together. No network and no other person's face
takes part.
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from preprocessing.landmarks import FaceMesh  # noqa: E402  (the project is not installed as a package)

TARGET = ROOT / "ui" / "assets" / "example.mp4"
RATE_HZ, SECONDS, BLENDED_FROM_S = 25, 12, 6.0
SIDE_PX, ZOOM = 640, 2.4
TREMBLE_PX = 0.9


def main() -> None:
    """Writes the clip and prints its size."""
    portrait = _portrait()
    mesh = FaceMesh()
    landmarks = mesh.find(portrait)[0].landmarks
    mesh.close()
    rng = np.random.default_rng(1999)
    frames = [_frame(portrait, landmarks, i / RATE_HZ, rng) for i in range(RATE_HZ * SECONDS)]
    _write(frames, TARGET)
    print(f"{TARGET.relative_to(ROOT)}: {len(frames)} frames, {TARGET.stat().st_size / 1000:.0f} kB")


def _portrait() -> np.ndarray:
    """Head and shoulders, enlarged: uint8 (640, 640, 3) RGB."""
    wide = cv2.resize(astronaut(), None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    x, y = int(224 * ZOOM - SIDE_PX / 2), int(20 * ZOOM) - 40
    return np.ascontiguousarray(wide[max(y, 0) : max(y, 0) + SIDE_PX, x : x + SIDE_PX])


def _frame(portrait: np.ndarray, landmarks: np.ndarray, time_s: float, rng: np.random.Generator) -> np.ndarray:
    tremble = rng.normal(0, TREMBLE_PX, (68, 2))
    picture = portrait
    if time_s >= BLENDED_FROM_S:
        picture = _blend(portrait, landmarks, tremble)
    noise = rng.normal(0, 2.0, (SIDE_PX, SIDE_PX, 1))
    return np.clip(_move(picture, landmarks, time_s) + noise, 0, 255).astype(np.uint8)


def _blend(portrait: np.ndarray, landmarks: np.ndarray, tremble: np.ndarray) -> np.ndarray:
    """The inner face, softened and tinted, laid over itself with each feature slightly out of place."""
    inner = np.zeros(portrait.shape[:2], np.float32)
    cv2.fillConvexPoly(inner, cv2.convexHull(landmarks[17:].astype(np.int32)), 1.0)
    mask = cv2.GaussianBlur(inner, (0, 0), 9)[..., None]
    groups = [slice(17, 27), slice(27, 36), slice(36, 42), slice(42, 48), slice(48, 68)]
    bumps = [(landmarks[g].mean(axis=0), tremble[i], 40.0) for i, g in enumerate(groups)]
    copy = cv2.GaussianBlur(_warp(portrait, bumps), (0, 0), 1.2).astype(np.float32) * (1.03, 0.99, 0.95)
    return portrait * (1 - mask) + copy * mask


def _move(picture: np.ndarray, landmarks: np.ndarray, time_s: float) -> np.ndarray:
    """Turns the head, opens the mouth, then drifts the camera; all of it slow and smooth."""
    nose, chin, mouth = landmarks[30], landmarks[8], landmarks[48:68].mean(axis=0)
    wave = np.sin(2 * np.pi * time_s * np.array([0.23, 0.17, 0.9, 0.11, 0.07]))
    speaking = 6.0 * max(0.0, wave[2]) * (0.6 + 0.4 * wave[0])
    bumps = [
        (nose, np.array([7.0 * wave[0], 4.0 * wave[1]]), 90.0),
        (chin, np.array([0.0, speaking]), 45.0),
        (mouth + np.array([0, 12]), np.array([0.0, 0.5 * speaking]), 25.0),
    ]
    turned = _warp(picture, bumps)
    camera = cv2.getRotationMatrix2D((SIDE_PX / 2, SIDE_PX / 2), 1.5 * wave[3], 1.04 + 0.02 * wave[4])
    camera[:, 2] += 6 * wave[4], 4 * wave[3]
    return cv2.warpAffine(turned, camera, (SIDE_PX, SIDE_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _warp(picture: np.ndarray, bumps: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """Moves the surroundings of points: (centre px, shift px, reach px) each; float32 (H, W, 3)."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32)
    dx, dy = np.zeros_like(x), np.zeros_like(y)
    for centre, shift, reach in bumps:
        weight = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * reach**2)).astype(np.float32)
        dx += weight * np.float32(shift[0])
        dy += weight * np.float32(shift[1])
    return cv2.remap(picture.astype(np.float32), x - dx, y - dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _write(frames: list[np.ndarray], target: Path) -> None:
    with av.open(str(target), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "21", "preset": "slow"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, RATE_HZ)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
