"""Where networks run: which device, how many threads, and in which form.

On a CPU that is ONNX Runtime, about twice as fast as PyTorch, from a file that is written once per set of weights; on a
GPU it is PyTorch at mixed precision.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when it is imported; else it reports home

import cv2
import numpy as np
import onnxruntime
import torch
from torch import nn

from core.settings import VERSION

_TURN = Lock()
"""One inference at a time in this process: each uses all cores, so two at once would only be in each other's way."""


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
    cv2.setNumThreads(1)
    torch.set_num_threads(cpus())


@contextmanager
def one_thread() -> Iterator[None]:
    """For networks too small to share out: on a busy machine two threads that wait for each other take a hundred times
    as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def own_turn() -> Iterator[None]:
    """For what runs a network without an engine: one at a time, too."""
    with _TURN:
        yield


def device() -> str:
    """`cuda` where PyTorch sees a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Engine(Protocol):
    """A network ready to run."""

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """All outputs of the network for a batch float32 (B, ...), each float32 (B, ...)."""


def open_engine(load: Callable[[], nn.Module], shape: tuple[int, ...], device: str, export: Path | None) -> Engine:
    """The network that `load` returns, ready for batches of `shape`.

    Args:
        shape: of one input, without the batch.
        export: a folder for the network in ONNX Runtime's form, its own for these weights and this shape; filled if it
            is not there yet, which takes some ten seconds. None: PyTorch runs on a CPU, too.
    """
    if device != "cpu" or export is None:
        return TorchEngine(load(), device, half=device != "cpu")
    if not export.is_dir():
        _export(load(), shape, export)
    return OnnxEngine(export / MODEL)


def export_folder(cache: Path, digest: str, shape: tuple[int, ...]) -> Path:
    """Where the export of a network lies whose weights have this SHA-256; another release of the app has its own."""
    return cache / f"{digest[:16]}-{'x'.join(map(str, shape))}-{VERSION}"


class OnnxEngine:
    """On the CPU, with as many threads as there are cores, none of which spins while it waits."""

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = cpus(), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        with _TURN:
            outputs: list[np.ndarray] = self._session.run(None, {self._input: batch})
        return outputs


class TorchEngine:
    """On any device; with `half`, at half precision where that is safe."""

    def __init__(self, network: nn.Module, device: str, *, half: bool) -> None:
        self._network, self._device, self._half = network.to(device), device, half

    @torch.inference_mode()
    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        with _TURN, torch.autocast(self._device, torch.float16, enabled=self._half):
            output = self._network(torch.tensor(batch, device=self._device))
            outputs = output if isinstance(output, tuple) else (output,)
            return [output.float().cpu().numpy() for output in outputs]


MODEL = "network.onnx"


def _export(network: nn.Module, shape: tuple[int, ...], folder: Path) -> None:
    """Written beside its place and then moved there, so that what is there is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        written = Path(partial) / folder.name
        written.mkdir()
        # The exporter takes a batch of one for a constant.
        example, shapes = torch.zeros(2, *shape), {0: torch.export.Dim.DYNAMIC}
        torch.onnx.export(
            network, (example,), written / MODEL, dynamic_shapes=(shapes,), external_data=True, verbose=False
        )
        try:
            written.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
