"""Changes to a clip that should not matter: what happens to any video on its way from one platform to the next.

They take frames and give frames with the same numbers and times, so the changed clip is never written anywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np

from core.types import Frame

Change = Callable[[Iterator[Frame]], Iterator[Frame]]


def unchanged(frames: Iterator[Frame]) -> Iterator[Frame]:
    return frames


CRF = 28
"""Of H.264: visibly worse than the 23 that encoders take when asked nothing, as platforms that save bandwidth do."""
SCALE = 0.75


def reencode(frames: Iterator[Frame], *, crf: int = CRF) -> Iterator[Frame]:
    """Through an H.264 encoder and back; begins anew where the picture changes its size."""
    shape: tuple[int, ...] = ()
    for frame in frames:
        height, width = frame.image.shape[:2]
        if frame.image.shape != shape:
            shape = frame.image.shape
            encoder, decoder = _encoder(height, width, crf), av.CodecContext.create("h264", "r")
            decoder.thread_count = 1  # with more it would hold frames back
        even = np.pad(frame.image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture.pts = frame.index
        (packet,) = encoder.encode(picture)
        (back,) = decoder.decode(packet)
        yield replace(frame, image=np.ascontiguousarray(back.to_ndarray(format="rgb24")[:height, :width]))


def shrink(frames: Iterator[Frame], *, scale: float = SCALE) -> Iterator[Frame]:
    """To this share of the width and height."""
    for frame in frames:
        height, width = frame.image.shape[:2]
        size = round(scale * width), round(scale * height)
        yield replace(frame, image=cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA))


def blur(frames: Iterator[Frame], *, sigma_px: float) -> Iterator[Frame]:
    """By a Gaussian, as a lens out of focus does."""
    for frame in frames:
        yield replace(frame, image=cv2.GaussianBlur(frame.image, (0, 0), sigma_px))


def add_noise(frames: Iterator[Frame], *, sd: float) -> Iterator[Frame]:
    """Of each pixel by itself, `sd` in grey levels, as in the dark; the same each time."""
    for frame in frames:
        noise = np.random.default_rng(frame.index).normal(0, sd, frame.image.shape).astype(np.float32)
        yield replace(frame, image=np.clip(np.rint(frame.image + noise), 0, 255).astype(np.uint8))


def brighten(frames: Iterator[Frame], *, gain: float) -> Iterator[Frame]:
    """Every grey level times `gain`; what is then too bright is white."""
    for frame in frames:
        yield replace(frame, image=cv2.convertScaleAbs(frame.image, alpha=gain))


def _encoder(height: int, width: int, crf: int) -> "av.VideoCodecContext":
    """Gives each frame back before it takes the next; one thread, so that the result is the same on every machine."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    # A quality was asked for, not a rate, so the clock it counts in does not matter.
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    encoder.thread_count = 1
    return encoder
