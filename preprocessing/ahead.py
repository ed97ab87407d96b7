"""Running one stage of the path ahead of the next, so that decoding, landmarks and calibration overlap."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterator[T], depth: int = 4) -> Generator[T, None, None]:
    """The same items, drawn by a thread of their own that is at most `depth` items ahead.

    Threads suffice because the work inside (FFmpeg, MediaPipe, OpenCV) releases the interpreter lock. What the source
    raises is raised here; closing this generator stops the thread and closes the source.
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
