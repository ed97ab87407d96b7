"""What libraries are told before they are imported: where they may write, and to report to nobody."""

import ctypes
import os
import tempfile
from contextlib import suppress

from core.settings import Settings

WRITABLE = {
    "TMPDIR": "tmp",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "cache/config",
    "HF_HOME": "cache/huggingface",
    "TORCH_HOME": "cache/torch",
    "MPLCONFIGDIR": "cache/matplotlib",
    "NUMBA_CACHE_DIR": "cache/numba",
}
"""Where libraries write when asked nothing, and the folder of ours they are given instead."""

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Gradio, the Hub's client, ONNX Runtime and Ray all report home unless told not to."""


M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""From glibc's malloc.h."""
FRAME_BYTES = 4 << 20
"""A frame of 1080p is larger. Smaller pictures stay in the heaps, since asking the system for each takes time."""


def settle(settings: Settings) -> None:
    """Nothing is written outside the data folder, and nothing is sent anywhere."""
    os.environ |= QUIET | {name: str(settings.data / folder) for name, folder in WRITABLE.items()}
    os.environ["GRADIO_TEMP_DIR"] = str(settings.uploads)
    os.makedirs(os.environ["TMPDIR"], exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"]
    restrain_heaps()


def restrain_heaps() -> None:
    """Memory that was given back is there again for others, in two ways.

    Threads share two heaps. With one each, as glibc would have it, what analyses leave behind in threads that have
    ended fills all of them with holes (`python -m benchmarks.load --soak`). And large frames lie outside the heaps,
    where glibc would take them in after the first, so that heaps grow with the length of a clip
    (`python -m benchmarks.lrnet`).
    """
    with suppress(AttributeError, OSError):  # another C library
        malloc = ctypes.CDLL(None).mallopt
        malloc(M_ARENA_MAX, 2)
        malloc(M_MMAP_THRESHOLD, FRAME_BYTES)


def settle_here() -> None:
    """The same by this machine's own settings, for processes that somebody else starts."""
    settle(Settings.from_env(os.environ))
