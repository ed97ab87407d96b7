"""Clips of any length and size, made from the example clip, so that a benchmark needs nothing from elsewhere."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from core.settings import ROOT

EXAMPLE = ROOT / "ui" / "assets" / "example.mp4"
RATE_HZ = 25


def make_clip(target: Path, *, seconds: int, width: int, height: int) -> Path:
    """The example clip's first ten seconds, or fewer, enlarged to fill the height; repeated to multiples of ten.

    Pictures are encoded once; the repetitions copy packets, so ten minutes take no longer to make than ten seconds.
    """
    once = target.with_suffix(".once.mp4")
    with av.open(str(EXAMPLE)) as source, av.open(str(once), "w") as made:
        stream = made.add_stream("libx264", rate=RATE_HZ, options={"crf": "23", "preset": "veryfast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame, _ in zip(source.decode(video=0), range(min(10, seconds) * RATE_HZ), strict=False):
            square = cv2.resize(frame.to_ndarray(format="rgb24"), (height, height), interpolation=cv2.INTER_CUBIC)
            side = (width - height) // 2
            wide: np.ndarray = cv2.copyMakeBorder(square, 0, 0, side, width - height - side, cv2.BORDER_REPLICATE)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(wide, format="rgb24")))
        made.mux(stream.encode())
    _repeat(once, target, times=max(1, seconds // 10))
    once.unlink()
    return target


def _repeat(once: Path, target: Path, *, times: int) -> None:
    with av.open(str(target), "w") as made:
        copy = None
        for turn in range(times):
            with av.open(str(once)) as source:
                stream = source.streams.video[0]
                copy = copy or made.add_stream_from_template(stream)
                shift = int(turn * 10 / Fraction(stream.time_base or 1))
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    made.mux(packet)
