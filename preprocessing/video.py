"""A file becomes frames: probed first, then decoded once, in order, one frame at a time.

What touches the file is another program, `preprocessing.decoding`, in a process of its own that may be killed.
"""

import contextlib
import io
import json
import logging
import math
import mmap
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.errors import InputError, NotNow
from core.settings import ROOT, Settings
from core.types import Frame, Video
from preprocessing.confinement import surroundings
from preprocessing.decoding import REPLY, SLOTS, WISH, Tally, Task, Wish, slot_bytes

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
    reader = _Reader(settings.max_side_px)
    try:
        yield from reader.answers(task)
    finally:
        reader.end()


class _Nursery:
    """The program that readers are forked from: started once, and anew where it died."""

    _current: "_Nursery | None" = None
    _lock = threading.Lock()

    @classmethod
    def at_hand(cls) -> "_Nursery":
        with cls._lock:
            known = cls._current
            if known is None or known._owner != os.getpid() or known.process.poll() is not None:
                cls._current = known = cls()
            return known

    def __init__(self) -> None:
        self._owner, self._asking = os.getpid(), threading.Lock()
        self._wishes, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "preprocessing.decoding"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # an interrupt from the keyboard is the app's to answer
                cwd=ROOT,
                env=surroundings(),
            )

    def fork(self, max_side_px: int, descriptors: list[int]) -> int:
        """The process of a reader with these descriptors.

        Raises:
            InputError: the program died a moment ago.
        """
        try:
            return self._ask(Wish.FORK, max_side_px, descriptors)
        except OSError as error:
            raise NotNow("The file could not be read just now; try again.") from error

    def end(self, reader: int) -> int | None:
        """Kills it, unless it has ended. Its exit code, or the number of the signal as a negative; None where this
        program died, and its readers with it."""
        with contextlib.suppress(OSError):
            return self._ask(Wish.END, reader)
        return None

    def _ask(self, kind: Wish, number: int, descriptors: Sequence[int] = ()) -> int:
        with self._asking:
            socket.send_fds(self._wishes, [WISH.pack(kind, number)], descriptors)
            reply = self._wishes.recv(REPLY.size, socket.MSG_WAITALL)
        if not reply:
            raise ConnectionError("the program that readers are forked from is gone")
        return int(REPLY.unpack(reply)[0])


class _Reader:
    """A process that reads one file, and its shared memory."""

    def __init__(self, max_side_px: int) -> None:
        self._slot, self._heard = slot_bytes(max_side_px), b""
        self._lent: set[int] = set()
        self._ending = threading.RLock()  # a frame may be given back by a collection of garbage at any point
        asked, questions = os.pipe()
        answers, told = os.pipe()
        self._questions, self._answers = io.FileIO(questions, "wb"), io.FileIO(answers)
        try:
            with _memory(SLOTS * self._slot) as memory:
                self._pixels = mmap.mmap(memory, SLOTS * self._slot)
                self.nursery = _Nursery.at_hand()
                self.process = self.nursery.fork(max_side_px, [memory, asked, told])
        finally:
            os.close(asked)
            os.close(told)

    def answers(self, task: Task) -> Iterator[_Answer]:
        self._send(json.dumps(asdict(task)).encode() + b"\n")
        while line := self._line():
            if "refused" in line:
                raise InputError(str(line["refused"]))
            yield line, self._lend(line["slot"], *line["shape"]) if "slot" in line else None

    def _lend(self, slot: int, height: int, width: int) -> np.ndarray:
        """The pixels where they lie, until nobody looks at them any more; a copy where few slots are left."""
        pixels = np.frombuffer(self._pixels, np.uint8, 3 * height * width, slot * self._slot)
        if len(self._lent) < SLOTS - 2:
            self._lent.add(slot)
            weakref.finalize(pixels, self._give_back, slot).atexit = False
        else:
            pixels = pixels.copy()
            self._send(bytes([slot]))
        return pixels.reshape(height, width, 3)

    def _give_back(self, slot: int) -> None:
        self._lent.discard(slot)
        self._send(bytes([slot]))

    def _send(self, data: bytes) -> None:
        # What a reader died of is told by what it no longer answers.
        with self._ending, contextlib.suppress(BrokenPipeError):
            if not self._questions.closed:
                self._questions.write(data)

    def _line(self) -> dict[str, Any]:
        """The next answer; empty after the last.

        Raises:
            InputError: there is none.
        """
        waiting = select.poll()
        waiting.register(self._answers, select.POLLIN)
        while b"\n" not in self._heard:
            heard = self._answers.read(LONGEST_LINE) if waiting.poll(1000 * PATIENCE_S) else b""
            if not heard or len(self._heard) > LONGEST_LINE:
                raise self._failure()
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        return dict(json.loads(line))

    def _failure(self) -> InputError:
        """After the last word of a reader that should have said more."""
        log.warning("the reader of a file ended by itself: %s", self.end())
        return NotNow(
            "The reading of this file had to be stopped: it takes too much memory or time, or is made in a way that "
            "breaks readers. Export it again as MP4 with H.264."
        )

    def end(self) -> int | None:
        """How it ended, by itself or now; None the second time."""
        with self._ending:
            if self._questions.closed:
                return None
            self._questions.close()
            self._answers.close()
        return self.nursery.end(self.process)


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
