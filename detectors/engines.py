"""Where networks run: which device, how many threads, and in which form.

On a CPU that is ONNX Runtime, about twice as fast as PyTorch, from a file that is written once per set of weights; how
many inputs at a time are fastest is measured then, too. On a GPU it is PyTorch at mixed precision.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

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


@cache
def has_int8() -> bool:
    """The processor multiplies 8-bit numbers four at a time; without that they save nothing here."""
    try:
        return bool(INT8 & set(Path("/proc/cpuinfo").read_text().split()))
    except OSError:
        return False


INT8 = {"avx512_vnni", "avx_vnni"}


class Engine(Protocol):
    """A network ready to run; `batch` is how many inputs to give it at a time."""

    batch: int

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """All outputs of the network for a batch float32 (B, ...), each float32 (B, ...)."""


def open_engine(
    load: Callable[[], nn.Module], shape: tuple[int, ...], device: str, export: Path | None, *, int8: bool = False
) -> Engine:
    """The network that `load` returns, ready for batches of `shape`.

    Args:
        shape: of one input, without the batch.
        export: a folder for the network in ONNX Runtime's form, its own for these weights and this shape; filled if it
            is not there yet, which takes some ten seconds. None: PyTorch runs on a CPU, too.
        int8: the exported network multiplies its matrices in 8 bits.
    """
    if device != "cpu" or export is None:
        return TorchEngine(load(), device, half=device != "cpu")
    if not export.is_dir():
        _export(load(), shape, export, int8=int8)
    return OnnxEngine(export)


def export_folder(cache: Path, digest: str, shape: tuple[int, ...], *, int8: bool = False) -> Path:
    """Where the export of a network lies whose weights have this SHA-256; another release of the app has its own."""
    return cache / f"{digest[:16]}-{'x'.join(map(str, shape))}{'-int8' if int8 else ''}-{VERSION}"


class OnnxEngine:
    """On the CPU, with as many threads as there are cores, none of which spins while it waits."""

    def __init__(self, export: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = cpus(), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(export / MODEL, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.batch = int((export / BATCH).read_text()) if (export / BATCH).exists() else 1

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        with _TURN:
            outputs: list[np.ndarray] = self._session.run(None, {self._input: batch})
        return outputs


class TorchEngine:
    """On any device; with `half`, at half precision where that is safe."""

    def __init__(self, network: nn.Module, device: str, *, half: bool) -> None:
        self._network, self._device, self._half = network.to(device), device, half
        self.batch = 1 if device == "cpu" else GPU_BATCH

    @torch.inference_mode()
    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        with _TURN, torch.autocast(self._device, torch.float16, enabled=self._half):
            output = self._network(torch.tensor(batch, device=self._device))
            outputs = output if isinstance(output, tuple) else (output,)
            return [output.float().cpu().numpy() for output in outputs]


MODEL = "network.onnx"
BATCH = "batch"
"""A file with the number of inputs at a time that was faster when the network was exported."""
BATCHES = (1, 8)
RUNS = 3
GPU_BATCH = 32
"""A guess: enough to fill a GPU without filling its memory."""


def _export(network: nn.Module, shape: tuple[int, ...], folder: Path, *, int8: bool) -> None:
    """Written beside its place and then moved there, so that what is there is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        written = Path(partial) / folder.name
        written.mkdir()
        write_onnx(network, torch.zeros(2, *shape), written / MODEL)  # the exporter takes a batch of one for a constant
        if int8:
            _to_int8(written / MODEL)  # and one input at a time: its steps are set by all that it reads at once
        else:
            (written / BATCH).write_text(str(_faster_batch(OnnxEngine(written), shape)))
        try:
            written.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise


def write_onnx(network: nn.Module, example: torch.Tensor, file: Path, free: tuple[int, ...] = (0,)) -> None:
    """The network in ONNX Runtime's form; `free` are the axes in which an input may differ from the example."""
    torch.onnx.export(
        network,
        (example,),
        file,
        dynamic_shapes=(dict.fromkeys(free, torch.export.Dim.DYNAMIC),),
        external_data=True,
        verbose=False,
        custom_translation_table={torch.ops.aten.prelu.default: _prelu},
    )


def _prelu(x: Any, slope: Any) -> Any:
    """As a sum of what ONNX Runtime spreads over all cores and vector units; its own PReLU uses neither."""
    from onnxscript import opset20 as op  # as onnx below: half a second, for what most starts never do

    axes: Any = op.Constant(value_ints=list(range(1, len(x.shape) - 1)))
    slopes = op.Unsqueeze(slope, axes)
    return op.Add(op.Mul(slopes, x), op.Mul(op.Sub(op.Constant(value_float=1.0), slopes), op.Relu(x)))


def _faster_batch(engine: OnnxEngine, shape: tuple[int, ...]) -> int:
    """Of `BATCHES`, by the least time for as many inputs: others may use the machine, and make any one run slow."""
    inputs = {batch: np.zeros((batch, *shape), np.float32) for batch in BATCHES}
    seconds = dict.fromkeys(BATCHES, np.inf)
    for _ in range(RUNS):
        for batch in BATCHES:
            began = time.perf_counter()
            for _ in range(max(BATCHES) // batch):
                engine.run(inputs[batch])
            seconds[batch] = min(seconds[batch], time.perf_counter() - began)
    return min(BATCHES, key=seconds.__getitem__)


def _to_int8(file: Path) -> None:
    """Products with a fixed matrix become products of 8-bit numbers: of steps of their own for each column of the
    matrix, set here, and of one step for what it is multiplied with, set at each run."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(file)
    graph, nodes, rounded = model.graph, [], set()
    fixed = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in fixed:
            nodes.append(node)
            continue
        (x, name), (y,) = node.input, node.output
        matrix = numpy_helper.to_array(fixed[name])
        step = np.maximum(np.abs(matrix).max(axis=0) / 127, np.finfo(np.float32).tiny)
        graph.initializer.remove(fixed[name])
        graph.initializer.append(numpy_helper.from_array(np.rint(matrix / step).astype(np.int8), f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(step, f"{name}_step"))
        if x not in rounded:
            rounded.add(x)
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [f"{x}_int8", f"{x}_step", f"{x}_zero"]))
        nodes += [
            helper.make_node("MatMulInteger", [f"{x}_int8", f"{name}_int8", f"{x}_zero"], [f"{y}_int32"]),
            helper.make_node("Cast", [f"{y}_int32"], [f"{y}_whole"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{x}_step", f"{name}_step"], [f"{y}_step"]),
            helper.make_node("Mul", [f"{y}_whole", f"{y}_step"], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    weights = file.with_name(f"{file.name}.data")
    weights.unlink()
    onnx.save(model, file, save_as_external_data=True, location=weights.name)
