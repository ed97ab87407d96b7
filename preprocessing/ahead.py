"""Running one stage of the path ahead of the next, so that decoding, landmarks and calibration overlap."""

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()
NICENESS = 10
"""Of the stages that are not the slowest: they give way to the one that sets the pace, which then waits for nobody."""


def ahead(items: Iterator[T], depth: int = 4, *, gives_way: bool = False) -> Generator[T, None, None]:
    """The same items, drawn by a thread of their own that is at most `depth` items ahead.

    Threads suffice because the work inside (FFmpeg, MediaPipe, OpenCV) releases the interpreter lock. What the source
    raises is raised here; closing this generator stops the thread and closes the source. One that `gives_way` gets the
    processor after those that do not, where there are too few for all.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: object) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def draw() -> None:
        if gives_way and sys.platform == "linux":  # elsewhere a thread has no priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            for item in items:
                offer(item)
                if stopped.is_set():
                    break
            offer(_END)
        except BaseException as error:
            offer(error)
        finally:
            if hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=draw, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
