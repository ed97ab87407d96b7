"""Where networks run: which device, and how many threads they may use."""

import os
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cpus() -> int:
    """Processors this process may use: the smaller of affinity and the container's quota."""
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            found.append(int(quota) // int(period))
    except (OSError, ValueError):
        pass
    return max(1, min(found))


def limit_threads() -> None:
    """Caps every pool to the cores there are; call it before an analysis, not on import.

    OpenCV gets one thread: decoding, landmarks and calibration already overlap, and a second pool would fight them.
    """
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(cpus())


def device() -> str:
    """`cuda` where PyTorch sees a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
