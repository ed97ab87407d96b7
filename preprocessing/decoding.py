"""The program in which an uploaded file meets FFmpeg: a process of its own, confined, for one file and one question.

`preprocessing.video` starts this program once. It opens no file itself, but forks a reader for each, which takes a
hundredth of the time that starting one would. A reader gets one `Task` and answers with one JSON object a line. Pixels
go through shared memory in `SLOTS` places, each free again once its number comes back. Whatever a file does to a
reader, the app goes on.
"""

import json
import mmap
import os
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Literal, NoReturn

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from core.errors import InputError
from preprocessing.confinement import confine

CONTAINERS = "mov,matroska,avi,gif,mpegts,flv"
"""Demuxers that read one file. Playlists (HLS, DASH, concat) would make FFmpeg open other files and addresses."""
SMALLEST_PX = 32
REWOUND_S = 1.0
"""A clock that goes back further than this began anew; by less, a frame is late."""
FASTEST_HZ = 240
"""More frames than this per second of the length limit is a file made to exhaust the reader."""

SLOTS = 12
"""Frames that lie in shared memory at most: as many as the app works on at once, so that it needs no copies."""
MEMORY_BYTES = 3 << 30
"""Beside the shared memory: what a picture of 4096 px a side takes, with those it is predicted from."""
CPU_S = 1200
THREADS = 4
"""FFmpeg holds a picture for each."""


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


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a file: what its header claims, a first look at its pictures, or all of them in order."""

    path: str
    question: Literal["claim", "probe", "decode"]
    max_seconds: float
    max_side_px: int
    until_s: float = float("inf")


def answer(task: Task, slots: "Slots") -> Iterator[dict[str, Any]]:
    """The lines to send back, those of frames once their pixels lie in a slot.

    Raises:
        InputError: the file is not a video this page takes.
    """
    with _open(task.path) as container:
        match task.question:
            case "claim":
                yield _claim(container, task)
            case "probe":
                yield _probe(container, task)
            case "decode":
                yield from _decode(container, task, slots)


def _claim(container: InputContainer, task: Task) -> dict[str, Any]:
    stream = container.streams.video[0]
    _check_length(_duration_s(stream), task)
    rate_hz = min(float(stream.average_rate or 0) or 25.0, FASTEST_HZ)
    return {"length_s": min(_claimed_s(container), task.max_seconds), "rate_hz": rate_hz}


def _probe(container: InputContainer, task: Task) -> dict[str, Any]:
    stream = container.streams.video[0]
    _check_size(stream.width, stream.height, task)
    _check_length(_duration_s(stream), task)
    first = list(_frames(container, Tally(), limit=2))
    if not first:
        raise InputError("No picture in this file could be decoded; it may be damaged. Export it again as MP4.")
    if len(first) == 1:
        raise InputError("The file holds a single picture; a video of at least two frames is needed.")
    turned = first[0].rotation % 180 == 90
    return {
        "duration_s": _claimed_s(container),
        "frames": stream.frames or None,
        "fps": float(stream.average_rate or 0) or 1 / max(first[1].time_s - first[0].time_s, 1e-3),
        "width": stream.height if turned else stream.width,
        "height": stream.width if turned else stream.height,
        "codec": stream.codec_context.name,
        "rotation": first[0].rotation,
    }


def _decode(container: InputContainer, task: Task, slots: "Slots") -> Iterator[dict[str, Any]]:
    tally, to_rgb = Tally(), VideoReformatter()
    for picture in _frames(container, tally):
        if picture.time_s > task.until_s:
            break
        _check_length(picture.time_s, task)
        _check_size(picture.frame.width, picture.frame.height, task)
        if tally.frames + tally.late > task.max_seconds * FASTEST_HZ:
            raise InputError(f"The video has more than {FASTEST_HZ} frames a second; convert it to 60 or fewer.")
        image = _pixels(to_rgb.reformat(picture.frame, format="rgb24"))
        if picture.rotation:
            image = np.rot90(image, k=-picture.rotation // 90)
        yield {"time_s": picture.time_s, "shape": image.shape[:2], "slot": slots.fill(image)}
        tally.frames += 1
        tally.end_s = picture.time_s + picture.step_s
    else:
        tally.is_complete = True
    yield {"tally": asdict(tally)}


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    """uint8 (h, w, 3), a view of the memory of an RGB frame."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
    return lines[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)


class Slots:
    """The shared memory from the side that fills it; from `freed`, a descriptor, comes the number of each slot given
    back, as one byte."""

    def __init__(self, memory: int, freed: int, max_side_px: int) -> None:
        self._size = slot_bytes(max_side_px)
        self._bytes = np.frombuffer(mmap.mmap(memory, SLOTS * self._size), np.uint8)
        self._freed, self._free = freed, bytes(range(SLOTS))

    def fill(self, image: np.ndarray) -> int:
        """Waits for a free slot; which one it was."""
        if not self._free:
            self._free = os.read(self._freed, SLOTS)
        if not self._free:  # nobody looks at frames any more
            raise SystemExit
        slot, self._free = self._free[0], self._free[1:]
        start = slot * self._size
        np.copyto(self._bytes[start : start + image.size].reshape(image.shape), image)
        return slot


def slot_bytes(max_side_px: int) -> int:
    """Room for the largest picture that is taken; memory nobody touched costs nothing."""
    return -(-3 * max_side_px**2 // mmap.PAGESIZE) * mmap.PAGESIZE


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    frame: av.VideoFrame
    time_s: float
    step_s: float
    """How long it is shown, as far as is known."""
    rotation: int
    """Clockwise turn that sets the picture upright: 0, 90, 180 or 270."""


def _open(path: str) -> InputContainer:
    try:
        container = av.open(path, options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})
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
    context = container.streams.video[0].codec_context
    context.thread_type, context.thread_count = "AUTO", min(THREADS, os.cpu_count() or 1)
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


def _check_size(width: int, height: int, task: Task) -> None:
    if min(width, height) < SMALLEST_PX:
        raise InputError(
            f"The picture is {width} x {height} px; at least {SMALLEST_PX} px a side are needed to see a face in it."
        )
    if max(width, height) > task.max_side_px:
        raise InputError(
            f"The picture is {width} x {height} px; this page takes {task.max_side_px} px a side at most. "
            "Scale it down and try again."
        )


def _check_length(seconds: float, task: Task) -> None:
    if seconds > task.max_seconds:
        raise InputError(
            f"The video is {_minutes(seconds)} long; this page takes {_minutes(task.max_seconds)} at most. "
            "Trim it and try again."
        )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f}".removesuffix(".0") + " min"


def read(memory: int, asked: int, answers: int, max_side_px: int) -> None:
    """Takes one task from the descriptor `asked`, and says to `answers` what there is to say of it."""
    slots = Slots(memory, asked, max_side_px)
    confine(memory_bytes=MEMORY_BYTES + SLOTS * slot_bytes(max_side_px), cpu_s=CPU_S)
    with open(asked, closefd=False) as questions:
        task = questions.readline()
    if not task:
        return
    try:
        for line in answer(Task(**json.loads(task)), slots):
            os.write(answers, json.dumps(line).encode() + b"\n")
        os.write(answers, b"{}\n")
    except InputError as error:
        os.write(answers, json.dumps({"refused": str(error)}).encode() + b"\n")


class Wish(IntEnum):
    """What the app may ask of this program: a reader, or the end of one."""

    FORK = 0
    END = 1


WISH = struct.Struct("=ii")
"""A wish; then either the largest side of a picture in px, sent with the three descriptors of `read`, or whose end."""
REPLY = struct.Struct("=i")
"""The reader's number, or how it ended as `os.waitstatus_to_exitcode` has it."""


def main() -> None:
    """Serves the socket that is its standard input, until nobody is at the other end."""
    wishes = socket.socket(fileno=0)
    readers: set[int] = set()
    while True:
        message, descriptors, *_ = socket.recv_fds(wishes, WISH.size, 3)
        if not message:
            break
        wish, number = WISH.unpack(message)
        match Wish(wish):
            case Wish.FORK:
                memory, asked, answers = descriptors
                reader = os.fork()
                if not reader:
                    wishes.close()
                    _become_reader(memory, asked, answers, max_side_px=number)
                readers.add(reader)
                for descriptor in descriptors:
                    os.close(descriptor)
                wishes.sendall(REPLY.pack(reader))
            case Wish.END:
                readers.remove(number)
                wishes.sendall(REPLY.pack(_end(number)))
    for reader in readers:
        _end(reader)


def _become_reader(memory: int, asked: int, answers: int, max_side_px: int) -> NoReturn:
    status = 1
    try:
        read(memory, asked, answers, max_side_px)
        status = 0
    finally:
        os._exit(status)


def _end(reader: int) -> int:
    os.kill(reader, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])


if __name__ == "__main__":
    main()
