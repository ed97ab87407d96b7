"""Small files made for tests: an astronaut who drifts about, and files no analysis can take.

The portrait is NASA's of Eileen Collins, in the public domain, and comes with scikit-image.
"""

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np


@cache
def portrait() -> np.ndarray:
    """uint8 (512, 512, 3) RGB; the face is about 110 px wide."""
    from skimage.data import astronaut

    return np.asarray(astronaut())


def write(path: Path, images: Iterable[np.ndarray], *, fps: int = 25, container: str | None = None) -> Path:
    """H.264 without B-frames, fast to make."""
    with av.open(str(path), "w", format=container) as file:
        stream = None
        for image in images:
            if stream is None:
                stream = file.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "bf": "0"})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if stream:
            file.mux(stream.encode())
    return path


def moving(frames: int, *, side_px: int = 512) -> Iterable[np.ndarray]:
    """The portrait, drifting and swaying a little."""
    for i in range(frames):
        turn = cv2.getRotationMatrix2D((220, 130), 2 * np.sin(i / 14), 1.0)
        turn[:, 2] += 6 * np.sin(i / 17), 4 * np.sin(i / 11)
        yield cv2.resize(
            cv2.warpAffine(portrait(), turn, (512, 512), borderMode=cv2.BORDER_REFLECT), (side_px, side_px)
        )


def good(path: Path, frames: int = 100) -> Path:
    return write(path, moving(frames))


def two_people(path: Path) -> Path:
    """The astronaut beside her mirror image."""
    return write(path, (np.hstack([image, image[:, ::-1]]) for image in moving(40)))


def text(path: Path) -> Path:
    path.write_text("This is no video. " * 50)
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def truncated(path: Path) -> Path:
    whole = good(path, 30).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        sound.sample_rate, sound.pts, sound.time_base = 44100, 0, Fraction(1, 44100)
        sound.planes[0].update(bytes(sound.planes[0].buffer_size))
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    return path


def still(path: Path) -> Path:
    """A PNG, whatever the name says."""
    path.write_bytes(cv2.imencode(".png", portrait()[..., ::-1])[1].tobytes())
    return path


def one_frame(path: Path) -> Path:
    return good(path, 1)


def no_face(path: Path) -> Path:
    grey = np.full((240, 320, 3), 90, np.uint8)
    return write(path, (cv2.circle(grey.copy(), (40 + 2 * i, 120), 30, (200, 60, 40), -1) for i in range(50)))


def tiny_face(path: Path) -> Path:
    """A face about 20 px wide in a 640 px picture."""

    def images() -> Iterable[np.ndarray]:
        for image in moving(100, side_px=92):
            canvas = np.full((480, 640, 3), 120, np.uint8)
            canvas[200:292, 270:362] = image
            yield canvas

    return write(path, images())


def no_frame_rate(path: Path) -> Path:
    """An AVI whose header claims 0 frames a second."""
    write(path, moving(100), container="avi")
    content = bytearray(path.read_bytes())
    for field in (content.index(b"avih") + 8, content.index(b"strh") + 32):  # microseconds per frame, rate
        content[field : field + 4] = bytes(4)
    path.write_bytes(content)
    return path


def wide(path: Path) -> Path:
    return write(path, [np.zeros((64, 5000, 3), np.uint8)] * 3)


def six_minutes(path: Path) -> Path:
    return write(path, [np.zeros((64, 64, 3), np.uint8)] * 360, fps=1)
