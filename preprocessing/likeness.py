"""What the pictures of a clip look like as a whole, in 64 bits each: by these a clip is found again.

A perceptual hash holds the signs of the lowest frequencies of a picture of 32 x 32 (`imagehash.phash`), which survive
encoding and scaling. It tells pictures apart, not people: a face is a pixel or two of it.
"""

from collections.abc import Iterator

import cv2
import imagehash
import numpy as np
from PIL import Image

from core.types import Frame, Likeness

RATE_HZ = 2.0
"""Frames hashed per second. A copy that was trimmed is hashed at most a quarter of a second beside the original."""
MOST = 600
"""Hashes of one clip: five minutes, the longest clip that is taken unless the operator says otherwise."""
SIDE_PX = 128
FLATTEST = 8.0
"""Standard deviation in grey levels below which a picture (a fade, a black screen) says nothing of its clip."""


class Watcher:
    """Looks at the frames of a clip as they pass by."""

    def __init__(self) -> None:
        self._time_s: list[float] = []
        self._hashes: list[np.ndarray] = []
        self._due_s = 0.0

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames. A picture with the hash of the one hashed before it adds nothing and is left out."""
        for frame in frames:
            if frame.time_s >= self._due_s and len(self._hashes) < MOST:
                self._due_s = (np.floor(frame.time_s * RATE_HZ) + 1) / RATE_HZ
                self._add(frame)
            yield frame

    def likeness(self) -> Likeness:
        """Of the frames so far."""
        return Likeness(
            time_s=np.array(self._time_s, np.float32), hashes=np.array(self._hashes, np.uint8).reshape(-1, 8)
        )

    def _add(self, frame: Frame) -> None:
        found = hash_picture(frame.image)
        if found is not None and not (self._hashes and np.array_equal(found, self._hashes[-1])):
            self._time_s.append(frame.time_s)
            self._hashes.append(found)


def hash_picture(image: np.ndarray) -> np.ndarray | None:
    """The hash of an RGB picture, uint8 (8,); None where the picture is flat."""
    # Averaged, since of a large frame single pixels would be left otherwise, and these differ between encoders.
    small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    if grey.std() < FLATTEST:
        return None
    return np.packbits(imagehash.phash(Image.fromarray(grey)).hash)
