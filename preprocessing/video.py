"""A file becomes frames: probed first, then decoded once, in order, one frame at a time.

What touches the file is another program, `preprocessing.decoding`, in a process of its own that may be killed.
"""

import contextlib
import json
import logging
import math
import mmap
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.errors import InputError
from core.settings import ROOT, Settings
from core.types import Frame, Video
from preprocessing.confinement import surroundings
from preprocessing.decoding import SLOTS, Tally, Task, slot_bytes

log = logging.getLogger(__name__)

__all__ = ["Claim", "Tally", "decode", "probe", "read_claim"]

_Answer = tuple[dict[str, Any], np.ndarray | None]

PATIENCE_S = 20.0
"""A reader that is silent for longer than this is killed; a slow frame takes a tenth of a second."""
LONGEST_LINE = 1000
"""Bytes of an answer; a reader that says more has been taken over."""


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
    with contextlib.closing(_ask(_task(path, "probe", settings), settings)) as answers:
        found, _ = next(answers)
        return Video(sha256=sha256, name=name, frames_decoded=0, **found)


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
    with contextlib.closing(_ask(_task(path, "claim", settings), settings)) as answers:
        found, _ = next(answers)
        claim = Claim(**found)
        return claim if claim.length_s > 0 else None


def decode(path: Path, tally: Tally, *, settings: Settings, until_s: float = float("inf")) -> Iterator[Frame]:
    """Frames in presentation order, turned upright, up to `until_s`; holds one at a time and counts into `tally`.

    Times rise strictly: a frame that does not come after the one before it is left out. A packet that cannot be
    decoded is counted and passed over, as players do.

    Raises:
        InputError: the video turns out longer or larger than the limits, whatever its header said, or the process that
            reads it dies or falls silent.
    """
    with contextlib.closing(_ask(_task(path, "decode", settings, until_s), settings)) as answers:
        for line, image in answers:
            if image is None:
                vars(tally).update(line["tally"])
                return
            tally.frames += 1
            yield Frame(tally.frames - 1, line["time_s"], image)


def _task(
    path: Path, question: Literal["claim", "probe", "decode"], settings: Settings, until_s: float = math.inf
) -> Task:
    return Task(str(path), question, settings.max_seconds, settings.max_side_px, until_s)


def _ask(task: Task, settings: Settings) -> Generator[_Answer, None, None]:
    """The answers of a reader, those about a frame with its pixels; the reader is gone when this is closed."""
    reader = _Reader.take(settings.max_side_px)
    try:
        yield from reader.answers(task)
    finally:
        reader.end()
        _Reader.prepare(settings.max_side_px)


class _Reader:
    """A process that can read one file, and its shared memory. One is kept ready, since starting takes a third of a
    second; it has seen no file yet."""

    _spare: "_Reader | None" = None
    _lock = threading.Lock()

    @classmethod
    def take(cls, max_side_px: int) -> "_Reader":
        with cls._lock:
            spare, cls._spare = cls._spare, None
        if spare and spare._for == (os.getpid(), max_side_px) and spare._process.poll() is None:
            return spare
        return cls(max_side_px)

    @classmethod
    def prepare(cls, max_side_px: int) -> None:
        with cls._lock:
            if cls._spare is None:
                cls._spare = cls(max_side_px)

    def __init__(self, max_side_px: int) -> None:
        self._for, self._slot, self._heard = (os.getpid(), max_side_px), slot_bytes(max_side_px), b""
        with _memory(SLOTS * self._slot) as memory:
            self._pixels = mmap.mmap(memory, SLOTS * self._slot)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "preprocessing.decoding", str(memory), str(max_side_px)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=[memory],
                process_group=0,  # an interrupt from the keyboard is the app's to answer
                cwd=ROOT,
                env=surroundings(),
            )

    def answers(self, task: Task) -> Iterator[_Answer]:
        self._send(json.dumps(asdict(task)).encode() + b"\n")
        index = 0
        while line := self._line():
            if "refused" in line:
                raise InputError(str(line["refused"]))
            if "shape" not in line:
                yield line, None
                continue
            start = index % SLOTS * self._slot
            slot = np.frombuffer(self._pixels, np.uint8, self._slot, start)
            height, width = line["shape"]
            image = slot[: 3 * height * width].reshape(height, width, 3).copy()
            self._send(b".")
            index += 1
            yield line, image

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # what it died of is told by what it no longer answers
            self._process.stdin.write(data)  # type: ignore[union-attr]

    def _line(self) -> dict[str, Any]:
        """The next answer; empty after the last.

        Raises:
            InputError: there is none.
        """
        answers = self._process.stdout
        assert answers
        waiting = select.poll()
        waiting.register(answers, select.POLLIN)
        while b"\n" not in self._heard:
            heard = answers.read(LONGEST_LINE) if waiting.poll(1000 * PATIENCE_S) else b""
            if not heard or len(self._heard) > LONGEST_LINE:
                raise self._failure()
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        return dict(json.loads(line))

    def _failure(self) -> InputError:
        """After the last word of a reader that should have said more."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        log.warning("the reader of a file ended by itself: %s", self._process.poll())
        return InputError(
            "The reading of this file had to be stopped: it takes too much memory or time, or is made in a way that "
            "breaks readers. Export it again as MP4 with H.264."
        )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def _memory(size: int) -> Iterator[int]:
    """A descriptor of memory that lasts as long as somebody has it mapped."""
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("frames")
        os.ftruncate(memory, size)
        try:
            yield memory
        finally:
            os.close(memory)
    else:
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            yield file.fileno()
