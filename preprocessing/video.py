"""A file becomes frames: probed first, then decoded once, in order, one frame at a time."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from core.errors import InputError
from core.settings import Settings
from core.types import Frame, Video

log = logging.getLogger(__name__)

CONTAINERS = "mov,matroska,avi,gif,mpegts,flv"
"""Demuxers that read one file. Playlists (HLS, DASH, concat) would make FFmpeg open other files and addresses."""
SMALLEST_PX = 32
REWOUND_S = 1.0
"""A clock that goes back further than this began anew; by less, a frame is late."""
FASTEST_HZ = 240
"""More frames than this per second of the length limit is a file made to exhaust the reader."""


@dataclass
class Tally:
    """What decoding met, complete once the frames are used up."""

    frames: int = 0
    broken: int = 0
    late: int = 0
    """Frames that were left out because they were due before the frame ahead of them."""
    end_s: float = 0.0
    """When the last frame ends."""
    is_complete: bool = False
    """Whether the file was read to its end."""


def probe(path: Path, *, name: str, sha256: str, settings: Settings) -> Video:
    """What the container says, after its first two frames were really decoded; `frames_decoded` is still 0.

    Raises:
        InputError: not a video this page takes; the sentence says why and what to do.
    """
    megabytes = path.stat().st_size / 1e6
    if megabytes == 0:
        raise InputError("The file is empty; choose a video file.")
    if megabytes > settings.max_mb:
        raise InputError(
            f"The file is {megabytes:.0f} MB; this page takes {settings.max_mb:.0f} MB at most. Trim it and try again."
        )
    with _open(path) as container:
        stream = container.streams.video[0]
        _check_size(stream.width, stream.height, settings)
        _check_length(_duration_s(stream), settings)
        first = list(_frames(container, Tally(), limit=2))
        if not first:
            raise InputError("No picture in this file could be decoded; it may be damaged. Export it again as MP4.")
        if len(first) == 1:
            raise InputError("The file holds a single picture; a video of at least two frames is needed.")
        turned = first[0].rotation % 180 == 90
        rate = float(stream.average_rate or 0) or 1 / max(first[1].time_s - first[0].time_s, 1e-3)
        return Video(
            sha256=sha256,
            name=name,
            duration_s=_claimed_s(container),
            frames=stream.frames or None,
            frames_decoded=0,
            fps=rate,
            width=stream.height if turned else stream.width,
            height=stream.width if turned else stream.height,
            codec=stream.codec_context.name,
            rotation=first[0].rotation,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What the header of a file says of its pictures: how long they are shown, and how many a second."""

    length_s: float
    rate_hz: float


def read_claim(path: Path, *, settings: Settings) -> Claim | None:
    """Without decoding anything, so that it takes no time whatever the file; None where the header does not say.

    Raises:
        InputError: not a video, or by its own account longer than the limit.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        length_s = _claimed_s(container)
        _check_length(_duration_s(stream), settings)
        rate_hz = min(float(stream.average_rate or 0) or 25.0, FASTEST_HZ)
        return Claim(min(length_s, settings.max_seconds), rate_hz) if length_s > 0 else None


def decode(path: Path, tally: Tally, *, settings: Settings, until_s: float = float("inf")) -> Iterator[Frame]:
    """Frames in presentation order, turned upright, up to `until_s`; holds one at a time and counts into `tally`.

    Times rise strictly: a frame that does not come after the one before it is left out. A packet that cannot be
    decoded is counted and passed over, as players do.

    Raises:
        InputError: the video turns out longer or larger than the limits, whatever its header said.
    """
    with _open(path) as container:
        for picture in _frames(container, tally):
            if picture.time_s > until_s:
                return
            _check_length(picture.time_s, settings)
            _check_size(picture.frame.width, picture.frame.height, settings)
            if tally.frames + tally.late > settings.max_seconds * FASTEST_HZ:
                raise InputError(f"The video has more than {FASTEST_HZ} frames a second; convert it to 60 or fewer.")
            image: np.ndarray = picture.frame.to_ndarray(format="rgb24")
            if picture.rotation:
                image = np.ascontiguousarray(np.rot90(image, k=-picture.rotation // 90))
            tally.frames += 1
            tally.end_s = picture.time_s + picture.step_s
            yield Frame(tally.frames - 1, picture.time_s, image)
        tally.is_complete = True


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    frame: av.VideoFrame
    time_s: float
    step_s: float
    """How long it is shown, as far as is known."""
    rotation: int
    """Clockwise turn that sets the picture upright: 0, 90, 180 or 270."""


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            "This file is not a video that can be read (MP4, MOV, MKV, WebM, AVI, GIF or TS is expected); "
            "it may be incomplete or of another kind. Export it again as MP4."
        ) from error
    if not container.streams.video:
        container.close()
        raise InputError("The file has no video stream, only sound or data; choose a file with a picture.")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError("The video is in a codec that cannot be read here; export it again as MP4 with H.264.")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _frames(container: InputContainer, tally: Tally, limit: int | None = None) -> Iterator[_Picture]:
    stream = container.streams.video[0]
    zero_s = float(container.start_time or 0) / av.time_base
    step_s = 1 / (float(stream.average_rate or 0) or 25.0)
    last_s, given = float("-inf"), 0
    for frame in _decoded(container, stream, tally):
        time_s = frame.time - zero_s if frame.time is not None else max(last_s, -step_s) + step_s
        if time_s < last_s - REWOUND_S:
            # Files that were strung together begin their clocks anew: go on where the last one ended.
            zero_s -= last_s + step_s - time_s
            time_s = last_s + step_s
        if time_s <= last_s:
            tally.late += 1
            continue
        last_s = time_s
        yield _Picture(frame, time_s, step_s, -frame.rotation % 360 // 90 * 90)
        given += 1
        if given == limit:
            return


def _decoded(container: InputContainer, stream: VideoStream, tally: Tally) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, IndexError):  # PyAV looks up the packet's stream, which a damaged file may not have
            tally.broken += 1
            return
        try:
            yield from packet.decode()  # type: ignore[misc]
        except av.FFmpegError:
            tally.broken += 1


def _claimed_s(container: InputContainer) -> float:
    return _duration_s(container.streams.video[0]) or float(container.duration or 0) / av.time_base


def _duration_s(stream: VideoStream) -> float:
    """Of the pictures alone, 0 where the container does not say: its own length may be that of the sound."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0


def _check_size(width: int, height: int, settings: Settings) -> None:
    if min(width, height) < SMALLEST_PX:
        raise InputError(
            f"The picture is {width} x {height} px; at least {SMALLEST_PX} px a side are needed to see a face in it."
        )
    if max(width, height) > settings.max_side_px:
        raise InputError(
            f"The picture is {width} x {height} px; this page takes {settings.max_side_px} px a side at most. "
            "Scale it down and try again."
        )


def _check_length(seconds: float, settings: Settings) -> None:
    if seconds > settings.max_seconds:
        raise InputError(
            f"The video is {_minutes(seconds)} long; this page takes {_minutes(settings.max_seconds)} at most. "
            "Trim it and try again."
        )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f}".removesuffix(".0") + " min"
